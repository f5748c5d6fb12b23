//! What the benchmark programs share: the synthetic stream and its cameras, the client's side of
//! WebSocket, histograms and the clock.
//!
//! ```text
//! bench-publish -> NATS -> fanlight-edge -> bench-load      (one core the server, one the rest)
//! bench-publish -> TCP  -> floor, peers  -> bench-load
//! bench-inprocess: cameras, in-process bus and edge -> bench-load
//! ```

pub mod cameras;
pub mod clock;
pub mod feed;
pub mod histogram;
pub mod simulate;
pub mod stream;
pub mod transport;
pub mod viewer;
