//! The chunker on any bytes: no panic, no byte lost, and no difference how the input is split.
//!
//! The first two bytes say how it is split, the rest is the stream.

#![no_main]

use bytes::Bytes;
use fanlight_mpegts::{Checker, Chunker, PACKET_SIZE, RawChunk};
use libfuzzer_sys::fuzz_target;

fn chunks(parts: &[&[u8]]) -> (Vec<RawChunk>, Chunker) {
    let mut chunker = Chunker::new();
    let mut chunks = Vec::new();
    for part in parts {
        chunker.push(Bytes::copy_from_slice(part));
        chunks.extend(std::iter::from_fn(|| chunker.next_chunk()));
    }
    chunks.extend(std::iter::from_fn(|| chunker.finish()));
    (chunks, chunker)
}

fuzz_target!(|input: &[u8]| {
    let Some((split, stream)) = input.split_at_checked(2) else {
        return;
    };
    let step = usize::from(u16::from_be_bytes([split[0], split[1]])) + 1;
    let parts: Vec<_> = stream.chunks(step).collect();

    let (whole, once) = chunks(&[stream]);
    let (split, again) = chunks(&parts);
    assert_eq!(whole, split);
    assert_eq!(once.errors(), again.errors());
    assert_eq!(once.diagnosis(), again.diagnosis());

    let bytes: usize = whole.iter().map(|chunk| chunk.payload.len()).sum();
    assert_eq!(bytes as u64 + once.skipped_bytes(), stream.len() as u64);
    assert_eq!(bytes as u64, once.packets() * PACKET_SIZE as u64);
    let mut rest = stream;
    for packet in whole
        .iter()
        .flat_map(|chunk| chunk.payload.chunks(PACKET_SIZE))
    {
        // Skipped bytes are rare: nearly always the packet is right here.
        let at = rest
            .windows(PACKET_SIZE)
            .position(|window| window == packet);
        rest = &rest[at.expect("a packet that did not come in") + PACKET_SIZE..];
    }

    let mut checker = Checker::new();
    for part in parts {
        checker.push(Bytes::copy_from_slice(part));
    }
    let report = checker.finish();
    assert_eq!(report.packets, once.packets());
    assert!(report.key_pictures <= report.pictures);
});
