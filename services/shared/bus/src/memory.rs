//! The bus inside one process: subjects are keys of a map, a subscriber is a bounded queue.
//!
//! Drops like NATS does, on purpose: a full queue loses the newest message and an event is
//! counted, so that a program that works on this bus works on the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::connection::{Connection, ConnectionState};
use crate::{
    Announcement, BadMessage, BusError, Chunk, GopEvent, PublishError, RunId, StreamId, Subjects,
    TS_PACKET,
};

/// Largest payload of one message, the same as over NATS.
pub(crate) const MAX_PAYLOAD: usize = 512 * 1024 / TS_PACKET * TS_PACKET;

/// Messages that wait for one subscriber; NATS clients are set to the same.
pub(crate) const QUEUE: usize = 512;

/// An in-process bus. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    subjects: Subjects,
    topics: Mutex<Topics>,
    next_inbox: AtomicU64,
    connection: watch::Sender<Connection>,
}

#[derive(Debug, Default)]
struct Topics {
    closed: bool,
    next_id: u64,
    by_subject: HashMap<String, Vec<(u64, mpsc::Sender<Message>)>>,
}

/// What travels: already decoded, since it never leaves the process.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Chunk(Chunk),
    Announcement(Box<Announcement>),
    GopRequest {
        reply: String,
        traceparent: Option<String>,
    },
    End {
        run: Option<RunId>,
        last_seq: Option<u64>,
    },
    NoResponder,
}

impl Message {
    fn unexpected(&self, expected: &str) -> BadMessage {
        BadMessage {
            subject: "in-process".to_owned(),
            problem: format!("not {expected}"),
        }
    }

    pub(crate) fn chunk(self) -> Result<Chunk, BadMessage> {
        match self {
            Self::Chunk(chunk) => Ok(chunk),
            other => Err(other.unexpected("a chunk")),
        }
    }

    pub(crate) fn announcement(self) -> Result<Announcement, BadMessage> {
        match self {
            Self::Announcement(announcement) => Ok(*announcement),
            other => Err(other.unexpected("an announcement")),
        }
    }

    pub(crate) fn gop(self) -> GopEvent {
        match self {
            Self::Chunk(chunk) => GopEvent::Chunk(chunk),
            Self::End { run, last_seq } => GopEvent::End { run, last_seq },
            Self::NoResponder => GopEvent::NoResponder,
            other => GopEvent::Bad(other.unexpected("a GOP reply")),
        }
    }

    /// Where to answer, and the trace of who asks.
    pub(crate) fn request(self) -> Option<(String, Option<String>)> {
        match self {
            Self::GopRequest { reply, traceparent } => Some((reply, traceparent)),
            _ => None,
        }
    }
}

/// A subscriber's end; dropping it unsubscribes.
#[derive(Debug)]
pub(crate) struct Receiver {
    queue: mpsc::Receiver<Message>,
    subject: String,
    id: u64,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.queue.recv().await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut topics = self.shared.lock();
        if let Some(senders) = topics.by_subject.get_mut(&self.subject) {
            senders.retain(|(id, _)| *id != self.id);
            if senders.is_empty() {
                topics.by_subject.remove(&self.subject);
            }
        }
    }
}

impl Shared {
    // No code panics while it holds the lock, so a poisoned map is still whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                subjects: Subjects::default(),
                topics: Mutex::default(),
                next_inbox: AtomicU64::new(0),
                connection: watch::Sender::new(Connection::established()),
            }),
        }
    }

    pub(crate) fn publish(&self, stream: &StreamId, chunk: &Chunk) -> Result<(), PublishError> {
        if chunk.payload.len() > MAX_PAYLOAD {
            return Err(PublishError::TooLarge {
                size: chunk.payload.len(),
                limit: MAX_PAYLOAD,
            });
        }
        self.deliver(
            &self.shared.subjects.media(stream),
            Message::Chunk(chunk.clone()),
        )
    }

    pub(crate) fn announce(&self, announcement: &Announcement) -> Result<(), PublishError> {
        let message = Message::Announcement(Box::new(announcement.clone()));
        self.deliver(&self.shared.subjects.all_status(), message)
    }

    pub(crate) fn subscribe_media(&self, stream: &StreamId) -> Result<Receiver, BusError> {
        self.subscribe(self.shared.subjects.media(stream))
    }

    pub(crate) fn subscribe_status(&self) -> Result<Receiver, BusError> {
        self.subscribe(self.shared.subjects.all_status())
    }

    pub(crate) fn serve_gop(&self, stream: &StreamId) -> Result<Receiver, BusError> {
        self.subscribe(self.shared.subjects.gop(stream))
    }

    pub(crate) fn request_gop(
        &self,
        stream: &StreamId,
        traceparent: Option<&str>,
    ) -> Result<Receiver, BusError> {
        let inbox = format!(
            "_INBOX.{}",
            self.shared.next_inbox.fetch_add(1, Ordering::Relaxed)
        );
        let receiver = self.subscribe(inbox.clone())?;
        let request = Message::GopRequest {
            reply: inbox.clone(),
            traceparent: traceparent.map(str::to_owned),
        };
        let reached = self.send(&self.shared.subjects.gop(stream), request);
        if reached.map_err(|_| BusError::Closed)? == 0 {
            let _closed_is_no_reply = self.send(&inbox, Message::NoResponder);
        }
        Ok(receiver)
    }

    pub(crate) fn deliver(&self, subject: &str, message: Message) -> Result<(), PublishError> {
        self.send(subject, message).map(|_reached| ())
    }

    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        self.shared.connection.subscribe()
    }

    pub(crate) fn close(&self) {
        let mut topics = self.shared.lock();
        topics.closed = true;
        topics.by_subject.clear();
        drop(topics);
        self.shared
            .connection
            .send_modify(|c| c.state = ConnectionState::Closed);
    }

    fn subscribe(&self, subject: String) -> Result<Receiver, BusError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let mut topics = self.shared.lock();
        if topics.closed {
            return Err(BusError::Closed);
        }
        topics.next_id += 1;
        let id = topics.next_id;
        topics
            .by_subject
            .entry(subject.clone())
            .or_default()
            .push((id, sender));
        drop(topics);
        Ok(Receiver {
            queue,
            subject,
            id,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Hands the message to every subscriber of a subject; returns how many there are.
    fn send(&self, subject: &str, message: Message) -> Result<usize, PublishError> {
        let topics = self.shared.lock();
        if topics.closed {
            return Err(PublishError::Closed);
        }
        let senders = topics
            .by_subject
            .get(subject)
            .map_or(&[][..], Vec::as_slice);
        let full = senders
            .iter()
            .filter(|(_, sender)| sender.try_send(message.clone()).is_err())
            .count();
        let reached = senders.len();
        drop(topics);
        if full > 0 {
            self.shared
                .connection
                .send_modify(|c| c.slow_consumer_events += full as u64);
        }
        Ok(reached)
    }
}
