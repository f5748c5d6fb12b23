//! What is told about the camera: one value, changed by whoever knows more, announced on
//! every change and every 2 s.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanlight_bus::{Announcement, Bus, RunId, State, StreamId};
use fanlight_mpegts::VideoFormat;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::cause::Cause;

/// Longest wait for the goodbye to leave.
const GOODBYE: Duration = Duration::from_millis(500);

/// The camera as others shall see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// What it does.
    pub state: State,
    /// Why it is not live.
    pub cause: Option<Cause>,
    /// What it sends; kept while it is away, so that a page can keep its layout.
    pub format: Option<VideoFormat>,
    /// Pictures a second: what the stream says, else what was counted.
    pub fps: Option<f64>,
    /// Seconds between the last two key pictures.
    pub gop_seconds: Option<f64>,
    /// Whether the current GOP can be replayed.
    pub replay: bool,
    /// The current or last run.
    pub run: Option<RunId>,
    /// Since when it is live, or is not, in unix milliseconds: a camera that is tried again
    /// and again has been away since the first failure.
    pub since: u64,
    /// Nothing is announced: another ingest speaks for the camera.
    pub silent: bool,
}

impl Status {
    /// A camera that was not started yet.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            state: State::Offline,
            cause: None,
            format: None,
            fps: None,
            gop_seconds: None,
            replay: true,
            run: None,
            since: unix_ms(),
            silent: false,
        }
    }

    /// Takes over a state; true when it is news.
    pub fn set_state(&mut self, state: State, cause: Option<&Cause>, silent: bool) -> bool {
        let new = (state, cause, silent);
        if new == (self.state, self.cause.as_ref(), self.silent) {
            return false;
        }
        if (state == State::Live) != (self.state == State::Live) {
            self.since = unix_ms();
        }
        self.state = state;
        self.cause = cause.cloned();
        self.silent = silent;
        true
    }

    fn announcement(&self, stream: &StreamId, instance: &str) -> Announcement {
        let format = self.format.as_ref();
        Announcement {
            camera: stream.camera.clone(),
            rendition: stream.rendition.clone(),
            state: self.state,
            cause: self.cause.as_ref().map(ToString::to_string),
            cause_kind: self.cause.as_ref().map(|c| c.kind.label().to_owned()),
            codec: format.map(|f| f.codec.to_string()),
            width: format.map(|f| f.width),
            height: format.map(|f| f.height),
            fps: self.fps,
            gop_seconds: self.gop_seconds,
            replay: self.replay,
            run: self.run.as_ref().map(ToString::to_string),
            since: self.since,
            ttl: Announcement::TTL_SECONDS,
            instance: instance.to_owned(),
            time: unix_ns(),
        }
    }
}

/// Announces until the status says that the camera is stopping and no one changes it any more.
pub async fn announce(
    bus: Bus,
    stream: StreamId,
    instance: String,
    mut status: watch::Receiver<Status>,
) {
    let period = Duration::from_secs(Announcement::PERIOD_SECONDS);
    let mut again = tokio::time::interval(period);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = bus.connection();
    loop {
        let ended = tokio::select! {
            changed = status.changed() => changed.is_err(),
            // Who was cut off learns the state as soon as there is a broker again.
            changed = connection.changed() => {
                if changed.is_err() {
                    return;
                }
                false
            }
            _ = again.tick() => false,
        };
        let now = status.borrow_and_update().clone();
        if !now.silent {
            // Without a broker the next one will do.
            let announcement = now.announcement(&stream, &instance);
            if let Err(error) = bus.announce(&announcement).await {
                tracing::debug!(camera = %stream.camera, rendition = stream.variant(), %error, "not announced");
            }
            again.reset();
        }
        if ended {
            bus.flush(GOODBYE).await;
            return;
        }
    }
}

/// Unix time in milliseconds.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_ns() / 1_000_000
}

/// Unix time in nanoseconds.
#[must_use]
pub fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::CauseKind;

    #[test]
    fn since_tells_when_it_went_away_not_when_it_was_last_tried() {
        let mut status = Status {
            since: 1,
            ..Status::idle()
        };
        let cause = Cause::from(CauseKind::Refused);
        assert!(status.set_state(State::Starting, None, false));
        assert!(status.set_state(State::Offline, Some(&cause), false));
        assert!(!status.set_state(State::Offline, Some(&cause), false));
        assert_eq!(status.since, 1);
        assert!(status.set_state(State::Live, None, false));
        assert!(status.since > 1);
    }

    #[tokio::test(start_paused = true)]
    async fn announces_changes_at_once_and_repeats() {
        let bus = Bus::memory();
        let mut heard = bus.subscribe_status().await.unwrap();
        let stream = StreamId::main("gate".parse().unwrap());
        let (sender, receiver) = watch::channel(Status::idle());
        let task = tokio::spawn(announce(bus.clone(), stream, "me".into(), receiver));
        let start = tokio::time::Instant::now();
        let first = heard.next().await.unwrap().unwrap();
        assert_eq!(
            (first.state, first.instance.as_str(), first.ttl),
            (State::Offline, "me", 6.0)
        );
        let cause = Cause::from(CauseKind::Auth);
        sender.send_modify(|s| {
            s.set_state(State::Offline, Some(&cause), false);
        });
        let told = heard.next().await.unwrap().unwrap();
        assert_eq!(told.cause_kind.as_deref(), Some("auth"));
        assert!(start.elapsed() < Duration::from_millis(100));
        heard.next().await.unwrap().unwrap();
        assert_eq!(start.elapsed().as_secs(), 2);
        sender.send_modify(|s| s.silent = true);
        let quiet = tokio::time::timeout(Duration::from_secs(10), heard.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        sender.send_modify(|s| s.silent = false);
        drop(sender);
        assert!(heard.next().await.is_some());
        task.await.unwrap();
    }
}
