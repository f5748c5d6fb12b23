//! Chunks and frames for the unit tests.

use bytes::Bytes;
use fanlight_bus::{Chunk, Part, RunId};
use tokio::time::Instant;

use super::Frame;

pub(crate) const KEY: bool = true;

pub(crate) fn run(n: u64) -> RunId {
    format!("{:013}-a-0", 1_767_225_600_000 + n)
        .parse()
        .unwrap()
}

pub(crate) fn chunk(run_number: u64, seq: u64, key: bool) -> Chunk {
    let mut payload = vec![seq as u8; 188 * 3];
    payload[0] = 0x47;
    Chunk {
        run: run(run_number),
        seq,
        time: 0,
        key,
        part: None,
        codec: key.then(|| "avc1.42C01E".into()),
        video: None,
        traceparent: None,
        payload: Bytes::from(payload),
    }
}

pub(crate) fn frame(pos: u64, key: bool) -> Frame {
    Frame::new(pos, &chunk(1, pos, key), 0, Instant::now())
}

pub(crate) fn part(pos: u64, index: u32, count: u32) -> Frame {
    let mut chunk = chunk(1, pos, false);
    chunk.part = Some(Part { index, count });
    Frame::new(pos, &chunk, 0, Instant::now())
}
