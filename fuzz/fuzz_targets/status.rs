//! What comes over NATS from somebody else: announcements, and the texts of media headers.

#![no_main]

use fanlight_bus::{Announcement, CameraId, Part, RunId, Video};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(announcement) = serde_json::from_slice::<Announcement>(input) {
        // what was understood can be told again, and is understood the same
        if let Ok(text) = serde_json::to_vec(&announcement) {
            let again: Announcement = serde_json::from_slice(&text).expect("our own JSON");
            assert_eq!(serde_json::to_vec(&again).ok(), Some(text));
        }
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(run) = text.parse::<RunId>() {
        assert_eq!(run.to_string(), text);
        let _ = (run.started_ms(), run.instance().len());
    }
    if let Ok(part) = text.parse::<Part>() {
        assert!(part.index >= 1 && part.index <= part.count);
    }
    if let Ok(video) = text.parse::<Video>() {
        let _ = video.to_string();
    }
    if let Ok(camera) = text.parse::<CameraId>() {
        assert!(camera.as_str().len() <= 63);
    }
});
