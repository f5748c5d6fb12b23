//! Who gets in: mode by credential by way in, against real edges; and what happens to those who
//! watch when their right ends. Cameras are known and offline, so that a grant shows as 101, 200
//! or "offline" and nothing has to be encoded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod auth_support;

use std::time::Duration;

use auth_support::*;
use fanlight_e2e::{Ingest, SOON};
use fanlight_testkit::{NatsServer, Signal, program, repository};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn passwords() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "gate").await;
    let key = files.at("key").display().to_string();
    let args = [
        "--auth",
        "password",
        "--users-file",
        &users,
        "--session-key-file",
        &key,
    ];
    let one = edge(&nats, &args).await;
    let replica = edge(&nats, &args).await;
    let session = sign_in(&one, "anna").await;
    let right = [cookie(&session)];
    expect(&one, "nobody", &[], "", DENIED).await;
    expect(&one, "right", &right, "", GRANTED).await;
    expect(&replica, "right, another replica", &right, "", GRANTED).await;
    let mut tampered = session.clone();
    tampered.replace_range(
        10..11,
        if tampered.as_bytes()[10] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    expect(&one, "tampered", &[cookie(&tampered)], "", DENIED).await;
    expect(
        &one,
        "a token where there are passwords",
        &[bearer(&session)],
        "",
        DENIED,
    )
    .await;
    let forged = [("X-Forwarded-User", "anna".to_owned())];
    expect(&one, "a forged proxy header", &forged, "", DENIED).await;

    // a share link, its end, and a link to another camera than the one asked for
    let body = json!({"minutes": 5}).to_string();
    let head = ask(
        &one.address(),
        "POST",
        "/api/cameras/vault/share",
        &right,
        &body,
    )
    .await;
    assert_eq!(head.status, 403);
    let link = share_link(&key, "gate", "5").await;
    let query = &link[link.find('?').unwrap()..];
    expect(&replica, "share link", &[], query, GRANTED).await;
    let link = share_link(&key, "gate", "0").await;
    let query = &link[link.find('?').unwrap()..];
    expect(&one, "ended share link", &[], query, DENIED).await;

    // a session that has ended, and one that ends while it watches
    let short = edge(&nats, &[&args[..], &["--session-hours", "0.0006"]].concat()).await;
    let ended = [cookie(&sign_in(&short, "anna").await)];
    assert_eq!(closed(viewer(&short, &ended).await).await, Some(4401));
    expect(&one, "ended session", &ended, "", DENIED).await;

    // a replica that leaves
    let drains = edge(&nats, &[&args[..], &["--drain-delay", "60"]].concat()).await;
    drains.process.signal(Signal::TERM);
    let draining = [
        ("/ws/gate", true, 503),
        ("/", true, 503),
        ("/cameras/gate/live.ts", false, 503),
    ];
    wait_for_status(&drains, &right, 503).await;
    expect(&drains, "right, draining", &right, "", &draining).await;
    expect(
        &drains,
        "right, draining",
        &right,
        "",
        &[("/", false, 200), ("/api/cameras/gate", false, 200)],
    )
    .await;
    expect(&drains, "nobody, draining", &[], "", &draining).await;
    expect(
        &drains,
        "nobody, draining",
        &[],
        "",
        &[("/", false, 303), ("/api/cameras/gate", false, 401)],
    )
    .await;

    // signed out here, revoked everywhere
    let watching = viewer(&one, &right).await;
    let other = viewer(&replica, &right).await;
    let head = ask(&one.address(), "POST", "/logout", &right, "").await;
    assert_eq!(head.status, 204);
    assert_eq!(closed(watching).await, Some(4403));
    expect(&one, "signed out", &right, "", DENIED).await;
    files.users("ben", "*").await;
    assert_eq!(closed(other).await, Some(4403));
    expect(&replica, "no user any more", &right, "", DENIED).await;
    no_canary(&[&one, &replica, &short, &drains]);
    for metrics in [one.metrics().await, replica.metrics().await] {
        assert!(!metrics.contains(CANARY) && !metrics.contains("anna"));
    }
    let output = one.process.output();
    for line in ["signed in", "signed out", "viewer connected"] {
        assert!(output.contains(line), "the audit log lacks `{line}`");
    }
    assert!(!output.contains(&session), "a session cookie was logged");
}

