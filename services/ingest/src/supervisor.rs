//! The life of a camera's ffmpeg as a state machine: events in, one action out. No I/O, no
//! clock of its own, so that every path can be tested.
//!
//! ```text
//! idle -> running (starting, live, stalled) -> ending -> backoff -> running ...
//!                                                     -> standby -> running ...
//!                                                     -> stopped
//! ```
//! Any exit of ffmpeg is a failure, exit code 0 too: a camera that goes silent makes it leave
//! with 0.

mod policy;
#[cfg(test)]
mod tests;

use std::time::Duration;

use fanlight_bus::State;
use tokio::time::Instant;

use crate::cause::{Cause, CauseKind};
use crate::ffmpeg::process::Ending;

pub use policy::delay;

/// How long each part of a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start to the first picture.
    pub start: Duration,
    /// Without a byte, once bytes have come.
    pub stall: Duration,
}

/// Pictures without a key picture from the start of a run on: nobody can begin to watch.
const NO_KEY: Duration = Duration::from_secs(30);

/// The same after there were key pictures: smart codecs leave up to a minute between two.
const NO_MORE_KEYS: Duration = Duration::from_secs(90);

/// Once live for so long, the next failure starts with the shortest wait again.
const HEALTHY: Duration = Duration::from_secs(10);

/// What happens to the camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It shall be published.
    Start,
    /// Bytes came from ffmpeg.
    Bytes,
    /// Among them the start of a picture.
    Picture,
    /// Among them a key picture: who joins now can watch.
    Key,
    /// What comes cannot be used, however long it goes on.
    Fault(Cause),
    /// ffmpeg has ended, or could not be started.
    Ended(Cause),
    /// Another ingest has taken over.
    RivalLive,
    /// The other ingest is gone.
    RivalGone,
    /// The process is asked to stop.
    Stop,
    /// Time has passed: [`Supervisor::deadline`] is due.
    Tick,
}

/// What has to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start ffmpeg.
    Spawn,
    /// End ffmpeg, then report [`Event::Ended`].
    End(Ending),
    /// Nothing until the deadline; ffmpeg failed because of this.
    Wait(Duration, Cause),
    /// Nothing: another ingest serves the camera.
    StandBy,
    /// It is over.
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    Running(Run),
    Ending { then: Then, cause: Option<Cause> },
    Backoff { until: Instant, delay: Duration },
    Standby,
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Retry,
    StandBy,
    Stop,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    started: Instant,
    last_bytes: Option<Instant>,
    first_picture: Option<Instant>,
    last_picture: Option<Instant>,
    first_key: Option<Instant>,
    last_key: Option<Instant>,
}

/// The state machine.
#[derive(Debug)]
pub struct Supervisor {
    limits: Limits,
    random: fn() -> f64,
    phase: Phase,
    failures: u32,
    /// Why the last run ended; forgotten when the camera is live again.
    last: Option<Cause>,
    no_key: Cause,
    /// Another ingest speaks for the camera, until ours runs again.
    standby: bool,
}

impl Supervisor {
    /// Idle. `random` gives numbers in 0..1 for the jitter.
    #[must_use]
    pub fn new(limits: Limits, random: fn() -> f64) -> Self {
        Self {
            limits,
            random,
            phase: Phase::Idle,
            failures: 0,
            last: None,
            no_key: CauseKind::NoKeyPictures.into(),
            standby: false,
        }
    }

    /// Takes an event; returns what to do. Events that mean nothing in the present state are
    /// ignored.
    pub fn apply(&mut self, now: Instant, event: Event) -> Option<Action> {
        match event {
            Event::Start => matches!(self.phase, Phase::Idle).then(|| self.run(now)),
            Event::Bytes | Event::Picture | Event::Key => {
                self.progress(now, &event);
                None
            }
            Event::Fault(cause) => self.end(Ending::Killed, Then::Retry, Some(cause)),
            Event::Ended(cause) => self.ended(now, cause),
            Event::RivalLive => self.rival_live(),
            Event::RivalGone => self.rival_gone(now),
            Event::Stop => self.stop(),
            Event::Tick => self.tick(now),
        }
    }

