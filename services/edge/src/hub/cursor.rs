//! Where one viewer stands in the ring. All that a viewer costs, so a slow one harms nobody.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Frame, Ring};

/// A viewer this far behind jumps to the newest key chunk. Above the jitter of a mobile link,
/// below what a person takes for frozen.
pub const MAX_LAG: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Cursor {
    /// Next position to take; `None` while waiting for a key frame at or after `not_before`.
    next: Option<u64>,
    not_before: u64,
    /// The last frame taken was not the end of its picture.
    mid_picture: bool,
    /// A replay is not a delay: lag counts from here at the earliest.
    joined: Instant,
}

impl Cursor {
    /// A viewer that joins now: at the newest key frame, else at the next one to come.
    #[must_use]
    pub fn join(ring: &Ring, now: Instant) -> Self {
        Self {
            next: ring.start(now),
            not_before: ring.next(),
            mid_picture: false,
            joined: now,
        }
    }

    /// Whether a picture was begun and not ended: take more whatever waits already.
    #[must_use]
    pub fn mid_picture(&self) -> bool {
        self.mid_picture
    }

    /// Goes on at a position up to which somebody else took the frames.
    pub fn resume(&mut self, next: u64, mid_picture: bool) {
        self.next = Some(next);
        self.mid_picture = mid_picture;
    }

