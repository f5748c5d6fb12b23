//! The bus over NATS: core publish and subscribe, at most once; loss shows in the sequence
//! numbers. JetStream is not used: late video is no use to a live viewer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ConnectOptions, Event, HeaderMap, ServerAddr, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection::{Connection, ConnectionState};
use crate::memory::QUEUE;
use crate::{
    Announcement, BadMessage, BusError, Chunk, Credentials, GopEvent, Header, NatsConfig,
    PublishError, RunId, StreamId, Subjects, TS_PACKET, Tls,
};

/// Largest payload of one message, whatever the server takes: a bigger message would hold up
/// every other on the connection.
const MAX_PAYLOAD: usize = 512 * 1024;

/// Room for our headers; the server's `max_payload` counts them.
const HEADER_ROOM: usize = 4 * 1024;

/// Commands that wait in the client. Kept short: while it is full, ingest's own queue, which
/// is bounded in bytes and drops whole GOPs, does the waiting.
const CLIENT_QUEUE: usize = 64;

/// A dead server is noticed after two missed pings at the latest.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Longest wait for one server to answer before the next of the cluster is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// First and longest pause between two attempts to connect; half of it is random, so that
/// a fleet does not come back in step.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// A connection to NATS. Clones share it.
#[derive(Debug, Clone)]
pub struct Nats {
    client: async_nats::Client,
    subjects: Arc<Subjects>,
    connection: watch::Receiver<Connection>,
}

/// Checks a server URL without printing it.
pub(crate) fn check_url(url: &str) -> Result<ServerAddr, String> {
    let address: ServerAddr = url.parse().map_err(|_| "not a server URL".to_owned())?;
    match address.scheme() {
        "nats" | "tls" => Ok(address),
        other => Err(format!(
            "the scheme `{}` is not supported",
            other.escape_default()
        )),
    }
}

