//! PES packet headers (ISO 13818-1 2.4.3.6).

use crate::clock::Timestamp;

/// The part of a PES header that says where the picture is and when it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PesHeader {
    /// stream_id, 0xe0..=0xef for video.
    pub stream_id: u8,
    /// Bytes from the start of the PES packet to its end; `None` where PES_packet_length is 0,
    /// which video may use for any length and must use above 65535.
    pub total_len: Option<usize>,
    /// Bytes of the header: the elementary stream starts here.
    pub header_len: usize,
    /// Presentation time.
    pub pts: Option<Timestamp>,
    /// Decoding time, sent only where it differs from the presentation time.
    pub dts: Option<Timestamp>,
}

/// Result of reading a PES header that may not be complete yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PesParse {
    /// The header.
    Header(PesHeader),
    /// More bytes are needed.
    Incomplete,
    /// These bytes start no PES packet of an elementary stream.
    Invalid,
}

// === impl PesHeader ===

impl PesHeader {
    /// Reads the header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> PesParse {
        let prefix = &bytes[..bytes.len().min(3)];
        if prefix != &[0, 0, 1][..prefix.len()] {
            return PesParse::Invalid;
        }
        if bytes.len() < 9 {
            return PesParse::Incomplete;
        }
        // Program stream map, padding, private 2, ECM, EMM, directory, DSM-CC, H.222.1 type E:
        // no optional header.
        let stream_id = bytes[3];
        let plain = matches!(
            stream_id,
            0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff
        );
        if plain || bytes[6] & 0xc0 != 0x80 {
            return PesParse::Invalid;
        }
        let header_len = 9 + usize::from(bytes[8]);
        let Some(optional) = bytes.get(9..header_len) else {
            return PesParse::Incomplete;
        };
        let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let total_len = (length != 0).then_some(6 + length);
        if total_len.is_some_and(|total| total < header_len) {
            return PesParse::Invalid;
        }
        let flags = bytes[7] >> 6;
        let pts = if flags & 2 != 0 {
            timestamp(optional)
        } else {
            None
        };
        let dts = if flags == 3 {
            optional.get(5..).and_then(timestamp)
        } else {
            None
        };
        PesParse::Header(PesHeader {
            stream_id,
            total_len,
            header_len,
            pts,
            dts,
        })
    }
}

/// 33 bits in five bytes, each group followed by a marker bit.
fn timestamp(bytes: &[u8]) -> Option<Timestamp> {
    let b = bytes.get(..5)?;
    if b[0] & b[2] & b[4] & 1 == 0 {
        return None;
    }
    let high = u64::from(b[0] >> 1 & 7) << 30;
    let middle = u64::from(u16::from_be_bytes([b[1], b[2]]) >> 1) << 15;
    let low = u64::from(u16::from_be_bytes([b[3], b[4]]) >> 1);
    Some(Timestamp::new(high | middle | low))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTS_DTS: [u8; 19] = [
        0, 0, 1, 0xe0, 0, 20, 0x80, 0xc0, 10, 0x31, 0x00, 0x05, 0xbf, 0x21, 0x11, 0x00, 0x03, 0xdf,
        0xd1,
    ];

    #[test]
    fn reads_both_timestamps() {
        let PesParse::Header(header) = PesHeader::parse(&PTS_DTS) else {
            panic!("no header")
        };
        assert_eq!(header.header_len, 19);
        assert_eq!(header.total_len, Some(26));
        assert_eq!(header.pts, Some(Timestamp::new(2 << 15 | 0x5f90)));
        assert_eq!(header.dts, Some(Timestamp::new(1 << 15 | 0x6fe8)));
    }

    #[test]
    fn every_prefix_asks_for_more() {
        for end in 0..PTS_DTS.len() {
            assert_eq!(
                PesHeader::parse(&PTS_DTS[..end]),
                PesParse::Incomplete,
                "{end} bytes"
            );
        }
    }

    #[test]
    fn length_0_is_unknown() {
        let mut bytes = PTS_DTS;
        bytes[5] = 0;
        let PesParse::Header(header) = PesHeader::parse(&bytes) else {
            panic!("no header")
        };
        assert_eq!(header.total_len, None);
    }

    #[test]
    fn refuses_what_is_no_header() {
        assert_eq!(PesHeader::parse(&[0, 1]), PesParse::Invalid);
        let mut padding = PTS_DTS;
        padding[3] = 0xbe;
        assert_eq!(PesHeader::parse(&padding), PesParse::Invalid);
        let mut mpeg1 = PTS_DTS;
        mpeg1[6] = 0x40;
        assert_eq!(PesHeader::parse(&mpeg1), PesParse::Invalid);
        let mut short = PTS_DTS;
        short[5] = 4;
        assert_eq!(PesHeader::parse(&short), PesParse::Invalid);
    }
}
