//! From messages as they come, live and replayed, to the one order that viewers get: one run
//! at a time, no number twice, and after a hole nothing until the next key chunk. Pure.

use fanlight_bus::Chunk;
use tokio::time::Instant;

use super::select::{Choice, RunSelect};

/// What becomes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Viewers get it.
    Take,
    /// It is there already, of another run, or of a GOP with a hole.
    Leave,
    /// Messages before it were lost, and it is left out itself.
    Gap,
    /// Messages before it were lost; viewers get it, since it is a key chunk.
    TakeAfterGap,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Assembler {
    select: RunSelect,
    /// Highest number seen of the run.
    seen: u64,
    /// Highest number that viewers got.
    given: u64,
    broken: bool,
}

impl Assembler {
    /// Judges a chunk that came at `now`.
    pub fn offer(&mut self, chunk: &Chunk, now: Instant) -> Verdict {
        match self.select.offer(&chunk.run, chunk.key, now) {
            Choice::Leave => return Verdict::Leave,
            Choice::Switch => return self.give(chunk, Verdict::Take),
            Choice::Follow => {}
        }
        if self.broken && chunk.key && (self.given + 1..=self.seen).contains(&chunk.seq) {
            return self.give(chunk, Verdict::Take); // a replay reaches back behind the hole
        }
        if chunk.seq <= self.seen {
            return Verdict::Leave;
        }
        let gap = chunk.seq != self.seen + 1;
        if gap && chunk.key {
            return self.give(chunk, Verdict::TakeAfterGap);
        }
        if chunk.key || !(gap || self.broken) {
            return self.give(chunk, Verdict::Take);
        }
        self.broken = true;
        self.seen = chunk.seq;
        if gap { Verdict::Gap } else { Verdict::Leave }
    }

    fn give(&mut self, chunk: &Chunk, verdict: Verdict) -> Verdict {
        (self.seen, self.given, self.broken) = (chunk.seq, chunk.seq, false);
        verdict
    }

    /// Whether a hole was seen and the next key chunk has not come.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::chunk;
    use super::Verdict::{Gap, Leave, Take, TakeAfterGap};
    use super::*;

    fn offer(assembler: &mut Assembler, run: u64, seq: u64, key: bool) -> Verdict {
        assembler.offer(&chunk(run, seq, key), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn merges_replay_and_live_by_number() {
        let mut a = Assembler::default();
        for (seq, key) in [(10, true), (11, false), (12, false)] {
            assert_eq!(offer(&mut a, 1, seq, key), Take);
        }
        assert_eq!(offer(&mut a, 1, 12, false), Leave, "live brings it again");
        assert_eq!(offer(&mut a, 1, 13, false), Take);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_hole_nothing_until_the_next_key() {
        let mut a = Assembler::default();
        offer(&mut a, 1, 1, true);
        assert_eq!(offer(&mut a, 1, 3, false), Gap);
        assert!(a.is_broken());
        assert_eq!(offer(&mut a, 1, 4, false), Leave);
        assert_eq!(offer(&mut a, 1, 6, false), Gap, "each hole is counted");
        assert_eq!(offer(&mut a, 1, 7, true), Take);
        assert_eq!(offer(&mut a, 1, 8, false), Take);
        assert_eq!(offer(&mut a, 1, 10, true), TakeAfterGap);
        assert_eq!(offer(&mut a, 1, 11, false), Take);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_run_mends_a_hole() {
        let mut a = Assembler::default();
        offer(&mut a, 1, 1, true);
        offer(&mut a, 1, 5, false);
        assert_eq!(offer(&mut a, 2, 0, true), Take);
        assert_eq!(offer(&mut a, 1, 6, true), Leave);
        assert_eq!(offer(&mut a, 2, 1, false), Take);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_mends_a_hole() {
        let mut a = Assembler::default();
        offer(&mut a, 1, 1, true);
        offer(&mut a, 1, 9, false);
        assert_eq!(offer(&mut a, 1, 7, true), Take);
        assert_eq!(offer(&mut a, 1, 8, false), Take);
        assert_eq!(offer(&mut a, 1, 9, false), Take);
        assert_eq!(offer(&mut a, 1, 7, true), Leave);
    }

    #[tokio::test(start_paused = true)]
    async fn live_without_replay_starts_at_a_key() {
        let mut a = Assembler::default();
        assert_eq!(offer(&mut a, 1, 5, false), Leave);
        assert_eq!(offer(&mut a, 1, 6, true), Take);
    }
}
