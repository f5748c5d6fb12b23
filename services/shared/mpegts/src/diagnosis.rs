//! [`Diagnosis`]: why a stream cannot be shown, in words for its owner.

use crate::demux::Demuxer;
use crate::sync::Aligner;

/// Bytes without a packet after which the input is called no transport stream. Two of the
/// biggest pipe buffers ffmpeg writes at once.
const NO_SYNC_BYTES: u64 = 64 * 1024;
/// Packets without tables after which they are missed: ffmpeg sends them every 100 ms, which at
/// 40 Mbit/s is 2660 packets.
const NO_TABLES_PACKETS: u64 = 4_000;

/// What keeps a stream from being shown. `Display` says it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diagnosis {
    /// No packet was found in the last 64 KiB, or in all of a shorter input.
    #[error("this is not MPEG-TS: no packet found in {bytes} bytes")]
    NotTransportStream {
        /// Bytes since the last packet.
        bytes: u64,
    },
    /// Packets come, but no PAT or no PMT.
    #[error("no program tables (PAT and PMT) in {packets} packets")]
    NoTables {
        /// Packets so far.
        packets: u64,
    },
    /// The PMT names no video stream.
    #[error("there is no video stream, only: {}", list(.streams))]
    NoVideo {
        /// Names of the streams there are.
        streams: Vec<&'static str>,
    },
    /// The video is of a codec that is not read here.
    #[error("video codec {name} is not supported")]
    UnsupportedVideo {
        /// Name of the codec.
        name: &'static str,
    },
    /// Key pictures come, none with PAT and PMT before it.
    #[error("key pictures come without PAT and PMT before them ({count} so far)")]
    KeysWithoutTables {
        /// How many.
        count: u64,
    },
    /// Key pictures come, none with its parameter sets before it.
    #[error("key pictures come without parameter sets before them ({count} so far)")]
    KeysWithoutParameterSets {
        /// How many.
        count: u64,
    },
    /// Pictures come, none of them a key picture. Also true until the first one has come: the
    /// caller decides how long to wait.
    #[error("no key pictures in {pictures} pictures ({intra} of them intra coded)")]
    NoKeyPictures {
        /// Pictures so far.
        pictures: u64,
        /// I pictures that are no safe start.
        intra: u64,
    },
}

/// Key pictures that make no key chunk.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) without_tables: u64,
    pub(crate) without_parameter_sets: u64,
    pub(crate) intra: u64,
}

fn list(streams: &[&'static str]) -> String {
    if streams.is_empty() {
        "nothing".into()
    } else {
        streams.join(", ")
    }
}

// === impl Refused ===

impl Refused {
    pub(crate) fn note(&mut self, tables: bool, parameter_sets: bool) {
        if !parameter_sets {
            self.without_parameter_sets += 1;
        } else if !tables {
            self.without_tables += 1;
        }
    }
}

// === impl Diagnosis ===

impl Diagnosis {
    /// A short name for metrics and `cause_kind`, for example `not_mpegts`.
    pub fn label(&self) -> &'static str {
        match self {
            Diagnosis::NotTransportStream { .. } => "not_mpegts",
            Diagnosis::NoTables { .. } => "no_tables",
            Diagnosis::NoVideo { .. } => "no_video",
            Diagnosis::UnsupportedVideo { .. } => "unsupported_video",
            Diagnosis::KeysWithoutTables { .. } => "keys_without_tables",
            Diagnosis::KeysWithoutParameterSets { .. } => "keys_without_parameter_sets",
            Diagnosis::NoKeyPictures { .. } => "no_key_pictures",
        }
    }

    pub(crate) fn of(
        aligner: &Aligner,
        demuxer: &Demuxer,
        refused: &Refused,
        keys: u64,
        finished: bool,
    ) -> Option<Diagnosis> {
        let bytes = aligner.unsynced_bytes();
        let packets = aligner.packets();
        if bytes >= NO_SYNC_BYTES || finished && packets == 0 && bytes > 0 {
            return Some(Diagnosis::NotTransportStream { bytes });
        }
        if demuxer.codec().is_none() {
            if !demuxer.has_tables() {
                let missed = packets >= NO_TABLES_PACKETS || finished && packets > 0;
                return missed.then_some(Diagnosis::NoTables { packets });
            }
            let mut types = demuxer.streams().map(|stream| stream.stream_type);
            return Some(match types.find(|stream_type| stream_type.is_video()) {
                Some(video) => Diagnosis::UnsupportedVideo { name: video.name() },
                None => Diagnosis::NoVideo {
                    streams: demuxer
                        .streams()
                        .map(|stream| stream.stream_type.name())
                        .collect(),
                },
            });
        }
        if keys > 0 || demuxer.pictures() == 0 {
            return None;
        }
        Some(match refused {
            Refused {
                without_parameter_sets: count @ 1..,
                ..
            } => Diagnosis::KeysWithoutParameterSets { count: *count },
            Refused {
                without_tables: count @ 1..,
                ..
            } => Diagnosis::KeysWithoutTables { count: *count },
            _ => Diagnosis::NoKeyPictures {
                pictures: demuxer.pictures(),
                intra: refused.intra,
            },
        })
    }
}