impl Nats {
    pub(crate) async fn connect(config: NatsConfig) -> Result<Self, BusError> {
        let servers = servers(&config.urls)?;
        let (state, connection) = watch::channel(Connection::connecting());
        let refusals = Mutex::new(Refusals::default());
        let mut options = ConnectOptions::new()
            .custom_inbox_prefix(inbox_prefix(&config.name))
            .name(config.name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(QUEUE)
            .client_capacity(CLIENT_QUEUE)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                note(
                    &state,
                    &mut refusals.lock().unwrap_or_else(PoisonError::into_inner),
                    &event,
                );
                std::future::ready(())
            });
        options = authenticate(options, &servers, config.credentials, config.tls)?;
        let client = options
            .connect(servers)
            .await
            .map_err(|error| BusError::Config(format!("--nats-url: {}", error.kind())))?;
        Ok(Self {
            client,
            subjects: Arc::new(config.subjects),
            connection,
        })
    }

    pub(crate) async fn publish(
        &self,
        stream: &StreamId,
        chunk: &Chunk,
    ) -> Result<(), PublishError> {
        self.send_chunk(self.subjects.media(stream).into(), chunk)
            .await
    }

    pub(crate) async fn send_chunk(
        &self,
        subject: Subject,
        chunk: &Chunk,
    ) -> Result<(), PublishError> {
        let mut headers = HeaderMap::new();
        chunk.headers(|name, value| headers.insert(name, value));
        self.send(subject, headers, chunk.payload.clone()).await
    }

    pub(crate) async fn send_end(
        &self,
        subject: Subject,
        run: Option<&RunId>,
        last_seq: Option<u64>,
    ) -> Result<(), PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            Header::END,
            last_seq.map(|seq| seq.to_string()).unwrap_or_default(),
        );
        if let Some(run) = run {
            headers.insert(Header::RUN, run.as_str());
        }
        self.send(subject, headers, Bytes::new()).await
    }

    async fn send(
        &self,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), PublishError> {
        // The client would queue it for a later connection, when nobody wants it any more.
        self.check_connected()?;
        let size = payload.len();
        self.client
            .publish_with_headers(subject, headers, payload)
            .await
            .map_err(|error| match error.kind() {
                async_nats::PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge {
                    size,
                    limit: self.max_payload(),
                },
                _ => PublishError::Closed,
            })
    }

    fn check_connected(&self) -> Result<(), PublishError> {
        match self.connection.borrow().state {
            ConnectionState::Connected => Ok(()),
            ConnectionState::Connecting | ConnectionState::Disconnected => {
                Err(PublishError::Disconnected)
            }
            ConnectionState::Closed => Err(PublishError::Closed),
        }
    }

    pub(crate) fn max_payload(&self) -> usize {
        let server = self.client.max_payload().saturating_sub(HEADER_ROOM);
        server.clamp(TS_PACKET, MAX_PAYLOAD) / TS_PACKET * TS_PACKET
    }

    pub(crate) async fn announce(&self, announcement: &Announcement) -> Result<(), PublishError> {
        self.check_connected()?;
        let subject = self.subjects.status(&announcement.stream());
        // A struct of strings and numbers always serialises.
        let payload = serde_json::to_vec(announcement).unwrap_or_default();
        let sent = self.client.publish(subject, payload.into()).await;
        sent.map_err(|_| PublishError::Closed)
    }

    pub(crate) async fn subscribe_media(&self, stream: &StreamId) -> Result<Subscriber, BusError> {
        self.subscribe(self.subjects.media(stream)).await
    }

    pub(crate) async fn subscribe_status(&self) -> Result<Subscriber, BusError> {
        self.subscribe(self.subjects.all_status()).await
    }

    pub(crate) async fn serve_gop(&self, stream: &StreamId) -> Result<Subscriber, BusError> {
        self.subscribe(self.subjects.gop(stream)).await
    }

    pub(crate) async fn request_gop(
        &self,
        stream: &StreamId,
        traceparent: Option<&str>,
    ) -> Result<Subscriber, BusError> {
        let inbox = self.client.new_inbox();
        let replies = self.subscribe(inbox.clone()).await?;
        let subject = self.subjects.gop(stream);
        let none = Bytes::new();
        let sent = match traceparent {
            None => self.client.publish_with_reply(subject, inbox, none).await,
            Some(from) => {
                let mut headers = HeaderMap::new();
                headers.insert(Header::TRACEPARENT, from);
                let client = &self.client;
                client
                    .publish_with_reply_and_headers(subject, inbox, headers, none)
                    .await
            }
        };
        sent.map_err(|_| BusError::Closed)?;
        Ok(replies)
    }

    async fn subscribe(&self, subject: String) -> Result<Subscriber, BusError> {
        self.client
            .subscribe(subject)
            .await
            .map_err(|_| BusError::Closed)
    }

    pub(crate) fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// The client's own flush ends when the bytes are in the socket. This one waits for the
    /// server's answer, so that everything sent before has taken effect there.
    pub(crate) async fn flush(&self, timeout: Duration) -> bool {
        let round_trip = async {
            let mut probe = self.subscribe(self.client.new_inbox()).await.ok()?;
            // Draining ends a subscription when the PONG to a PING sent after it is here.
            probe.drain().await.ok()?;
            while probe.next().await.is_some() {}
            Some(())
        };
        self.check_connected().is_ok()
            && matches!(
                tokio::time::timeout(timeout, round_trip).await,
                Ok(Some(()))
            )
    }

    pub(crate) async fn close(&self) {
        let _not_sent = self.flush(Duration::from_secs(1)).await;
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "nats connection was closed already");
        }
    }
}

/// Inboxes of each kind of program apart from the others', so that permissions can say who hears
/// whose answers: media comes to the inboxes of edges.
pub(crate) fn inbox_prefix(name: &str) -> String {
    let program = name.split_whitespace().next().unwrap_or("fanlight");
    format!("_INBOX.{program}")
}

pub(crate) fn servers(urls: &[String]) -> Result<Vec<ServerAddr>, BusError> {
    let check = |url: &String| {
        check_url(url).map_err(|error| BusError::Config(format!("--nats-url: {error}")))
    };
    urls.iter().map(check).collect()
}

