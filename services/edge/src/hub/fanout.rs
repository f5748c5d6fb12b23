//! Brings new frames to all viewers of a hub: through their lanes, or by waking their tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::lane::Batch;
use super::{Hub, Slot, lock};
use crate::clock::unix_ns;
use crate::metrics::EdgeMetrics;

/// Viewers served in one go: about a quarter of a millisecond, in which no other task runs.
const GO: usize = 64;

/// Viewers from which on all workers send.
const MANY: usize = 512;

/// One round over all viewers.
struct Round {
    hub: Arc<Hub>,
    metrics: Arc<EdgeMetrics>,
    /// Nothing for lanes: every task is woken.
    batch: Option<Batch>,
    /// Places of viewers when it began; who came since sees the frames without being told.
    places: usize,
    /// Where it starts, so that no viewer is always the last.
    start: usize,
    /// Places given to a worker.
    given: AtomicUsize,
}

/// Tells every viewer that there are new frames, and returns when all of them know.
pub(super) async fn round(hub: &Arc<Hub>, metrics: &Arc<EdgeMetrics>, batch: Option<Batch>) {
    let round = Round {
        hub: Arc::clone(hub),
        metrics: Arc::clone(metrics),
        batch,
        places: lock(&hub.slots).capacity(),
        start: hub.turn.fetch_add(GO, Ordering::Relaxed),
        given: AtomicUsize::new(0),
    };
    let workers = Handle::current().metrics().num_workers();
    if workers == 1 || hub.viewers() < MANY {
        return round.work().await;
    }
    let round = Arc::new(round);
    // They end within the round; a feed that is dropped in it takes them along.
    let mut others = JoinSet::new();
    for _ in 1..workers {
        let round = Arc::clone(&round);
        others.spawn(async move { round.work().await });
    }
    round.work().await;
    while others.join_next().await.is_some() {}
}

impl Round {
    /// Serves viewers until none is left to be served.
    async fn work(&self) {
        let mut slots = Vec::with_capacity(GO.min(self.places));
        let mut tally = Tally::default();
        loop {
            let from = self.given.fetch_add(GO, Ordering::Relaxed);
            self.viewers(from, &mut slots);
            for slot in slots.drain(..) {
                self.serve(&slot, &mut tally);
            }
            tally.flush(self);
            if from + GO >= self.places {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn viewers(&self, from: usize, into: &mut Vec<Arc<Slot>>) {
        let slots = lock(&self.hub.slots);
        let places = from..self.places.min(from + GO);
        let at = |place| slots.get((self.start + place) % self.places);
        into.extend(places.filter_map(at).cloned());
    }

    fn serve(&self, slot: &Slot, tally: &mut Tally) {
        let Some(batch) = &self.batch else {
            return slot.waker.wake();
        };
        // A task that has its lane in hand sees the new frames itself when it is woken.
        let mut lent = slot.lane.try_lock();
        let Some(lane) = lent.as_mut().ok().and_then(|lent| lent.as_mut()) else {
            drop(lent);
            return slot.waker.wake();
        };
        let (written, goes_on) = lane.write(batch);
        drop(lent);
        if !goes_on {
            slot.waker.wake();
        }
        if written == 0 {
            return;
        }
        let now = unix_ns();
        for frame in &batch.frames[..written] {
            tally.chunks += 1;
            tally.bytes += frame.payload_len();
            tally.packets += frame.packets();
            if frame.live {
                tally.latencies.push(now.saturating_sub(frame.time));
            }
        }
    }
}

/// What was written, to be counted in one go: the counters are shared by all workers.
#[derive(Default)]
struct Tally {
    chunks: u64,
    bytes: u64,
    packets: u64,
    /// Nanoseconds since ingest.
    latencies: Vec<u64>,
}

impl Tally {
    fn flush(&mut self, round: &Round) {
        if self.chunks == 0 {
            return;
        }
        let metrics = &round.hub.metrics;
        metrics.sent_chunks.inc_by(std::mem::take(&mut self.chunks));
        metrics.sent_bytes.inc_by(std::mem::take(&mut self.bytes));
        metrics
            .sent_ts_packets
            .inc_by(std::mem::take(&mut self.packets));
        let delivery = round.metrics.delivery_latency.local();
        for latency in self.latencies.drain(..) {
            delivery.observe(latency as f64 / 1e9);
        }
        delivery.flush();
    }
}
