//! What can go wrong on the bus, by whose problem it is.

/// The bus could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// A connection option is unusable.
    #[error("{0}")]
    Config(String),
    /// The bus was closed; nothing more will come.
    #[error("the bus is closed")]
    Closed,
}

/// A message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no connection now; the caller decides what to keep.
    #[error("not connected to the broker")]
    Disconnected,
    /// The payload with its headers is above the broker's limit; see [`crate::Bus::max_payload`].
    #[error("a message of {size} bytes is larger than the broker takes ({limit})")]
    TooLarge {
        /// Bytes of payload offered.
        size: usize,
        /// Largest payload taken.
        limit: usize,
    },
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

impl PublishError {
    /// The closed set of label values for a metric.
    pub const REASONS: [&'static str; 4] = ["disconnected", "too_large", "closed", Self::DENIED];

    /// Label value for what [`Connection::publish_denied`](crate::Connection::publish_denied)
    /// counts: no error of a call, since the broker says no later.
    pub const DENIED: &'static str = "denied";

    /// Label value for a metric.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::TooLarge { .. } => "too_large",
            Self::Closed => "closed",
        }
    }
}

/// A received message that breaks the contract: dropped, and told to whoever reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: {problem}")]
pub struct BadMessage {
    /// Subject it came on.
    pub subject: String,
    /// Which header or key is wrong, and how.
    pub problem: String,
}