/// What the URLs say about who we are: the client library reads no userinfo. The first that says
/// anything speaks for all, as nodes of a cluster share their users.
fn in_urls(servers: &[ServerAddr]) -> Credentials {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let found = servers.iter().find_map(|server| {
        let user = decode(server.username()?);
        Some(match server.password() {
            Some(password) => Credentials::Password {
                user,
                password: decode(password),
            },
            None => Credentials::Token(user),
        })
    });
    found.unwrap_or_default()
}

/// Puts in who we are and whom we trust.
pub(crate) fn authenticate(
    options: ConnectOptions,
    servers: &[ServerAddr],
    credentials: Credentials,
    tls: Tls,
) -> Result<ConnectOptions, BusError> {
    let credentials = match credentials {
        Credentials::None => in_urls(servers),
        given => given,
    };
    let mut options = match credentials {
        Credentials::None => options,
        Credentials::Password { user, password } => options.user_and_password(user, password),
        Credentials::Token(token) => options.token(token),
        Credentials::NkeySeed(seed) => options.nkey(seed),
        Credentials::Creds(text) => options
            .credentials(&text)
            .map_err(|_| BusError::Config("--nats-creds: not a credentials file".to_owned()))?,
    };
    if let Some(ca) = tls.ca {
        options = options.add_root_certificates(ca);
    }
    if let Some((cert, key)) = tls.client {
        options = options.add_client_certificate(cert, key);
    }
    Ok(options)
}

fn reconnect_delay(attempt: usize) -> Duration {
    // The first attempt after a loss goes out at once: another node of the cluster is up.
    if attempt <= 1 {
        return Duration::from_millis(rand::rng().random_range(0..20));
    }
    let doubled = RECONNECT_MIN * (1 << attempt.min(8));
    let cap = doubled.min(RECONNECT_MAX);
    cap / 2 + cap.mul_f64(rand::rng().random_range(0.0..0.5))
}

/// A forbidden subject is refused at every message: told at most every 10 s, with the number of
/// those in between.
#[derive(Default)]
struct Refusals {
    told: Option<Instant>,
    since: u64,
}

impl Refusals {
    const PERIOD: Duration = Duration::from_secs(10);

