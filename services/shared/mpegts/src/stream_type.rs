//! What an elementary stream carries (ISO 13818-1 table 2-34 and registered private types).

use std::fmt;

/// A video codec whose key pictures and parameter sets this crate can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
    /// MPEG-1 or MPEG-2 video: ffmpeg announces both as stream type 2, only the sequence
    /// header tells them apart.
    Mpeg12,
}

/// stream_type of a PMT entry, with the registration of private streams.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamType {
    value: u8,
    registration: Option<[u8; 4]>,
    /// Tag of the first descriptor that tells what a private stream is.
    hint: Option<u8>,
}

// === impl StreamType ===

impl StreamType {
    /// A stream_type without descriptors.
    pub const fn new(value: u8) -> StreamType {
        StreamType {
            value,
            registration: None,
            hint: None,
        }
    }

    /// A stream_type with the descriptors of its PMT entry.
    pub fn from_entry(value: u8, mut descriptors: &[u8]) -> StreamType {
        let mut stream_type = StreamType::new(value);
        while let [tag, length, rest @ ..] = descriptors {
            let Some((body, rest)) = rest.split_at_checked(usize::from(*length)) else {
                break;
            };
            match (*tag, body) {
                (0x05, [a, b, c, d, ..]) => stream_type.registration = Some([*a, *b, *c, *d]),
                // EN 300 468: teletext, subtitles, AC-3, enhanced AC-3.
                (0x56 | 0x59 | 0x6a | 0x7a, _) => stream_type.hint = Some(*tag),
                _ => {}
            }
            descriptors = rest;
        }
        stream_type
    }

    /// The number in the PMT.
    pub const fn value(self) -> u8 {
        self.value
    }

    /// The codec, if it is video this crate can read.
    pub fn codec(self) -> Option<Codec> {
        match self.value {
            0x01 | 0x02 => Some(Codec::Mpeg12),
            0x1b => Some(Codec::H264),
            0x24 => Some(Codec::H265),
            0x06 if self.registration == Some(*b"HEVC") => Some(Codec::H265),
            _ => None,
        }
    }

    /// True for video of any codec.
    pub fn is_video(self) -> bool {
        let private = self.value == 0x06 && self.registration == Some(*b"AV01");
        self.codec().is_some()
            || private
            || matches!(
                self.value,
                0x10 | 0x1e..=0x21 | 0x33 | 0x42 | 0xd1 | 0xd2 | 0xea
            )
    }

    /// The usual name, for messages.
    pub fn name(self) -> &'static str {
        match self.value {
            0x01 => "MPEG-1 video",
            // The bitstream may still be MPEG-1.
            0x02 => "MPEG-2 video",
            0x03 | 0x04 => "MPEG audio",
            0x05 => "private sections",
            0x06 => match (self.registration.as_ref(), self.hint) {
                (Some(b"HEVC"), _) => "H.265",
                (Some(b"AV01"), _) => "AV1",
                (Some(b"Opus"), _) => "Opus",
                (Some(b"KLVA"), _) => "KLV metadata",
                (Some(b"AC-3"), _) | (_, Some(0x6a)) => "AC-3",
                (Some(b"EAC3"), _) | (_, Some(0x7a)) => "E-AC-3",
                (_, Some(0x56)) => "teletext",
                (_, Some(0x59)) => "subtitles",
                _ => "private data",
            },
            0x0f | 0x11 => "AAC",
            0x10 => "MPEG-4 part 2 video",
            0x15 => "timed metadata",
            0x1b => "H.264",
            0x1e | 0x1f => "auxiliary video",
            0x20 => "H.264 MVC",
            0x21 => "JPEG 2000",
            0x24 => "H.265",
            0x33 => "H.266",
            0x42 => "AVS video",
            0x81 => "AC-3",
            0x82 | 0x85 | 0x86 => "DTS or SCTE-35",
            0x87 => "E-AC-3",
            0xd1 => "Dirac",
            0xd2 => "AVS2 video",
            0xea => "VC-1",
            _ => "unknown",
        }
    }
}

impl fmt::Display for StreamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#04x})", self.name(), self.value)
    }
}

impl fmt::Debug for StreamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamType({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_it_knows() {
        assert_eq!(StreamType::new(0x1b).codec(), Some(Codec::H264));
        assert_eq!(StreamType::new(0x24).codec(), Some(Codec::H265));
        assert_eq!(StreamType::new(0x01).codec(), Some(Codec::Mpeg12));
        assert_eq!(StreamType::new(0x02).codec(), Some(Codec::Mpeg12));
        assert_eq!(StreamType::new(0x0f).codec(), None);
        assert_eq!(
            StreamType::new(0x10).to_string(),
            "MPEG-4 part 2 video (0x10)"
        );
        assert!(StreamType::new(0x33).is_video());
        assert!(!StreamType::new(0x03).is_video());
    }

    #[test]
    fn descriptors_tell_what_private_data_is() {
        let opus = StreamType::from_entry(6, &[0x0a, 1, 0, 0x05, 4, b'O', b'p', b'u', b's']);
        assert_eq!(opus.name(), "Opus");
        let av1 = StreamType::from_entry(6, &[0x05, 4, b'A', b'V', b'0', b'1']);
        assert!(av1.is_video() && av1.codec().is_none());
        // A descriptor that is longer than the list is left alone.
        assert_eq!(
            StreamType::from_entry(6, &[0x05, 9, b'H']).name(),
            "private data"
        );
    }
}
