//! A chunk that lies in one read is a slice of it: cutting a stream costs a few allocations a
//! picture, whatever its size, and copies no video.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use fanlight_mpegts::Chunker;

const H264: &[u8] = include_bytes!("captures/h264.ts");
const BIG: &[u8] = include_bytes!("captures/h264_big.ts");

/// Cuts a stream that comes in reads of `read` bytes. Returns chunks and allocations.
fn cut(stream: &'static [u8], read: usize) -> (u64, AllocationInfo) {
    let reads: Vec<Bytes> = stream.chunks(read).map(Bytes::from_static).collect();
    let mut chunks = 0;
    let info = allocation_counter::measure(|| {
        let mut chunker = Chunker::new();
        for read in &reads {
            chunker.push(read.clone());
            while chunker.next_chunk().is_some() {
                chunks += 1;
            }
        }
        while chunker.finish().is_some() {
            chunks += 1;
        }
    });
    println!("reads of {read}: {chunks} chunks, {info:?}");
    (chunks, info)
}

#[test]
fn a_stream_in_one_piece_is_not_copied() {
    for stream in [H264, BIG] {
        let (chunks, info) = cut(stream, stream.len());
        let len = stream.len() as u64;
        assert!(info.bytes_total < len / 2, "{} of {len}", info.bytes_total);
        assert!(info.count_total <= 16 + 8 * chunks, "{}", info.count_total);
    }
}

#[test]
fn small_reads_cost_at_most_one_copy() {
    for read in [188 * 7, 4096, 64 << 10] {
        let (_, info) = cut(H264, read);
        let len = H264.len() as u64;
        // Growing by doubling allocates a chunk's size twice.
        assert!(info.bytes_total < 5 * len / 2, "{}", info.bytes_total);
    }
}

#[test]
fn nothing_stays_allocated() {
    let (_, info) = cut(H264, 4096);
    assert_eq!((info.count_current, info.bytes_current), (0, 0));
}
