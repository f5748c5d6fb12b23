//! Streams written packet by packet, so that each rule of cutting is seen alone.

use super::*;
use crate::packet::SYNC_BYTE;

const PMT: u16 = 0x1000;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;

/// Writes packets with proper continuity counters.
#[derive(Default)]
struct Mux {
    counters: std::collections::HashMap<u16, u8>,
    out: Vec<u8>,
}

impl Mux {
    /// One packet: `payload` is at most 184 bytes, the rest is adaptation stuffing.
    fn packet(&mut self, pid: u16, start: bool, payload: &[u8]) -> &mut Mux {
        let counter = self.counters.entry(pid).or_default();
        let mut packet = vec![
            SYNC_BYTE,
            (pid >> 8) as u8 | u8::from(start) << 6,
            pid as u8,
        ];
        packet.push(0x10 | *counter);
        *counter = (*counter + 1) & 15;
        let stuffing = 184 - payload.len();
        if stuffing > 0 {
            packet[3] |= 0x20;
            packet.push(stuffing as u8 - 1);
            if stuffing > 1 {
                packet.push(0);
                packet.resize(4 + stuffing, 0xff);
            }
        }
        packet.extend(payload);
        assert_eq!(packet.len(), PACKET_SIZE);
        self.out.extend(packet);
        self
    }

    fn section(&mut self, pid: u16, header: &[u8], body: &[u8]) -> &mut Mux {
        let mut section = vec![header[0], 0xb0, (body.len() + 9) as u8];
        section.extend(&header[1..]);
        section.extend([0xc1, 0, 0]);
        section.extend(body);
        let crc = section.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
                crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
            })
        });
        section.extend(crc.to_be_bytes());
        let mut payload = vec![0];
        payload.extend(section);
        payload.resize(184, 0xff);
        self.packet(pid, true, &payload)
    }

    fn pat(&mut self) -> &mut Mux {
        self.section(0, &[0, 0, 1], &[0, 1, 0xf0, 0])
    }

    fn pmt(&mut self) -> &mut Mux {
        self.section(
            PMT,
            &[2, 0, 1],
            &[
                0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 0, 3, 0xe1, 1, 0xf0, 0,
            ],
        )
    }

    fn tables(&mut self) -> &mut Mux {
        self.pat().pmt()
    }

    /// A picture in a PES of `size` bytes with its length in the header if `known`.
    fn picture(&mut self, head: &[u8], size: usize, known: bool) -> &mut Mux {
        let pes = pes(head, size, known);
        for (i, part) in pes.chunks(184).enumerate() {
            self.packet(VIDEO, i == 0, part);
        }
        self
    }

    fn audio(&mut self) -> &mut Mux {
        self.packet(AUDIO, true, &[0, 0, 1, 0xc0, 0, 4, 0x80, 0, 0, 7])
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }
}

fn pes(head: &[u8], size: usize, known: bool) -> Vec<u8> {
    let length = if known { size - 6 } else { 0 };
    let mut pes = vec![
        0,
        0,
        1,
        0xe0,
        (length >> 8) as u8,
        length as u8,
        0x80,
        0x80,
        5,
    ];
    pes.extend([0x21, 0, 1, 0, 1]);
    pes.extend(head);
    pes.resize(size, 0xaa);
    pes
}

/// SPS of 1280x720 at 30, PPS, IDR slice.
const KEY: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xda, 1, 0x40, 0x16, 0xec, 4, 0x40, 0, 0, 3, 0, 0x40, 0, 0,
    0x0f, 3, 0xc6, 0x0c, 0xa8, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 1, 0x65, 0x88,
];
const DELTA: &[u8] = &[0, 0, 0, 1, 0x41, 0x9a];

fn sizes(chunks: &[RawChunk]) -> Vec<usize> {
    chunks.iter().map(RawChunk::packets).collect()
}

fn all(next: impl FnMut() -> Option<RawChunk>) -> Vec<RawChunk> {
    std::iter::from_fn(next).collect()
}

#[test]
fn a_known_length_ends_with_the_write() {
    let mut mux = Mux::default();
    let mut chunker = Chunker::new();
    chunker.push(mux.tables().picture(KEY, 400, true).take());
    assert_eq!(chunker.next_chunk(), None);
    let key = chunker.idle().unwrap();
    assert!(key.key && key.complete && !key.damaged);
    assert_eq!(key.packets(), 5);
    let format = key.format.unwrap();
    assert_eq!(
        (&*format.codec, format.width, format.height),
        ("avc1.42C01F", 1280, 720)
    );
    assert_eq!(chunker.idle(), None);
    chunker.push(mux.picture(DELTA, 100, true).take());
    let delta = chunker.idle().unwrap();
    assert_eq!(
        (delta.key, delta.picture),
        (false, Some(PictureType::Inter))
    );
}

