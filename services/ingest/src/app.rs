//! The camera put together: the only place that knows every part.

use std::sync::Arc;
use std::time::Duration;

use fanlight_bus::{Announcement, Bus, ConnectionState, PublishError, RunId, RunIds, State};
use fanlight_ops::health::{Condition, Health};
use fanlight_ops::metrics::{Metrics, NatsMetrics};
use fanlight_ops::trace;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::cause::Cause;
use crate::config::CameraConfig;
use crate::feed::Shared;
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::process::Ending;
use crate::metrics::CameraMetrics;
use crate::outbox::DropReason;
use crate::rivals::Rivals;
use crate::run::{Progress, Run};
use crate::status;
use crate::supervisor::{Action, Event, Limits, Supervisor};

/// GOP requests answered at a time; more wait in the bus.
const REPLAYS: usize = 8;

/// Longest answer to one request: who asked has given up after 1 s.
const REPLAY_LIMIT: Duration = Duration::from_secs(2);

/// How often the counters are logged.
const REPORT: Duration = Duration::from_secs(30);

/// How often is looked whether another ingest has taken over.
const LOOK: Duration = Duration::from_millis(500);

/// How long the last pictures may take to leave at the end.
const LAST_PICTURES: Duration = Duration::from_millis(500);

/// One camera, ready to run.
#[derive(Debug)]
pub struct Ingest {
    camera: CameraConfig,
    ffmpeg: Ffmpeg,
    shared: Arc<Shared>,
    runs: RunIds,
    nats: NatsMetrics,
    connected: Condition,
}

impl Ingest {
    /// Puts a camera together. `metrics` are those of the service `ingest`; several cameras
    /// may share them, `health` and `bus`. Nothing is started.
    #[must_use]
    pub fn build(
        camera: CameraConfig,
        ffmpeg: Ffmpeg,
        bus: Bus,
        metrics: &Metrics,
        health: &Health,
    ) -> Self {
        let stream = camera.stream.clone();
        let counters = CameraMetrics::new(metrics, &stream);
        let shared = Shared::new(stream, bus, counters, camera.outbox, camera.gop_cache);
        Self {
            camera,
            ffmpeg,
            shared: Arc::new(shared),
            runs: RunIds::new(),
            nats: metrics.nats(),
            connected: health.condition("nats", "not connected to the broker yet"),
        }
    }

    /// The name under which this ingest announces itself.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.runs.instance()
    }

    /// Publishes until `stop` is cancelled; then ffmpeg is gone and a goodbye was said, within
    /// 5 s. A bus that is closed only ends the publishing.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            camera,
            ffmpeg,
            shared,
            runs,
            nats,
            connected,
        } = self;
        let instance = runs.instance().to_owned();
        let (heard, rivals) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(send(shared.clone()));
        tasks.spawn(answer(shared.clone()));
        tasks.spawn(listen(shared.clone(), heard));
        tasks.spawn(watch_connection(shared.clone(), nats, connected));
        tasks.spawn(report(shared.clone()));
        let announcer = status::announce(
            shared.bus.clone(),
            shared.stream.clone(),
            instance.clone(),
            shared.status.subscribe(),
        );
        let announcer = tokio::spawn(announcer);
        let driver = Driver {
            supervisor: Supervisor::new(limits(&camera), rand::random::<f64>),
            rivals: Rivals::new(camera.stream.clone(), instance),
            camera,
            ffmpeg,
            shared: shared.clone(),
            runs,
            run: None,
            run_id: None,
        };
        driver.drive(stop, rivals).await;
        let empty = async {
            while shared.outbox.bytes() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _left_behind = tokio::time::timeout(LAST_PICTURES, empty).await;
        tasks.shutdown().await;
        // The last holder of the status: the announcer says goodbye and ends.
        drop(shared);
        let _late = tokio::time::timeout(Duration::from_secs(1), announcer).await;
    }
}

fn limits(camera: &CameraConfig) -> Limits {
    // At one picture in 10 s, 5 s without a byte are no stall.
    let slow = if camera.encodes() {
        Duration::from_secs_f64(3.0 / camera.encoding.fps.as_f64())
    } else {
        Duration::ZERO
    };
    Limits {
        start: camera.start_timeout.max(slow),
        stall: camera.stall_timeout.max(slow),
    }
}

/// Feeds the supervisor and does what it says.
struct Driver {
    supervisor: Supervisor,
    rivals: Rivals,
    camera: CameraConfig,
    ffmpeg: Ffmpeg,
    shared: Arc<Shared>,
    runs: RunIds,
    run: Option<Run>,
    run_id: Option<RunId>,
}

enum Input {
    Stop,
    Progress(Progress),
    Heard(Box<Announcement>),
    Look,
    Due,
}

