//! The handle that the services hold.

use std::time::Duration;

use tokio::sync::watch;

use crate::gop::Responder;
use crate::subscription::Inner;
use crate::{
    Announcement, BusError, Chunk, Connection, GopReply, GopRequests, NatsConfig, PublishError,
    StatusSubscription, StreamId, Subscription, memory, nats,
};

/// A connection to the bus. Clones share it.
#[derive(Debug, Clone)]
pub enum Bus {
    /// Between machines.
    Nats(nats::Nats),
    /// Inside one process.
    Memory(memory::Memory),
}

impl Bus {
    /// A new in-process bus; only its clones see each other.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(memory::Memory::new())
    }

    /// A bus over NATS. Returns at once and connects in the background, again and again.
    ///
    /// # Errors
    /// [`BusError::Config`] when a URL, key or certificate cannot be used.
    pub async fn nats(config: NatsConfig) -> Result<Self, BusError> {
        nats::Nats::connect(config).await.map(Self::Nats)
    }

    /// Publishes one chunk of a stream. Waits while the connection's queue is full, so the
    /// caller keeps a bounded queue of its own in front.
    ///
    /// # Errors
    /// See [`PublishError`]; nothing was sent then.
    pub async fn publish(&self, stream: &StreamId, chunk: &Chunk) -> Result<(), PublishError> {
        match self {
            Self::Nats(bus) => bus.publish(stream, chunk).await,
            Self::Memory(bus) => bus.publish(stream, chunk),
        }
    }

    /// Largest payload of one message in bytes, a multiple of 188: `min(512 KiB, the
    /// server's max_payload - 4 KiB)`. May change with each reconnect.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        match self {
            Self::Nats(bus) => bus.max_payload(),
            Self::Memory(_) => memory::MAX_PAYLOAD,
        }
    }

    /// Subscribes to a stream's media, and again by itself after each reconnect. Requests made
    /// on this bus afterwards come after it; what others publish is certain to arrive only after
    /// a [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`BusError::Closed`].
    pub async fn subscribe(&self, stream: &StreamId) -> Result<Subscription, BusError> {
        Ok(Subscription(match self {
            Self::Nats(bus) => Inner::Nats(bus.subscribe_media(stream).await?),
            Self::Memory(bus) => Inner::Memory(bus.subscribe_media(stream)?),
        }))
    }

    /// Sends an announcement.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn announce(&self, announcement: &Announcement) -> Result<(), PublishError> {
        match self {
            Self::Nats(bus) => bus.announce(announcement).await,
            Self::Memory(bus) => bus.announce(announcement),
        }
    }

    /// Subscribes to the announcements of all streams.
    ///
    /// # Errors
    /// [`BusError::Closed`].
    pub async fn subscribe_status(&self) -> Result<StatusSubscription, BusError> {
        Ok(StatusSubscription(match self {
            Self::Nats(bus) => Inner::Nats(bus.subscribe_status().await?),
            Self::Memory(bus) => Inner::Memory(bus.subscribe_status()?),
        }))
    }

    /// Asks a stream's ingest for its current GOP. Subscribe to the media first.
    ///
    /// # Errors
    /// [`BusError::Closed`]. Without a connection the request is lost and no reply comes.
    pub async fn request_gop(&self, stream: &StreamId) -> Result<GopReply, BusError> {
        self.request_gop_within(stream, None).await
    }

    /// As [`request_gop`](Self::request_gop), as part of a trace (W3C `traceparent`).
    ///
    /// # Errors
    /// As [`request_gop`](Self::request_gop).
    pub async fn request_gop_within(
        &self,
        stream: &StreamId,
        traceparent: Option<&str>,
    ) -> Result<GopReply, BusError> {
        Ok(GopReply(match self {
            Self::Nats(bus) => Inner::Nats(bus.request_gop(stream, traceparent).await?),
            Self::Memory(bus) => Inner::Memory(bus.request_gop(stream, traceparent)?),
        }))
    }

    /// Receives the GOP requests for a stream.
    ///
    /// # Errors
    /// [`BusError::Closed`].
    pub async fn serve_gop(&self, stream: &StreamId) -> Result<GopRequests, BusError> {
        Ok(match self {
            Self::Nats(bus) => GopRequests(
                Inner::Nats(bus.serve_gop(stream).await?),
                Responder::Nats(bus.clone()),
            ),
            Self::Memory(bus) => GopRequests(
                Inner::Memory(bus.serve_gop(stream)?),
                Responder::Memory(bus.clone()),
            ),
        })
    }

    /// The link's state; changes are signalled.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        match self {
            Self::Nats(bus) => bus.connection(),
            Self::Memory(bus) => bus.connection(),
        }
    }

    /// Waits until what was published and subscribed has reached the broker, at most `timeout`.
    /// `false` when it has not.
    pub async fn flush(&self, timeout: Duration) -> bool {
        match self {
            Self::Nats(bus) => bus.flush(timeout).await,
            Self::Memory(_) => true,
        }
    }

    /// Ends all subscriptions and the connection; what was published is sent first, within
    /// a second.
    pub async fn close(&self) {
        match self {
            Self::Nats(bus) => bus.close().await,
            Self::Memory(bus) => bus.close(),
        }
    }
}
