//! [`Chunker`]: cuts a transport stream into chunks of at most one picture each.
//!
//! It never adds, drops, alters or reorders a packet: the payloads of all chunks, one after the
//! other, are the packets that came in.

use bytes::Bytes;

use crate::assembly::Assembly;
use crate::clock::Timestamp;
use crate::codec::{PictureType, VideoFormat};
use crate::demux::{Complete, Demuxer, Role, Tables};
use crate::diagnosis::{Diagnosis, Refused};
use crate::event::{ErrorCounts, TsErrorKind};
use crate::packet::{PACKET_SIZE, Packet};
use crate::stream_type::Codec;
use crate::sync::Aligner;

/// A whole number of packets with at most one access unit.
#[derive(Clone, Debug, PartialEq)]
pub struct RawChunk {
    /// The packets as they came in. A slice of the pushed bytes where the chunk lies in one push
    /// (it then keeps that whole buffer alive), a copy otherwise.
    pub payload: Bytes,
    /// A decoder can start here: PAT and PMT, then parameter sets, then a key picture.
    pub key: bool,
    /// What the parameter sets in this chunk say; only on key chunks, `None` there if they cannot
    /// be read.
    pub format: Option<VideoFormat>,
    /// The picture that starts in this chunk; `None` for the rest of a picture that was cut and
    /// for packets before the first picture.
    pub picture: Option<PictureType>,
    /// Presentation time of the picture.
    pub pts: Option<Timestamp>,
    /// Decoding time, where it differs from the presentation time.
    pub dts: Option<Timestamp>,
    /// The access unit reached its announced end; where no length is announced, its last packet
    /// was stuffed.
    pub complete: bool,
    /// Packets are missing, flagged as bad, scrambled or malformed in or right before this chunk.
    pub damaged: bool,
}

/// Cuts a transport stream into [`RawChunk`]s.
///
/// [`push`](Chunker::push) bytes, take chunks with [`next_chunk`](Chunker::next_chunk) until it
/// has none; when a read would block, ask [`idle`](Chunker::idle); at the end of the stream ask
/// [`finish`](Chunker::finish) until it has none.
#[derive(Debug)]
pub struct Chunker {
    aligner: Aligner,
    demuxer: Demuxer,
    assembly: Assembly,
    open: Open,
    max_chunk: usize,
    keys: u64,
    refused: Refused,
    losses_seen: u64,
    finished: bool,
}

/// The chunk that is being filled.
#[derive(Debug, Default)]
struct Open {
    /// It has a packet of the video stream.
    video: bool,
    /// An access unit starts in it.
    starts_unit: bool,
    /// Tables before its first video packet.
    tables: Tables,
    damaged: bool,
    /// Offset of tables after a picture that may not be over. If the picture goes on, they are
    /// inside it; if the next one starts, the chunk ended here.
    boundary: Option<Boundary>,
}

#[derive(Clone, Copy, Debug)]
struct Boundary {
    offset: usize,
    tables: Tables,
    damaged: bool,
}

// === impl RawChunk ===

impl RawChunk {
    /// Number of transport packets.
    pub fn packets(&self) -> usize {
        self.payload.len() / PACKET_SIZE
    }

    /// True if an access unit starts in this chunk.
    pub fn starts_unit(&self) -> bool {
        self.picture.is_some()
    }
}

// === impl Chunker ===

impl Default for Chunker {
    fn default() -> Chunker {
        Chunker::new()
    }
}

impl Chunker {
    /// Default limit of one chunk in bytes. A 4K key picture at 40 Mbit/s stays below 2 MiB;
    /// whatever passes this is cut and counted as [`TsErrorKind::Oversize`].
    pub const MAX_CHUNK: usize = 4 * 1024 * 1024;

    /// A chunker for one run of a stream, with [`Chunker::MAX_CHUNK`].
    pub fn new() -> Chunker {
        Chunker::with_max_chunk(Chunker::MAX_CHUNK)
    }

    /// A chunker whose chunks have at most `max_chunk` bytes, rounded down to whole packets, at
    /// least one.
    pub fn with_max_chunk(max_chunk: usize) -> Chunker {
        Chunker {
            aligner: Aligner::new(),
            demuxer: Demuxer::default(),
            assembly: Assembly::default(),
            open: Open::default(),
            max_chunk: (max_chunk / PACKET_SIZE).max(1) * PACKET_SIZE,
            keys: 0,
            refused: Refused::default(),
            losses_seen: 0,
            finished: false,
        }
    }

    /// Adds bytes as they were read. They need not start or end at a packet.
    pub fn push(&mut self, bytes: Bytes) {
        self.aligner.push(bytes);
    }

    /// The next chunk that is certainly over, because the next unit's tables or PES follow it.
    pub fn next_chunk(&mut self) -> Option<RawChunk> {
        loop {
            while let Some(bytes) = self.assembly.peek() {
                let bytes = *bytes;
                if let Some(chunk) = self.step(&bytes) {
                    return Some(chunk);
                }
            }
            let run = self.aligner.next_run()?;
            self.assembly.load(run);
            if self.losses_seen != self.aligner.losses() {
                self.losses_seen = self.aligner.losses();
                self.open.damaged = true;
            }
        }
    }

    /// The open chunk, if its access unit is complete. Call it when the pipe is dry; it may be
    /// called until it gives `None`.
    pub fn idle(&mut self) -> Option<RawChunk> {
        if let Some(chunk) = self.next_chunk() {
            return Some(chunk);
        }
        let whole = self.open.video && self.demuxer.complete() != Complete::No;
        // Half a packet says that the writer is not done.
        if !whole || self.aligner.is_mid_packet() {
            return None;
        }
        Some(self.cut_unit())
    }