impl Driver {
    async fn drive(mut self, stop: CancellationToken, mut heard: mpsc::Receiver<Announcement>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        let mut done = self.apply(Event::Start).await;
        while !done {
            let deadline = self.supervisor.deadline();
            let input = tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => Input::Stop,
                progress = read(&mut self.run), if self.run.is_some() => Input::Progress(progress),
                Some(announcement) = heard.recv() => Input::Heard(Box::new(announcement)),
                () = until(deadline), if deadline.is_some() => Input::Due,
                _ = look.tick() => Input::Look,
            };
            done = match input {
                Input::Stop => {
                    stopping = true;
                    self.apply(Event::Stop).await
                }
                Input::Progress(progress) => self.progress(&progress).await,
                Input::Heard(announcement) => {
                    self.rivals.note(&announcement, Instant::now());
                    false
                }
                Input::Look => self.look().await,
                Input::Due => self.apply(Event::Tick).await,
            };
            // A camera faster than its reader would keep the others waiting.
            tokio::task::coop::consume_budget().await;
        }
    }

    async fn progress(&mut self, progress: &Progress) -> bool {
        if progress.bytes > 0 {
            let event = match progress {
                Progress { keys: 1.., .. } => Event::Key,
                Progress { pictures: 1.., .. } => Event::Picture,
                _ => Event::Bytes,
            };
            let waiting = event != Event::Key;
            self.apply(event).await;
            if waiting && let Some(fault) = self.run.as_ref().and_then(Run::fault) {
                return self.apply(Event::Fault(fault)).await;
            }
        }
        if progress.ended
            && let Some(run) = self.run.take()
        {
            let cause = run.end(Ending::Leaving).await;
            return self.apply(Event::Ended(cause)).await;
        }
        false
    }

    async fn look(&mut self) -> bool {
        let now = Instant::now();
        if self.supervisor.is_standby() {
            return self.rivals.all_gone(now) && self.apply(Event::RivalGone).await;
        }
        let Some(own) = &self.run_id else {
            return false;
        };
        let Some(rival) = self.rivals.higher_than(own, now) else {
            return false;
        };
        let stream = &self.shared.stream;
        tracing::warn!(camera = %stream.camera, rendition = stream.variant(), %rival, "another ingest publishes this camera and started later: standing by");
        self.apply(Event::RivalLive).await
    }

    /// Applies an event and all that follows from it; true when it is over.
    async fn apply(&mut self, event: Event) -> bool {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let action = self.supervisor.apply(Instant::now(), event);
            self.tell();
            next = match action {
                None => None,
                Some(Action::Spawn) => self.spawn().await,
                Some(Action::End(ending)) => match self.run.take() {
                    Some(run) => Some(Event::Ended(run.end(ending).await)),
                    None => Some(Event::Ended(crate::cause::CauseKind::Exited.into())),
                },
                Some(Action::Wait(delay, cause)) => {
                    self.wait(delay, &cause);
                    None
                }
                Some(Action::StandBy) => None,
                Some(Action::Done) => return true,
            };
        }
        false
    }

    async fn spawn(&mut self) -> Option<Event> {
        let id = self.runs.next_run();
        self.run_id = Some(id.clone());
        self.shared.status.send_modify(|status| {
            status.run = Some(id.clone());
            status.replay = true;
        });
        match Run::start(&self.camera, &self.ffmpeg, &self.shared, id).await {
            Ok(run) => {
                self.run = Some(run);
                None
            }
            Err(cause) => Some(Event::Ended(cause)),
        }
    }

    fn wait(&self, delay: Duration, cause: &Cause) {
        self.shared.metrics.restart(cause.kind);
        let (stream, kind) = (&self.shared.stream, cause.kind.label());
        tracing::warn!(camera = %stream.camera, rendition = stream.variant(), kind, %cause, retry_in = ?delay, "no picture");
    }

    /// Tells everybody what has changed.
    fn tell(&mut self) {
        let now = Instant::now();
        if self.supervisor.status(now).0 == State::Stalled
            && let Some(run) = &self.run
        {
            self.supervisor.explain_no_key(run.no_key_cause());
        }
        let (state, cause) = self.supervisor.status(now);
        let silent = self.supervisor.is_standby();
        let (metrics, status) = (&self.shared.metrics, &self.shared.status);
        metrics.up.set(i64::from(state == State::Live));
        metrics.backoff.set(self.supervisor.backoff().as_secs_f64());
        let news = status.send_if_modified(|status| status.set_state(state, cause, silent));
        // How ffmpeg started and ended, and what is waited for, is logged where it happens.
        if news && state == State::Stalled && self.run.is_some() {
            let (stream, cause) = (&self.shared.stream, cause.map(ToString::to_string));
            tracing::warn!(camera = %stream.camera, rendition = stream.variant(), cause, "stalled");
        }
    }
}

