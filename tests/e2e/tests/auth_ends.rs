//! What becomes of those who watch when their right ends or is taken away, how many of one user
//! may watch, and that no answer tells a secret.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod auth_support;

use std::time::Duration;

use auth_support::*;
use fanlight_e2e::{Edge, Ingest, SOON};
use fanlight_testkit::{NatsServer, Response, eventually, request_raw};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Files are looked at every 2 seconds.
const REVOKED: Duration = Duration::from_secs(5);

/// The whole answer.
async fn whole(edge: &Edge, method: &str, path: &str, headers: &[Header], body: &str) -> Response {
    let address = edge.address();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = body.len();
    request.push_str(&format!(
        "Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ));
    request_raw(&address, request.as_bytes()).await.unwrap()
}

/// All that an answer tells.
fn told(response: &Response) -> String {
    format!("{:?} {}", response.headers, response.text())
}

#[tokio::test]
async fn what_is_taken_away_ends_soon_also_for_live_ts() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "gate").await;
    let args = ["--auth", "password", "--users-file", &users];
    let one = edge(&nats, &args).await;
    let _camera = Ingest::start("gate", &nats.url(), &["--input", "test"]);
    let session = [cookie(&sign_in(&one, "anna").await)];
    eventually("a picture", SOON, async || {
        let path = "/cameras/gate/live.ts";
        let head = ask(&one.address(), "GET", path, &session, "").await;
        (head.status == 200).then_some(())
    })
    .await;
    let watching = viewer(&one, &session).await;
    let mut live = TcpStream::connect(one.address()).await.unwrap();
    let request = format!(
        "GET /cameras/gate/live.ts HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        one.address(),
        session[0].1
    );
    live.write_all(request.as_bytes()).await.unwrap();
    let mut all = vec![0; 1000];
    live.read_exact(&mut all).await.unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200"));

    // The same user and the same password, for another camera.
    let hash = std::fs::read_to_string(&users).unwrap();
    let (user, _) = hash.trim().rsplit_once(':').unwrap();
    files.write("users", &format!("{user}:vault\n"));
    let began = Instant::now();
    let (code, read) = tokio::join!(
        closed(watching),
        tokio::time::timeout(SOON, live.read_to_end(&mut all))
    );
    assert_eq!(code, Some(4403));
    assert!(read.is_ok(), "live.ts went on");
    assert!(began.elapsed() < REVOKED, "{:?}", began.elapsed());
    let now = [
        ("/ws/gate", true, 403),
        ("/ws/vault", true, 101),
        ("/cameras/gate/live.ts", false, 403),
    ];
    expect(&one, "another camera now", &session, "", &now).await;
    eventually("the audit log", SOON, async || {
        let output = one.process.output();
        let left = |reason: &str| {
            output.lines().any(|line| {
                line.contains("viewer disconnected")
                    && line.contains("audit")
                    && line.contains("anna")
                    && line.contains(reason)
            })
        };
        left("revoked").then_some(())
    })
    .await;
    no_canary(&[&one]);
}

#[tokio::test]
async fn a_guest_watches_until_the_link_ends() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "*").await;
    let key = files.at("key").display().to_string();
    let args = ["--auth", "password", "--users-file", &users];
    let keyed = [&args[..], &["--session-key-file", &key]].concat();
    let one = edge(&nats, &keyed).await;
    let other_key = edge(&nats, &args).await;
    let session = [cookie(&sign_in(&one, "anna").await)];
    expect(&other_key, "of another key", &session, "", DENIED).await;
    let body = json!({"minutes": 0.05}).to_string();
    let answer = whole(&one, "POST", "/api/cameras/gate/share", &session, &body).await;
    assert_eq!(answer.status, 200, "{}", told(&answer));
    let link = answer.json().unwrap();
    let query = link["url"].as_str().unwrap().split_once('?').unwrap().1;
    let url = format!("{}?{query}", one.ws("gate"));
    let guest = fanlight_e2e::Viewer::connect_with(&url, &[]).await;
    assert_eq!(closed(guest).await, Some(4401));
    expect(&one, "the link's end", &[], &format!("?{query}"), DENIED).await;
    no_canary(&[&one, &other_key]);
}

