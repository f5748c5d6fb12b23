//! The newest frames of one stream: cache for who joins and queue for who watches, in one.
//!
//! Keeps the newest GOP and two seconds before it, within a limit of bytes. A GOP that outgrows
//! the limit loses its start, so that joiners wait for the next key chunk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Frame;

/// Frames before the newest key chunk are kept this long, for viewers that are a little late;
/// who is later skips to the key chunk anyway.
const HISTORY: Duration = Duration::from_secs(2);

/// With no frame for this long the stream has stopped, and who joins waits for a new picture
/// instead of getting an old one.
const STALE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct Ring {
    frames: VecDeque<Arc<Frame>>,
    /// Positions of the key frames in `frames`.
    keys: VecDeque<u64>,
    /// Position of the next frame.
    next: u64,
    bytes: usize,
    cap: usize,
}

impl Ring {
    /// An empty ring of at most `cap` bytes. A single frame may be larger.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            keys: VecDeque::new(),
            next: 0,
            bytes: 0,
            cap,
        }
    }

    /// Position that the next frame gets.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Position of the oldest frame.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.next - self.frames.len() as u64
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The frame at a position, if it is still there.
    #[must_use]
    pub fn get(&self, pos: u64) -> Option<&Arc<Frame>> {
        let index = pos.checked_sub(self.first())?;
        self.frames.get(usize::try_from(index).ok()?)
    }

    /// Position of the newest key frame; all since it is there too.
    #[must_use]
    pub fn newest_key(&self) -> Option<u64> {
        self.keys.back().copied()
    }

    /// Where somebody who joins now starts; `None` when they must wait for the next key frame.
    #[must_use]
    pub fn start(&self, now: Instant) -> Option<u64> {
        let last = self.frames.back()?;
        let fresh = now.saturating_duration_since(last.arrived) < STALE;
        self.newest_key().filter(|_| fresh)
    }

    /// Adds a frame made for position [`next`](Self::next) and lets go of old ones.
    ///
    /// # Panics
    /// The frame was made for another position.
    pub fn push(&mut self, frame: Frame) {
        assert_eq!(frame.pos, self.next, "frame for another place");
        if frame.key {
            self.keys.push_back(frame.pos);
        }
        let now = frame.arrived;
        self.bytes += frame.wire().len();
        self.next += 1;
        self.frames.push_back(Arc::new(frame));
        while self.frames.len() > 1 {
            let Some(oldest) = self.frames.front() else {
                break;
            };
            let before_newest_gop = self.newest_key().is_none_or(|key| oldest.pos < key);
            let old = now.saturating_duration_since(oldest.arrived) > HISTORY;
            if !(self.bytes > self.cap || (before_newest_gop && old)) {
                break;
            }
            self.evict();
        }
    }

    fn evict(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.wire().len();
            if self.keys.front() == Some(&frame.pos) {
                self.keys.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{KEY, frame};
    use super::*;

    fn filled(cap: usize, kinds: &[bool]) -> Ring {
        let mut ring = Ring::new(cap);
        for &key in kinds {
            let frame = frame(ring.next(), key);
            ring.push(frame);
        }
        ring
    }

    #[tokio::test(start_paused = true)]
    async fn joiners_start_at_the_newest_key() {
        let ring = filled(1 << 20, &[true, false, false, true, false]);
        assert_eq!(ring.start(Instant::now()), Some(3));
        assert_eq!(ring.get(4).unwrap().pos, 4);
        assert!(ring.get(5).is_none());
        assert_eq!(Ring::new(10).start(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn old_gops_go_first_and_the_newest_stays() {
        let one = frame(0, true).wire().len();
        let mut ring = filled(one * 4, &[true, false, true, false, false]);
        assert_eq!(ring.first(), 1);
        assert_eq!(ring.newest_key(), Some(2));
        assert_eq!(ring.bytes(), one * 4);
        tokio::time::advance(HISTORY + Duration::from_millis(1)).await;
        let next = frame(ring.next(), false);
        ring.push(next);
        assert_eq!(
            ring.first(),
            2,
            "before the newest key only two seconds are kept"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_gop_that_outgrows_the_cap_is_not_replayed() {
        let one = frame(0, true).wire().len();
        let mut ring = filled(one * 3, &[true, false, false, false]);
        assert_eq!(ring.newest_key(), None);
        assert_eq!(ring.start(Instant::now()), None);
        assert_eq!(ring.bytes(), one * 3);
        let key = frame(ring.next(), KEY);
        ring.push(key);
        assert_eq!(ring.start(Instant::now()), Some(4));
    }

    #[tokio::test(start_paused = true)]
    async fn one_frame_may_be_larger_than_the_cap() {
        let ring = filled(1, &[true]);
        assert_eq!(ring.start(Instant::now()), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_stopped_is_not_replayed() {
        let ring = filled(1 << 20, &[true, false]);
        tokio::time::advance(STALE).await;
        assert_eq!(ring.start(Instant::now()), None);
    }
}
