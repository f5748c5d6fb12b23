//! What a picture costs in allocations: a fixed number for the chunk, whatever its size, and
//! none for a viewer.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use allocation_counter::measure;
use bytes::{Buf, Bytes};
use fanlight_bus::Chunk;
use fanlight_edge::hub::{Cursor, Frame, Ring};
use fanlight_edge::ws::outbox::Outbox;
use tokio::time::Instant;

/// The WebSocket frame with its copy of the payload.
const FRAME: u64 = 1;
/// The ring's share of it, for all viewers.
const PUSH: u64 = 1;

fn chunk(packets: usize, key: bool) -> Chunk {
    Chunk {
        run: "1767225600000-a-0".parse().unwrap(),
        seq: 1,
        time: 0,
        key,
        part: None,
        codec: key.then(|| "avc1.42C01E".into()),
        video: None,
        traceparent: None,
        payload: Bytes::from(vec![0x47; packets * 188]),
    }
}

fn push(ring: &mut Ring, chunk: &Chunk) {
    ring.push(Frame::new(ring.next(), chunk, 0, Instant::now()));
}

/// A ring so full that a push evicts: nothing has to grow.
fn full_ring() -> Ring {
    let mut ring = Ring::new(64 * 188 * 36);
    for _ in 0..20 {
        push(&mut ring, &chunk(36, true));
        (0..9).for_each(|_| push(&mut ring, &chunk(36, false)));
    }
    ring
}

#[test]
fn a_frame_costs_the_same_whatever_its_size() {
    let now = Instant::now();
    for packets in [1, 36, 1_400, 20_000] {
        for key in [true, false] {
            let chunk = chunk(packets, key);
            let mut frame = None;
            let info = measure(|| frame = Some(Frame::new(0, &chunk, 0, now)));
            println!("{packets} packets: {info:?}");
            assert_eq!(info.count_total, FRAME, "{packets} packets: {info:?}");
            // One copy of the payload, and little else.
            let payload = (packets * 188) as u64;
            assert!(info.bytes_total >= payload, "{info:?}");
            assert!(info.bytes_total <= payload + 256, "{info:?}");
        }
    }
}

#[test]
fn a_viewer_costs_no_allocation() {
    let mut per_crowd = Vec::new();
    for viewers in [0, 1, 1_000] {
        let mut ring = full_ring();
        let now = Instant::now();
        let mut crowd: Vec<_> = (0..viewers)
            .map(|_| (Cursor::join(&ring, now), Outbox::default()))
            .collect();
        let mut served = 0;
        let mut serve = |ring: &Ring| {
            for (cursor, outbox) in &mut crowd {
                cursor.catch_up(ring, now);
                cursor.take(ring, usize::MAX, |frame| outbox.media(Arc::clone(frame)));
                outbox.written(outbox.remaining(), |_| served += 1);
            }
        };
        serve(&ring); // the GOP that they join with
        let picture = chunk(36, false);
        let info = measure(|| {
            for _ in 0..10 {
                push(&mut ring, &picture);
                serve(&ring);
            }
        });
        println!("{viewers} viewers: {info:?}");
        assert!(served >= 10 * viewers, "{served}");
        per_crowd.push(info.count_total);
    }
    assert_eq!(per_crowd[0], 10 * (FRAME + PUSH), "{per_crowd:?}");
    assert!(
        per_crowd.iter().all(|&n| n == per_crowd[0]),
        "{per_crowd:?}"
    );
}
