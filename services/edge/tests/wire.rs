//! The golden vectors of docs/wire/, which the player's tests read too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::collections::BTreeSet;

use fanlight_edge::wire::{
    CameraList, CameraView, ClientMessage, ERROR_CODES, ErrorBody, SUBPROTOCOL, ServerMessage,
};
use fanlight_edge::ws::close::Close;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn read(file: &str) -> Value {
    let path = format!("{}/../../docs/wire/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Read into our type and written again, a shape is what it was.
fn round<T: DeserializeOwned + Serialize>(shape: &Value) {
    let typed: T = serde_json::from_value(shape.clone()).unwrap_or_else(|e| panic!("{shape}: {e}"));
    assert_eq!(&serde_json::to_value(&typed).unwrap(), shape);
}

#[test]
fn messages() {
    let vectors = read("fanlight.v1.json");
    assert_eq!(vectors["subprotocol"], SUBPROTOCOL);
    for vector in vectors["server"].as_array().unwrap() {
        round::<ServerMessage>(&vector["message"]);
    }
    for vector in vectors["client"].as_array().unwrap() {
        round::<ClientMessage>(&vector["message"]);
    }
    for unknown in vectors["ignored_by_both"].as_array().unwrap() {
        assert!(serde_json::from_value::<ClientMessage>(unknown.clone()).is_err());
    }
}

#[test]
fn api() {
    let vectors = read("api.json");
    for vector in vectors["GET /api/cameras"].as_array().unwrap() {
        round::<CameraList>(&vector["body"]);
    }
    for vector in vectors["GET /api/cameras/{camera}"].as_array().unwrap() {
        round::<CameraView>(&vector["body"]);
    }
    for vector in vectors["errors"].as_array().unwrap() {
        round::<ErrorBody>(&vector["body"]);
    }
    let code = |v: &Value| {
        (
            v["code"].as_str().unwrap().to_owned(),
            v["status"].as_u64().unwrap(),
        )
    };
    let told: BTreeSet<_> = vectors["error_codes"]
        .as_array()
        .unwrap()
        .iter()
        .map(code)
        .collect();
    let ours = ERROR_CODES
        .iter()
        .map(|(c, s)| ((*c).to_owned(), u64::from(s.as_u16())));
    assert_eq!(told, ours.collect::<BTreeSet<_>>());
}

#[test]
fn close_codes() {
    let vectors = read("close-codes.json");
    let told: BTreeSet<_> = vectors
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["code"].as_u64().unwrap())
        .collect();
    for close in [
        Close::Draining,
        Close::Protocol,
        Close::Fragmented,
        Close::NotUtf8,
        Close::TooMany,
        Close::TooBig,
        Close::GrantEnded,
        Close::Revoked,
        Close::Removed,
        Close::TooSlow,
        Close::NoPong,
    ] {
        assert!(told.contains(&u64::from(close.code())), "{close:?}");
    }
}
