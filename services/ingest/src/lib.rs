//! One camera, from ffmpeg to the bus.
//!
//! [`Ingest`](app::Ingest) supervises ffmpeg, cuts its output into one picture a message
//! without touching a byte, publishes and announces it, and answers GOP requests. What
//! decides is pure ([`supervisor`], [`ffmpeg::args`], [`outbox`], [`gop`]); `app` wires it.

pub mod cause;
pub mod config;
pub mod source;
pub mod ffmpeg;
pub mod gop;
pub mod metrics;
pub mod outbox;
pub mod rivals;
pub mod supervisor;
