//! The command-line viewer's credentials: a token, or a session of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use fanlight_ops::secret::{Secret, redact_url};
use reqwest::Certificate;
use serde_json::json;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, header};
use url::Url;

use super::WatchArgs;

/// Time for the whole sign-in.
const LIMIT: Duration = Duration::from_secs(10);

/// The header that shows who we are, if there is anything to show.
pub(super) async fn header(args: &WatchArgs) -> anyhow::Result<Option<(HeaderName, HeaderValue)>> {
    let (name, text) = match (&args.token_file, &args.user, &args.password_file) {
        (Some(file), _, _) => {
            let token = read(file)?;
            (header::AUTHORIZATION, format!("Bearer {}", token.expose()))
        }
        (None, Some(user), Some(file)) => {
            (header::COOKIE, sign_in(args, user, &read(file)?).await?)
        }
        _ => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&text).context("the credential fits no header")?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

fn read(path: &Path) -> anyhow::Result<Secret> {
    Secret::from_file(path).with_context(|| format!("read {}", path.display()))
}

/// Signs in; returns the cookie.
async fn sign_in(args: &WatchArgs, user: &str, password: &Secret) -> anyhow::Result<String> {
    let mut url: Url = args.url.parse().context("the URL")?;
    let scheme = if url.scheme() == "wss" {
        "https"
    } else {
        "http"
    };
    // a WebSocket URL may become an HTTP one
    if url.set_scheme(scheme).is_err() {
        bail!("`{}` is not a WebSocket URL", redact_url(&args.url));
    }
    url.set_path("/login");
    url.set_query(None);
    let mut client = reqwest::Client::builder()
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(ca) = &args.ca {
        let pem = std::fs::read(ca).with_context(|| format!("read {}", ca.display()))?;
        client = client.tls_certs_only(Certificate::from_pem_bundle(&pem).context("--ca")?);
    }
    let body = json!({ "name": user, "password": password.expose() }).to_string();
    let request = client.build()?.post(url.clone());
    let request = request
        .header(header::CONTENT_TYPE, "application/json")
        .body(body);
    let answer = request.send().await.context("sign in")?;
    if !answer.status().is_success() {
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        bail!("sign in as {user}: refused with {status}: {text}");
    }
    let cookies = answer.headers().get_all(header::SET_COOKIE);
    let mut cookies = cookies.iter().filter_map(|value| value.to_str().ok());
    let session = cookies.find(|text| text.starts_with(fanlight_auth::SESSION_COOKIE));
    let session = session.and_then(|text| text.split(';').next());
    session
        .map(str::to_owned)
        .context("sign in: the server set no session cookie")
}