#[test]
fn a_picture_is_not_given_before_it_is_complete() {
    let stream = Mux::default().tables().picture(KEY, 1000, true).take();
    let mut chunker = Chunker::new();
    for packet in 0..stream.len() / PACKET_SIZE {
        assert_eq!(chunker.idle(), None, "before packet {packet}");
        chunker.push(stream.slice(packet * PACKET_SIZE..(packet + 1) * PACKET_SIZE));
    }
    assert_eq!(chunker.idle().unwrap().payload, stream);
}

#[test]
fn half_a_packet_after_a_picture_says_the_write_goes_on() {
    let mut mux = Mux::default();
    let mut chunker = Chunker::new();
    let stream = mux.tables().picture(KEY, 400, true).audio().take();
    chunker.push(stream.slice(..stream.len() - 100));
    assert_eq!(chunker.idle(), None);
    chunker.push(stream.slice(stream.len() - 100..));
    assert_eq!(chunker.idle().unwrap().payload, stream);
}

#[test]
fn packets_behind_a_picture_in_the_same_write_belong_to_it() {
    let mut mux = Mux::default();
    let mut chunker = Chunker::new();
    chunker.push(mux.tables().picture(KEY, 400, true).audio().audio().take());
    assert_eq!(sizes(&all(|| chunker.idle())), [7]);
    // Sent in a write of their own they wait for the next picture.
    chunker.push(mux.audio().take());
    assert_eq!(chunker.idle(), None);
    chunker.push(mux.picture(DELTA, 100, true).take());
    assert_eq!(sizes(&all(|| chunker.idle())), [2]);
}

#[test]
fn tables_begin_the_next_chunk() {
    let mut mux = Mux::default();
    let mut chunker = Chunker::new();
    mux.tables()
        .picture(KEY, 400, true)
        .audio()
        .tables()
        .audio()
        .picture(DELTA, 100, true);
    chunker.push(mux.tables().take());
    let chunks = all(|| chunker.next_chunk());
    assert_eq!(sizes(&chunks), [6, 4]);
    assert!(!chunks[1].key, "tables alone make no key chunk");
    assert_eq!(chunker.idle(), None, "tables wait for their picture");
}

#[test]
fn an_unknown_length_ends_with_a_stuffed_packet() {
    let mut mux = Mux::default();
    let mut chunker = Chunker::new();
    chunker.push(mux.tables().picture(KEY, 184 * 2 + 5, false).take());
    assert_eq!(sizes(&all(|| chunker.idle())), [5]);
    // Without stuffing only the next picture, or its tables, tells.
    chunker.push(mux.picture(DELTA, 184 * 2, false).take());
    assert_eq!(chunker.idle(), None);
    chunker.push(mux.tables().picture(DELTA, 184, false).take());
    assert_eq!(sizes(&all(|| chunker.next_chunk())), [2]);
}

#[test]
fn tables_inside_a_picture_do_not_cut_it() {
    for known in [false, true] {
        let mut mux = Mux::default();
        mux.tables();
        let pes = pes(KEY, 184 * 4, known);
        for (i, part) in pes.chunks(184).enumerate() {
            mux.packet(VIDEO, i == 0, part);
            if i < 3 {
                mux.tables();
            }
        }
        mux.tables().picture(DELTA, 184, known);
        let mut chunker = Chunker::new();
        chunker.push(mux.take());
        assert_eq!(sizes(&all(|| chunker.finish())), [12, 3], "known: {known}");
        assert_eq!(chunker.key_pictures(), 1);
    }
}

#[test]
fn a_picture_that_goes_on_after_it_was_given_is_not_a_new_one() {
    let mut mux = Mux::default();
    let mut chunker = Chunker::new();
    mux.tables().packet(VIDEO, true, &pes(KEY, 150, false)[..]);
    chunker.push(mux.take());
    let first = chunker.idle().unwrap();
    assert!(first.key);
    chunker.push(
        mux.packet(VIDEO, false, &[0xaa; 90])
            .picture(DELTA, 100, true)
            .take(),
    );
    let rest = chunker.idle().unwrap();
    assert_eq!((rest.packets(), rest.key, rest.picture), (1, false, None));
    assert_eq!(chunker.idle().unwrap().picture, Some(PictureType::Inter));
    assert_eq!(chunker.pictures(), 2);
}