async fn read(run: &mut Option<Run>) -> Progress {
    match run {
        Some(run) => run.read().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Takes messages from the outbox to the broker, which may take its time.
async fn send(shared: Arc<Shared>) {
    let mut connection = shared.bus.connection();
    loop {
        let state = connection.borrow_and_update().state;
        if state == ConnectionState::Closed {
            return;
        }
        let connected = state == ConnectionState::Connected;
        shared.outbox.set_connected(connected);
        let chunk = tokio::select! {
            biased;
            changed = connection.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            chunk = shared.outbox.next(), if connected => chunk,
        };
        match shared.bus.publish(&shared.stream, &chunk).await {
            Ok(()) => {
                shared.metrics.published_chunks.inc();
                shared
                    .metrics
                    .published_bytes
                    .inc_by(chunk.payload.len() as u64);
            }
            Err(error) => {
                shared.metrics.publish_error(&error);
                match error {
                    PublishError::TooLarge { .. } => shared.dropped(DropReason::TooLarge, 1),
                    _ if shared.outbox.put_back(chunk) => {}
                    _ => shared.dropped(DropReason::Disconnected, 1),
                }
                // The change of the connection may be on its way.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Answers GOP requests, some at a time.
async fn answer(shared: Arc<Shared>) {
    let mut requests = match shared.bus.serve_gop(&shared.stream).await {
        Ok(requests) => requests,
        Err(error) => {
            tracing::error!(camera = %shared.stream.camera, rendition = shared.stream.variant(), %error, "GOP requests are not answered");
            return;
        }
    };
    let permits = Arc::new(Semaphore::new(REPLAYS));
    let mut replays = JoinSet::new();
    while let Some(request) = requests.next().await {
        while replays.try_join_next().is_some() {}
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return;
        };
        let chunks = shared.gop().replay();
        let (stream, messages) = (&shared.stream, chunks.len());
        let span = tracing::debug_span!(
            parent: None, "gop_reply",
            camera = %stream.camera, rendition = stream.variant(), messages
        );
        if let Some(from) = request.traceparent() {
            trace::set_parent(&span, from);
        }
        let answer = async move {
            let _permit = permit;
            let replay = async {
                for chunk in &chunks {
                    request.send(chunk).await?;
                }
                let last = chunks.last();
                request.end(last.map(|c| &c.run), last.map(|c| c.seq)).await
            };
            if let Ok(Err(error)) = tokio::time::timeout(REPLAY_LIMIT, replay).await {
                tracing::debug!(%error, "GOP replay broken off");
            }
        };
        replays.spawn(answer.instrument(span));
    }
}

/// Hears what other ingests say about this camera.
async fn listen(shared: Arc<Shared>, heard: mpsc::Sender<Announcement>) {
    let mut announcements = match shared.bus.subscribe_status().await {
        Ok(announcements) => announcements,
        Err(error) => {
            tracing::error!(camera = %shared.stream.camera, rendition = shared.stream.variant(), %error, "other ingests are not heard");
            return;
        }
    };
    while let Some(announcement) = announcements.next().await {
        let Ok(announcement) = announcement else {
            continue;
        };
        // Not ours: most of them where many cameras share a broker.
        if announcement.camera != shared.stream.camera {
            continue;
        }
        if heard.send(announcement).await.is_err() {
            return;
        }
    }
}

/// Shows the link to the broker in metrics and readiness: ready once connected, whatever comes
/// later, so that an outage does not restart anything.
async fn watch_connection(shared: Arc<Shared>, metrics: NatsMetrics, condition: Condition) {
    let mut connection = shared.bus.connection();
    let mut denied = 0;
    loop {
        let now = connection.borrow_and_update().clone();
        // The broker refuses long after it was published.
        shared
            .metrics
            .denied(now.publish_denied.saturating_sub(denied));
        denied = now.publish_denied;
        metrics.set(now.is_connected(), now.reconnects);
        if now.ever_connected {
            condition.set_ok();
        } else if let Some(error) = now.last_error {
            condition.set_failed(format!("not connected to the broker yet: {error}"));
        }
        if connection.changed().await.is_err() {
            return;
        }
    }
}

/// Logs the counters now and then, as a sign of life.
async fn report(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(REPORT);
    every.tick().await;
    let metrics = &shared.metrics;
    let read = || {
        [
            &metrics.ts_packets,
            &metrics.received_bytes,
            &metrics.frames,
            &metrics.published_chunks,
        ]
        .map(prometheus::core::GenericCounter::get)
    };
    let mut last = read();
    loop {
        every.tick().await;
        let now = read();
        let [packets, bytes, pictures, published] =
            std::array::from_fn(|i| now[i].saturating_sub(last[i]));
        last = now;
        let state = shared.status.borrow().state.as_str();
        tracing::info!(
            camera = %shared.stream.camera, rendition = shared.stream.variant(), state, packets, bytes, pictures, published,
            seconds = REPORT.as_secs(), "published"
        );
    }
}
