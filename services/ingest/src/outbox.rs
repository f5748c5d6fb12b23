//! Messages that wait for the broker, bounded in bytes.
//!
//! The reader of ffmpeg's output never waits: [`Outbox::offer`] takes everything and, over
//! the budget, drops whole GOPs, oldest first. A viewer then sees a short freeze and a clean
//! key picture, never a smear. Without a broker only the newest GOP is kept: it is what
//! everybody wants when the broker is back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fanlight_bus::Chunk;
use tokio::sync::Notify;

/// Why a message was not sent; label set of `dropped_chunks_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The broker is slower than the camera.
    Overflow,
    /// There is no broker.
    Disconnected,
    /// The broker takes smaller messages than it said.
    TooLarge,
    /// ffmpeg ended inside a picture.
    Incomplete,
}

impl DropReason {
    /// Every reason, so that counters can start at 0.
    pub const ALL: [Self; 4] = [
        Self::Overflow,
        Self::Disconnected,
        Self::TooLarge,
        Self::Incomplete,
    ];

    /// The word used in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Disconnected => "disconnected",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
        }
    }
}

/// The queue, shared by the reader (one) and the sender (one).
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug)]
struct Queue {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    budget: usize,
    connected: bool,
    /// A GOP was cut: what follows is useless until the next one starts.
    skipping: bool,
}

