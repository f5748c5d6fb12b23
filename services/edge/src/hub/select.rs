//! Which run to follow: the highest that delivered within the last two seconds, changed to at
//! its first key chunk, left for a lower one only when it is silent. All edges decide alike,
//! so two ingests of one camera hand over without asking anybody. Pure.

use std::time::Duration;

use fanlight_bus::RunId;
use tokio::time::Instant;

/// Silence after which a run does not count as live.
pub const SILENCE: Duration = Duration::from_secs(2);

/// Runs remembered: two ingests and a few restarts of each within [`SILENCE`].
const MAX_RUNS: usize = 8;

/// What to do with a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It belongs to the run that is followed.
    Follow,
    /// Follow its run from here on.
    Switch,
    /// It belongs to another run.
    Leave,
}

/// See the module.
#[derive(Debug, Default)]
pub struct RunSelect {
    current: Option<RunId>,
    /// When each run delivered last.
    heard: Vec<(RunId, Instant)>,
}

impl RunSelect {
    /// Judges a chunk of `run` that came at `now`.
    pub fn offer(&mut self, run: &RunId, key: bool, now: Instant) -> Choice {
        self.note(run, now);
        if self.current.as_ref() == Some(run) {
            return Choice::Follow;
        }
        let wanted = match &self.current {
            None => true,
            Some(current) => {
                run > current || (self.is_silent(current, now) && self.is_top(run, now))
            }
        };
        if wanted && key {
            self.current = Some(run.clone());
            return Choice::Switch;
        }
        Choice::Leave
    }

    fn note(&mut self, run: &RunId, now: Instant) {
        match self.heard.iter_mut().find(|(r, _)| r == run) {
            Some((_, at)) => *at = now,
            None => {
                if self.heard.len() >= MAX_RUNS
                    && let Some(stalest) = (0..self.heard.len()).min_by_key(|&i| self.heard[i].1)
                {
                    self.heard.swap_remove(stalest);
                }
                self.heard.push((run.clone(), now));
            }
        }
    }

    fn is_silent(&self, run: &RunId, now: Instant) -> bool {
        self.heard
            .iter()
            .find(|(r, _)| r == run)
            .is_none_or(|(_, at)| now.saturating_duration_since(*at) >= SILENCE)
    }

    /// Whether no higher run is live.
    fn is_top(&self, run: &RunId, now: Instant) -> bool {
        !self
            .heard
            .iter()
            .any(|(r, at)| r > run && now.saturating_duration_since(*at) < SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::Choice::{Follow, Leave, Switch};
    use super::*;

    fn run(n: u64) -> RunId {
        format!("{:013}-a-0", 1_767_225_600_000 + n)
            .parse()
            .unwrap()
    }

    async fn pass(ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    fn offer(select: &mut RunSelect, n: u64, key: bool) -> Choice {
        select.offer(&run(n), key, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn starts_at_a_key_chunk() {
        let mut select = RunSelect::default();
        assert_eq!(offer(&mut select, 1, false), Leave);
        assert_eq!(offer(&mut select, 1, true), Switch);
        assert_eq!(offer(&mut select, 1, false), Follow);
        assert_eq!(offer(&mut select, 1, true), Follow);
    }

    #[tokio::test(start_paused = true)]
    async fn a_higher_run_takes_over_at_its_key_chunk_and_keeps_the_place() {
        let mut select = RunSelect::default();
        offer(&mut select, 1, true);
        assert_eq!(offer(&mut select, 2, false), Leave);
        assert_eq!(offer(&mut select, 1, false), Follow);
        assert_eq!(offer(&mut select, 2, true), Switch);
        for _ in 0..50 {
            pass(100).await;
            assert_eq!(offer(&mut select, 1, true), Leave);
            assert_eq!(offer(&mut select, 2, false), Follow);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn back_to_a_lower_run_only_after_two_seconds_of_silence() {
        let mut select = RunSelect::default();
        offer(&mut select, 2, true);
        pass(1_999).await;
        assert_eq!(offer(&mut select, 1, true), Leave);
        pass(1).await;
        assert_eq!(offer(&mut select, 1, false), Leave, "not inside a GOP");
        assert_eq!(offer(&mut select, 1, true), Switch);
        assert_eq!(offer(&mut select, 2, false), Leave);
        assert_eq!(
            offer(&mut select, 2, true),
            Switch,
            "the higher one is back"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_lower_runs_the_higher_is_taken() {
        let mut select = RunSelect::default();
        offer(&mut select, 3, true);
        pass(2_000).await;
        assert_eq!(offer(&mut select, 2, false), Leave);
        assert_eq!(
            offer(&mut select, 1, true),
            Leave,
            "run 2 is live and higher"
        );
        assert_eq!(offer(&mut select, 2, true), Switch);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let mut select = RunSelect::default();
        for n in 0..1000 {
            offer(&mut select, n, true);
            pass(1).await;
        }
        assert_eq!(select.heard.len(), MAX_RUNS);
        assert_eq!(offer(&mut select, 999, false), Follow);
    }
}
