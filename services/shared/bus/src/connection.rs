//! The state of the link to the broker, for readiness, metrics and the page.

/// Where the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Never connected yet.
    Connecting,
    /// Messages flow.
    Connected,
    /// Was connected; the client is reconnecting by itself.
    Disconnected,
    /// Closed for good.
    Closed,
}

/// A snapshot of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where it stands now.
    pub state: ConnectionState,
    /// Whether there ever was a connection.
    pub ever_connected: bool,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Times a subscription's queue was full and the newest message was dropped.
    pub slow_consumer_events: u64,
    /// Publishes and subscriptions that the broker refused for lack of permission.
    pub denied: u64,
    /// The publishes among them.
    pub publish_denied: u64,
    /// The last error, without credentials.
    pub last_error: Option<String>,
}

impl Connection {
    /// A link that is not there yet.
    pub(crate) fn connecting() -> Self {
        Self {
            state: ConnectionState::Connecting,
            ever_connected: false,
            reconnects: 0,
            slow_consumer_events: 0,
            denied: 0,
            publish_denied: 0,
            last_error: None,
        }
    }

    /// A link that cannot break (the in-process bus).
    pub(crate) fn established() -> Self {
        Self {
            state: ConnectionState::Connected,
            ever_connected: true,
            ..Self::connecting()
        }
    }

    /// Whether messages flow now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state == ConnectionState::Connected
    }
}
