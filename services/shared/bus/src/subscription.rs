//! What a subscriber reads. Dropping a subscription ends it.

use futures_util::StreamExt;

use crate::{Announcement, BadMessage, Chunk, memory, nats};

/// Media of one stream, in the order it was sent by each publisher.
///
/// A reader that falls behind by more than its queue loses the newest messages; it sees
/// that as a gap in [`Chunk::seq`].
#[derive(Debug)]
pub struct Subscription(pub(crate) Inner);

/// Announcements of all streams.
#[derive(Debug)]
pub struct StatusSubscription(pub(crate) Inner);

#[derive(Debug)]
pub(crate) enum Inner {
    Nats(async_nats::Subscriber),
    Memory(memory::Receiver),
}

impl Inner {
    pub(crate) async fn next(&mut self) -> Option<Message> {
        match self {
            Self::Nats(subscriber) => loop {
                let message = subscriber.next().await?;
                if !nats::is_probe(&message) {
                    break Some(Message::Nats(message));
                }
            },
            Self::Memory(receiver) => receiver.next().await.map(Message::Memory),
        }
    }
}

/// A message of either transport, not yet judged.
#[derive(Debug)]
pub(crate) enum Message {
    Nats(async_nats::Message),
    Memory(memory::Message),
}

impl Message {
    pub(crate) fn chunk(self) -> Result<Chunk, BadMessage> {
        match self {
            Self::Nats(message) => nats::decode_chunk(message),
            Self::Memory(message) => message.chunk(),
        }
    }

    fn announcement(self) -> Result<Announcement, BadMessage> {
        match self {
            Self::Nats(message) => nats::decode_announcement(&message),
            Self::Memory(message) => message.announcement(),
        }
    }
}

impl Subscription {
    /// The next chunk; `None` when the bus is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Chunk, BadMessage>> {
        self.0.next().await.map(Message::chunk)
    }
}

impl StatusSubscription {
    /// The next announcement; `None` when the bus is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Announcement, BadMessage>> {
        self.0.next().await.map(Message::announcement)
    }
}
