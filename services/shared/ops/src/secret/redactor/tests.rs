use super::*;

/// The password of the canary, with everything that makes trouble in URLs, JSON and shells.
const PASSWORD: &str = r#"p@ss:w/o r?d#"\é%"#;

fn redact(text: &str) -> String {
    Redactor::new().redact(text).into_owned()
}

#[test]
fn the_canary_never_survives_in_any_form() {
    let redactor = Redactor::new().with_secret(PASSWORD);
    let encoded = utf8_percent_encode(PASSWORD, NON_ALPHANUMERIC).to_string();
    let from_encoded = Redactor::new().with_secret(&encoded);
    let forms = [
        PASSWORD.to_owned(),
        lower_hex(&encoded),
        encoded,
        serde_json::to_string(PASSWORD).unwrap(),
        format!("{PASSWORD:?}"),
    ];
    for form in &forms {
        for line in [
            form.clone(),
            format!("[tcp @ 0x55] Connection to rtsp://cam:{form}@10.0.0.9:554/1 failed"),
            format!("[rtsp @ 0x55d] method DESCRIBE failed: 401 password={form} retry"),
            format!("{{\"url\":\"rtsp://cam:{form}@host/1\"}}"),
        ] {
            for redactor in [&redactor, &from_encoded] {
                let out = redactor.redact(&line);
                assert!(!out.contains(form.trim_matches('"')), "{line} gave {out}");
                assert!(
                    !out.contains("w/o") && !out.contains("w%2Fo"),
                    "{line} gave {out}"
                );
            }
        }
    }
}

#[test]
fn userinfo_goes_from_any_url_and_the_rest_stays() {
    for (line, want) in [
        (
            "Error opening input rtsp://user:p%40ss@192.168.1.9:554/h264: Unauthorized",
            "Error opening input rtsp://[redacted]@192.168.1.9:554/h264: Unauthorized",
        ),
        (
            "Input #0, rtsp, from 'rtsp://a:b@h/1':",
            "Input #0, rtsp, from 'rtsp://[redacted]@h/1':",
        ),
        ("rtsp://user:p@ss@host/1", "rtsp://[redacted]@host/1"),
        ("rtsp://user:pa/ss@host/1", "rtsp://[redacted]@host/1"),
        ("rtsp://user:pa?s#s@host/1", "rtsp://[redacted]@host/1"),
        (
            "nats://a:b@h1:4222,nats://c:d@h2:4222",
            "nats://[redacted]@h2:4222",
        ),
        (
            "nats://h1:4222,nats://c:d@h2:4222",
            "nats://[redacted]@h2:4222",
        ),
        (
            "nats://s3cret-token@broker:4222",
            "nats://[redacted]@broker:4222",
        ),
        ("HTTPS://U:P@Host/", "HTTPS://[redacted]@Host/"),
        (
            "rtsp://user:pa ss@host/1",
            "rtsp://user:[redacted] ss@host/1",
        ),
        (
            "connect to edge:hunter2@broker:4222",
            "connect to [redacted]@broker:4222",
        ),
        (
            "url=edge:hunter2@[::1]:4222 x",
            "url=[redacted]@[::1]:4222 x",
        ),
    ] {
        assert_eq!(redact(line), want);
    }
}

#[test]
fn harmless_text_is_left_alone() {
    for line in [
        "rtsp://10.0.0.7:554/path/a@b?mail=x@y",
        "http://[::1]:8103/cameras/front",
        "listening on http://127.0.0.1:8103/",
        "video 640x480@15 run 1764000000000-a1-b2 at 12:34:56",
        "[rtsp @ 0x55d0c8a7] method DESCRIBE failed: 401 Unauthorized",
        "authorization violation, basic authentication required, bearer credentials missing",
        "wrong password: the camera refused it",
        "mail operator@example.org",
        "token bucket is empty",
    ] {
        assert_eq!(redact(line), line);
    }
}

#[test]
fn headers_and_values_by_name() {
    for (line, want) in [
        ("GET /x?token=abc.def&y=1", "GET /x?token=[redacted]&y=1"),
        (
            "access_token=abc; path=/",
            "access_token=[redacted]; path=/",
        ),
        (
            r#"{"password":"abc","x":1}"#,
            r#"{"password":"[redacted]","x":1}"#,
        ),
        (
            r#"{\"api_key\": \"abc\"}"#,
            r#"{\"api_key\": \"[redacted]\"}"#,
        ),
        (
            "Authorization: Basic dXNlcjpwYXNz\r\nHost: x",
            "Authorization: [redacted]\r\nHost: x",
        ),
        (
            r#"{"authorization": "Digest username=\"u\", response=\"1f\"", "host": "x"}"#,
            r#"{"authorization": "[redacted]", "host": "x"}"#,
        ),
        (
            "sent Bearer abcdef123456 twice",
            "sent Bearer [redacted] twice",
        ),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        (
            "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln end",
            "jwt [redacted] end",
        ),
        (
            "Set-Cookie: fanlight=abc; HttpOnly",
            "Set-Cookie: [redacted]",
        ),
    ] {
        assert_eq!(redact(line), want);
        assert_eq!(redact(want), want, "redacting twice changes nothing more");
    }
    let seed = format!("SU{}", "A".repeat(56));
    assert_eq!(redact(&format!("nkey {seed}")), "nkey [redacted]");
    assert!(is_sensitive_key("access_token") && is_sensitive_key("Password"));
    assert!(!is_sensitive_key("camera") && !is_sensitive_key("tokens_left"));
}

#[test]
fn short_secrets_are_hidden_where_they_stand_alone() {
    let redactor = Redactor::new().with_secret("ab");
    assert_eq!(
        redactor.redact("absolute ab (ab) tab ab1"),
        "absolute [redacted] ([redacted]) tab ab1"
    );
    assert_eq!(redactor.redact("cam:ab@"), "cam:[redacted]@");
    assert_eq!(Redactor::new().with_secret("").redact("abc"), "abc");
    assert_eq!(Redactor::new().with_secret(" ").redact("a b c"), "a b c");
}

#[test]
fn a_longer_secret_wins_over_one_it_contains() {
    let redactor = Redactor::new()
        .with_secret("hunter")
        .with_secret("hunter2!");
    assert_eq!(
        redactor.redact("x hunter2! y hunter z"),
        "x [redacted] y [redacted] z"
    );
    assert_eq!(format!("{redactor:?}").matches("hunter").count(), 0);
}
