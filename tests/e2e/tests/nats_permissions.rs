//! NATS under TLS with the permissions of deploy/nats: enough for ingest and edge, and no more.
//! Every kind of credential against a real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use fanlight_bus::{Bus, Credentials, NatsConfig, Subjects, Tls, diagnose};
use fanlight_e2e::{Authority, Edge, Ingest, Pair, SOON};
use fanlight_mpegts::is_key_chunk;
use fanlight_testkit::{NatsServer, repository};
use nkeys::KeyPair;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// What an installation sets in the server's environment.
const PASSWORDS: [(&str, &str); 2] = [
    ("$NATS_PASSWORD_INGEST_GATE", "\"a-password-of-gate\""),
    ("$NATS_PASSWORD_EDGE", "\"a-password-of-edges\""),
];

fn permissions() -> String {
    let path = repository().join("deploy/nats/permissions.conf");
    let text = std::fs::read_to_string(path).unwrap();
    let filled = PASSWORDS.iter().fold(text, |text, (name, password)| {
        assert!(text.contains(name));
        text.replace(name, password)
    });
    assert!(
        !filled.contains("password: $"),
        "a password is not filled in"
    );
    filled
}

/// deploy/nats/tls.conf with these files.
fn tls_conf(dir: &Path, authority: &Authority) -> String {
    authority.issue("nats").write(dir);
    authority.write(dir);
    let path = repository().join("deploy/nats/tls.conf");
    let text = std::fs::read_to_string(path).unwrap();
    [
        ("nats.crt", "tls.crt"),
        ("nats.key", "tls.key"),
        ("ca.crt", "ca.pem"),
    ]
    .iter()
    .fold(text, |text, (name, file)| {
        let file = dir.join(file).display().to_string();
        text.replace(&format!("/run/secrets/{name}"), &file)
    })
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn video_flows_over_mutual_tls_with_the_least_permissions() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let config = tls_conf(dir.path(), &authority) + &permissions();
    let nats = NatsServer::start_with(&config).await;
    let client = dir.path().join("client");
    std::fs::create_dir(&client).unwrap();
    let (cert, key) = authority.issue("a service").write(&client);
    let ca = dir.path().join("ca.pem");
    let [ca, cert, key] = [ca, cert, key].map(|path| path.display().to_string());
    let encrypted = ["--nats-ca", &ca, "--nats-cert", &cert, "--nats-key", &key];
    let user = |user: &'static str, password: &str| {
        let file = file(dir.path(), user, password);
        [
            "--nats-user".to_owned(),
            user.to_owned(),
            "--nats-password-file".to_owned(),
            file,
        ]
    };
    let gate = user("ingest-gate", "a-password-of-gate");
    let edge = user("edge", "a-password-of-edges");
    let all = |own: &[&str], user: &[String]| -> Vec<String> {
        let words = own.iter().chain(&encrypted).map(|&word| word.to_owned());
        words.chain(user.iter().cloned()).collect()
    };
    let url = nats.url().replace("nats://", "tls://");
    let args = all(&["--input", "test", "--gop-seconds", "20"], &gate);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ingest = Ingest::start_live("gate", &url, &args).await;
    // Into the GOP, so that an edge gets a picture only by a reply of many messages.
    sleep(Duration::from_secs(3)).await;
    let args = all(&[], &edge);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let edge = Edge::start(&url, &args).await;
    let began = Instant::now();
    let mut viewer = edge.watch("gate").await;
    assert!(is_key_chunk(&viewer.media(SOON).await));
    let end = Instant::now() + Duration::from_secs(1);
    assert!(
        viewer.collect_until(end).await.len() > 30,
        "the replay broke off"
    );
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "not from the reply"
    );
    for log in [
        ingest.process.output(),
        edge.process.output(),
        nats.process().output(),
    ] {
        assert!(!log.to_lowercase().contains("violation"), "{log}");
        assert!(!log.contains("a-password-of"), "a password is in the log");
    }
}