#[test]
fn a_key_chunk_needs_its_own_tables() {
    let mut mux = Mux::default();
    let mut chunker = Chunker::new();
    chunker.push(mux.tables().picture(DELTA, 100, true).take());
    assert!(!chunker.idle().unwrap().key);
    for (tables, expected) in [(0, false), (1, false), (2, false), (3, true)] {
        if tables & 1 != 0 {
            mux.pat();
        }
        if tables & 2 != 0 {
            mux.pmt();
        }
        chunker.push(mux.picture(KEY, 400, true).take());
        let chunk = chunker.idle().unwrap();
        assert_eq!(
            chunk.key,
            expected,
            "PAT: {}, PMT: {}",
            tables & 1,
            tables >> 1
        );
        let diagnosis = chunker.diagnosis().map(|diagnosis| diagnosis.label());
        assert_eq!(diagnosis, (!expected).then_some("keys_without_tables"));
    }
}

#[test]
fn random_access_alone_is_no_key() {
    let mut mux = Mux::default();
    let mut stream = mux.tables().picture(DELTA, 60, true).take().to_vec();
    stream[2 * PACKET_SIZE + 5] = 0x40;
    let mut chunker = Chunker::new();
    chunker.push(stream.into());
    let chunk = chunker.idle().unwrap();
    assert_eq!(
        (chunk.key, chunk.picture),
        (false, Some(PictureType::Inter))
    );
    let words = chunker.diagnosis().unwrap().to_string();
    assert_eq!(
        words,
        "no key pictures in 1 pictures (0 of them intra coded)"
    );
}

#[test]
fn a_picture_beyond_the_limit_is_cut_and_counted() {
    let mut mux = Mux::default();
    let stream = mux
        .tables()
        .picture(KEY, 184 * 20, false)
        .picture(DELTA, 100, false)
        .take();
    let mut chunker = Chunker::with_max_chunk(10 * PACKET_SIZE + 1);
    chunker.push(stream.clone());
    let chunks = all(|| chunker.finish());
    assert_eq!(sizes(&chunks), [10, 10, 2, 1]);
    let keys: Vec<_> = chunks.iter().map(|chunk| chunk.key).collect();
    assert_eq!(keys, [true, false, false, false]);
    assert_eq!(chunks[1].picture, None);
    assert_eq!(chunker.errors().get(TsErrorKind::Oversize), 2);
    assert_eq!(
        chunks
            .iter()
            .flat_map(|c| c.payload.to_vec())
            .collect::<Vec<_>>(),
        stream
    );
}

#[test]
fn the_limit_also_bounds_what_has_no_video() {
    let mut mux = Mux::default();
    mux.tables();
    for _ in 0..50 {
        mux.audio();
    }
    let mut chunker = Chunker::with_max_chunk(20 * PACKET_SIZE);
    chunker.push(mux.take());
    assert_eq!(sizes(&all(|| chunker.finish())), [20, 20, 12]);
}

#[test]
fn missing_packets_mark_the_chunk() {
    let mut mux = Mux::default();
    let mut stream = mux
        .tables()
        .picture(KEY, 184 * 4, true)
        .picture(DELTA, 184, true)
        .take()
        .to_vec();
    stream.drain(3 * PACKET_SIZE..4 * PACKET_SIZE);
    let mut chunker = Chunker::new();
    chunker.push(stream.into());
    let chunks = all(|| chunker.finish());
    let seen: Vec<_> = chunks
        .iter()
        .map(|c| (c.packets(), c.damaged, c.complete))
        .collect();
    assert_eq!(seen, [(5, true, false), (1, false, true)]);
    assert_eq!(chunker.errors().get(TsErrorKind::Continuity), 1);
    assert_eq!(chunker.errors().get(TsErrorKind::PesLength), 1);
}

#[test]
fn a_duplicated_packet_is_kept_and_starts_nothing() {
    let mut mux = Mux::default();
    let mut stream = mux.tables().picture(KEY, 184 * 3, true).take().to_vec();
    let first = stream[2 * PACKET_SIZE..3 * PACKET_SIZE].to_vec();
    stream.splice(3 * PACKET_SIZE..3 * PACKET_SIZE, first);
    let mut chunker = Chunker::new();
    chunker.push(stream.into());
    let chunk = chunker.idle().unwrap();
    assert_eq!((chunk.packets(), chunk.key), (6, true));
    assert_eq!(chunker.pictures(), 1);
    assert_eq!(chunker.errors().total(), 0);
}

