//! Announcements as JSON.
#![allow(clippy::unwrap_used, reason = "a test stops at the first fault")]

use fanlight_bus::Announcement;

/// Found by fuzzing: a rate of many digits was told again with another last digit.
#[test]
fn what_was_understood_is_told_again_the_same() {
    let text = r#"{"camera":"gate","rendition":"main","state":"live","codec":"avc1.42C01E","width":640,
        "height":480,"fps":15.05555555515555555555555555555,"gop_seconds":2.0,"replay":true,
        "run":"1700000000000-0a1b2c3d-0001","since":1700000000000,"ttl":6.0,"instance":"0a1b2c3d",
        "time":1700000000000000000}"#;
    let announcement: Announcement = serde_json::from_str(text).unwrap();
    let told = serde_json::to_string(&announcement).unwrap();
    let again: Announcement = serde_json::from_str(&told).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), told);
}
