//! Ingest against real ffmpeg, stand-ins for it, a real broker and a real camera.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first fault"
)]

mod binary;
mod faults;
mod handover;
mod lab;
mod pictures;
