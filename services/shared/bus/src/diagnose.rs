//! What a broker lets us do, for `doctor`: connects once, asks for each permission, and says in
//! which step it fails. Permissions are refused by errors that come later, so a round trip to the
//! server closes the questions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::nats::{authenticate, inbox_prefix, servers};
use crate::{Announcement, Bus, BusError, NatsConfig};

/// Longest wait for one server.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Longest wait for the server's answer to all the questions.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Errors travel through a task of the client on their way here.
const LATE_ERRORS: Duration = Duration::from_millis(100);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAccess {
    /// An option cannot be used.
    #[error(transparent)]
    Config(#[from] BusError),
    /// The name does not resolve.
    #[error("the broker's host name cannot be resolved")]
    Dns,
    /// The broker does not know us.
    #[error("the broker refused the user, password, token or key")]
    Credentials,
    /// Handshake or certificate.
    #[error("the encrypted connection to the broker failed")]
    Tls,
    /// Nothing came back in time.
    #[error("the broker did not answer within 3 s")]
    TimedOut,
    /// Nobody listens, or no way there.
    #[error("the broker cannot be reached")]
    Unreachable,
    /// It takes the connection and does not answer, or closes it.
    #[error("the broker closed the connection")]
    Lost,
}

impl NoAccess {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Config(_) => "correct the option",
            Self::Dns => "correct the host in --nats-url",
            Self::Credentials => {
                "correct --nats-user and --nats-password-file, or the token, nkey or credentials file"
            }
            Self::Tls => {
                "name the server's certificate authority with --nats-ca, and check its name"
            }
            Self::TimedOut | Self::Lost => {
                "check that --nats-url leads to a NATS server, and the firewall on the way"
            }
            Self::Unreachable => {
                "start NATS or correct host and port in --nats-url, and check the firewall on the way"
            }
        }
    }
}

/// What the broker says about itself and lets us do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The server's version.
    pub version: String,
    /// Bytes of the largest message with its headers.
    pub max_payload: usize,
    /// One question and its answer.
    pub round_trip: Duration,
    /// Subjects we may not publish.
    pub publish_denied: Vec<String>,
    /// Subjects we may not subscribe to.
    pub subscribe_denied: Vec<String>,
    /// We may not subscribe to an inbox of our own, so no answer can reach us.
    pub inbox_denied: bool,
}

/// Connects and asks whether each subject may be published and subscribed to. Publishing sends
/// an empty message, which readers pass over.
///
/// # Errors
/// There is no connection.
pub async fn access(
    config: NatsConfig,
    publish: &[String],
    subscribe: &[String],
) -> Result<Access, NoAccess> {
    let servers = servers(&config.urls)?;
    let errors = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&errors);
    let options = ConnectOptions::new()
        .custom_inbox_prefix(inbox_prefix(&config.name))
        .name(format!("{} doctor", config.name))
        .connection_timeout(CONNECT_LIMIT)
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(text)) = event {
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
            }
            std::future::ready(())
        });
    let options = authenticate(options, &servers, config.credentials, config.tls)?;
    let client = options
        .connect(servers)
        .await
        .map_err(|error| match error.kind() {
            ConnectErrorKind::ServerParse | ConnectErrorKind::Dns => NoAccess::Dns,
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                NoAccess::Credentials
            }
            ConnectErrorKind::Tls => NoAccess::Tls,
            ConnectErrorKind::TimedOut => NoAccess::TimedOut,
            ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => NoAccess::Unreachable,
        })?;
    let asked = tokio::time::timeout(ANSWER_LIMIT, ask(&client, publish, subscribe)).await;
    let round_trip = asked.ok().flatten().ok_or(NoAccess::Lost)?;
    tokio::time::sleep(LATE_ERRORS).await;
    let errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
    let denied = |kind: &str, subjects: &[String]| {
        let refused = |subject: &&String| errors.iter().any(|text| denies(text, kind, subject));
        subjects.iter().filter(refused).cloned().collect()
    };
    let info = client.server_info();
    let inbox_denied = errors.iter().any(|text| {
        let text = text.to_ascii_lowercase();
        text.contains("permissions violation for subscription") && text.contains("\"_inbox.")
    });
    Ok(Access {
        version: info.version,
        max_payload: info.max_payload,
        round_trip,
        publish_denied: denied("publish", publish),
        subscribe_denied: denied("subscription", subscribe),
        inbox_denied,
    })
}

/// `None` when the connection is gone.
async fn ask(client: &Client, publish: &[String], subscribe: &[String]) -> Option<Duration> {
    let mut subscriptions = Vec::new();
    for subject in subscribe {
        subscriptions.push(client.subscribe(subject.clone()).await.ok()?);
    }
    for subject in publish {
        client.publish(subject.clone(), Bytes::new()).await.ok()?;
    }
    let start = Instant::now();
    let mut last = client.subscribe(client.new_inbox()).await.ok()?;
    // Draining ends a subscription when the answer to a PING sent after it is here.
    last.drain().await.ok()?;
    while last.next().await.is_some() {}
    Some(start.elapsed())
}

/// `Permissions Violation for Publish to "a.b"`, `... for Subscription to "a.*"`.
fn denies(error: &str, kind: &str, subject: &str) -> bool {
    let error = error.to_ascii_lowercase();
    let subject = subject.to_ascii_lowercase();
    error.contains("permissions violation")
        && error.contains(&format!("for {kind} to"))
        && error.contains(&format!("\"{subject}\""))
}

/// An announcement and when it came, in unix nanoseconds of this clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// What was said.
    pub announcement: Announcement,
    /// When it came.
    pub received: u64,
}

impl Heard {
    /// How far this clock is ahead of the ingest's, in seconds; the message's way counts too.
    #[must_use]
    pub fn offset(&self) -> f64 {
        self.received
            .wrapping_sub(self.announcement.time)
            .cast_signed() as f64
            / 1e9
    }
}

/// Waits for the link to the broker, at most for `limit`.
pub async fn connected(bus: &Bus, limit: Duration) -> bool {
    let mut link = bus.connection();
    let wait = link.wait_for(|c| c.is_connected());
    // What it gives locks the state while it lives.
    tokio::time::timeout(limit, wait)
        .await
        .is_ok_and(|seen| seen.is_ok())
}

/// Hears announcements for `time`, the newest of each ingest of each stream.
///
/// # Errors
/// As [`Bus::subscribe_status`].
pub async fn listen(bus: &Bus, time: Duration) -> Result<Vec<Heard>, BusError> {
    let mut heard: Vec<Heard> = Vec::new();
    let mut status = bus.subscribe_status().await?;
    let end = Instant::now() + time;
    while let Ok(Some(announcement)) = tokio::time::timeout_at(end, status.next()).await {
        let Ok(announcement) = announcement else {
            continue;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let received = now.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
        heard.retain(|h| {
            h.announcement.instance != announcement.instance
                || h.announcement.stream() != announcement.stream()
        });
        heard.push(Heard {
            announcement,
            received,
        });
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_its_subject_and_its_kind() {
        let text = "Permissions Violation for Publish to \"fanlight.gate.main.ts\"";
        assert!(denies(text, "publish", "fanlight.gate.main.ts"));
        assert!(!denies(text, "subscription", "fanlight.gate.main.ts"));
        assert!(!denies(text, "publish", "fanlight.gate.main"));
        let text = "permissions violation for subscription to \"fanlight.*.*.status\"";
        assert!(denies(text, "subscription", "fanlight.*.*.status"));
        assert!(!denies("maximum payload violation", "publish", "a"));
    }
}
