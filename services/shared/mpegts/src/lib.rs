//! MPEG transport streams as cameras and ffmpeg write them: packets, tables, access units, key
//! pictures. Pure: bytes in, values out, no I/O, no clock; malformed input is counted in
//! [`TsErrorKind`]s and never panics.
//!
//! [`Chunker`] is what ingest uses: it cuts the stream into chunks of one picture each without
//! touching a byte. [`Checker`] is what viewers and tests use to verify what they receive.
//!
//! ```
//! use bytes::Bytes;
//! use fanlight_mpegts::{Chunker, PACKET_SIZE};
//!
//! # fn main() {
//! # let stream: &[u8] = include_bytes!("../tests/captures/h264.ts");
//! let mut chunker = Chunker::new();
//! let (mut bytes, mut keys) = (0, 0);
//! for read in stream.chunks(4096) {
//!     chunker.push(Bytes::copy_from_slice(read));
//!     // Chunks that are over because the next picture has begun. Where a read would block,
//!     // `chunker.idle()` also gives the last picture, if it is complete.
//!     while let Some(chunk) = chunker.next_chunk() {
//!         assert_eq!(chunk.payload.len() % PACKET_SIZE, 0);
//!         bytes += chunk.payload.len();
//!         if chunk.key {
//!             keys += 1;
//!             let format = chunk.format.expect("readable parameter sets");
//!             assert_eq!(&*format.codec, "avc1.42C01E");
//!             assert_eq!((format.width, format.height, format.fps), (640, 480, Some(15.0)));
//!         }
//!     }
//! }
//! while let Some(chunk) = chunker.finish() {
//!     bytes += chunk.payload.len();
//! }
//! assert_eq!(bytes, stream.len());
//! assert_eq!(keys, 2);
//! assert_eq!(chunker.errors().total(), 0);
//! # }
//! ```

mod assembly;
mod checker;
mod chunker;
mod clock;
pub mod codec;
mod continuity;
mod demux;
mod diagnosis;
mod event;
mod packet;
pub mod pes;
pub mod psi;
mod stream_type;
mod sync;

pub use checker::{Checker, Report, is_key_chunk};
pub use chunker::{Chunker, RawChunk};
pub use clock::Timestamp;
pub use codec::{ParameterSetError, PictureType, VideoFormat};
pub use continuity::{Continuity, Step};
pub use diagnosis::Diagnosis;
pub use event::{ErrorCounts, TsErrorKind};
pub use packet::{AdaptationField, PACKET_SIZE, Packet, Pcr, Pid, SYNC_BYTE};
pub use stream_type::{Codec, StreamType};
pub use sync::Aligner;
