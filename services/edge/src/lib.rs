//! The edge: subscribes to watched cameras on the bus and serves them to any number of viewers,
//! over WebSocket and HTTP, with the player page and an API. It never looks into the stream.
//!
//! ```text
//! bus -> hub::feed -> hub::Ring <- hub::Cursor <- viewer -> socket
//!        (one a stream)           (one a viewer)
//! ```

pub mod admission;
mod app;
mod audit;
pub mod auth;
pub mod client;
pub mod clock;
pub mod config;
pub mod directory;
pub mod doctor;
mod drain;
pub mod healthcheck;
mod http;
pub mod hub;
pub mod metrics;
pub mod origin;
mod rate;
pub mod viewer;
pub mod wire;
pub mod ws;

pub use app::{Edge, StartError};
pub use config::{EdgeArgs, EdgeConfig};
pub use http::client::Network;
