//! What ingest pays for cutting a stream: `cargo bench -p fanlight-mpegts`. Prints allocations too.
#![allow(missing_docs, reason = "criterion's macros write public items")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanlight_mpegts::{Aligner, Chunker, PACKET_SIZE, Packet};

/// What ingest reads from ffmpeg's stdout at a time, at most.
const READ: usize = 64 << 10;

const STREAMS: [(&str, &[u8]); 3] = [
    ("h264", include_bytes!("../tests/captures/h264.ts")),
    ("h265", include_bytes!("../tests/captures/h265.ts")),
    ("mpeg1", include_bytes!("../tests/captures/mpeg1.ts")),
];

fn reads(stream: &'static [u8]) -> Vec<Bytes> {
    stream.chunks(READ).map(Bytes::from_static).collect()
}

fn chunks(reads: &[Bytes]) -> u64 {
    let mut chunker = Chunker::new();
    let mut chunks = 0;
    for read in reads {
        chunker.push(read.clone());
        while chunker.next_chunk().is_some() {
            chunks += 1;
        }
    }
    while chunker.finish().is_some() {
        chunks += 1;
    }
    chunks
}

fn packets(stream: &[u8]) -> usize {
    stream
        .chunks_exact(PACKET_SIZE)
        .filter_map(|bytes| Packet::new(bytes)?.payload())
        .map(<[u8]>::len)
        .sum()
}

fn align(reads: &[Bytes]) -> usize {
    let mut aligner = Aligner::new();
    let mut bytes = 0;
    for read in reads {
        aligner.push(read.clone());
        while let Some(run) = aligner.next_run() {
            bytes += run.len();
        }
    }
    bytes
}

fn bench(c: &mut Criterion) {
    for (name, stream) in STREAMS {
        let reads = reads(stream);
        let mut count = 0;
        let allocations = allocation_counter::measure(|| count = chunks(&reads));
        println!(
            "chunker/{name}: {count} chunks of {} bytes, {:.2} allocations and {:.0} bytes allocated each",
            stream.len() as u64 / count,
            allocations.count_total as f64 / count as f64,
            allocations.bytes_total as f64 / count as f64,
        );
        let mut group = c.benchmark_group("mpegts");
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(format!("chunker/{name}"), |b| b.iter(|| chunks(&reads)));
        group.bench_function(format!("packets/{name}"), |b| b.iter(|| packets(stream)));
        group.bench_function(format!("aligner/{name}"), |b| b.iter(|| align(&reads)));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
