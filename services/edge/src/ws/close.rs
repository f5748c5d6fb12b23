//! Close codes the edge sends (docs/wire.md).

/// Why the edge closes a socket, with its code and the reason text of the close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client closed; its code is echoed.
    Client(u16),
    /// This server stops.
    Draining,
    /// The client broke RFC 6455.
    Protocol,
    /// A fragmented message.
    Fragmented,
    /// Text or a close reason that is not UTF-8.
    NotUtf8,
    /// More messages than a viewer needs to send.
    TooMany,
    /// A message above [`super::reader::MAX_PAYLOAD`].
    TooBig,
    /// The grant ended.
    GrantEnded,
    /// The grant was revoked.
    Revoked,
    /// The camera was removed.
    Removed,
    /// Nothing was taken for too long.
    TooSlow,
    /// No answer to a ping.
    NoPong,
}

impl Close {
    /// The code of the close frame.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Client(code) => code,
            Self::Draining => 1001,
            Self::Protocol => 1002,
            Self::Fragmented => 1003,
            Self::NotUtf8 => 1007,
            Self::TooMany => 1008,
            Self::TooBig => 1009,
            Self::GrantEnded => 4401,
            Self::Revoked => 4403,
            Self::Removed => 4404,
            Self::TooSlow | Self::NoPong => 4408,
        }
    }

    /// The reason text of the close frame; at most 123 bytes.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Client(_) => "",
            Self::Draining => "server restarting",
            Self::Protocol => "protocol error",
            Self::Fragmented => "fragmented messages are not taken",
            Self::NotUtf8 => "text is not UTF-8",
            Self::TooMany => "too many messages",
            Self::TooBig => "message above 4096 bytes",
            Self::GrantEnded => "grant ended",
            Self::Revoked => "grant revoked",
            Self::Removed => "camera removed",
            Self::TooSlow => "too slow",
            Self::NoPong => "no answer to ping",
        }
    }

    /// The label value of `disconnects_total{reason}`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Draining => "drain",
            Self::Protocol | Self::Fragmented | Self::NotUtf8 | Self::TooMany | Self::TooBig => {
                "protocol"
            }
            Self::GrantEnded => "grant_ended",
            Self::Revoked => "revoked",
            Self::Removed => "removed",
            Self::TooSlow => "slow",
            Self::NoPong => "ping_timeout",
        }
    }
}
