use std::path::PathBuf;

use http::{HeaderMap, header};
use tempfile::TempDir;

use super::*;
use crate::{Limit, PasswordSettings, hash_password, make_link, user_line};

const PASSWORD: &str = "canary-correct horse";
const KEY: &str = "canary-0123456789abcdef0123456789abcdef";

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        files.write("key", KEY);
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.at(name), text).unwrap();
    }

    fn users(&self, cameras: &str) {
        let hash = hash_password(PASSWORD).unwrap();
        self.write("users", &user_line("anna", &hash, cameras));
    }

    fn settings(&self) -> Settings {
        Settings {
            verify: Verify::Password(PasswordSettings {
                users_file: Some(self.at("users")),
                admin_password_file: None,
            }),
            session_key_file: Some(self.at("key")),
            session_lifetime: Duration::from_secs(3600),
            attempts: Limit::default(),
        }
    }

    fn gate(&self) -> Gate {
        Gate::open(self.settings()).unwrap_or_else(|problems| panic!("{problems:?}"))
    }
}

fn address() -> IpAddr {
    IpAddr::from([192, 0, 2, 1])
}

async fn cookie(gate: &Gate, name: &str, password: &str) -> HeaderMap {
    let signed = gate
        .sign_in(address(), name, password.to_owned())
        .await
        .unwrap();
    assert!(!format!("{signed:?}").contains(&signed.cookie));
    let set = signed.set_cookie(true);
    assert!(set.contains("; HttpOnly; SameSite=Lax; Secure"), "{set}");
    let mut headers = HeaderMap::new();
    let value = set.split(';').next().unwrap();
    headers.insert(header::COOKIE, value.parse().unwrap());
    headers
}

fn asked<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Asked<'a> {
    Asked {
        headers,
        query,
        from_trusted_proxy: false,
    }
}

async fn granted(gate: &Gate, headers: &HeaderMap) -> Result<Grant, Denied> {
    gate.grant(&asked(headers, None)).await
}

#[tokio::test]
async fn a_session_from_sign_in_to_sign_out() {
    let files = Files::new();
    files.users("gate,yard-*");
    let gate = files.gate();
    assert_eq!(
        granted(&gate, &HeaderMap::new()).await.unwrap_err(),
        Denied::NotSignedIn
    );
    let headers = cookie(&gate, "anna", PASSWORD).await;
    let grant = granted(&gate, &headers).await.unwrap();
    assert_eq!((&*grant.who, grant.how), ("anna", How::Password));
    assert!(grant.cameras.contains("yard-9") && !grant.cameras.contains("vault"));
    // another replica with the same key knows the session, one with another key does not
    assert!(granted(&files.gate(), &headers).await.is_ok());
    files.write("key", "another key of at least thirty-two bytes");
    assert!(granted(&files.gate(), &headers).await.is_err());

    let revoked = grant.revoked.unwrap();
    assert!(!*revoked.borrow());
    assert_eq!(
        gate.sign_out(&asked(&headers, None)).as_deref(),
        Some("anna")
    );
    assert!(*revoked.borrow());
    assert_eq!(
        granted(&gate, &headers).await.unwrap_err(),
        Denied::Invalid("signed out")
    );
}