fn config(nats: &NatsServer, credentials: Credentials, tls: Tls, name: &str) -> NatsConfig {
    NatsConfig {
        urls: vec![nats.url()],
        subjects: Subjects::default(),
        credentials,
        tls,
        name: name.to_owned(),
    }
}

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    }
}

/// Which of the subjects the broker refuses to a user.
async fn refused(
    nats: &NatsServer,
    credentials: Credentials,
    name: &str,
    publish: &[&str],
    subscribe: &[&str],
) -> (Vec<String>, Vec<String>) {
    let config = config(nats, credentials, Tls::default(), name);
    let owned = |all: &[&str]| all.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let access = diagnose::access(config, &owned(publish), &owned(subscribe)).await;
    let access = access.unwrap();
    // The flag is about any inbox, also those that are asked for here.
    let asks = subscribe.iter().any(|subject| subject.contains("INBOX"));
    assert_eq!(access.inbox_denied, asks, "{name}: its own inbox");
    (access.publish_denied, access.subscribe_denied)
}

#[tokio::test]
async fn nobody_may_do_anothers_work() {
    let nats = NatsServer::start_with(&permissions()).await;
    let others = [
        "fanlight.yard.main.ts",
        "fanlight.yard.main.status",
        "fanlight.gate.main.gop",
        "fanlight.yard.main.gop",
        "_INBOX.fanlight-edge.x",
        "$SYS.REQ.SERVER.PING",
        "else",
    ];
    let hidden = [
        ">",
        "fanlight.>",
        "_INBOX.>",
        "_INBOX.fanlight-edge.>",
        "fanlight.gate.main.ts",
        "fanlight.yard.main.ts",
        "fanlight.yard.main.gop",
        "$SYS.>",
    ];
    let own = [
        "fanlight.gate.main.ts",
        "fanlight.gate.hd.ts",
        "fanlight.gate.main.status",
    ];
    let heard = ["fanlight.gate.main.gop", "fanlight.*.*.status"];
    let gate = || password("ingest-gate", "a-password-of-gate");
    let got = refused(&nats, gate(), "fanlight-ingest", &own, &heard).await;
    assert_eq!(got, (vec![], vec![]));
    let (publish, subscribe) = refused(&nats, gate(), "fanlight-ingest", &others, &hidden).await;
    assert_eq!(publish, others);
    assert_eq!(subscribe, hidden);

    let edge = || password("edge", "a-password-of-edges");
    let asked = ["fanlight.gate.main.gop", "fanlight.yard.main.gop"];
    let watched = ["fanlight.gate.main.ts", "fanlight.*.*.status"];
    let got = refused(&nats, edge(), "fanlight-edge", &asked, &watched).await;
    assert_eq!(got, (vec![], vec![]));
    let media = [
        "fanlight.gate.main.ts",
        "fanlight.gate.main.status",
        "_INBOX.fanlight-edge.x",
        "_INBOX.fanlight-ingest.x",
        "else",
    ];
    let hidden = [
        ">",
        "fanlight.>",
        "_INBOX.>",
        "_INBOX.fanlight-ingest.>",
        "fanlight.*.*.gop",
    ];
    let (publish, subscribe) = refused(&nats, edge(), "fanlight-edge", &media, &hidden).await;
    assert_eq!(publish, media);
    assert_eq!(subscribe, hidden);
}

/// Whether the bus gets a connection; half a second without one counts as no.
async fn connects(nats: &NatsServer, credentials: Credentials, tls: Tls) -> bool {
    let bus = Bus::nats(config(nats, credentials, tls, "fanlight-edge"))
        .await
        .unwrap();
    let mut link = bus.connection();
    let connected = link.wait_for(|c| c.is_connected());
    let connected = timeout(Duration::from_millis(1500), connected)
        .await
        .is_ok_and(|c| c.is_ok());
    bus.close().await;
    connected
}