    /// Says that the stream is over, and gives what is left, one chunk a call.
    pub fn finish(&mut self) -> Option<RawChunk> {
        if !self.finished {
            self.finished = true;
            self.aligner.finish();
        }
        if let Some(chunk) = self.next_chunk() {
            return Some(chunk);
        }
        (self.assembly.len() > 0).then(|| self.cut_unit())
    }

    /// Counters of everything that was wrong.
    pub fn errors(&self) -> ErrorCounts {
        let mut errors = *self.demuxer.errors();
        errors.add(TsErrorKind::SyncLoss, self.aligner.losses());
        errors.add(TsErrorKind::Truncated, self.aligner.truncated());
        errors
    }

    /// Transport packets seen.
    pub fn packets(&self) -> u64 {
        self.aligner.packets()
    }

    /// Bytes that belonged to no packet and are in no chunk.
    pub fn skipped_bytes(&self) -> u64 {
        self.aligner.skipped_bytes()
    }

    /// Pictures (access units) that have started.
    pub fn pictures(&self) -> u64 {
        self.demuxer.pictures()
    }

    /// Key chunks handed out.
    pub fn key_pictures(&self) -> u64 {
        self.keys
    }

    /// The codec of the video stream, once the PMT tells.
    pub fn codec(&self) -> Option<Codec> {
        self.demuxer.codec()
    }

    /// The format of the video stream, once parameter sets tell.
    pub fn format(&self) -> Option<&VideoFormat> {
        self.demuxer.format()
    }

    /// Why this stream cannot be shown, as far as is known: see [`Diagnosis`].
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        Diagnosis::of(
            &self.aligner,
            &self.demuxer,
            &self.refused,
            self.keys,
            self.finished,
        )
    }

    /// Puts one packet into the open chunk, after cutting off what is over before it.
    fn step(&mut self, bytes: &[u8; PACKET_SIZE]) -> Option<RawChunk> {
        let Some(packet) = Packet::new(bytes) else {
            // The aligner hands out nothing without sync byte.
            debug_assert!(false, "packet without sync byte");
            self.assembly.accept();
            return None;
        };
        let inspected = self.demuxer.inspect(&packet);
        let mut chunk = None;
        if self.open.video {
            match inspected.role {
                Role::UnitStart => chunk = Some(self.cut_unit()),
                Role::Table if self.open.boundary.is_none() => {
                    if self.demuxer.complete() == Complete::Yes {
                        chunk = Some(self.cut_unit());
                    } else {
                        let offset = self.assembly.len();
                        let (tables, damaged) = (Tables::default(), false);
                        self.open.boundary = Some(Boundary {
                            offset,
                            tables,
                            damaged,
                        });
                    }
                }
                Role::Video => self.open.drop_boundary(),
                Role::Table | Role::Other => {}
            }
        }
        if chunk.is_none() && self.assembly.len() + PACKET_SIZE > self.max_chunk {
            self.demuxer.count(TsErrorKind::Oversize);
            self.open.drop_boundary();
            chunk = Some(self.cut(self.assembly.len(), Open::default()));
        }

        let tables = self.demuxer.apply(&packet, inspected);
        self.open.accept(inspected.role, tables, inspected.damaged);
        self.assembly.accept();
        chunk
    }

    /// Ends the open chunk where its access unit ends.
    fn cut_unit(&mut self) -> RawChunk {
        match self.open.boundary {
            Some(Boundary {
                offset,
                tables,
                damaged,
            }) => self.cut(
                offset,
                Open {
                    tables,
                    damaged,
                    ..Open::default()
                },
            ),
            None => self.cut(self.assembly.len(), Open::default()),
        }
    }

    fn cut(&mut self, length: usize, next: Open) -> RawChunk {
        let open = std::mem::replace(&mut self.open, next);
        let payload = self.assembly.cut(length);
        let unit = if open.video {
            self.demuxer.unit()
        } else {
            None
        };
        let complete = unit
            .as_ref()
            .is_some_and(|unit| unit.complete != Complete::No);
        let unit = unit.filter(|_| open.starts_unit);
        let picture = unit.as_ref().map(|unit| unit.picture);
        let parameter_sets = unit.as_ref().is_some_and(|unit| unit.parameter_sets);
        let key = match picture {
            Some(PictureType::Key) => {
                self.refused.note(open.tables.both(), parameter_sets);
                open.tables.both() && parameter_sets
            }
            Some(PictureType::Intra) => {
                self.refused.intra += 1;
                false
            }
            _ => false,
        };
        self.keys += u64::from(key);
        RawChunk {
            payload,
            key,
            format: if key {
                self.demuxer.format().cloned()
            } else {
                None
            },
            picture,
            pts: unit.as_ref().and_then(|unit| unit.pts),
            dts: unit.as_ref().and_then(|unit| unit.dts),
            complete,
            damaged: open.damaged,
        }
    }
}

// === impl Open ===

impl Open {
    fn accept(&mut self, role: Role, tables: Tables, damaged: bool) {
        if matches!(role, Role::UnitStart | Role::Video) {
            self.video = true;
            self.starts_unit |= role == Role::UnitStart;
        }
        match &mut self.boundary {
            Some(boundary) => {
                boundary.tables.merge(tables);
                boundary.damaged |= damaged;
            }
            None => {
                if !self.video {
                    self.tables.merge(tables);
                }
                self.damaged |= damaged;
            }
        }
    }

    /// The tables were inside the picture.
    fn drop_boundary(&mut self) {
        if let Some(boundary) = self.boundary.take() {
            self.damaged |= boundary.damaged;
        }
    }
}

#[cfg(test)]
mod tests;
