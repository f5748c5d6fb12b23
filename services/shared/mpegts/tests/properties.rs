//! What holds for any input and any way of splitting it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use fanlight_mpegts::codec::{h264, h265, mpeg12};
use fanlight_mpegts::{Checker, Chunker, ErrorCounts, PACKET_SIZE, RawChunk};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

static CAPTURES: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let names = [
        "h264.ts",
        "h264_unknown_length.ts",
        "h264_audio.ts",
        "h264_open_gop.ts",
        "h265.ts",
        "mpeg1_25.ts",
        "mpeg2.ts",
    ];
    // The start of each is enough for two key pictures or so, and quick.
    let start = |bytes: Vec<u8>| Bytes::from(bytes).slice(..37_600);
    names
        .iter()
        .map(|name| start(std::fs::read(folder.join(name)).unwrap()))
        .collect()
});

/// Damage done to a capture at some place.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), 1..=255_u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (any::<Index>(), 1..600_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), vec(any::<u8>(), 1..600)).prop_map(|(at, b)| Damage::Insert(at, b)),
        (any::<Index>(), 1..5_usize).prop_map(|(at, packets)| Damage::Repeat(at, packets)),
    ]
}

/// The starts of captures with some damage, or plain noise.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let noise = vec(prop_oneof![3 => any::<u8>(), 1 => Just(0x47_u8)], 0..3000);
    let damaged = (0..7_usize, vec(damage(), 0..6)).prop_map(|(capture, damages)| {
        let mut bytes = CAPTURES[capture].to_vec();
        for damage in damages {
            match damage {
                Damage::Flip(at, bits) => {
                    let at = at.index(bytes.len());
                    bytes[at] ^= bits;
                }
                Damage::Remove(at, length) => {
                    let at = at.index(bytes.len());
                    bytes.drain(at..(at + length).min(bytes.len()));
                }
                Damage::Insert(at, new) => {
                    let at = at.index(bytes.len());
                    bytes.splice(at..at, new);
                }
                Damage::Repeat(at, packets) => {
                    let at = at.index(bytes.len()) / PACKET_SIZE * PACKET_SIZE;
                    let end = (at + packets * PACKET_SIZE).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
            }
        }
        bytes
    });
    prop_oneof![4 => damaged, 1 => noise]
}

fn parts<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|pair| &stream[pair[0]..pair[1]])
        .collect()
}

fn chunks<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<RawChunk>, ErrorCounts, u64) {
    let mut chunker = Chunker::new();
    let mut chunks = Vec::new();
    for part in parts {
        chunker.push(Bytes::copy_from_slice(part));
        chunks.extend(std::iter::from_fn(|| chunker.next_chunk()));
    }
    chunks.extend(std::iter::from_fn(|| chunker.finish()));
    (chunks, chunker.errors(), chunker.skipped_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_same_chunks(stream in stream(), cuts in vec(any::<Index>(), 0..40)) {
        let (whole, errors, skipped) = chunks([&stream[..]]);
        let split = chunks(parts(&stream, &cuts));
        prop_assert_eq!(&split.0, &whole);
        prop_assert_eq!((split.1, split.2), (errors, skipped));
    }

    #[test]
    fn chunks_are_the_packets_that_came_in(stream in stream()) {
        let (chunks, _, skipped) = chunks([&stream[..]]);
        let joined: Vec<u8> = chunks.iter().flat_map(|c| c.payload.iter().copied()).collect();
        prop_assert_eq!(joined.len() as u64 + skipped, stream.len() as u64);
        // What came out is what came in with holes: each packet is found behind the one before.
        let mut rest = &stream[..];
        for packet in joined.chunks(PACKET_SIZE) {
            prop_assert_eq!((packet.len(), packet[0]), (PACKET_SIZE, 0x47));
            let at = rest.windows(PACKET_SIZE).position(|window| window == packet);
            let at = at.expect("a packet that did not come in");
            rest = &rest[at + PACKET_SIZE..];
        }
        if skipped == 0 {
            prop_assert_eq!(joined, stream);
        }
    }

    #[test]
    fn idle_at_any_time_loses_nothing(
        stream in stream(),
        cuts in vec((any::<Index>(), any::<bool>()), 0..40),
    ) {
        let expected: Vec<u8> =
            chunks([&stream[..]]).0.iter().flat_map(|c| c.payload.to_vec()).collect();
        let (cuts, dry): (Vec<_>, Vec<_>) = cuts.into_iter().unzip();
        let mut chunker = Chunker::new();
        let mut joined = Vec::new();
        for (i, part) in parts(&stream, &cuts).into_iter().enumerate() {
            chunker.push(Bytes::copy_from_slice(part));
            while let Some(chunk) = chunker.next_chunk() {
                joined.extend_from_slice(&chunk.payload);
            }
            if dry.get(i) == Some(&true) {
                while let Some(chunk) = chunker.idle() {
                    prop_assert!(chunk.complete);
                    joined.extend_from_slice(&chunk.payload);
                }
            }
        }
        while let Some(chunk) = chunker.finish() {
            joined.extend_from_slice(&chunk.payload);
        }
        prop_assert_eq!(joined, expected);
    }

    #[test]
    fn no_chunk_passes_the_limit(stream in stream(), packets in 1..40_usize) {
        let mut chunker = Chunker::with_max_chunk(packets * PACKET_SIZE);
        chunker.push(stream.into());
        while let Some(chunk) = chunker.finish() {
            prop_assert!(!chunk.payload.is_empty() && chunk.packets() <= packets);
        }
    }

    #[test]
    fn a_checker_survives_anything(stream in stream(), cuts in vec(any::<Index>(), 0..10)) {
        let mut checker = Checker::new();
        for part in parts(&stream, &cuts) {
            checker.push(Bytes::copy_from_slice(part));
        }
        let report = checker.finish();
        prop_assert_eq!(report.bytes, stream.len() as u64);
        prop_assert!(report.key_pictures <= report.pictures);
    }

    #[test]
    fn parameter_sets_of_any_bytes_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..120),
        extension in proptest::option::of(vec(any::<u8>(), 0..12)),
    ) {
        for format in [
            h264::parse_sps(&bytes),
            h265::parse_sps(&bytes),
            mpeg12::parse_sequence(&bytes, extension.as_deref()),
        ].into_iter().flatten() {
            prop_assert!((1..=16_384).contains(&format.width));
            prop_assert!((1..=16_384).contains(&format.height));
            prop_assert!(format.fps.is_none_or(|fps| fps > 0.0 && fps <= 1000.0));
        }
    }
}
