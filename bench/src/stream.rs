//! The synthetic stream: whole TS packets whose bytes follow from the sequence number alone, but
//! for a stamp in the first packet. So a viewer can check every byte of every message.

/// Bytes of a TS packet (ISO 13818-1 2.4.3.2).
const PACKET: usize = 188;

/// Messages from key to key: two seconds at 15 a second.
pub const GOP: u64 = 30;

/// Messages until the bytes repeat: 16 of [`GOP`], so that with any number of packets the
/// continuity counters of tables and video (4 bits) close too.
pub const CYCLE: u64 = 480;

/// Bytes of a message up to the end of its stamp.
pub const STAMP: usize = 32;

const MAGIC: &[u8; 8] = b"FANBENCH";

/// The private packet identifier that carries the stamp.
const STAMP_PID: u16 = 0x1ff0;
const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;

/// What the first packet of a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the camera.
    pub camera: u32,
    /// Number of the message.
    pub seq: u64,
    /// When it was handed to the bus, by [`clock::now`](crate::clock::now).
    pub sent: u64,
}

impl Stamp {
    /// Whether a decoder could start at this message.
    #[must_use]
    pub fn is_key(self) -> bool {
        self.seq.is_multiple_of(GOP)
    }

    /// Reads the first [`STAMP`] bytes of a message.
    #[must_use]
    pub fn read(bytes: &[u8; STAMP]) -> Option<Self> {
        let (_, rest) = bytes.split_first_chunk::<4>()?;
        let (magic, rest) = rest.split_first_chunk::<8>()?;
        let (camera, rest) = rest.split_first_chunk::<4>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let sent = rest.first_chunk::<8>()?;
        (magic == MAGIC).then_some(Self {
            camera: u32::from_be_bytes(*camera),
            seq: u64::from_be_bytes(*seq),
            sent: u64::from_be_bytes(*sent),
        })
    }

    fn write(self, bytes: &mut [u8]) {
        bytes[4..12].copy_from_slice(MAGIC);
        bytes[12..16].copy_from_slice(&self.camera.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.seq.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.sent.to_be_bytes());
    }
}

/// All messages of a cycle without their stamps.
#[derive(Debug)]
pub struct Template {
    bytes: Vec<u8>,
    length: usize,
}

impl Template {
    /// Messages of `packets` TS packets (at least 4).
    #[must_use]
    pub fn new(packets: usize) -> Self {
        let length = packets.max(4) * PACKET;
        let mut bytes = Vec::with_capacity(length * CYCLE as usize);
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let (mut tables, mut video) = (0, 0);
        for seq in 0..CYCLE {
            let end = bytes.len() + length;
            packet(&mut bytes, STAMP_PID, true, seq as u8, &[]);
            if seq.is_multiple_of(GOP) {
                packet(&mut bytes, 0, true, tables, &pat());
                packet(&mut bytes, PMT_PID, true, tables, &pmt());
                tables += 1;
            }
            let mut first = true;
            while bytes.len() < end {
                let mut payload = [0; PACKET - 4];
                for word in payload.chunks_exact_mut(8) {
                    // xorshift64 (Marsaglia 2003): nothing in between can compress it
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    word.copy_from_slice(&noise.to_be_bytes());
                }
                packet(&mut bytes, VIDEO_PID, first, video, &payload);
                video = video.wrapping_add(1);
                first = false;
            }
        }
        Self { bytes, length }
    }

    /// Bytes of a message.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.length
    }

    /// What message `seq` holds; its first [`STAMP`] bytes are replaced by the stamp.
    #[must_use]
    pub fn message(&self, seq: u64) -> &[u8] {
        let start = (seq % CYCLE) as usize * self.length;
        &self.bytes[start..start + self.length]
    }

    /// The message with its stamp.
    #[must_use]
    pub fn stamped(&self, stamp: Stamp) -> Vec<u8> {
        let mut message = self.message(stamp.seq).to_vec();
        stamp.write(&mut message);
        message
    }
}

fn packet(to: &mut Vec<u8>, pid: u16, start: bool, counter: u8, payload: &[u8]) {
    let end = to.len() + PACKET;
    let [high, low] = pid.to_be_bytes();
    to.extend([
        0x47,
        high | u8::from(start) << 6,
        low,
        0x10 | counter & 0x0f,
    ]);
    to.extend_from_slice(payload);
    to.resize(end, 0xff);
}

/// A table section with its pointer field and CRC (ISO 13818-1 annex A).
fn section(head: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in head {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    [&[0], head, &crc.to_be_bytes()].concat()
}

fn pat() -> Vec<u8> {
    section(&[0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0x00])
}

fn pmt() -> Vec<u8> {
    section(&[
        0x02, 0xb0, 18, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0, 0x1b, 0xe1, 0x00, 0xf0, 0,
    ])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanlight_mpegts::Checker;

    use super::*;

    #[test]
    fn whole_packets_whose_counters_go_on_over_the_cycle() {
        let template = Template::new(36);
        let mut checker = Checker::new();
        for seq in 0..CYCLE * 2 + 1 {
            let stamp = Stamp {
                camera: 1,
                seq,
                sent: seq,
            };
            checker.push(Bytes::from(template.stamped(stamp)));
        }
        let report = checker.finish();
        let lost = fanlight_mpegts::TsErrorKind::Continuity;
        assert_eq!(report.errors.get(lost), 0, "{report:?}");
    }

    #[test]
    fn stamps_come_back() {
        let template = Template::new(36);
        let stamp = Stamp {
            camera: 7,
            seq: 1234,
            sent: 1 << 60,
        };
        let message = template.stamped(stamp);
        assert_eq!(message.len(), template.message_len());
        assert_eq!(Stamp::read(message.first_chunk().unwrap()), Some(stamp));
        assert_eq!(message[STAMP..], template.message(1234)[STAMP..]);
        assert_eq!(Stamp::read(&[0; STAMP]), None);
    }
}
