//! A media message as all viewers of this edge share it: encoded once.

use std::sync::Arc;

use bytes::Bytes;
use fanlight_bus::{Chunk, RunId, TS_PACKET, Video};
use tokio::time::Instant;

use crate::ws::frame::{Opcode, encode, header_len};

/// One chunk, framed for WebSocket, and what a viewer must know about it.
#[derive(Debug)]
pub struct Frame {
    /// Place in the ring; +1 each frame, whatever the run.
    pub pos: u64,
    /// The run it belongs to.
    pub run: RunId,
    /// Its number in the run.
    pub seq: u64,
    /// Ingest time on this edge's clock, unix nanoseconds.
    pub time: u64,
    /// When it came to this edge.
    pub arrived: Instant,
    /// Whether it came as it was made, and not as part of a replay.
    pub live: bool,
    /// Whether a decoder can start here.
    pub key: bool,
    /// Whether the picture is complete with it: a skip may follow.
    pub ends_picture: bool,
    /// Codec string; on key chunks.
    pub codec: Option<Arc<str>>,
    /// Size and rate; on key chunks.
    pub video: Option<Video>,
    /// W3C `traceparent` under which its delivery is traced; only while traces are exported.
    pub trace: Option<Arc<str>>,
    /// WebSocket header and payload.
    data: Bytes,
    header: usize,
}

impl Frame {
    /// Frames a chunk. `time` is its ingest time on this edge's clock.
    #[must_use]
    pub fn new(pos: u64, chunk: &Chunk, time: u64, arrived: Instant) -> Self {
        Self {
            pos,
            run: chunk.run.clone(),
            seq: chunk.seq,
            time,
            arrived,
            live: true,
            key: chunk.key,
            ends_picture: chunk.ends_picture(),
            codec: chunk.codec.clone(),
            video: chunk.video,
            trace: None,
            data: encode(Opcode::Binary, &chunk.payload).into(),
            header: header_len(chunk.payload.len()),
        }
    }

    /// The whole WebSocket frame.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.data
    }

    /// The TS packets alone.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.data.slice(self.header..)
    }

    /// Bytes of payload.
    #[must_use]
    pub fn payload_len(&self) -> u64 {
        (self.data.len() - self.header) as u64
    }

    /// TS packets in the payload.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.payload_len() / TS_PACKET as u64
    }
}
