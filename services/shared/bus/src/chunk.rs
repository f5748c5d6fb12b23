//! A media message: its payload and what the headers say about it (docs/wire.md).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::{BadMessage, RunId};

/// Bytes of a TS packet (ISO/IEC 13818-1 2.4.3.2).
pub const TS_PACKET: usize = 188;

/// Longest text taken from a header; a codec string is at most ~40 characters.
const MAX_TEXT: usize = 128;

/// Header names of a media message.
#[derive(Debug, Clone, Copy)]
pub struct Header;

impl Header {
    /// The run, see [`RunId`].
    pub const RUN: &'static str = "Fanlight-Run";
    /// Number of the message in its run.
    pub const SEQ: &'static str = "Fanlight-Seq";
    /// Ingest time, unix nanoseconds.
    pub const TIME: &'static str = "Fanlight-Time";
    /// `1` on the first part of a key chunk.
    pub const KEY: &'static str = "Fanlight-Key";
    /// `i/n` where a picture is split.
    pub const PART: &'static str = "Fanlight-Part";
    /// RFC 6381 codec string, on key chunks.
    pub const CODEC: &'static str = "Fanlight-Codec";
    /// `640x480@15`, on key chunks.
    pub const VIDEO: &'static str = "Fanlight-Video";
    /// Closes a GOP reply; holds the last sequence number sent.
    pub const END: &'static str = "Fanlight-End";
    /// W3C trace context.
    pub const TRACEPARENT: &'static str = "traceparent";
}

/// One message of media: a whole number of TS packets with at most one picture, or a part
/// of a picture that is larger than a message may be.
#[derive(Clone, PartialEq)]
pub struct Chunk {
    /// The life of ffmpeg that it comes from.
    pub run: RunId,
    /// Its number in the run; +1 each message.
    pub seq: u64,
    /// When it was read from ffmpeg's stdout, in unix nanoseconds (ingest time).
    pub time: u64,
    /// Whether a decoder can start here: the first part of a key chunk.
    pub key: bool,
    /// Which part of a split picture; `None` for a whole one.
    pub part: Option<Part>,
    /// RFC 6381 codec string; on key chunks.
    pub codec: Option<Arc<str>>,
    /// Picture size and rate; on key chunks.
    pub video: Option<Video>,
    /// W3C `traceparent` of a sampled chunk.
    pub traceparent: Option<Arc<str>>,
    /// TS packets, a multiple of 188 bytes.
    pub payload: Bytes,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("run", &self.run)
            .field("seq", &self.seq)
            .field("key", &self.key)
            .field("part", &self.part)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl Chunk {
    /// Whether a skip may land before or cut after this message: it is not a later part.
    #[must_use]
    pub fn starts_picture(&self) -> bool {
        self.part.is_none_or(|part| part.index == 1)
    }

    /// Whether the picture is complete with this message.
    #[must_use]
    pub fn ends_picture(&self) -> bool {
        self.part.is_none_or(|part| part.index == part.count)
    }

    /// Number of TS packets in the payload.
    #[must_use]
    pub fn packets(&self) -> u64 {
        (self.payload.len() / TS_PACKET) as u64
    }

    /// Calls `put` with the name and value of every header.
    pub(crate) fn headers(&self, mut put: impl FnMut(&'static str, String)) {
        put(Header::RUN, self.run.to_string());
        put(Header::SEQ, self.seq.to_string());
        put(Header::TIME, self.time.to_string());
        if self.key {
            put(Header::KEY, "1".to_owned());
        }
        if let Some(part) = self.part {
            put(Header::PART, part.to_string());
        }
        if let Some(codec) = &self.codec {
            put(Header::CODEC, codec.to_string());
        }
        if let Some(video) = self.video {
            put(Header::VIDEO, video.to_string());
        }
        if let Some(traceparent) = &self.traceparent {
            put(Header::TRACEPARENT, traceparent.to_string());
        }
    }

    /// A chunk from a message's headers and payload.
    ///
    /// # Errors
    /// Names the header that is missing or malformed, or the payload's length when it is
    /// not whole packets.
    pub(crate) fn decode<'a>(
        subject: &str,
        get: impl Fn(&'static str) -> Option<&'a str>,
        payload: Bytes,
    ) -> Result<Self, BadMessage> {
        let bad = |problem: String| BadMessage {
            subject: subject.to_owned(),
            problem,
        };
        let required = |name| get(name).ok_or_else(|| bad(format!("header `{name}` is missing")));
        let number = |name, text: &str| {
            text.parse::<u64>()
                .map_err(|_| bad(format!("header `{name}` is not a number")))
        };
        if payload.is_empty() || !payload.len().is_multiple_of(TS_PACKET) {
            let len = payload.len();
            return Err(bad(format!(
                "payload of {len} bytes is not whole {TS_PACKET}-byte packets"
            )));
        }
        let run = required(Header::RUN)?
            .parse()
            .map_err(|e| bad(format!("header `{}`: {e}", Header::RUN)))?;
        let part = get(Header::PART)
            .map(|text| {
                text.parse()
                    .map_err(|e| bad(format!("header `{}`: {e}", Header::PART)))
            })
            .transpose()?;
        // What only describes the picture is dropped when malformed: the picture is still good.
        let text = |name| get(name).filter(|t| t.len() <= MAX_TEXT).map(Arc::from);
        Ok(Self {
            run,
            seq: number(Header::SEQ, required(Header::SEQ)?)?,
            time: number(Header::TIME, required(Header::TIME)?)?,
            key: get(Header::KEY) == Some("1"),
            part,
            codec: text(Header::CODEC),
            video: get(Header::VIDEO).and_then(|t| t.parse().ok()),
            traceparent: text(Header::TRACEPARENT),
            payload,
        })
    }
}

/// Which part of a split picture a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// 1 for the first.
    pub index: u32,
    /// Parts in all.
    pub count: u32,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Part {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            Some(Self {
                index: index.parse().ok()?,
                count: count.parse().ok()?,
            })
        });
        parsed
            .filter(|part| 1 <= part.index && part.index <= part.count)
            .ok_or("expected `i/n` with 1 <= i <= n")
    }
}

