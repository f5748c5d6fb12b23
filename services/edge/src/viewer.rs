//! One WebSocket viewer: owns its socket, cursor, outbox and deadlines.
//!
//! `select` turns everything that can happen into one [`Event`], `apply` is synchronous. While
//! nothing happens but new frames, the hub writes them itself (docs/adr/0006-lanes.md).

mod control;

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use fanlight_ops::trace;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use self::control::Control;
use crate::clock::unix_ns;
use crate::hub::{Begun, Command, Cursor, Lane, Membership};
use crate::ws::close::Close;
use crate::ws::frame::{self, Opcode};
use crate::ws::outbox::{self, MAX_SLICES, Outbox};
use crate::ws::reader::{Message, Reader};
use fanlight_auth::Grant;

/// Time between pings.
pub const PING: Duration = Duration::from_secs(20);

/// Time for the answer to a ping.
pub const PONG: Duration = Duration::from_secs(20);

/// A viewer whose socket takes nothing for this long is reset.
pub const STUCK: Duration = Duration::from_secs(10);

/// Time for the close handshake.
pub const CLOSING: Duration = Duration::from_secs(1);

/// Bytes moved from the ring to the outbox at a time: with the kernel's send buffer a stalled
/// viewer pins less than 512 KiB.
const TAKE: usize = 96 << 10;

/// Bytes read from the client at a time; on the stack, a viewer sends little.
const READ: usize = 1024;

/// Messages a client may send at once, and how fast that allowance comes back.
const ALLOWANCE: u32 = 60;
const ALLOWANCE_PER_SECOND: u32 = 10;

/// A byte stream that can be cut off without sending what the kernel still holds.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the coming drop a reset (RST) instead of an orderly end.
    fn reset(&self);

    /// The connection, where bytes go into it as they are.
    fn plain(&self) -> Option<&Arc<TcpStream>>;
}

/// See the module.
pub struct Viewer<S> {
    socket: S,
    membership: Membership,
    cursor: Cursor,
    outbox: Outbox,
    reader: Reader,
    control: Option<Box<Control>>,
    timer: Pin<Box<Sleep>>,
    armed: Instant,
    revoked: Option<BoxFuture<'static, ()>>,
    /// Frames up to here were looked at.
    seen: u64,
    state_seen: u32,
    joined: Instant,
    got_first: bool,
    drain_told: bool,
    /// The hub may write to the socket.
    lent: bool,
    /// When the socket stopped taking bytes.
    stuck_since: Option<Instant>,
    ping_due: Instant,
    pong_due: Option<Instant>,
    grant_ends: Option<Instant>,
    closing: Option<Closing>,
    allowance: u32,
    allowance_at: Instant,
}

struct Closing {
    why: Close,
    until: Instant,
    /// Their close frame is here.
    answered: bool,
}

enum Event {
    /// Frames, a state or a command may have come.
    News,
    Wrote(usize),
    /// The socket takes nothing now.
    Stuck,
    /// The client said something, which may have ended it.
    Heard(Option<End>),
    Gone(End),
    Time,
    Revoked,
}

/// How a viewer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By close handshake.
    Closed(Close),
    /// Cut off: what the kernel held was thrown away.
    Reset(Close),
    /// The connection broke off.
    Lost,
}

impl End {
    /// The label value of `disconnects_total{reason}`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed(close) | Self::Reset(close) => close.label(),
            Self::Lost => "error",
        }
    }
}