impl Outbox {
    /// An empty queue for at most `budget` bytes of payload.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                chunks: VecDeque::new(),
                bytes: 0,
                budget,
                connected: true,
                skipping: false,
            }),
            filled: Notify::new(),
        }
    }

    // No code panics while it holds the lock, so the queue is always whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message; returns how many were dropped to keep within the budget, and why.
    pub fn offer(&self, chunk: Chunk) -> Option<(DropReason, usize)> {
        let mut queue = self.lock();
        let reason = queue.reason();
        let dropped = queue.offer(chunk);
        drop(queue);
        self.filled.notify_one();
        (dropped > 0).then_some((reason, dropped))
    }

    /// The oldest message, as soon as there is one. Cancel-safe.
    pub async fn next(&self) -> Chunk {
        loop {
            if let Some(chunk) = self.lock().pop() {
                return chunk;
            }
            self.filled.notified().await;
        }
    }

    /// Gives back a message that [`next`](Self::next) returned and the broker did not take.
    /// False when it has become useless, because what follows it was dropped.
    pub fn put_back(&self, chunk: Chunk) -> bool {
        self.lock().put_back(chunk)
    }

    /// Says whether there is a broker.
    pub fn set_connected(&self, connected: bool) {
        self.lock().connected = connected;
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Queue {
    fn reason(&self) -> DropReason {
        if self.connected {
            DropReason::Overflow
        } else {
            DropReason::Disconnected
        }
    }

    /// Whether a GOP or a run starts at `index`.
    fn starts_gop(&self, index: usize) -> bool {
        let Some(chunk) = self.chunks.get(index) else {
            return false;
        };
        let previous = index.checked_sub(1).and_then(|i| self.chunks.get(i));
        chunk.key || previous.is_some_and(|previous| previous.run != chunk.run)
    }

    fn offer(&mut self, chunk: Chunk) -> usize {
        if self.skipping && !chunk.key {
            return 1;
        }
        self.skipping = false;
        self.bytes += chunk.payload.len();
        self.chunks.push_back(chunk);
        let newest = self.chunks.len() - 1;
        let mut dropped = 0;
        if !self.connected && self.starts_gop(newest) {
            dropped += self.drop_range(0, newest);
        }
        while self.bytes > self.budget {
            dropped += self.drop_oldest_gop();
            if self.skipping {
                break;
            }
        }
        dropped
    }

    /// Drops up to the next GOP. The rest of a picture whose first parts have left stays:
    /// a reader that has the beginning must get the end.
    fn drop_oldest_gop(&mut self) -> usize {
        let left_parts = self
            .chunks
            .iter()
            .take_while(|c| !c.starts_picture())
            .count();
        let next = (left_parts + 1..self.chunks.len()).find(|i| self.starts_gop(*i));
        match next {
            Some(next) => self.drop_range(left_parts, next),
            None => {
                self.skipping = true;
                self.drop_range(left_parts, self.chunks.len())
            }
        }
    }

    fn drop_range(&mut self, from: usize, to: usize) -> usize {
        let freed: usize = self.chunks.drain(from..to).map(|c| c.payload.len()).sum();
        self.bytes -= freed;
        to - from
    }

    fn pop(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.payload.len();
        Some(chunk)
    }

    fn put_back(&mut self, chunk: Chunk) -> bool {
        let follows = match self.chunks.front() {
            Some(front) => front.run == chunk.run && front.seq == chunk.seq + 1,
            None => !self.skipping,
        };
        if follows {
            self.bytes += chunk.payload.len();
            self.chunks.push_front(chunk);
        }
        follows
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanlight_bus::{Part, RunId};

    use super::*;

    const SIZE: usize = 188;

    fn run(n: u32) -> RunId {
        format!("170000000000{n}-a-1").parse().unwrap()
    }

    fn chunk(seq: u64, key: bool) -> Chunk {
        Chunk {
            run: run(1),
            seq,
            time: 0,
            key,
            part: None,
            codec: None,
            video: None,
            traceparent: None,
            payload: Bytes::from_static(&[0x47; SIZE]),
        }
    }

    fn part(seq: u64, key: bool, index: u32, count: u32) -> Chunk {
        Chunk {
            part: Some(Part { index, count }),
            ..chunk(seq, key)
        }
    }

    fn outbox(chunks: usize) -> Outbox {
        Outbox::new(chunks * SIZE)
    }

    fn seqs(outbox: &Outbox) -> Vec<u64> {
        outbox.lock().chunks.iter().map(|c| c.seq).collect()
    }

    #[test]
    fn drops_whole_gops_oldest_first() {
        let outbox = outbox(6);
        for seq in 0..6 {
            assert_eq!(outbox.offer(chunk(seq, seq % 3 == 0)), None);
        }
        assert_eq!(
            outbox.offer(chunk(6, true)),
            Some((DropReason::Overflow, 3))
        );
        assert_eq!(seqs(&outbox), [3, 4, 5, 6]);
        assert_eq!(outbox.bytes(), 4 * SIZE);
    }

    #[test]
    fn a_gop_larger_than_the_budget_is_left_out_to_its_end() {
        let outbox = outbox(3);
        for seq in 0..3 {
            outbox.offer(chunk(seq, seq == 0));
        }
        assert_eq!(
            outbox.offer(chunk(3, false)),
            Some((DropReason::Overflow, 4))
        );
        assert_eq!(
            outbox.offer(chunk(4, false)),
            Some((DropReason::Overflow, 1))
        );
        assert_eq!((seqs(&outbox), outbox.bytes()), (vec![], 0));
        assert_eq!(outbox.offer(chunk(5, true)), None);
        assert_eq!(seqs(&outbox), [5]);
    }

    #[tokio::test]
    async fn a_picture_that_has_begun_to_leave_is_finished() {
        let outbox = outbox(4);
        for seq in 0..3 {
            outbox.offer(part(seq, seq == 0, seq as u32 + 1, 3));
        }
        assert_eq!(outbox.next().await.seq, 0);
        for seq in 3..6 {
            outbox.offer(chunk(seq, seq == 4));
        }
        assert_eq!(
            seqs(&outbox),
            [1, 2, 4, 5],
            "parts 2 and 3 stay, picture 3 goes"
        );
    }

    #[test]
    fn without_a_broker_only_the_newest_gop_is_kept() {
        let outbox = outbox(100);
        outbox.set_connected(false);
        for seq in 0..12 {
            outbox.offer(chunk(seq, seq % 5 == 0));
        }
        assert_eq!(seqs(&outbox), [10, 11]);
        let next_run = Chunk {
            run: run(2),
            ..chunk(0, false)
        };
        assert_eq!(outbox.offer(next_run), Some((DropReason::Disconnected, 2)));
        assert_eq!(seqs(&outbox), [0]);
    }

    #[tokio::test]
    async fn what_was_not_taken_goes_back_unless_it_is_useless() {
        let outbox = outbox(100);
        outbox.offer(chunk(0, true));
        outbox.offer(chunk(1, false));
        let first = outbox.next().await;
        assert!(outbox.put_back(first));
        assert_eq!(seqs(&outbox), [0, 1]);
        let first = outbox.next().await;
        outbox.set_connected(false);
        outbox.offer(chunk(2, true));
        assert!(!outbox.put_back(first), "its GOP is gone");
        assert_eq!((seqs(&outbox), outbox.bytes()), (vec![2], SIZE));
    }

    #[tokio::test(start_paused = true)]
    async fn next_waits_for_an_offer() {
        let outbox = std::sync::Arc::new(outbox(100));
        let reader = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.next().await.seq }
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(!reader.is_finished());
        outbox.offer(chunk(7, true));
        assert_eq!(reader.await.unwrap(), 7);
    }
}
