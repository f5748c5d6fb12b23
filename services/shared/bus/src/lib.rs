//! How Fanlight's services talk: media chunks, announcements and GOP requests.
//!
//! One handle, [`Bus`], over two transports: NATS ([`nats`]) between machines and
//! [`memory`] inside one process. Both deliver at most once, in order for each publisher
//! and stream, and drop the newest message of a subscriber that does not keep up; the
//! conformance suite in [`conformance`] holds them to it. The bus knows no codec: a
//! payload is bytes to it.

mod bus;
mod chunk;
mod config;
mod connection;
pub mod diagnose;
mod error;
mod gop;
mod id;
pub mod memory;
pub mod nats;
mod run;
mod status;
mod subject;
mod subscription;

pub use bus::Bus;
pub use chunk::{Chunk, Header, Part, TS_PACKET, Video};
#[cfg(feature = "cli")]
pub use config::NatsArgs;
pub use config::{BadOption, Credentials, NatsConfig, Tls};
pub use connection::{Connection, ConnectionState};
pub use error::{BadMessage, BusError, PublishError};
pub use gop::{GopEvent, GopReply, GopRequest, GopRequests};
pub use id::{CameraId, InvalidLabel, Rendition, StreamId};
pub use run::{InvalidRunId, RunId, RunIds};
pub use status::{Announcement, State};
pub use subject::Subjects;
pub use subscription::{StatusSubscription, Subscription};
