//! The `fanlight.v1` side of a viewer: what is said beside the media (docs/wire.md).

use std::time::Duration;

use fanlight_bus::RunId;
use tokio::time::Instant;

use crate::clock::unix_ns;
use crate::hub::{Frame, Hub, Membership};
use crate::metrics::EdgeMetrics;
use crate::wire::{CameraState, ClientMessage, Description, ServerMessage};
use crate::ws::frame::{Opcode, encode};
use crate::ws::outbox::{self, Outbox};

/// Time between marks while nothing special happens, and between reports that count.
const SECOND: Duration = Duration::from_secs(1);

/// A report's stalls and pictures are believed up to this many a second.
const MAX_COUNT: u64 = 1000;

/// A report's latency is believed up to this, in milliseconds.
const MAX_LATENCY_MS: f64 = 600_000.0;

/// What was said already.
#[derive(Debug)]
pub(super) struct Control {
    described: Option<Description>,
    /// The last media message queued.
    last: Option<(RunId, u64)>,
    mark_due: Instant,
    report_due: Instant,
}

impl Control {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            described: None,
            last: None,
            mark_due: now,
            report_due: now,
        }
    }

    /// Says who and what this is; with the place of the next frame if there is one.
    pub(super) fn hello(
        &mut self,
        state: &CameraState,
        next: Option<&Frame>,
        hub: &Hub,
        outbox: &mut Outbox,
    ) {
        let mut state = state.clone();
        if let Some(frame) = next {
            state.video = Description::of(frame, &state.video);
            self.described = Some(state.video.clone());
        }
        let stream = hub.stream();
        let hello = ServerMessage::Hello {
            camera: stream.camera.to_string(),
            rendition: stream.rendition.to_string(),
            state,
            run: next.map(|f| f.run.to_string()),
            seq: next.map(|f| f.seq),
        };
        let kind = if next.is_some() {
            outbox::Control::Place
        } else {
            outbox::Control::Free
        };
        say(&hello, kind, outbox);
    }

    /// Says what must be known before `frame`, which is queued next.
    pub(super) fn describe(
        &mut self,
        frame: &Frame,
        now: Instant,
        membership: &Membership,
        outbox: &mut Outbox,
    ) {
        let mut mark = now >= self.mark_due;
        if frame.key {
            let state = membership.state();
            let video = Description::of(frame, &state.video);
            if self.described.as_ref() != Some(&video) {
                self.hello(&state, Some(frame), membership.hub(), outbox);
                mark = true;
            }
        }
        let continues =
            matches!(&self.last, Some((run, seq)) if *run == frame.run && seq + 1 == frame.seq);
        if mark || !continues {
            self.mark_due = now + SECOND;
            let mark = ServerMessage::Mark {
                run: frame.run.to_string(),
                seq: frame.seq,
                time: frame.time,
            };
            say(&mark, outbox::Control::Place, outbox);
        }
        match &mut self.last {
            Some((run, seq)) if *run == frame.run => *seq = frame.seq,
            last => *last = Some((frame.run.clone(), frame.seq)),
        }
    }

    /// When the next mark is due.
    pub(super) fn mark_due(&self) -> Instant {
        self.mark_due
    }

    /// So many frames were passed on that continue the last one and are no key frames.
    pub(super) fn passed(&mut self, frames: u64) {
        if let Some((_, seq)) = &mut self.last {
            *seq += frames;
        }
    }

    /// What was queued was left out again, and what described it with it.
    pub(super) fn lost_place(&mut self) {
        self.last = None;
        self.described = None;
    }

    #[allow(
        clippy::unused_self,
        reason = "only who speaks fanlight.v1 may be told"
    )]
    pub(super) fn state(&self, state: &CameraState, outbox: &mut Outbox) {
        say(
            &ServerMessage::State(state.clone()),
            outbox::Control::Free,
            outbox,
        );
    }

    #[allow(
        clippy::unused_self,
        reason = "only who speaks fanlight.v1 may be told"
    )]
    pub(super) fn slow(&self, skipped: u64, outbox: &mut Outbox) {
        say(
            &ServerMessage::Slow { skipped },
            outbox::Control::Free,
            outbox,
        );
    }

    #[allow(
        clippy::unused_self,
        reason = "only who speaks fanlight.v1 may be told"
    )]
    pub(super) fn drain(&self, left: Duration, outbox: &mut Outbox) {
        let deadline = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        say(
            &ServerMessage::Drain { deadline },
            outbox::Control::Free,
            outbox,
        );
    }

    /// Answers a text message. What is not known is passed over: newer clients may say more.
    pub(super) fn client(&mut self, text: &str, metrics: &EdgeMetrics, outbox: &mut Outbox) {
        let t1 = unix_ns();
        match serde_json::from_str(text) {
            Ok(ClientMessage::Clock { t0 }) if t0.is_finite() => {
                let answer = ServerMessage::Clock {
                    t0,
                    t1,
                    t2: unix_ns(),
                };
                say(&answer, outbox::Control::Free, outbox);
            }
            Ok(ClientMessage::Report {
                latency,
                stalls,
                decoded,
                dropped,
            }) => {
                let now = Instant::now();
                if now < self.report_due {
                    return;
                }
                // Players report every few seconds; their timers may be a little early.
                self.report_due = now + SECOND * 9 / 10;
                if let Some(ms) = latency.filter(|ms| (0.0..=MAX_LATENCY_MS).contains(ms)) {
                    metrics.viewer_latency.observe(ms / 1e3);
                }
                metrics.viewer_stalls.inc_by(stalls.min(MAX_COUNT));
                metrics.viewer_decoded.inc_by(decoded.min(MAX_COUNT * 60));
                metrics.viewer_dropped.inc_by(dropped.min(MAX_COUNT * 60));
            }
            Ok(ClientMessage::Clock { .. }) | Err(_) => {}
        }
    }
}

fn say(message: &ServerMessage, kind: outbox::Control, outbox: &mut Outbox) {
    outbox.control(kind, encode(Opcode::Text, message.json().as_bytes()));
}