#[tokio::test]
async fn wrong_names_and_passwords_are_the_same_and_are_limited() {
    let files = Files::new();
    files.users("*");
    let gate = files.gate();
    for (name, password) in [
        ("anna", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("anna", ""),
    ] {
        let error = gate
            .sign_in(address(), name, password.to_owned())
            .await
            .unwrap_err();
        assert_eq!(error, SignInError::Wrong, "{name}");
    }
    let _fifth = gate.sign_in(address(), "anna", "wrong".to_owned()).await;
    let sixth = gate
        .sign_in(address(), "anna", PASSWORD.to_owned())
        .await
        .unwrap_err();
    assert!(matches!(sixth, SignInError::TooMany(wait) if wait <= Duration::from_secs(60)));
    let elsewhere = IpAddr::from([192, 0, 2, 2]);
    assert!(
        gate.sign_in(elsewhere, "anna", PASSWORD.to_owned())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn changes_of_the_users_file_end_sessions() {
    let hash = hash_password(PASSWORD).unwrap();
    let other = hash_password("another one").unwrap();
    for (line, kept) in [
        (user_line("anna", &hash, "gate,yard"), true),
        (user_line("anna", &hash, "*"), true),
        (user_line("anna", &hash, "gate"), false),
        (user_line("anna", &other, "gate,yard"), false),
        (user_line("ben", &hash, "*"), false),
        // a file that cannot be used changes nothing
        ("anna:plain:*".to_owned(), true),
    ] {
        let files = Files::new();
        files.write("users", &user_line("anna", &hash, "gate,yard"));
        let gate = files.gate();
        let headers = cookie(&gate, "anna", PASSWORD).await;
        let watching = granted(&gate, &headers).await.unwrap().revoked.unwrap();
        files.write("users", &format!("# changed\n{line}\n"));
        gate.reread();
        assert_eq!(!*watching.borrow(), kept, "{line}");
    }
}

#[tokio::test]
async fn a_new_key_ends_all_sessions() {
    let files = Files::new();
    files.users("*");
    let gate = files.gate();
    let headers = cookie(&gate, "anna", PASSWORD).await;
    let watching = granted(&gate, &headers).await.unwrap().revoked.unwrap();
    files.write("key", "too short");
    gate.reread();
    assert!(!*watching.borrow());
    files.write("key", "another key of at least thirty-two bytes");
    gate.reread();
    assert!(*watching.borrow());
    assert!(granted(&gate, &headers).await.is_err());
}

#[tokio::test]
async fn the_admin_of_a_password_file() {
    let files = Files::new();
    files.write("admin", &format!("{PASSWORD}\n"));
    let mut settings = files.settings();
    settings.verify = Verify::Password(PasswordSettings {
        users_file: None,
        admin_password_file: Some(files.at("admin")),
    });
    let gate = Gate::open(settings.clone()).unwrap();
    let headers = cookie(&gate, "admin", PASSWORD).await;
    // the salt differs from replica to replica, the session does not
    let replica = Gate::open(settings).unwrap();
    assert!(
        granted(&replica, &headers)
            .await
            .unwrap()
            .cameras
            .contains("vault")
    );
    files.write("admin", "another one");
    replica.reread();
    let denied = granted(&replica, &headers).await.unwrap_err();
    assert_eq!(denied, Denied::Invalid("the password has changed"));
}

#[tokio::test]
async fn share_links() {
    let files = Files::new();
    files.users("gate");
    let gate = files.gate();
    let headers = cookie(&gate, "anna", PASSWORD).await;
    let anna = granted(&gate, &headers).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(gate.share(&anna, "vault", hour), Err(ShareError::Camera));
    assert_eq!(
        gate.share(&anna, "gate", Duration::ZERO),
        Err(ShareError::Lifetime)
    );
    assert_eq!(
        gate.share(&anna, "gate", MAX_SHARE * 2),
        Err(ShareError::Lifetime)
    );
    let shared = gate.share(&anna, "gate", hour).unwrap();
    let (path, query) = shared.path.split_once('?').unwrap();
    assert_eq!(path, "/cameras/gate");

    let none = HeaderMap::new();
    let guest = gate.grant(&asked(&none, Some(query))).await.unwrap();
    assert_eq!((&*guest.who, guest.how), ("share by anna", How::Share));
    assert!(guest.cameras.contains("gate") && !guest.cameras.contains("vault"));
    assert_eq!(
        gate.share(&guest, "gate", hour),
        Err(ShareError::NotAllowed)
    );
    let mut tampered = query.to_owned();
    tampered.insert(8, 'x');
    assert!(gate.grant(&asked(&none, Some(&tampered))).await.is_err());
    // a session cookie is no share link
    let session = headers[header::COOKIE]
        .to_str()
        .unwrap()
        .split_once('=')
        .unwrap()
        .1;
    let query_of_session = format!("share={session}");
    assert!(
        gate.grant(&asked(&none, Some(&query_of_session)))
            .await
            .is_err()
    );

    // the maker goes, and so does the guest
    let watching = guest.revoked.unwrap();
    files.write(
        "users",
        &user_line("ben", &hash_password("x").unwrap(), "*"),
    );
    gate.reread();
    assert!(*watching.borrow());
    assert!(gate.grant(&asked(&none, Some(query))).await.is_err());
}

#[tokio::test]
async fn links_of_the_command_line_end() {
    let files = Files::new();
    files.users("gate");
    let gate = files.gate();
    let secret = fanlight_ops::secret::Secret::new(KEY);
    let link = make_link(&secret, "vault", Duration::from_secs(3600)).unwrap();
    let none = HeaderMap::new();
    let query = link.split_once('?').map(|(_, query)| query);
    assert!(
        gate.grant(&asked(&none, query))
            .await
            .unwrap()
            .cameras
            .contains("vault")
    );
    let link = make_link(&secret, "vault", Duration::ZERO).unwrap();
    let query = link.split_once('?').map(|(_, query)| query);
    assert_eq!(
        gate.grant(&asked(&none, query)).await.unwrap_err(),
        Denied::Expired
    );
    assert!(make_link(&"short".to_owned().into(), "vault", Duration::ZERO).is_err());
}

#[test]
fn every_problem_is_found_and_no_secret_is_told() {
    let files = Files::new();
    files.write("users", "anna:hunter2-canary:*\nb b:x:*\n");
    files.write("key", "short-canary");
    let Err(problems) = Gate::open(files.settings()) else {
        panic!("it was taken")
    };
    let text = problems
        .iter()
        .map(|p| format!("{p}\n"))
        .collect::<String>();
    assert_eq!(problems.len(), 3, "{text}");
    assert!(!text.contains("canary"), "{text}");
    let mut settings = files.settings();
    settings.verify = Verify::Password(PasswordSettings::default());
    settings.session_key_file = Some(files.at("missing"));
    let Err(problems) = Gate::open(settings) else {
        panic!("it was taken")
    };
    assert_eq!(problems.len(), 2);
}

#[test]
fn debug_output_holds_no_secret() {
    let files = Files::new();
    files.users("*");
    let text = format!("{:?} {:?}", files.gate(), files.settings());
    assert!(!text.contains("canary"), "{text}");
}