    /// `Some(n)` when this one may be told, `n` being those that were not.
    fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now - told < Self::PERIOD) {
            self.since += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

fn note(state: &watch::Sender<Connection>, refusals: &mut Refusals, event: &Event) {
    match event {
        Event::ServerError(error) => {
            if let Some(suppressed) = refusals.allow(Instant::now()) {
                tracing::warn!(%error, suppressed, "refused by nats");
            }
        }
        Event::SlowConsumer(sid) => tracing::debug!(sid, "a subscription's queue is full"),
        Event::Connected => tracing::info!("connected to nats"),
        Event::Disconnected => tracing::warn!("connection to nats lost"),
        other => tracing::warn!(event = %other, "nats"),
    }
    state.send_modify(|c| match event {
        Event::Connected => {
            if c.ever_connected {
                c.reconnects += 1;
            }
            c.state = ConnectionState::Connected;
            c.ever_connected = true;
        }
        Event::Disconnected => c.state = ConnectionState::Disconnected,
        Event::Closed => c.state = ConnectionState::Closed,
        Event::SlowConsumer(_) => c.slow_consumer_events += 1,
        Event::ServerError(error) => {
            let text = error.to_string();
            let lower = text.to_ascii_lowercase();
            if lower.contains("permissions violation") {
                c.denied += 1;
                c.publish_denied += u64::from(lower.contains("violation for publish"));
            }
            c.last_error = Some(text);
        }
        Event::ClientError(error) => c.last_error = Some(error.to_string()),
        Event::LameDuckMode | Event::Draining => {}
    });
}

/// `doctor` asks with an empty message whether it may publish; it means nothing to a reader.
pub(crate) fn is_probe(message: &async_nats::Message) -> bool {
    message.payload.is_empty()
        && message.headers.is_none()
        && message.reply.is_none()
        && message.status.is_none()
}

fn header<'a>(headers: Option<&'a HeaderMap>, name: &'static str) -> Option<&'a str> {
    headers?.get(name).map(async_nats::HeaderValue::as_str)
}

pub(crate) fn decode_chunk(message: async_nats::Message) -> Result<Chunk, BadMessage> {
    let get = |name| header(message.headers.as_ref(), name);
    Chunk::decode(&message.subject, get, message.payload)
}

pub(crate) fn decode_announcement(
    message: &async_nats::Message,
) -> Result<Announcement, BadMessage> {
    serde_json::from_slice(&message.payload).map_err(|error| BadMessage {
        subject: message.subject.to_string(),
        problem: format!("not an announcement: {error}"),
    })
}

/// Where to answer a GOP request, and the trace of who asks.
pub(crate) fn decode_request(message: &async_nats::Message) -> Option<(String, Option<String>)> {
    let from = header(message.headers.as_ref(), Header::TRACEPARENT);
    let reply = message.reply.as_ref()?;
    Some((reply.to_string(), from.map(str::to_owned)))
}

pub(crate) fn decode_gop(message: async_nats::Message) -> GopEvent {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return GopEvent::NoResponder;
    }
    if let Some(end) = header(message.headers.as_ref(), Header::END) {
        let run = header(message.headers.as_ref(), Header::RUN).and_then(|text| text.parse().ok());
        return GopEvent::End {
            run,
            last_seq: end.parse().ok(),
        };
    }
    match decode_chunk(message) {
        Ok(chunk) => GopEvent::Chunk(chunk),
        Err(bad) => GopEvent::Bad(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnects_spread_out_and_stay_within_a_second() {
        let longest = (0..200).map(|i| reconnect_delay(i % 40)).max().unwrap();
        assert!(longest <= RECONNECT_MAX, "{longest:?}");
        let waits: std::collections::HashSet<_> = (0..20).map(|_| reconnect_delay(10)).collect();
        assert!(waits.len() > 10, "no jitter: {waits:?}");
        assert!(waits.iter().all(|w| *w >= RECONNECT_MAX / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_subject_that_is_refused_again_and_again_is_told_now_and_then() {
        let mut refusals = Refusals::default();
        let start = Instant::now();
        assert_eq!(refusals.allow(start), Some(0));
        assert!((0..99).all(|_| refusals.allow(start).is_none()));
        assert_eq!(refusals.allow(start + Refusals::PERIOD), Some(99));
    }

    #[test]
    fn inboxes_are_the_programs() {
        assert_eq!(
            inbox_prefix("fanlight-ingest gate"),
            "_INBOX.fanlight-ingest"
        );
        assert_eq!(inbox_prefix("fanlight-edge"), "_INBOX.fanlight-edge");
        assert_eq!(inbox_prefix(""), "_INBOX.fanlight");
    }

    #[test]
    fn the_url_may_say_who_we_are() {
        let read = |urls: &[&str]| {
            let urls: Vec<_> = urls.iter().map(|u| (*u).to_owned()).collect();
            in_urls(&servers(&urls).unwrap())
        };
        let found = read(&["nats://a:4222", "nats://edge:p%40ss%2F@b:4222"]);
        let Credentials::Password { user, password } = found else {
            panic!("{found:?}");
        };
        assert_eq!((user.as_str(), password.as_str()), ("edge", "p@ss/"));
        assert!(matches!(read(&["nats://tok@a"]), Credentials::Token(t) if t == "tok"));
        assert!(matches!(read(&["nats://a", "b:4222"]), Credentials::None));
    }

    #[test]
    fn a_bad_url_is_not_repeated_in_the_error() {
        for url in [
            "http://user:canary@host",
            "nats://user:canary@ho st:1",
            "ws://u:canary@h",
        ] {
            let error = check_url(url).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
        assert!(check_url("nats://127.0.0.1:4222").is_ok());
        assert!(check_url("127.0.0.1:4222").is_ok());
    }
}