impl<S: Socket> Viewer<S> {
    /// A viewer on a socket after the 101 answer. `early` is what the client sent already; `v1`
    /// whether it speaks `fanlight.v1`.
    #[must_use]
    pub fn new(socket: S, membership: Membership, grant: &Grant, v1: bool) -> Self {
        let now = Instant::now();
        let revoked = grant.revoked.clone().map(|mut revoked| {
            async move {
                if revoked.wait_for(|revoked| *revoked).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            .boxed()
        });
        let armed = now + PING;
        Self {
            cursor: membership.cursor(now),
            socket,
            outbox: Outbox::default(),
            reader: Reader::default(),
            control: v1.then(|| Box::new(Control::new(now))),
            timer: Box::pin(sleep_until(armed)),
            armed,
            revoked,
            seen: u64::MAX,
            state_seen: membership.state_version(),
            membership,
            joined: now,
            got_first: false,
            drain_told: false,
            lent: false,
            stuck_since: None,
            ping_due: now + PING,
            pong_due: None,
            grant_ends: crate::auth::deadline(grant),
            closing: None,
            allowance: ALLOWANCE,
            allowance_at: now,
        }
    }

    /// Serves the viewer to its end. `early` is what the client sent behind its handshake. Only
    /// dropping the viewer closes its socket.
    pub async fn run(&mut self, early: &[u8]) -> End {
        if let Some(control) = &mut self.control
            && self.cursor.is_waiting()
        {
            control.hello(
                &self.membership.state(),
                None,
                self.membership.hub(),
                &mut self.outbox,
            );
        }
        let mut end = self.heard(early);
        while end.is_none() {
            let event = std::future::poll_fn(|cx| self.select(cx)).await;
            end = self.apply(event);
        }
        let end = end.unwrap_or(End::Lost);
        if let End::Reset(_) = end {
            self.socket.reset();
        }
        end
    }

    fn select(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.membership.register(cx.waker());
        self.take_back();
        if self.has_news() {
            return Poll::Ready(Event::News);
        }
        if !self.outbox.is_empty() {
            match self.poll_write(cx) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                    return Poll::Ready(Event::Gone(End::Lost));
                }
                Poll::Ready(Ok(n)) => return Poll::Ready(Event::Wrote(n)),
                Poll::Pending if self.stuck_since.is_none() => return Poll::Ready(Event::Stuck),
                Poll::Pending => {}
            }
        }
        let mut bytes = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                return Poll::Ready(Event::Gone(End::Closed(Close::Client(1006))));
            }
            Poll::Ready(Ok(())) => return Poll::Ready(Event::Heard(self.heard(buffer.filled()))),
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone(End::Lost)),
            Poll::Pending => {}
        }
        if let Some(revoked) = &mut self.revoked
            && revoked.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Revoked);
        }
        let due = self.next_deadline();
        if due < self.armed {
            self.arm(due);
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Time);
        }
        self.lend();
        Poll::Pending
    }

    /// Leaves the socket to the hub while there is nothing to do but to pass on what comes.
    fn lend(&mut self) {
        let steady = self.got_first
            && self.outbox.is_empty()
            && self.closing.is_none()
            && self.stuck_since.is_none()
            && self.cursor.is_at(self.seen);
        if let Some(socket) = self.socket.plain().filter(|_| steady) {
            self.membership.lend(Lane {
                socket: Arc::clone(socket),
                next: self.seen,
                mid_picture: self.cursor.mid_picture(),
                until: self.control.as_ref().map(|control| control.mark_due()),
                begun: None,
            });
            self.lent = true;
        }
    }

    /// Goes on where the hub stopped.
    fn take_back(&mut self) {
        if !std::mem::take(&mut self.lent) {
            return;
        }
        let Some(lane) = self.membership.take_back() else {
            return;
        };
        if let Some(control) = &mut self.control {
            control.passed(lane.next - self.seen);
        }
        self.seen = lane.next;
        let open = match &lane.begun {
            Some(begun) => !begun.frame.ends_picture,
            None => lane.mid_picture,
        };
        self.cursor.resume(lane.next, open);
        let begun = lane.begun.map(|Begun { frame, written }| (frame, written));
        self.outbox.resume(begun, lane.mid_picture);
    }

    fn apply(&mut self, event: Event) -> Option<End> {
        match event {
            Event::News => self.news(),
            Event::Wrote(n) => self.wrote(n),
            Event::Stuck => self.stuck_since = Some(Instant::now()),
            Event::Heard(end) => return end.or_else(|| self.closed()),
            // A client that closed its side may leave without another word.
            Event::Gone(end) => {
                return Some(self.closing.as_ref().map_or(end, |c| End::Closed(c.why)));
            }
            Event::Time => return self.time(),
            Event::Revoked => {
                self.revoked = None;
                self.close(Close::Revoked);
            }
        }
        self.closed()
    }

    fn has_news(&self) -> bool {
        let command = self.membership.command();
        self.closing.is_none()
            && (self.membership.head() != self.seen
                || self.membership.state_version() != self.state_seen
                || command > Command::Drain
                || (command == Command::Drain && !self.drain_told))
    }

    fn news(&mut self) {
        match self.membership.command() {
            Command::None => {}
            Command::Drain => self.drain(),
            Command::Close => return self.close(Close::Draining),
            Command::Removed => return self.close(Close::Removed),
        }
        let version = self.membership.state_version();
        if version != std::mem::replace(&mut self.state_seen, version)
            && let Some(control) = &self.control
        {
            control.state(&self.membership.state(), &mut self.outbox);
        }
        self.seen = self.membership.head();
        if self.outbox.is_empty() || self.cursor.mid_picture() {
            self.take();
        } else {
            self.skip_if_late();
        }
    }

    /// Moves frames from the ring to the outbox.
    fn take(&mut self) {
        let Self {
            membership,
            cursor,
            outbox,
            control,
            ..
        } = self;
        let now = Instant::now();
        let mut any = false;
        let skipped = membership.with_ring(|ring| {
            let skipped = cursor.catch_up(ring, now);
            if skipped > 0
                && let Some(control) = control
            {
                control.slow(skipped, outbox);
            }
            cursor.take(ring, TAKE, |frame| {
                any = true;
                if let Some(control) = control {
                    control.describe(frame, now, membership, outbox);
                }
                outbox.media(Arc::clone(frame));
            });
            skipped
        });
        if any && !self.got_first {
            membership.got_picture();
        }
        if skipped > 0 {
            membership.hub().metrics.skipped_chunks.inc_by(skipped);
        }
    }

    /// The socket has not taken what it was given, and there is something newer.
    fn skip_if_late(&mut self) {
        let Self {
            membership,
            cursor,
            outbox,
            control,
            ..
        } = self;
        let now = Instant::now();
        let Some(oldest) = outbox.first_unsent().cloned() else {
            return;
        };
        let skipped = membership.with_ring(|ring| {
            if !cursor.is_late(ring, &oldest, now) {
                return 0;
            }
            outbox
                .skip()
                .map_or(0, |first| cursor.skip_from(ring, first))
        });
        if skipped > 0 {
            membership.hub().metrics.skipped_chunks.inc_by(skipped);
            if let Some(control) = control {
                control.lost_place();
                control.slow(skipped, outbox);
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        if self.outbox.len() == 1 {
            return socket.poll_write(cx, self.outbox.chunk());
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let used = self.outbox.slices(&mut slices);
        socket.poll_write_vectored(cx, &slices[..used])
    }

    fn wrote(&mut self, n: usize) {
        self.stuck_since = None;
        let metrics = &self.membership.hub().metrics;
        let edge = self.membership.edge_metrics();
        let (mut chunks, mut bytes, mut packets) = (0, 0, 0);
        let joined = self.joined;
        let mut first = !self.got_first;
        let now = unix_ns();
        self.outbox.written(n, |frame| {
            chunks += 1;
            bytes += frame.payload_len();
            packets += frame.packets();
            if std::mem::take(&mut first) {
                edge.join.observe(joined.elapsed().as_secs_f64());
            }
            if let Some(from) = &frame.trace {
                let span = tracing::debug_span!(parent: None, "deliver", seq = frame.seq);
                trace::set_parent(&span, from);
            }
            // A replay is old by design.
            if frame.live && frame.arrived >= joined {
                let latency = now.saturating_sub(frame.time);
                edge.delivery_latency.observe(latency as f64 / 1e9);
            }
        });
        self.got_first = !first;
        if chunks > 0 {
            metrics.sent_chunks.inc_by(chunks);
            metrics.sent_bytes.inc_by(bytes);
            metrics.sent_ts_packets.inc_by(packets);
        }
        if self.outbox.is_empty() && self.closing.is_none() && !self.cursor.is_at(self.seen) {
            self.take();
        }
    }

    fn drain(&mut self) {
        if std::mem::replace(&mut self.drain_told, true) {
            return;
        }
        match &self.control {
            Some(control) => {
                let ends = self.membership.drain_ends();
                let left = ends.map_or(Duration::ZERO, |e| {
                    e.saturating_duration_since(Instant::now())
                });
                control.drain(left, &mut self.outbox);
            }
            None => self.close(Close::Draining),
        }
    }

    /// Takes bytes of the client.
    fn heard(&mut self, bytes: &[u8]) -> Option<End> {
        let mut reader = std::mem::take(&mut self.reader);
        let result = reader.push(bytes, |message| self.message(message));
        self.reader = reader;
        if let Err(close) = result {
            self.close(close);
            // What follows a broken frame cannot be read, so no answer can come.
            if let Some(closing) = &mut self.closing {
                closing.answered = true;
            }
        }
        self.closed()
    }

    fn message(&mut self, message: Message) {
        self.pong_due = None;
        if let Message::Close(code) = message {
            match &mut self.closing {
                Some(closing) => closing.answered = true,
                None => self.close(Close::Client(code)),
            }
            return;
        }
        if self.closing.is_some() {
            return;
        }
        if !self.spend() {
            return self.close(Close::TooMany);
        }
        match message {
            Message::Ping(payload) => {
                let pong = frame::encode(Opcode::Pong, &payload);
                self.outbox.control(outbox::Control::Pong, pong);
            }
            Message::Text(text) => {
                if let Some(control) = &mut self.control {
                    control.client(&text, self.membership.edge_metrics(), &mut self.outbox);
                }
            }
            Message::Binary(_) | Message::Pong | Message::Close(_) => {}
        }
    }

    fn spend(&mut self) -> bool {
        let now = Instant::now();
        let back = now.saturating_duration_since(self.allowance_at).as_secs();
        if back > 0 {
            let back = u32::try_from(back).unwrap_or(ALLOWANCE).min(ALLOWANCE);
            self.allowance = (self.allowance + back * ALLOWANCE_PER_SECOND).min(ALLOWANCE);
            self.allowance_at = now;
        }
        let some = self.allowance > 0;
        self.allowance = self.allowance.saturating_sub(1);
        some
    }

    /// Begins the close handshake.
    fn close(&mut self, why: Close) {
        if self.closing.is_some() {
            return;
        }
        self.outbox.clear_unsent();
        self.outbox
            .control(outbox::Control::Free, frame::close(why));
        self.closing = Some(Closing {
            why,
            until: Instant::now() + CLOSING,
            answered: matches!(why, Close::Client(_)),
        });
    }

    fn closed(&self) -> Option<End> {
        let closing = self.closing.as_ref()?;
        (closing.answered && self.outbox.is_empty()).then_some(End::Closed(closing.why))
    }

    fn next_deadline(&self) -> Instant {
        if let Some(closing) = &self.closing {
            return closing.until;
        }
        let stuck = self.stuck_since.map(|since| since + STUCK);
        [stuck, self.pong_due, self.grant_ends]
            .into_iter()
            .flatten()
            .fold(self.ping_due, Instant::min)
    }

    fn arm(&mut self, due: Instant) {
        self.armed = due;
        self.timer.as_mut().reset(due);
    }

    fn time(&mut self) -> Option<End> {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Some(closing) = &self.closing {
            if closing.until <= now {
                let end = if self.outbox.is_empty() {
                    End::Closed
                } else {
                    End::Reset
                };
                return Some(end(closing.why));
            }
        } else if due(self.stuck_since.map(|since| since + STUCK)) {
            // A close frame could not get through either.
            return Some(End::Reset(Close::TooSlow));
        } else if due(self.grant_ends) {
            self.close(Close::GrantEnded);
        } else if due(self.pong_due) {
            self.close(Close::NoPong);
        } else if self.ping_due <= now {
            self.ping_due = now + PING;
            self.pong_due.get_or_insert(now + PONG);
            self.outbox
                .control(outbox::Control::Free, frame::encode(Opcode::Ping, &[]));
        }
        let next = self.next_deadline();
        self.arm(next);
        None
    }
}
