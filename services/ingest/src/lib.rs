//! One camera, from ffmpeg to the bus.
//!
//! [`Ingest`] supervises ffmpeg, cuts its output into one picture a message without touching
//! a byte, publishes and announces it, and answers GOP requests. What decides is pure
//! ([`supervisor`], [`ffmpeg::args`], [`outbox`], [`gop`], [`rivals`]); [`app`] puts it
//! together.

pub mod app;
pub mod cause;
pub mod config;
pub mod doctor;
pub mod feed;
pub mod ffmpeg;
pub mod gop;
pub mod healthcheck;
pub mod metrics;
pub mod outbox;
pub mod rivals;
pub mod run;
pub mod source;
pub mod status;
pub mod supervisor;

pub use app::Ingest;
pub use config::{CameraConfig, CameraOptions, IngestArgs, IngestConfig};
pub use ffmpeg::Ffmpeg;