#[tokio::test]
async fn one_user_watches_so_many_times() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let key = files.at("jwt").display().to_string();
    let limit = ["--max-viewers-per-user", "1"];
    let args = [&["--auth", "jwt", "--jwt-key-file", &key][..], &limit].concat();
    let one = edge(&nats, &args).await;
    let of = |user: &str| {
        let claims = json!({"sub": user, "exp": now() + 60, "cameras": "*"});
        [bearer(&token(&claims))]
    };
    let first = viewer(&one, &of("anna")).await;
    for (user, path, expected) in [
        ("anna", "/ws/gate", 429),
        ("anna", "/ws/vault", 429),
        ("ben", "/ws/gate", 101),
    ] {
        expect(&one, user, &of(user), "", &[(path, true, expected)]).await;
    }
    let answer = whole(&one, "GET", "/api/cameras/gate", &of("anna"), "").await;
    let view = answer.json().unwrap();
    assert_eq!(view["refusal"]["code"], "too_many_viewers", "{view}");
    first.leave().await;
    eventually("a free place", SOON, async || {
        let mut headers = upgrade();
        headers.extend(of("anna"));
        let head = ask(&one.address(), "GET", "/ws/gate", &headers, "").await;
        (head.status == 101).then_some(())
    })
    .await;
}

/// Answers and pages, to a user and to somebody who guesses, with a canary in all that is secret.
#[tokio::test]
async fn no_answer_holds_a_secret_or_what_one_may_not_see() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "gate").await;
    let key = files.at("key").display().to_string();
    let keys = ["--session-key-file", &key];
    let args = [&["--auth", "password", "--users-file", &users][..], &keys].concat();
    let one = edge(&nats, &args).await;
    let session = sign_in(&one, "anna").await;
    let right = [cookie(&session)];
    let wrong = [cookie(CANARY), bearer(CANARY)];
    let hash = std::fs::read_to_string(&users).unwrap();
    let hash = hash.split(':').nth(1).unwrap().to_owned();
    for path in [
        "/",
        "/login",
        "/api/session",
        "/api/cameras",
        "/api/cameras/gate",
        "/api/cameras/vault",
        "/api/nothing",
        "/cameras/gate/live.ts",
        "/ws/gate",
    ] {
        for headers in [&right[..], &wrong, &[]] {
            let told = told(&whole(&one, "GET", path, headers, "").await);
            for secret in [CANARY, &session, &hash] {
                assert!(!told.contains(secret), "{path}: {told}");
            }
            // Nobody here may see the other camera: only who asks for it by name reads its name.
            let named = path.contains("vault");
            assert!(named || !told.contains("vault"), "{path}: {told}");
        }
    }
    let list = whole(&one, "GET", "/api/cameras", &right, "").await;
    let list = list.json().unwrap();
    assert_eq!(list["cameras"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["cameras"][0]["camera"], "gate");
    let who = whole(&one, "GET", "/api/session", &right, "").await;
    let who = who.json().unwrap();
    let expected = json!({"mode": "password", "user": "anna", "can_share": true});
    assert_eq!(who, expected);

    // Typed into the wrong field, or wrong: never repeated.
    for (name, password) in [("anna", CANARY), (CANARY, "x"), ("a b", CANARY)] {
        let body = json!({"name": name, "password": password}).to_string();
        let answer = whole(&one, "POST", "/login", &[], &body).await;
        assert_eq!(answer.status, 401);
        assert!(!told(&answer).contains(CANARY), "{}", told(&answer));
    }
    let foreign = [
        cookie(&session),
        ("Sec-Fetch-Site", "cross-site".to_owned()),
    ];
    let answer = whole(&one, "POST", "/logout", &foreign, "").await;
    assert_eq!(answer.status, 403, "{}", told(&answer));
    expect(&one, "still signed in", &right, "", GRANTED).await;
    assert!(!one.metrics().await.contains(CANARY));
    let output = one.process.output();
    assert!(!output.contains(&session) && !output.contains(&hash));
}
