//! Configuration: cameras in YAML as `fanlight --config` takes them, the edge's users file and
//! camera patterns. Bad input is told, never a panic, and no password is repeated.

#![no_main]

use std::collections::BTreeMap;

use fanlight_auth::Cameras;
use fanlight_bus::StreamId;
use fanlight_edge::Network;
use fanlight_ingest::config::{CameraOptions, flag_key};
use libfuzzer_sys::fuzz_target;

const CANARY: &str = "canary7f3a";

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // deeper nesting than any configuration has only tries the reader's own limit
    let cameras = serde_norway::from_str::<BTreeMap<String, CameraOptions>>(text);
    for (id, options) in cameras.unwrap_or_default() {
        let Ok(camera) = id.parse() else { continue };
        let problems = options.resolve(StreamId::main(camera), &flag_key).err();
        for problem in problems.unwrap_or_default() {
            let told = problem.to_string();
            let in_url = text.contains(&format!(":{CANARY}@"));
            assert!(!in_url || !told.contains(CANARY), "{told}");
        }
    }
    let _users = fanlight_auth::check_users(text);
    let _patterns = Cameras::from_patterns(text.split(','));
    let _network = text.parse::<Network>();
});
