//! The task behind a hub: subscription and GOP replies in, ring and wake-ups out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanlight_bus::{BadMessage, Chunk, Connection, GopEvent, GopReply, Subscription};
use fanlight_ops::throttle::Throttle;
use fanlight_ops::trace;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::RngExt;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::lane::Batch;
use super::{Assembler, Frame, Hub, REPLIES_KIB, Shared, Verdict, fanout, lock};

/// By contract: no end of the reply within this time means waiting for the next key chunk.
const REPLY_LIMIT: Duration = Duration::from_secs(1);

/// Expected kibibytes of a reply where nothing is known: 2 s at 4 Mbit/s.
const REPLY_GUESS_KIB: usize = 1 << 10;

/// After an outage edges ask within this time, at random.
const JITTER: Duration = Duration::from_secs(2);

/// Chunks taken from a backlog before viewers are woken.
const BATCH: usize = 32;

/// Follows the stream until nobody has watched for the linger time, or the bus is closed.
pub(super) async fn run(shared: Arc<Shared>, hub: Arc<Hub>) {
    let subscription = match shared.bus.subscribe(&hub.stream).await {
        Ok(subscription) => subscription,
        Err(error) => {
            tracing::warn!(camera = %hub.stream.camera, rendition = hub.stream.variant(), %error, "not subscribed");
            return;
        }
    };
    shared.metrics.subscriptions.inc();
    tracing::debug!(camera = %hub.stream.camera, rendition = hub.stream.variant(), "subscribed");
    let connection = shared.bus.connection();
    let reconnects = connection.borrow().reconnects;
    let metrics = Arc::clone(&shared.metrics);
    let stream = hub.stream.clone();
    let mut feed = Feed {
        shared,
        hub,
        subscription,
        connection,
        reconnects,
        assembler: Assembler::default(),
        ask: Ask::Idle,
        idle_since: None,
        throttle: Throttle::new(Duration::from_secs(10)),
    };
    feed.ask(Duration::ZERO);
    loop {
        let event = feed.select().await;
        if !feed.apply(event) {
            break;
        }
        feed.drain_backlog();
        feed.publish().await;
    }
    metrics.subscriptions.dec();
    tracing::debug!(camera = %stream.camera, rendition = stream.variant(), "unsubscribed");
}

struct Feed {
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    subscription: Subscription,
    connection: watch::Receiver<Connection>,
    reconnects: u64,
    assembler: Assembler,
    ask: Ask,
    idle_since: Option<Instant>,
    throttle: Throttle,
}

/// Where a GOP request stands.
enum Ask {
    Idle,
    /// Waits for its turn.
    Queued(BoxFuture<'static, Option<Asked>>),
    /// The reply comes; live chunks are held back until it is complete.
    Open {
        reply: GopReply,
        until: Instant,
        held: Vec<Chunk>,
        held_bytes: usize,
        _asked: (OwnedSemaphorePermit, Span),
    },
}

/// A request that is out: its reply, its share of what may be in flight, and its span, which
/// ends with it.
type Asked = (GopReply, OwnedSemaphorePermit, Span);

enum Event {
    Live(Option<Result<Chunk, BadMessage>>),
    Asked(Option<Asked>),
    Reply(Option<GopEvent>),
    ReplyOverdue,
    Crowd,
    Lingered,
    Link,
    Stop,
}

impl Feed {
    async fn select(&mut self) -> Event {
        let stopping = self.shared.shutdown.token.is_cancelled();
        // Who leaves a stopping edge does not come back.
        let linger = if stopping {
            Duration::ZERO
        } else {
            self.shared.config.linger
        };
        let linger_ends = self.idle_since.map(|since| since + linger);
        let (queued, open, until) = match &mut self.ask {
            Ask::Idle => (None, None, None),
            Ask::Queued(turn) => (Some(turn), None, None),
            Ask::Open { reply, until, .. } => (None, Some(reply), Some(*until)),
        };
        tokio::select! {
            biased;
            () = self.shared.shutdown.abort.cancelled() => Event::Stop,
            () = self.shared.shutdown.token.cancelled(), if !stopping => Event::Crowd,
            event = maybe(open.map(GopReply::next)) => Event::Reply(event),
            chunk = self.subscription.next() => Event::Live(chunk),
            asked = maybe(queued) => Event::Asked(asked),
            () = maybe(until.map(sleep_until)) => Event::ReplyOverdue,
            () = self.hub.crowd.notified() => Event::Crowd,
            () = maybe(linger_ends.map(sleep_until)) => Event::Lingered,
            Ok(()) = self.connection.changed() => Event::Link,
        }
    }

