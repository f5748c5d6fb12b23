//! The GOP request: an edge asks for what it missed since the last key picture.

use crate::subscription::{Inner, Message};
use crate::{BadMessage, Chunk, PublishError, RunId, memory, nats};

/// What comes back on a GOP request.
#[derive(Debug)]
pub enum GopEvent {
    /// A message of the current GOP, as it was first sent.
    Chunk(Chunk),
    /// One ingest has sent all it has. Two ingests of one camera both answer, so more may
    /// follow until the caller's time is up.
    End {
        /// The run that was replayed, where the ingest names it.
        run: Option<RunId>,
        /// Last sequence number sent; `None` when there was nothing to replay.
        last_seq: Option<u64>,
    },
    /// Nobody serves this stream.
    NoResponder,
    /// A message that breaks the contract.
    Bad(BadMessage),
}

/// The replies to one request. The caller bounds the wait (1 s by contract).
#[derive(Debug)]
pub struct GopReply(pub(crate) Inner);

impl GopReply {
    /// The next event; `None` when no more can come. Cancel-safe.
    pub async fn next(&mut self) -> Option<GopEvent> {
        let message = self.0.next().await?;
        Some(match message {
            Message::Nats(message) => nats::decode_gop(message),
            Message::Memory(message) => message.gop(),
        })
    }
}

/// Requests for one stream's GOP, as its ingest sees them.
#[derive(Debug)]
pub struct GopRequests(pub(crate) Inner, pub(crate) Responder);

#[derive(Debug, Clone)]
pub(crate) enum Responder {
    Nats(nats::Nats),
    Memory(memory::Memory),
}

impl GopRequests {
    /// The next request; `None` when the bus is closed. Cancel-safe. A request without a
    /// reply subject cannot be answered and is passed over.
    pub async fn next(&mut self) -> Option<GopRequest> {
        loop {
            let request = match self.0.next().await? {
                Message::Nats(message) => nats::decode_request(&message),
                Message::Memory(message) => message.request(),
            };
            if let Some((reply, traceparent)) = request {
                return Some(GopRequest {
                    reply,
                    traceparent,
                    responder: self.1.clone(),
                });
            }
        }
    }
}

/// One request to answer: [`send`](Self::send) each message in order, then
/// [`end`](Self::end).
#[derive(Debug)]
pub struct GopRequest {
    reply: String,
    traceparent: Option<String>,
    responder: Responder,
}

impl GopRequest {
    /// W3C `traceparent` of the span that asks, where it is traced.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Sends one message of the GOP.
    ///
    /// # Errors
    /// As [`crate::Bus::publish`].
    pub async fn send(&self, chunk: &Chunk) -> Result<(), PublishError> {
        match &self.responder {
            Responder::Nats(bus) => bus.send_chunk(self.reply.as_str().into(), chunk).await,
            Responder::Memory(bus) => {
                bus.deliver(&self.reply, memory::Message::Chunk(chunk.clone()))
            }
        }
    }

    /// Closes the answer. `last_seq` is `None` when there is nothing to replay.
    ///
    /// # Errors
    /// As [`crate::Bus::publish`].
    pub async fn end(self, run: Option<&RunId>, last_seq: Option<u64>) -> Result<(), PublishError> {
        match &self.responder {
            Responder::Nats(bus) => {
                bus.send_end(self.reply.as_str().into(), run, last_seq)
                    .await
            }
            Responder::Memory(bus) => bus.deliver(
                &self.reply,
                memory::Message::End {
                    run: run.cloned(),
                    last_seq,
                },
            ),
        }
    }
}