#[tokio::test]
async fn tokens() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let key = files.at("jwt").display().to_string();
    let args = [
        "--auth",
        "jwt",
        "--jwt-key-file",
        &key,
        "--jwt-audience",
        "fanlight",
        "--jwt-leeway",
        "0",
    ];
    let one = edge(&nats, &args).await;
    let claims = |seconds: i64, cameras: Value| {
        let exp = now().saturating_add_signed(seconds);
        json!({"sub": "anna", "aud": "fanlight", "exp": exp, "cameras": cameras})
    };
    let right = token(&claims(600, json!(["gate"])));
    expect(&one, "nobody", &[], "", DENIED).await;
    expect(&one, "right, header", &[bearer(&right)], "", GRANTED).await;
    expect(
        &one,
        "right, query",
        &[],
        &format!("?token={right}"),
        GRANTED,
    )
    .await;
    let by_cookie = [("Cookie", format!("fanlight_token={right}"))];
    expect(&one, "right, cookie", &by_cookie, "", GRANTED).await;
    let offered = [(
        "Sec-WebSocket-Protocol",
        format!("fanlight.v1, fanlight.token.{right}"),
    )];
    let sockets: Vec<_> = GRANTED
        .iter()
        .filter(|(_, is_upgrade, _)| *is_upgrade)
        .copied()
        .collect();
    expect(&one, "right, subprotocol", &offered, "", &sockets).await;
    let ended = token(&claims(-10, json!(["gate"])));
    expect(&one, "ended", &[bearer(&ended)], "", DENIED).await;
    let mut other = claims(600, json!(["gate"]));
    other["aud"] = json!("another");
    expect(
        &one,
        "another audience",
        &[bearer(&token(&other))],
        "",
        DENIED,
    )
    .await;
    let unsigned = right.rsplit_once('.').unwrap().0;
    expect(
        &one,
        "without signature",
        &[bearer(&format!("{unsigned}."))],
        "",
        DENIED,
    )
    .await;
    let none = token(&claims(600, json!([])));
    expect(
        &one,
        "no camera",
        &[bearer(&none)],
        "",
        &[("/api/cameras/gate", false, 403), ("/ws/gate", true, 403)],
    )
    .await;
    let brief = token(&claims(2, json!(["gate"])));
    assert_eq!(
        closed(viewer(&one, &[bearer(&brief)]).await).await,
        Some(4401)
    );
    let head = ask(&one.address(), "GET", "/api/cameras", &[], "").await;
    assert!(
        head.text
            .to_lowercase()
            .contains("www-authenticate: bearer"),
        "{}",
        head.text
    );
    no_canary(&[&one]);
    assert!(!one.process.output().contains(&right), "a token was logged");
}

#[tokio::test]
async fn a_proxy_in_front() {
    let nats = NatsServer::start().await;
    let groups = ["--proxy-group-cameras", "guards=gate"];
    let args = [
        &["--auth", "proxy", "--trusted-proxies", "127.0.0.1"][..],
        &groups,
    ]
    .concat();
    let one = edge(&nats, &args).await;
    let named = |groups: &str| {
        [
            ("X-Forwarded-User", "anna".to_owned()),
            ("X-Forwarded-Groups", groups.to_owned()),
        ]
    };
    expect(&one, "nobody", &[], "", DENIED).await;
    expect(&one, "right", &named("guards"), "", GRANTED).await;
    let refused = [("/api/cameras/gate", false, 403), ("/ws/gate", true, 403)];
    expect(&one, "another group", &named("guests"), "", &refused).await;
    let args = [
        &["--auth", "proxy", "--trusted-proxies", "192.0.2.1"][..],
        &groups,
    ]
    .concat();
    let direct = edge(&nats, &args).await;
    expect(
        &direct,
        "not through the proxy",
        &named("guards"),
        "",
        DENIED,
    )
    .await;
}

#[tokio::test]
async fn everybody_where_that_is_meant() {
    let nats = NatsServer::start().await;
    let one = edge(&nats, &["--auth", "none"]).await;
    for camera in ["gate", "vault"] {
        let (api, ws) = (format!("/api/cameras/{camera}"), format!("/ws/{camera}"));
        let rows = [
            ("/", false, 200),
            (api.as_str(), false, 200),
            (ws.as_str(), true, 101),
        ];
        expect(&one, "nobody", &[], "", &rows).await;
    }
    let body = json!({"minutes": 5}).to_string();
    let head = ask(
        &one.address(),
        "POST",
        "/api/cameras/gate/share",
        &[],
        &body,
    )
    .await;
    assert_eq!(head.status, 403);
}

