//! Two ingests of one camera: which of them goes on.
//!
//! The one with the higher run does, once it has been live for 5 s; the other stands by and
//! starts again when nothing was heard of it for 6 s. So a rolling update hands over without
//! a gap, and a node that comes back does not double the stream. No lock is needed: all see
//! the same announcements.

use std::collections::HashMap;
use std::time::Duration;

use fanlight_bus::{Announcement, RunId, State, StreamId};
use tokio::time::Instant;

/// How long a higher run must be live before the lower one stops.
pub const YIELD_AFTER: Duration = Duration::from_secs(5);

/// Silence after which a rival counts as gone: the announcements' time to live.
pub const GONE_AFTER: Duration = Duration::from_secs(6);

/// Most instances remembered; more than two at a time is a mistake in a deployment.
const MAX: usize = 32;

/// What is known of other ingests of the same stream.
#[derive(Debug)]
pub struct Rivals {
    stream: StreamId,
    instance: String,
    live: HashMap<String, Rival>,
}

#[derive(Debug)]
struct Rival {
    run: RunId,
    since: Instant,
    heard: Instant,
}

impl Rivals {
    /// Knows nobody yet. `instance` is our own name.
    #[must_use]
    pub fn new(stream: StreamId, instance: String) -> Self {
        Self {
            stream,
            instance,
            live: HashMap::new(),
        }
    }

    /// Takes note of an announcement, of whatever stream.
    pub fn note(&mut self, announcement: &Announcement, now: Instant) {
        let ours = announcement.instance == self.instance
            || announcement.camera != self.stream.camera
            || announcement.rendition != self.stream.rendition;
        if ours {
            return;
        }
        match (announcement.state, announcement.run_id()) {
            (State::Live, Some(run)) => {
                self.live
                    .retain(|_, r| now.duration_since(r.heard) <= GONE_AFTER);
                if let Some(rival) = self.live.get_mut(&announcement.instance) {
                    // A restart of its ffmpeg does not begin the wait again.
                    (rival.run, rival.heard) = (run, now);
                } else if self.live.len() < MAX {
                    let (since, heard) = (now, now);
                    let rival = Rival { run, since, heard };
                    self.live.insert(announcement.instance.clone(), rival);
                }
            }
            (State::Stopping, _) => {
                self.live.remove(&announcement.instance);
            }
            // It may be live again in a moment.
            _ => {}
        }
    }

    /// The run we must give way to, if any.
    #[must_use]
    pub fn higher_than(&self, own: &RunId, now: Instant) -> Option<&RunId> {
        let higher = self.live.values().filter(|rival| {
            rival.run > *own
                && rival.heard.duration_since(rival.since) + Duration::from_millis(500)
                    >= YIELD_AFTER
                && now.duration_since(rival.heard) <= GONE_AFTER
        });
        higher.map(|rival| &rival.run).max()
    }

    /// Whether nobody else serves the stream.
    #[must_use]
    pub fn all_gone(&self, now: Instant) -> bool {
        let mut rivals = self.live.values();
        rivals.all(|rival| now.duration_since(rival.heard) > GONE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(instance: &str, run: &str, state: State) -> Announcement {
        Announcement {
            camera: "gate".parse().unwrap(),
            rendition: Default::default(),
            state,
            cause: None,
            cause_kind: None,
            codec: None,
            width: None,
            height: None,
            fps: None,
            gop_seconds: None,
            replay: true,
            run: Some(run.to_owned()),
            since: 0,
            ttl: 6.0,
            instance: instance.to_owned(),
            time: 0,
        }
    }

    const LOW: &str = "1700000000001-us-1";
    const HIGH: &str = "1700000000002-them-1";

    fn rivals() -> Rivals {
        Rivals::new(StreamId::main("gate".parse().unwrap()), "us".to_owned())
    }

    fn at(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_higher_run_wins_when_it_has_been_live_for_five_seconds() {
        let (mut rivals, own) = (rivals(), LOW.parse().unwrap());
        let start = Instant::now();
        for (seconds, wins) in [(0.0, false), (2.0, false), (4.0, false), (6.0, true)] {
            let now = at(start, seconds);
            rivals.note(&announcement("them", HIGH, State::Live), now);
            assert_eq!(rivals.higher_than(&own, now).is_some(), wins, "{seconds}");
        }
        assert!(!rivals.all_gone(at(start, 12.0)));
        assert!(rivals.all_gone(at(start, 12.1)));
        assert_eq!(rivals.higher_than(&own, at(start, 12.1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn ours_lower_ones_and_other_cameras_are_no_rivals() {
        let (mut rivals, own) = (rivals(), LOW.parse().unwrap());
        let start = Instant::now();
        let lower = "1700000000000-them-1";
        let mut other = announcement("them", HIGH, State::Live);
        other.camera = "yard".parse().unwrap();
        for second in 0..10 {
            let now = at(start, f64::from(second));
            rivals.note(&announcement("us", HIGH, State::Live), now);
            rivals.note(&announcement("old", lower, State::Live), now);
            rivals.note(&announcement("dead", HIGH, State::Offline), now);
            rivals.note(&other, now);
            assert_eq!(rivals.higher_than(&own, now), None);
        }
        assert!(
            !rivals.all_gone(at(start, 10.0)),
            "a lower live run is somebody"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_goodbye_is_gone_at_once() {
        let mut rivals = rivals();
        let start = Instant::now();
        rivals.note(&announcement("them", HIGH, State::Live), start);
        rivals.note(&announcement("them", HIGH, State::Starting), start);
        assert!(
            !rivals.all_gone(start),
            "a restart of its ffmpeg is no goodbye"
        );
        rivals.note(&announcement("them", HIGH, State::Stopping), start);
        assert!(rivals.all_gone(start));
    }
}