    /// When [`Event::Tick`] is wanted next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Backoff { until, .. } => Some(*until),
            Phase::Running(run) => Some(run.due(self.limits).0),
            _ => None,
        }
    }

    /// What to tell everybody: the state and why it is not live.
    #[must_use]
    pub fn status(&self, now: Instant) -> (State, Option<&Cause>) {
        match &self.phase {
            Phase::Idle | Phase::Backoff { .. } | Phase::Standby => {
                (State::Offline, self.last.as_ref())
            }
            Phase::Running(run) if run.lacks_keys(now) => (State::Stalled, Some(&self.no_key)),
            Phase::Running(run) if run.first_key.is_some() => (State::Live, None),
            Phase::Running(_) => (State::Starting, self.last.as_ref()),
            Phase::Ending {
                then: Then::Retry,
                cause,
            } => (State::Stalled, cause.as_ref().or(self.last.as_ref())),
            Phase::Ending { .. } | Phase::Stopped => (State::Stopping, None),
        }
    }

    /// The present wait, zero when there is none.
    #[must_use]
    pub fn backoff(&self) -> Duration {
        match self.phase {
            Phase::Backoff { delay, .. } => delay,
            _ => Duration::ZERO,
        }
    }

    /// Whether another ingest serves the camera. Still true when it is stopped then: its
    /// goodbye would only confuse.
    #[must_use]
    pub fn is_standby(&self) -> bool {
        self.standby
    }

    /// Says more exactly why there are no key pictures.
    pub fn explain_no_key(&mut self, cause: Cause) {
        self.no_key = cause;
    }

    fn run(&mut self, now: Instant) -> Action {
        self.standby = false;
        self.phase = Phase::Running(Run {
            started: now,
            last_bytes: None,
            first_picture: None,
            last_picture: None,
            first_key: None,
            last_key: None,
        });
        self.no_key = CauseKind::NoKeyPictures.into();
        Action::Spawn
    }

    fn progress(&mut self, now: Instant, event: &Event) {
        let Phase::Running(run) = &mut self.phase else {
            return;
        };
        run.last_bytes = Some(now);
        if *event == Event::Bytes {
            return;
        }
        run.first_picture.get_or_insert(now);
        run.last_picture = Some(now);
        if *event == Event::Key {
            run.first_key.get_or_insert(now);
            run.last_key = Some(now);
            self.last = None;
        }
    }

    fn end(&mut self, ending: Ending, then: Then, cause: Option<Cause>) -> Option<Action> {
        let Phase::Running(run) = &self.phase else {
            return None;
        };
        if run.is_healthy(run.last_bytes.unwrap_or(run.started)) {
            self.failures = 0;
        }
        self.phase = Phase::Ending { then, cause };
        Some(Action::End(ending))
    }

    fn ended(&mut self, now: Instant, cause: Cause) -> Option<Action> {
        let (then, cause) = match &self.phase {
            Phase::Running(run) => {
                if run.is_healthy(now) {
                    self.failures = 0;
                }
                (Then::Retry, cause)
            }
            Phase::Ending { then, cause: known } => (*then, known.clone().unwrap_or(cause)),
            _ => return None,
        };
        match then {
            Then::Retry => Some(self.back_off(now, cause)),
            Then::StandBy => {
                self.phase = Phase::Standby;
                Some(Action::StandBy)
            }
            Then::Stop => {
                self.phase = Phase::Stopped;
                Some(Action::Done)
            }
        }
    }

    fn back_off(&mut self, now: Instant, cause: Cause) -> Action {
        // A new kind of failure is a new situation: the camera that was off has come back and
        // refuses the password.
        if self
            .last
            .as_ref()
            .is_some_and(|last| last.kind.is_permanent() != cause.kind.is_permanent())
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let delay = delay(cause.kind, self.failures, (self.random)());
        self.last = Some(cause.clone());
        self.phase = Phase::Backoff {
            until: now + delay,
            delay,
        };
        Action::Wait(delay, cause)
    }

    fn rival_live(&mut self) -> Option<Action> {
        match self.phase {
            Phase::Running(_) => {
                self.standby = true;
                self.end(Ending::Asked, Then::StandBy, None)
            }
            Phase::Backoff { .. } => {
                self.standby = true;
                self.phase = Phase::Standby;
                Some(Action::StandBy)
            }
            _ => None,
        }
    }

    fn rival_gone(&mut self, now: Instant) -> Option<Action> {
        if self.phase != Phase::Standby {
            return None;
        }
        self.failures = 0;
        self.last = None;
        Some(self.run(now))
    }

    fn stop(&mut self) -> Option<Action> {
        match &mut self.phase {
            Phase::Running(_) => self.end(Ending::Asked, Then::Stop, None),
            Phase::Ending { then, .. } => {
                *then = Then::Stop;
                None
            }
            Phase::Stopped => None,
            Phase::Idle | Phase::Backoff { .. } | Phase::Standby => {
                self.phase = Phase::Stopped;
                Some(Action::Done)
            }
        }
    }

    fn tick(&mut self, now: Instant) -> Option<Action> {
        match &self.phase {
            Phase::Backoff { until, .. } if now >= *until => Some(self.run(now)),
            Phase::Running(run) => {
                let (due, why) = run.due(self.limits);
                if now < due {
                    return None;
                }
                let kind = why?;
                let seconds = match kind {
                    CauseKind::Silent if run.last_bytes.is_some() => self.limits.stall,
                    _ => self.limits.start,
                };
                let detail = format!("for {} s", seconds.as_secs_f64());
                self.end(
                    Ending::Killed,
                    Then::Retry,
                    Some(Cause::with_detail(kind, detail)),
                )
            }
            _ => None,
        }
    }
}

impl Run {
    /// The next moment at which something changes by itself, and the reason to end ffmpeg then;
    /// without one only the state changes.
    fn due(&self, limits: Limits) -> (Instant, Option<CauseKind>) {
        let silent = match self.last_bytes {
            Some(last) => (last + limits.stall, Some(CauseKind::Silent)),
            None => (self.started + limits.start, Some(CauseKind::Silent)),
        };
        // Bytes alone are no picture: a muxer may go on with tables, or with garbage.
        let blind = match self.last_picture {
            Some(last) => last + limits.stall.max(limits.start),
            None => self.started + limits.start,
        };
        let blind = (blind, Some(CauseKind::NoPictures));
        let mut due = if self.last_bytes.is_some() && blind.0 < silent.0 {
            blind
        } else {
            silent
        };
        if let Some(at) = self.keys_due()
            && at < due.0
            && self.last_bytes.is_some_and(|last| last < at)
        {
            due = (at, None);
        }
        due
    }

    /// When the lack of key pictures becomes a fault.
    fn keys_due(&self) -> Option<Instant> {
        match (self.first_picture, self.last_key) {
            (_, Some(last)) => Some(last + NO_MORE_KEYS),
            (Some(first), None) => Some(first + NO_KEY),
            (None, None) => None,
        }
    }

    fn lacks_keys(&self, now: Instant) -> bool {
        self.keys_due().is_some_and(|due| now >= due)
    }

    fn is_healthy(&self, now: Instant) -> bool {
        self.first_key
            .is_some_and(|first| now.duration_since(first) >= HEALTHY)
    }
}