#[tokio::test]
async fn every_kind_of_credential() {
    let nkey = KeyPair::new_user();
    let seed = Credentials::NkeySeed(nkey.seed().unwrap());
    let other = Credentials::NkeySeed(KeyPair::new_user().seed().unwrap());
    let (jwt_config, creds) = jwt_server();
    let (_, foreign) = jwt_server();
    let none = || Credentials::None;
    for (kind, config, right, wrong) in [
        (
            "password",
            "authorization { user: u, password: right }".to_owned(),
            password("u", "right"),
            password("u", "wrong"),
        ),
        (
            "token",
            "authorization { token: right }".to_owned(),
            Credentials::Token("right".to_owned()),
            Credentials::Token("wrong".to_owned()),
        ),
        (
            "nkey",
            format!(
                "authorization {{ users: [{{ nkey: {} }}] }}",
                nkey.public_key()
            ),
            seed,
            other,
        ),
        ("creds", jwt_config, creds, foreign),
    ] {
        let nats = NatsServer::start_with(&config).await;
        assert!(connects(&nats, right, Tls::default()).await, "{kind}");
        let (wrong, none) = tokio::join!(
            connects(&nats, wrong, Tls::default()),
            connects(&nats, none(), Tls::default())
        );
        assert!(!wrong, "a wrong {kind} was taken");
        assert!(!none, "no {kind} was taken");
    }
}

/// A server that believes one operator, and a `.creds` text of a user of it.
fn jwt_server() -> (String, Credentials) {
    let (operator, account, user) = (
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_user(),
    );
    let sign = |by: &KeyPair, subject: &KeyPair, nats: Value| {
        let claims = json!({ "jti": subject.public_key(), "iat": 1_700_000_000, "iss": by.public_key(),
            "name": "test", "sub": subject.public_key(), "nats": nats });
        let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let text = format!("{}.{}", encode(&head), encode(&claims));
        let signature = by.sign(text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
    };
    let operator_jwt = sign(
        &operator,
        &operator,
        json!({ "type": "operator", "version": 2 }),
    );
    let limits = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1 });
    let account_jwt = sign(
        &operator,
        &account,
        json!({ "type": "account", "version": 2, "limits": limits }),
    );
    let user_jwt = sign(
        &account,
        &user,
        json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": { "allow": ["fanlight.*.*.gop"] }, "sub": {} }),
    );
    let config = format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}\n",
        account.public_key()
    );
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    (config, Credentials::Creds(creds))
}

#[tokio::test]
async fn certificates_of_both_sides_are_checked() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let nats = NatsServer::start_with(&tls_conf(dir.path(), &authority)).await;
    let stranger = Authority::new();
    let written = |name: &str, pair: &Pair| -> (PathBuf, PathBuf) {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        pair.write(&dir)
    };
    let own = written("own", &authority.issue("edge"));
    let foreign = written("foreign", &stranger.issue("edge"));
    let ca = dir.path().join("ca.pem");
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let other_ca = stranger.write(&elsewhere);
    for (what, ca, client, expected) in [
        ("both right", Some(&ca), Some(&own), true),
        ("no client certificate", Some(&ca), None, false),
        (
            "a foreign client certificate",
            Some(&ca),
            Some(&foreign),
            false,
        ),
        ("a foreign authority", Some(&other_ca), Some(&own), false),
        ("the system's authorities", None, Some(&own), false),
    ] {
        let tls = Tls {
            ca: ca.cloned(),
            client: client.cloned(),
        };
        assert_eq!(
            connects(&nats, Credentials::None, tls).await,
            expected,
            "{what}"
        );
    }
    let plain = NatsServer::start().await;
    let mut config = config(&plain, Credentials::None, Tls::default(), "fanlight-edge");
    config.urls = vec![plain.url().replace("nats://", "tls://")];
    let bus = Bus::nats(config).await.unwrap();
    let connected = diagnose::connected(&bus, Duration::from_secs(1)).await;
    assert!(!connected, "tls:// was satisfied with a plain connection");
}
