//! Secrets that cannot be printed, and the redactor every log line passes.
//!
//! A [`Secret`] registers itself for the whole process when it is made, so a copy that strays
//! into an error text of a library, an ffmpeg line or a panic is still caught on its way out.

mod redactor;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use redactor::{REDACTED, Redactor};
pub(crate) use redactor::{is_sensitive_key, redact_registered};

/// A password, token or key. `Debug`, `Display` and serde all write `[redacted]`.
///
/// With clap, add `hide_env_values = true` to the argument: help prints the environment's text
/// before it becomes a `Secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the secret's text and registers it, see [`register`].
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        register(&text);
        Self(text)
    }

    /// Reads a secret from a file, without the line end editors and `echo` leave behind.
    ///
    /// # Errors
    /// The file cannot be read as UTF-8 text.
    pub fn from_file(path: &Path) -> std::io::Result<Self> {
        Ok(Self::new(
            std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']),
        ))
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Registers a secret for the whole process: from now on no log line and no panic message shows
/// it, neither as given nor percent-decoded, percent-encoded or escaped. There is no way back.
pub fn register(secret: &str) {
    redactor::register(secret);
}

/// Registers what is secret in a URL: its password, and the tokens in its query. Text that is no
/// URL is left alone; URL shapes in it are redacted anyway.
pub fn register_url(text: &str) {
    let Ok(url) = url::Url::parse(text) else {
        return;
    };
    if let Some(password) = url.password() {
        register(password);
    }
    for (key, value) in url.query_pairs() {
        if is_sensitive_key(&key) {
            register(&value);
        }
    }
}

/// Removes everything secret from a text: registered secrets, the userinfo of any URL, values of
/// `password=`, `token=` and the like, `Authorization` and `Cookie` headers, JWTs, NATS seeds.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    redactor::redact_with(&[], text)
}

/// A URL as it may be shown: the same text without userinfo and secret query values.
#[must_use]
pub fn redact_url(url: &str) -> String {
    redact(url).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_printing_shows_the_secret() {
        let secret = Secret::new("correct horse");
        assert_eq!(
            format!("{secret} {secret:?} {:#?}", Some(&secret))
                .matches("horse")
                .count(),
            0
        );
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[redacted]\"");
        let read: Secret = serde_json::from_str("\"battery staple\"").unwrap();
        assert_eq!(read.expose(), "battery staple");
        assert_eq!("battery staple".parse::<Secret>().unwrap(), read);
    }

    #[test]
    fn a_secret_made_anywhere_is_redacted_everywhere() {
        let _secret = Secret::new("Xk9-canary/7");
        assert_eq!(
            redact("failed with Xk9-canary/7."),
            "failed with [redacted]."
        );
        assert_eq!(
            redact("failed with Xk9-canary%2F7."),
            "failed with [redacted]."
        );
        assert_eq!(
            redact("failed with Xk9-canary%2f7."),
            "failed with [redacted]."
        );
    }

    #[test]
    fn a_secret_file_ends_with_its_text() {
        let path = std::env::temp_dir().join(format!("fanlight-secret-{}", std::process::id()));
        std::fs::write(&path, " with spaces \r\n").unwrap();
        let secret = Secret::from_file(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret.unwrap().expose(), " with spaces ");
        assert!(Secret::from_file(&path).is_err());
    }

    #[test]
    fn registering_a_url_registers_its_password_in_every_form() {
        register_url("rtsp://viewer:s%40lt%20Fish@cam.example:554/s?token=tok3n-value");
        for text in ["s%40lt%20Fish", "s@lt Fish", "s%40lt+Fish", "tok3n-value"] {
            assert_eq!(redact(text), REDACTED, "{text}");
        }
        assert_eq!(
            redact("user viewer at cam.example"),
            "user viewer at cam.example"
        );
        register_url("not a url");
    }

    #[test]
    fn a_shown_url_keeps_what_helps() {
        assert_eq!(
            redact_url("rtsp://user:p%40ss@10.0.0.7:554/stream1?channel=2&password=abc&x=1"),
            "rtsp://[redacted]@10.0.0.7:554/stream1?channel=2&password=[redacted]&x=1"
        );
        assert_eq!(
            redact_url("rtsp://10.0.0.7:554/a@b"),
            "rtsp://10.0.0.7:554/a@b"
        );
    }
}
