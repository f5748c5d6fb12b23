//! What the edge pays before the socket, once a chunk and once a viewer: `cargo bench -p
//! fanlight-edge`. Prints allocations too. What the kernel adds is in `make bench`.
#![allow(missing_docs, reason = "criterion's macros write public items")]
#![allow(clippy::unwrap_used, reason = "not part of the product")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanlight_bus::Chunk;
use fanlight_edge::hub::{Cursor, Frame, Ring};
use fanlight_edge::ws::outbox::Outbox;
use tokio::time::Instant;

/// Pictures of a small, a usual and a 4K stream, in TS packets.
const SIZES: [usize; 3] = [5, 36, 1400];

fn chunk(packets: usize, seq: u64) -> Chunk {
    let key = seq.is_multiple_of(30);
    Chunk {
        run: "1767225600000-a-0".parse().unwrap(),
        seq,
        time: 0,
        key,
        part: None,
        codec: key.then(|| "avc1.42C01E".into()),
        video: None,
        traceparent: None,
        payload: Bytes::from(vec![0x47; packets * 188]),
    }
}

/// A ring in its steady state: one GOP is in, so each push lets go of an old frame.
fn full_ring(chunk: &Chunk) -> Ring {
    let mut ring = Ring::new(64 * (chunk.payload.len() + 16));
    for _ in 0..200 {
        push(&mut ring, chunk);
    }
    ring
}

fn push(ring: &mut Ring, chunk: &Chunk) {
    ring.push(Frame::new(ring.next(), chunk, 0, Instant::now()));
}

/// One viewer with what waits for its socket.
struct Viewer {
    cursor: Cursor,
    outbox: Outbox,
}

fn crowd(ring: &Ring, viewers: usize) -> Vec<Viewer> {
    let now = Instant::now();
    let mut crowd: Vec<_> = (0..viewers)
        .map(|_| Viewer {
            cursor: Cursor::join(ring, now),
            outbox: Outbox::default(),
        })
        .collect();
    serve(ring, &mut crowd, now);
    crowd
}

/// Every viewer takes what is new, and a socket that takes everything is imitated.
fn serve(ring: &Ring, crowd: &mut [Viewer], now: Instant) {
    for Viewer { cursor, outbox } in crowd {
        cursor.catch_up(ring, now);
        cursor.take(ring, usize::MAX, |frame| outbox.media(Arc::clone(frame)));
        let waiting = outbox.remaining();
        outbox.written(waiting, |frame| {
            black_box(frame);
        });
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    for packets in SIZES {
        let chunk = chunk(packets, 1);
        let now = Instant::now();
        let made = allocation_counter::measure(|| drop(Frame::new(1, &chunk, 0, now)));
        println!(
            "frame/{packets} packets: {} allocations, {} bytes",
            made.count_total, made.bytes_total
        );
        group.throughput(Throughput::Bytes(chunk.payload.len() as u64));
        group.bench_function(BenchmarkId::new("new", packets), |b| {
            b.iter(|| Frame::new(1, &chunk, 0, now));
        });
    }
    group.finish();

    let usual = chunk(36, 1);
    let mut group = c.benchmark_group("ring");
    let mut ring = full_ring(&usual);
    group.bench_function("push", |b| b.iter(|| push(&mut ring, &usual)));
    for viewers in [1, 100, 1000] {
        let mut ring = full_ring(&chunk(36, 0));
        let mut crowd = crowd(&ring, viewers);
        let costs = allocation_counter::measure(|| {
            push(&mut ring, &usual);
            serve(&ring, &mut crowd, Instant::now());
        });
        println!(
            "ring/serve {viewers} viewers: {} allocations for the chunk and all of them",
            costs.count_total
        );
        group.throughput(Throughput::Elements(viewers as u64));
        group.bench_function(BenchmarkId::new("serve", viewers), |b| {
            b.iter(|| {
                push(&mut ring, &usual);
                serve(&ring, &mut crowd, Instant::now());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