#[test]
fn bad_packets_are_kept_and_counted_by_kind() {
    let mut mux = Mux::default();
    let good = mux.tables().picture(KEY, 184 * 3, true).take();
    for (offset, bits, kind) in [
        (3 * PACKET_SIZE + 1, 0x80, TsErrorKind::TransportError),
        (3 * PACKET_SIZE + 3, 0x40, TsErrorKind::Scrambled),
        (3 * PACKET_SIZE + 3, 0x10, TsErrorKind::Malformed),
        (2 * PACKET_SIZE + 4, 1, TsErrorKind::PesHeader),
        (20, 1, TsErrorKind::PsiCrc),
        (PACKET_SIZE + 4, 0xff, TsErrorKind::PsiSyntax),
        (2 * PACKET_SIZE + 25, 0xff, TsErrorKind::ParameterSet),
    ] {
        let mut bad = good.to_vec();
        bad[offset] ^= bits;
        if kind == TsErrorKind::ParameterSet {
            // The SPS ends after its third byte.
            bad[2 * PACKET_SIZE + 26..2 * PACKET_SIZE + 45].fill(0);
        }
        let mut chunker = Chunker::new();
        chunker.push(bad.clone().into());
        let out: Vec<u8> = all(|| chunker.finish())
            .iter()
            .flat_map(|c| c.payload.to_vec())
            .collect();
        assert_eq!(out, bad, "{kind:?}");
        assert_eq!(
            chunker.errors().get(kind),
            1,
            "{kind:?}: {:?}",
            chunker.errors()
        );
    }
}

#[test]
fn a_changed_resolution_is_told_by_its_key_chunk() {
    // Another width: 80 macroblocks become 40.
    const SMALL: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xda, 2, 0x80, 0xf6, 0x80, 0, 0, 0, 1, 0x68, 0xce, 0,
        0, 1, 0x65, 0x88,
    ];
    let mut mux = Mux::default();
    mux.tables()
        .picture(KEY, 400, true)
        .tables()
        .picture(SMALL, 400, true);
    let mut chunker = Chunker::new();
    chunker.push(mux.take());
    let formats: Vec<_> = all(|| chunker.finish())
        .iter()
        .map(|chunk| {
            chunk
                .format
                .clone()
                .map(|f| (f.codec.to_string(), f.width, f.height))
        })
        .collect();
    assert_eq!(
        formats,
        [
            Some(("avc1.42C01F".into(), 1280, 720)),
            Some(("avc1.42C01E".into(), 640, 480))
        ]
    );
}

#[test]
fn a_chunk_in_one_push_is_not_copied() {
    let stream = Mux::default()
        .tables()
        .picture(KEY, 5000, true)
        .picture(DELTA, 100, true)
        .take();
    let mut chunker = Chunker::new();
    chunker.push(stream.clone());
    let chunks = all(|| chunker.idle());
    assert_eq!(chunks[0].payload.as_ptr(), stream.as_ptr());
    assert_eq!(
        chunks[1].payload.as_ptr(),
        stream[chunks[0].payload.len()..].as_ptr()
    );
}

#[test]
fn what_is_no_transport_stream_is_said_so() {
    let mut chunker = Chunker::new();
    chunker.push(Bytes::from(vec![0x42; 70_000]));
    assert_eq!(chunker.idle(), None);
    assert_eq!(
        chunker.diagnosis(),
        Some(Diagnosis::NotTransportStream { bytes: 70_000 })
    );
    let mut short = Chunker::new();
    short.push(Bytes::from_static(b"usage: ffmpeg [options]"));
    assert_eq!((short.idle(), short.diagnosis()), (None, None));
    assert_eq!(short.finish(), None);
    assert_eq!(short.diagnosis().unwrap().label(), "not_mpegts");
}

#[test]
fn garbage_between_pictures_is_left_out_and_counted() {
    let mut mux = Mux::default();
    let first = mux.tables().picture(KEY, 400, true).take();
    let second = mux
        .tables()
        .picture(KEY, 400, true)
        .picture(DELTA, 100, true)
        .take();
    let mut chunker = Chunker::new();
    chunker.push(first.clone());
    assert_eq!(chunker.idle().unwrap().payload, first);
    chunker.push(Bytes::from_static(b"[h264 @ 0x55] error while decoding\n"));
    chunker.push(second.clone());
    let chunks = all(|| chunker.finish());
    assert_eq!(sizes(&chunks), [5, 1]);
    assert!(chunks[0].key && chunks[0].damaged);
    assert_eq!(
        (
            chunker.skipped_bytes(),
            chunker.errors().get(TsErrorKind::SyncLoss)
        ),
        (35, 1)
    );
}
