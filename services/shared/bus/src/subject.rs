//! NATS subjects, in one place (docs/wire.md).

use crate::{CameraId, Rendition, StreamId};

/// Subject names under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

impl Default for Subjects {
    fn default() -> Self {
        Self {
            prefix: "fanlight".to_owned(),
        }
    }
}

impl Subjects {
    /// Subjects below `prefix`, which may have several tokens (`site-a.fanlight`).
    ///
    /// # Errors
    /// A sentence when a token is empty or holds a wildcard, white space or control
    /// character.
    pub fn new(prefix: &str) -> Result<Self, String> {
        let token_ok = |t: &str| {
            !t.is_empty()
                && t.chars()
                    .all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>' | '.'))
        };
        if prefix.len() <= 200 && prefix.split('.').all(token_ok) {
            return Ok(Self {
                prefix: prefix.to_owned(),
            });
        }
        Err(
            "a subject prefix is one or more words joined by `.`, without `*`, `>` or spaces, for \
             example `fanlight`"
                .to_owned(),
        )
    }

    /// Media of a stream.
    #[must_use]
    pub fn media(&self, stream: &StreamId) -> String {
        self.of(stream, "ts")
    }

    /// Announcements of a stream.
    #[must_use]
    pub fn status(&self, stream: &StreamId) -> String {
        self.of(stream, "status")
    }

    /// Requests for a stream's current GOP.
    #[must_use]
    pub fn gop(&self, stream: &StreamId) -> String {
        self.of(stream, "gop")
    }

    /// Announcements of every stream (a wildcard).
    #[must_use]
    pub fn all_status(&self) -> String {
        format!("{}.*.*.status", self.prefix)
    }

    /// The stream that a subject of this prefix is about.
    #[must_use]
    pub fn stream_of(&self, subject: &str) -> Option<StreamId> {
        let rest = subject
            .strip_prefix(self.prefix.as_str())?
            .strip_prefix('.')?;
        let mut tokens = rest.split('.');
        let camera: CameraId = tokens.next()?.parse().ok()?;
        let rendition: Rendition = tokens.next()?.parse().ok()?;
        let _kind = tokens.next()?;
        tokens
            .next()
            .is_none()
            .then_some(StreamId { camera, rendition })
    }

    fn of(&self, stream: &StreamId, kind: &str) -> String {
        format!(
            "{}.{}.{}.{kind}",
            self.prefix, stream.camera, stream.rendition
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_contract() {
        let subjects = Subjects::default();
        let stream = StreamId::main("gate".parse().unwrap());
        assert_eq!(subjects.media(&stream), "fanlight.gate.main.ts");
        assert_eq!(subjects.status(&stream), "fanlight.gate.main.status");
        assert_eq!(subjects.gop(&stream), "fanlight.gate.main.gop");
        assert_eq!(
            subjects.stream_of("fanlight.gate.main.status"),
            Some(stream)
        );
        assert_eq!(subjects.stream_of("fanlight.Gate.main.status"), None);
        assert_eq!(subjects.stream_of("fanlight.gate.main.status.x"), None);
    }

    #[test]
    fn a_prefix_cannot_widen_the_subscription() {
        assert!(Subjects::new("site.fanlight").is_ok());
        for bad in ["", ".", "a..b", "a.", "*", "a.>", "a b", "a\r\nPUB x 0"] {
            assert!(Subjects::new(bad).is_err(), "{bad:?}");
        }
    }
}
