//! [`UnitScanner`]: reads the start of an access unit up to its first slice, which tells the kind
//! of picture and which parameter sets come with it.

use std::ops::Range;

use super::{ParameterSetError, PictureType, VideoFormat, h264, h265, mpeg12, nal};
use crate::stream_type::Codec;

/// Bytes searched for the first slice; cameras put a few hundred before it.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes of an H.264 slice header that certainly hold its type.
const SLICE_HEAD: usize = 12;

/// Collects the start of one access unit at a time.
#[derive(Debug, Default)]
pub(crate) struct UnitScanner {
    head: Vec<u8>,
    /// Where the search for start codes goes on.
    at: usize,
    open: Option<(Set, usize)>,
    sets: Sets,
    picture: Option<PictureType>,
    done: bool,
}

#[derive(Clone, Copy, Debug)]
enum Set {
    Vps,
    Sequence,
    SequenceExtension,
    Pps,
}

#[derive(Debug, Default)]
struct Sets {
    vps: bool,
    /// SPS or MPEG sequence header.
    sequence: Option<Range<usize>>,
    extension: Option<Range<usize>>,
    pps: bool,
}

/// What is known about an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) picture: PictureType,
    /// All parameter sets its codec needs come before the picture.
    pub(crate) parameter_sets: bool,
}

enum Found {
    Slice(PictureType),
    Set(Set, usize),
    Other,
    /// The header after the start code is not there yet.
    NeedMore,
}

// === impl UnitScanner ===

impl UnitScanner {
    /// Begins the next access unit.
    pub(crate) fn start(&mut self) {
        self.head.clear();
        self.at = 0;
        self.open = None;
        self.sets = Sets::default();
        self.picture = None;
        self.done = false;
    }

    /// True once more bytes would tell nothing new.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Adds bytes of the elementary stream.
    pub(crate) fn push(&mut self, codec: Codec, bytes: &[u8]) {
        if !self.done {
            let room = MAX_HEAD - self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.scan(codec, false);
            self.done |= self.head.len() == MAX_HEAD;
        }
    }

    /// The access unit ends here: judges what there is.
    pub(crate) fn finish(&mut self, codec: Codec) {
        if !self.done {
            self.scan(codec, true);
            self.done = true;
        }
    }

    pub(crate) fn judged(&self, codec: Codec) -> Judged {
        let sets = &self.sets;
        let parameter_sets = match codec {
            Codec::H264 => sets.sequence.is_some() && sets.pps,
            Codec::H265 => sets.vps && sets.sequence.is_some() && sets.pps,
            Codec::Mpeg12 => sets.sequence.is_some(),
        };
        Judged {
            picture: self.picture.unwrap_or(PictureType::Unknown),
            parameter_sets,
        }
    }

    /// The bytes that tell the format: equal bytes, equal format.
    pub(crate) fn format_key(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let sequence = self.head.get(self.sets.sequence.clone()?)?;
        let extension = self
            .sets
            .extension
            .clone()
            .and_then(|range| self.head.get(range));
        Some((sequence, extension))
    }

    fn scan(&mut self, codec: Codec, ended: bool) {
        while let Some(code) = nal::find_start_code(&self.head, self.at) {
            if let Some((set, start)) = self.open.take() {
                self.sets.add(set, start..code);
            }
            match find(codec, &self.head, code + 3, &self.sets, ended) {
                Found::NeedMore => {
                    self.at = code;
                    return;
                }
                Found::Slice(picture) => {
                    self.picture = Some(picture);
                    self.done = true;
                    return;
                }
                Found::Set(set, start) => self.open = Some((set, start)),
                Found::Other => {}
            }
            self.at = code + 3;
        }
        // A start code may begin in the last two bytes.
        self.at = self.at.max(self.head.len().saturating_sub(2));
    }
}

impl Sets {
    /// The first of each kind counts.
    fn add(&mut self, set: Set, range: Range<usize>) {
        match set {
            Set::Vps => self.vps = true,
            Set::Pps => self.pps = true,
            Set::Sequence => {
                self.sequence.get_or_insert(range);
            }
            Set::SequenceExtension => {
                self.extension.get_or_insert(range);
            }
        }
    }
}

/// Judges what starts at `start`, right after a start code.
fn find(codec: Codec, head: &[u8], start: usize, sets: &Sets, ended: bool) -> Found {
    let unit = &head[start..];
    let Some(first) = unit.first() else {
        return Found::NeedMore;
    };
    match codec {
        Codec::H264 => match h264::nal_type(*first) {
            h264::SLICE_IDR => Found::Slice(PictureType::Key),
            1..=4 if unit.len() < SLICE_HEAD && !ended => Found::NeedMore,
            1 | 2 => Found::Slice(h264::picture_type(unit)),
            // Partitions B and C without A: nothing to judge by.
            3 | 4 => Found::Slice(PictureType::Unknown),
            h264::SPS => Found::Set(Set::Sequence, start),
            h264::PPS => Found::Set(Set::Pps, start),
            _ => Found::Other,
        },
        Codec::H265 => {
            let Some(second) = unit.get(1) else {
                return Found::NeedMore;
            };
            let layer = (first & 1) << 5 | second >> 3;
            match h265::nal_type(*first) {
                _ if layer != 0 => Found::Other,
                slice @ 0..=31 => Found::Slice(h265::picture_type(slice)),
                h265::VPS => Found::Set(Set::Vps, start),
                h265::SPS => Found::Set(Set::Sequence, start),
                h265::PPS => Found::Set(Set::Pps, start),
                _ => Found::Other,
            }
        }
        Codec::Mpeg12 => match *first {
            mpeg12::PICTURE => match unit {
                [_, a, b, ..] => {
                    Found::Slice(mpeg12::picture_type([*a, *b], sets.sequence.is_some()))
                }
                _ => Found::NeedMore,
            },
            0x01..=0xaf => Found::Slice(PictureType::Unknown),
            mpeg12::SEQUENCE => Found::Set(Set::Sequence, start + 1),
            mpeg12::EXTENSION => match unit.get(1..) {
                Some(rest) if mpeg12::is_sequence_extension(rest) => {
                    Found::Set(Set::SequenceExtension, start + 1)
                }
                Some([_, ..]) => Found::Other,
                _ => Found::NeedMore,
            },
            _ => Found::Other,
        },
    }
}

/// Reads the format from what [`UnitScanner::format_key`] gave.
pub(crate) fn read_format(
    codec: Codec,
    sequence: &[u8],
    extension: Option<&[u8]>,
) -> Result<VideoFormat, ParameterSetError> {
    match codec {
        Codec::H264 => h264::parse_sps(sequence),
        Codec::H265 => h265::parse_sps(sequence),
        Codec::Mpeg12 => mpeg12::parse_sequence(sequence, extension),
    }
}

#[cfg(test)]
mod tests;