    /// Whether it waits for a key frame.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.next.is_none()
    }

    /// Whether everything before a position was taken.
    #[must_use]
    pub fn is_at(&self, head: u64) -> bool {
        self.next == Some(head)
    }

    /// Takes frames in order until `bytes` are passed at the end of a picture. Call
    /// [`catch_up`](Self::catch_up) first.
    pub fn take(&mut self, ring: &Ring, bytes: usize, mut give: impl FnMut(&Arc<Frame>)) {
        let Some(mut pos) = self.next else { return };
        let mut taken = 0;
        while let Some(frame) = ring.get(pos) {
            // After a gap the rest of a picture never comes; a key frame is always a start.
            if taken >= bytes && (!self.mid_picture || frame.key) {
                break;
            }
            taken += frame.wire().len();
            self.mid_picture = !frame.ends_picture;
            give(frame);
            pos += 1;
        }
        self.next = Some(pos);
    }

    /// Whether the viewer should leave out what it has not got, `oldest` being the first frame
    /// that its socket has not taken: it is late and there is a newer key frame.
    #[must_use]
    pub fn is_late(&self, ring: &Ring, oldest: &Frame, now: Instant) -> bool {
        let since = oldest.arrived.max(self.joined);
        now.saturating_duration_since(since) > MAX_LAG
            && ring.newest_key().is_some_and(|key| key > oldest.pos)
    }

    /// Continues at the newest key frame, everything from `first` on being left out. Returns
    /// how many frames that are.
    pub fn skip_from(&mut self, ring: &Ring, first: u64) -> u64 {
        self.mid_picture = false;
        let target = ring.newest_key().filter(|&key| key >= first);
        self.next = target;
        self.not_before = ring.next();
        target.unwrap_or(ring.next()).saturating_sub(first)
    }

    /// Goes to the newest key frame when the viewer is late, waited for one, or its place is
    /// gone. Returns how many frames are left out by that.
    pub fn catch_up(&mut self, ring: &Ring, now: Instant) -> u64 {
        let Some(pos) = self.next else {
            self.next = ring.newest_key().filter(|&key| key >= self.not_before);
            return 0;
        };
        match ring.get(pos) {
            Some(frame) if !self.mid_picture && self.is_late(ring, frame, now) => {
                self.skip_from(ring, pos)
            }
            Some(_) => 0,
            None if pos >= ring.next() => 0,
            None => self.skip_from(ring, pos), // evicted
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, part};
    use super::*;

    fn ring() -> Ring {
        Ring::new(1 << 20)
    }

    fn push(ring: &mut Ring, key: bool) {
        let frame = frame(ring.next(), key);
        ring.push(frame);
    }

    fn take(cursor: &mut Cursor, ring: &Ring, bytes: usize) -> (u64, Vec<u64>) {
        let mut got = Vec::new();
        let skipped = cursor.catch_up(ring, Instant::now());
        cursor.take(ring, bytes, |f| got.push(f.pos));
        (skipped, got)
    }

    #[tokio::test(start_paused = true)]
    async fn replays_since_the_newest_key_then_follows() {
        let mut ring = ring();
        for key in [true, false, true, false] {
            push(&mut ring, key);
        }
        let mut cursor = Cursor::join(&ring, Instant::now());
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![2, 3]));
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![]));
        push(&mut ring, false);
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![4]));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_a_key_frame() {
        let mut ring = ring();
        let mut cursor = Cursor::join(&ring, Instant::now());
        push(&mut ring, false);
        assert!(cursor.is_waiting());
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![]));
        push(&mut ring, true);
        push(&mut ring, false);
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![1, 2]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_viewer_jumps_to_the_newest_key_and_a_prompt_one_does_not() {
        let mut ring = ring();
        push(&mut ring, true);
        let mut late = Cursor::join(&ring, Instant::now());
        let mut prompt = Cursor::join(&ring, Instant::now());
        take(&mut late, &ring, usize::MAX);
        take(&mut prompt, &ring, usize::MAX);
        for _ in 0..3 {
            push(&mut ring, false);
        }
        push(&mut ring, true);
        push(&mut ring, false);
        assert_eq!(
            take(&mut prompt, &ring, usize::MAX),
            (0, vec![1, 2, 3, 4, 5])
        );
        tokio::time::advance(MAX_LAG + Duration::from_millis(1)).await;
        assert_eq!(take(&mut late, &ring, usize::MAX), (3, vec![4, 5]));
    }

    #[tokio::test(start_paused = true)]
    async fn late_without_a_newer_key_goes_on_in_order() {
        let mut ring = ring();
        push(&mut ring, true);
        let mut cursor = Cursor::join(&ring, Instant::now());
        push(&mut ring, false);
        tokio::time::advance(MAX_LAG * 3).await;
        push(&mut ring, false);
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![0, 1, 2]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_is_no_lag() {
        let mut ring = ring();
        push(&mut ring, true);
        tokio::time::advance(MAX_LAG * 2).await;
        push(&mut ring, false);
        let mut cursor = Cursor::join(&ring, Instant::now());
        push(&mut ring, true);
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![0, 1, 2]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_skip_never_cuts_between_parts() {
        let mut ring = ring();
        push(&mut ring, true);
        let mut cursor = Cursor::join(&ring, Instant::now());
        for index in 1..=2 {
            let frame = part(ring.next(), index, 3);
            ring.push(frame);
        }
        assert_eq!(take(&mut cursor, &ring, 1), (0, vec![0]));
        // The limit of bytes is passed inside the picture: its parts still come together.
        assert_eq!(take(&mut cursor, &ring, 1), (0, vec![1, 2]));
        assert!(cursor.mid_picture());
        let last = part(ring.next(), 3, 3);
        ring.push(last);
        push(&mut ring, false);
        tokio::time::advance(MAX_LAG + Duration::from_millis(1)).await;
        push(&mut ring, true);
        assert_eq!(
            take(&mut cursor, &ring, 1),
            (0, vec![3]),
            "the picture is ended first"
        );
        assert_eq!(
            take(&mut cursor, &ring, 1),
            (1, vec![5]),
            "then comes the key frame"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn evicted_frames_are_a_skip() {
        let one = frame(0, true).wire().len();
        let mut ring = Ring::new(one * 2);
        push(&mut ring, true);
        let mut cursor = Cursor::join(&ring, Instant::now());
        for _ in 0..3 {
            push(&mut ring, false);
        }
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (4, vec![]));
        assert!(cursor.is_waiting());
        push(&mut ring, true);
        assert_eq!(take(&mut cursor, &ring, usize::MAX), (0, vec![4]));
    }
}