    /// `false` ends the feed.
    fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Live(Some(chunk)) => self.live(chunk),
            Event::Live(None) => return false,
            Event::Asked(Some((reply, permit, span))) => {
                self.ask = Ask::Open {
                    reply,
                    until: Instant::now() + REPLY_LIMIT,
                    held: Vec::new(),
                    held_bytes: 0,
                    _asked: (permit, span),
                };
            }
            Event::Asked(None) => self.ask = Ask::Idle,
            Event::Reply(Some(GopEvent::Chunk(chunk))) => self.take(&chunk, false),
            Event::Reply(Some(GopEvent::Bad(bad))) => self.complain(&bad),
            // An ingest that is just starting has nothing; the one it replaces may still answer.
            Event::Reply(Some(GopEvent::End { last_seq: None, .. })) => {}
            Event::Reply(Some(GopEvent::End { .. } | GopEvent::NoResponder) | None)
            | Event::ReplyOverdue => self.end_reply(),
            Event::Crowd => {
                let idle = self.hub.viewers() == 0;
                self.idle_since = idle.then(|| self.idle_since.unwrap_or_else(Instant::now));
                if !idle && matches!(self.ask, Ask::Idle) && self.is_cold() {
                    self.ask(Duration::ZERO);
                }
            }
            Event::Lingered => {
                if self.shared.remove_idle(&self.hub) {
                    return false;
                }
                self.idle_since = None;
            }
            Event::Link => {
                let now = self.connection.borrow_and_update().reconnects;
                let back = now != std::mem::replace(&mut self.reconnects, now);
                if back && matches!(self.ask, Ask::Idle) && self.hub.somebody_waits() {
                    self.ask(JITTER);
                }
            }
            Event::Stop => return false,
        }
        true
    }

    /// A viewer that joins now would get nothing: the stream broke off, or stopped.
    fn is_cold(&self) -> bool {
        lock(&self.hub.ring).start(Instant::now()).is_none() && self.hub.somebody_waits()
    }

    fn ask(&mut self, jitter: Duration) {
        let known = lock(&self.hub.ring).bytes() >> 10;
        let kib = if known == 0 {
            REPLY_GUESS_KIB
        } else {
            known.clamp(256, REPLIES_KIB)
        };
        let delay = jitter.mul_f64(rand::rng().random::<f64>());
        let replies = Arc::clone(&self.shared.replies);
        let (bus, stream) = (self.shared.bus.clone(), self.hub.stream.clone());
        let turn = async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let permit = replies.acquire_many_owned(kib as u32).await.ok()?;
            let span = tracing::debug_span!(
                parent: None, "gop_request",
                camera = %stream.camera, rendition = stream.variant(), kib
            );
            let from = trace::inject(&span);
            let reply = bus.request_gop_within(&stream, from.as_deref());
            Some((reply.await.ok()?, permit, span))
        };
        self.ask = Ask::Queued(turn.boxed());
    }

    fn live(&mut self, chunk: Result<Chunk, BadMessage>) {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(bad) => return self.complain(&bad),
        };
        let metrics = &self.hub.metrics;
        metrics.received_chunks.inc();
        metrics.received_bytes.inc_by(chunk.payload.len() as u64);
        match &mut self.ask {
            Ask::Open {
                held, held_bytes, ..
            } => {
                *held_bytes += chunk.payload.len();
                held.push(chunk);
                if *held_bytes > self.shared.config.gop_cache {
                    self.end_reply();
                }
            }
            Ask::Queued(_) | Ask::Idle => {
                self.take(&chunk, true);
                // The key chunk that was missing came by itself.
                if chunk.key && !self.assembler.is_broken() {
                    self.ask = Ask::Idle;
                }
            }
        }
    }

    /// The reply is over, complete or not: go on with what came live meanwhile.
    fn end_reply(&mut self) {
        if let Ask::Open { held, .. } = std::mem::replace(&mut self.ask, Ask::Idle) {
            for chunk in held {
                self.take(&chunk, true);
            }
        }
    }

    fn take(&mut self, chunk: &Chunk, live: bool) {
        let now = Instant::now();
        let verdict = self.assembler.offer(chunk, now);
        if matches!(verdict, Verdict::Gap | Verdict::TakeAfterGap) {
            self.hub.metrics.sequence_gaps.inc();
            if let Some(suppressed) = self.throttle.allow("gap") {
                let (stream, seq) = (&self.hub.stream, chunk.seq);
                tracing::warn!(camera = %stream.camera, rendition = stream.variant(), run = %chunk.run, seq, suppressed, "messages lost, waiting for the next key chunk");
            }
        }
        if matches!(verdict, Verdict::Take | Verdict::TakeAfterGap) {
            let time = self.shared.clocks.local(chunk.run.instance(), chunk.time);
            let mut ring = lock(&self.hub.ring);
            let mut frame = Frame::new(ring.next(), chunk, time, now);
            frame.live = live;
            frame.trace = chunk.traceparent.as_deref().filter(|_| trace::enabled()).and_then(|from| {
                let span = tracing::debug_span!(parent: None, "receive", camera = %self.hub.stream.camera, rendition = self.hub.stream.variant(), seq = chunk.seq);
                trace::set_parent(&span, from);
                trace::inject(&span).map(Into::into)
            });
            ring.push(frame);
        }
    }

    /// Takes what else has come already, so that a burst wakes each viewer once.
    fn drain_backlog(&mut self) {
        for _ in 0..BATCH {
            match self.subscription.next().now_or_never() {
                Some(Some(chunk)) => self.live(chunk),
                Some(None) | None => return,
            }
        }
    }

    async fn publish(&mut self) {
        let from = self.hub.head.load(Ordering::Acquire);
        let (head, batch) = {
            let ring = lock(&self.hub.ring);
            let head = ring.next();
            if head == from {
                return;
            }
            let new: Vec<_> = (from..head)
                .filter_map(|at| ring.get(at).cloned())
                .collect();
            let before = from.checked_sub(1).and_then(|at| ring.get(at));
            let steady = before.is_some_and(|before| continues(before, &new));
            (head, Batch::new(from, new, steady))
        };
        self.hub.head.store(head, Ordering::Release);
        fanout::round(&self.hub, &self.shared.metrics, batch).await;
    }

    fn complain(&self, bad: &BadMessage) {
        if let Some(suppressed) = self.throttle.allow("bad message") {
            let stream = &self.hub.stream;
            tracing::warn!(camera = %stream.camera, rendition = stream.variant(), error = %bad, suppressed, "message dropped");
        }
    }
}

/// Whether each frame is the next of the same run, and none starts anything.
fn continues(before: &Arc<Frame>, new: &[Arc<Frame>]) -> bool {
    let mut last = before;
    new.iter().all(|frame| {
        let before = std::mem::replace(&mut last, frame);
        !frame.key && frame.run == before.run && frame.seq == before.seq + 1
    })
}

/// The future, or one that never ends.
async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