/// Picture size and rate: `640x480@15`, `1920x1080@29.97`, or `640x480` when the rate is
/// not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Video {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: Option<f64>,
}

impl fmt::Display for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)?;
        match self.fps {
            // Three digits tell 23.976 from 24; trailing zeros would only be noise.
            Some(fps) => write!(f, "@{}", (fps * 1000.0).round() / 1000.0),
            None => Ok(()),
        }
    }
}

impl FromStr for Video {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (size, fps) = match text.split_once('@') {
            Some((size, fps)) => (size, Some(fps)),
            None => (text, None),
        };
        let parse = || {
            let (width, height) = size.split_once('x')?;
            let fps = match fps {
                Some(fps) => Some(
                    fps.parse::<f64>()
                        .ok()
                        .filter(|f| f.is_finite() && *f > 0.0)?,
                ),
                None => None,
            };
            Some(Self {
                width: width.parse().ok()?,
                height: height.parse().ok()?,
                fps,
            })
        };
        parse().ok_or("expected WIDTHxHEIGHT or WIDTHxHEIGHT@FPS")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn chunk() -> Chunk {
        Chunk {
            run: "1700000000000-abc-1".parse().unwrap(),
            seq: 7,
            time: 1_700_000_000_123_456_789,
            key: true,
            part: Some(Part { index: 1, count: 3 }),
            codec: Some("avc1.42C01E".into()),
            video: Some(Video {
                width: 640,
                height: 480,
                fps: Some(15.0),
            }),
            traceparent: None,
            payload: Bytes::from(vec![0x47; 376]),
        }
    }

    fn headers(chunk: &Chunk) -> HashMap<&'static str, String> {
        let mut map = HashMap::new();
        chunk.headers(|name, value| {
            map.insert(name, value);
        });
        map
    }

    #[test]
    fn headers_round_trip() {
        let chunk = chunk();
        let map = headers(&chunk);
        assert_eq!(map[Header::VIDEO], "640x480@15");
        assert_eq!(map[Header::PART], "1/3");
        let back = Chunk::decode(
            "s",
            |n| map.get(n).map(String::as_str),
            chunk.payload.clone(),
        )
        .unwrap();
        assert_eq!(back, chunk);
    }

    #[test]
    fn errors_name_the_header() {
        for name in [Header::RUN, Header::SEQ, Header::TIME] {
            let mut map = headers(&chunk());
            map.remove(name);
            let get = |n| map.get(n).map(String::as_str);
            let error = Chunk::decode("s", get, Bytes::from(vec![0; 188])).unwrap_err();
            assert!(error.problem.contains(name), "{error}");
        }
        let map = headers(&chunk());
        let get = |n| map.get(n).map(String::as_str);
        for len in [0, 187, 189] {
            assert!(Chunk::decode("s", get, Bytes::from(vec![0; len])).is_err());
        }
    }

    #[test]
    fn pictures_and_parts() {
        let mut c = chunk();
        assert!(c.starts_picture() && !c.ends_picture());
        c.part = Some(Part { index: 3, count: 3 });
        assert!(!c.starts_picture() && c.ends_picture());
        c.part = None;
        assert!(c.starts_picture() && c.ends_picture());
        for bad in ["0/3", "4/3", "1", "a/b", "1/3/5", "-1/3"] {
            assert!(bad.parse::<Part>().is_err(), "{bad}");
        }
    }

    #[test]
    fn video_prints_short_rates() {
        let text = |fps| {
            Video {
                width: 1920,
                height: 1080,
                fps,
            }
            .to_string()
        };
        assert_eq!(text(Some(30000.0 / 1001.0)), "1920x1080@29.97");
        assert_eq!(text(Some(24000.0 / 1001.0)), "1920x1080@23.976");
        assert_eq!(text(None), "1920x1080");
        for bad in [
            "",
            "640",
            "640x",
            "640x480@",
            "640x480@0",
            "640x480@nan",
            "640x480@-1",
        ] {
            assert!(bad.parse::<Video>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_header_text_is_taken_or_refused(run in ".*", seq in ".*", part in ".*", video in ".*") {
            let get = |n| match n {
                Header::RUN => Some(run.as_str()),
                Header::SEQ => Some(seq.as_str()),
                Header::TIME => Some("1"),
                Header::PART => Some(part.as_str()),
                Header::VIDEO => Some(video.as_str()),
                _ => None,
            };
            let _ = Chunk::decode("s", get, Bytes::from(vec![0; 188]));
        }
    }
}