/// Every route that the router has, with nothing to show: what is open is on this list.
#[tokio::test]
async fn no_route_is_open_by_accident() {
    let source = std::fs::read_to_string(repository().join("services/edge/src/http.rs")).unwrap();
    let routes: Vec<&str> = source
        .split(".route(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(routes.len() >= 10, "{routes:?}");
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "*").await;
    let one = edge(&nats, &["--auth", "password", "--users-file", &users]).await;
    for route in routes {
        let path = route
            .replace("{camera}", "gate")
            .replace("{rendition}", "main");
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let head = ask(&one.address(), method, &path, &[], "").await;
            let open = matches!(route, "/login" | "/logout" | "/api/session" | "/{file}");
            let refused = matches!(head.status, 303 | 401 | 404 | 405 | 426);
            assert!(
                open || refused,
                "{method} {path} is answered with {}",
                head.status
            );
        }
    }
}

#[tokio::test]
async fn sign_in_is_limited_and_bounded() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let users = files.users("anna", "gate").await;
    let one = edge(&nats, &["--auth", "password", "--users-file", &users]).await;
    let address = one.address();
    let guess = json!({"name": "anna", "password": "wrong"}).to_string();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(ask(&address, "POST", "/login", &[], &guess).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let head = ask(&address, "POST", "/login", &[], &guess).await;
    assert!(
        head.text.to_lowercase().contains("retry-after"),
        "{}",
        head.text
    );
    let huge = json!({"name": "anna", "password": "x".repeat(8000)}).to_string();
    assert_eq!(
        ask(&address, "POST", "/login", &[], &huge).await.status,
        400
    );
    assert_eq!(
        ask(&address, "POST", "/login", &[], "[1]").await.status,
        400
    );
    let foreign = [("Origin", "https://evil.example".to_owned())];
    assert_eq!(
        ask(&address, "POST", "/login", &foreign, &guess)
            .await
            .status,
        403
    );
    assert_eq!(
        ask(&address, "POST", "/logout", &foreign, "").await.status,
        403
    );
}

#[tokio::test]
async fn the_command_line_viewer_signs_in() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let secret = files.write("admin", &format!("{}\n", password()));
    let wrong = files.write("wrong", CANARY);
    let jwt = files.write(
        "token",
        &token(&json!({"exp": now() + 60, "cameras": "gate"})),
    );
    let key = files.at("jwt").display().to_string();
    let by_password = edge(
        &nats,
        &["--auth", "password", "--admin-password-file", &secret],
    )
    .await;
    let by_token = edge(&nats, &["--auth", "jwt", "--jwt-key-file", &key]).await;
    for (edge, args, word) in [
        (
            &by_password,
            vec!["--user", "admin", "--password-file", &secret],
            "no key picture",
        ),
        (
            &by_password,
            vec!["--user", "admin", "--password-file", &wrong],
            "401",
        ),
        (&by_password, vec![], "not_signed_in"),
        (&by_token, vec!["--token-file", &jwt], "no key picture"),
    ] {
        let url = edge.ws("gate");
        let mut command = tokio::process::Command::new(program("fanlight-edge"));
        command.args(["watch", &url, "--seconds", "1"]).args(&args);
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains(word), "{args:?}: {said}");
        assert!(!said.contains(CANARY), "{said}");
    }
}

#[test]
fn the_test_makes_tokens_as_the_standard_says() {
    // RFC 4231, test case 2
    let mac = hmac(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(
        base64url(&mac),
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"
    );
}

#[tokio::test]
async fn live_ts_ends_with_the_grant() {
    let nats = NatsServer::start().await;
    let files = Files::new();
    let key = files.at("jwt").display().to_string();
    let one = edge(
        &nats,
        &["--auth", "jwt", "--jwt-key-file", &key, "--jwt-leeway", "0"],
    )
    .await;
    let camera = Ingest::start("gate", &nats.url(), &["--input", "test"]);
    let long = [bearer(&token(
        &json!({"exp": now() + 60, "cameras": "gate"}),
    ))];
    fanlight_testkit::eventually("a picture", SOON, async || {
        let head = ask(&one.address(), "GET", "/cameras/gate/live.ts", &long, "").await;
        (head.status == 200).then_some(())
    })
    .await;
    let brief = token(&json!({"exp": now() + 3, "cameras": "gate"}));
    let mut stream = TcpStream::connect(one.address()).await.unwrap();
    let request = format!(
        "GET /cameras/gate/live.ts?token={brief} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        one.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "the stream went on after the grant's end");
    assert!(
        all.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&all[..100])
    );
    drop(camera);
}
