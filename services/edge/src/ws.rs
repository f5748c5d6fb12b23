//! The WebSocket server side: handshake, frames, outbox, reader (RFC 6455). Everything here
//! but the socket itself is pure, and tungstenite is the judge of it in the tests.

pub mod close;
pub mod frame;
pub mod handshake;
pub mod outbox;
pub mod reader;
