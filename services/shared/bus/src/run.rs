//! Runs: one life of one ffmpeg, named so that sorting the names sorts by start.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::RngExt;

/// Digits of the time stamp; enough until the year 2286.
const MS_DIGITS: usize = 13;

/// Name of a run: `<13-digit unix milliseconds>-<instance>-<random>`.
///
/// Compares as text, which is by start. `instance` names the ingest process, so that an
/// ingest can tell its own runs from another's.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Arc<str>);

/// A text that is not a run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a run id: expected `<13-digit unix milliseconds>-<instance>-<random>`")]
pub struct InvalidRunId;

impl RunId {
    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ingest process that started the run.
    #[must_use]
    pub fn instance(&self) -> &str {
        let rest = &self.0[MS_DIGITS + 1..];
        rest.rsplit_once('-').map_or(rest, |(instance, _)| instance)
    }

    /// Start of the run, in unix milliseconds (never the same twice in one process).
    #[must_use]
    pub fn started_ms(&self) -> u64 {
        self.0[..MS_DIGITS].parse().unwrap_or(0)
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let word = |s: &str| {
            !s.is_empty()
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let (ms, rest) = text.split_at_checked(MS_DIGITS).ok_or(InvalidRunId)?;
        let rest = rest.strip_prefix('-').ok_or(InvalidRunId)?;
        let (instance, random) = rest.rsplit_once('-').ok_or(InvalidRunId)?;
        let ok = ms.bytes().all(|b| b.is_ascii_digit())
            && word(instance)
            && word(random)
            && text.len() <= 128;
        if ok {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidRunId)
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the runs of one ingest process; each name sorts above the one before, whatever
/// the clock does.
#[derive(Debug)]
pub struct RunIds {
    instance: String,
    last_ms: u64,
}

impl Default for RunIds {
    fn default() -> Self {
        Self::new()
    }
}

impl RunIds {
    /// A generator with a random instance name.
    #[must_use]
    pub fn new() -> Self {
        Self {
            instance: random_hex(),
            last_ms: 0,
        }
    }

    /// The instance that this generator's runs carry.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The next run, now.
    pub fn next_run(&mut self) -> RunId {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as u64);
        self.next_at(now)
    }

    fn next_at(&mut self, now_ms: u64) -> RunId {
        self.last_ms = now_ms.max(self.last_ms + 1);
        RunId(format!("{:013}-{}-{}", self.last_ms, self.instance, random_hex()).into())
    }
}

fn random_hex() -> String {
    format!("{:08x}", rand::rng().random::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_sorts_higher_even_when_the_clock_goes_back() {
        let mut ids = RunIds::new();
        let first = ids.next_at(1_700_000_000_000);
        let same_millisecond = ids.next_at(1_700_000_000_000);
        let an_hour_back = ids.next_at(1_700_000_000_000 - 3_600_000);
        assert!(first < same_millisecond && same_millisecond < an_hour_back);
    }

    #[test]
    fn parses_what_it_prints() {
        let mut ids = RunIds::new();
        let run = ids.next_run();
        assert_eq!(run.as_str().parse::<RunId>().unwrap(), run);
        assert_eq!(run.instance(), ids.instance());
        let pod: RunId = "1700000000000-cam-7d9f-x2-0badcafe".parse().unwrap();
        assert_eq!(
            (pod.instance(), pod.started_ms()),
            ("cam-7d9f-x2", 1_700_000_000_000)
        );
    }

    #[test]
    fn refuses_what_would_not_sort() {
        for bad in [
            "",
            "1",
            "170000000000-a-b",
            "1700000000000-a",
            "17000000000é0-a-b",
            "1700000000000--b",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
    }
}
