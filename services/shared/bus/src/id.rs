//! Names of cameras, renditions and streams: DNS labels, so that they fit in NATS
//! subjects, URLs and Kubernetes object names without escaping.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest label, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// A text that is not a DNS label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a {what}: use 1 to 63 of a-z, 0-9 and `-`, starting and ending with a \
     letter or digit, for example `front-door`"
)]
pub struct InvalidLabel {
    /// What was to be named.
    what: &'static str,
    /// The text as given, control characters escaped and shortened.
    given: String,
}

fn check(what: &'static str, text: &str) -> Result<Arc<str>, InvalidLabel> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ok = (1..=MAX_LABEL).contains(&bytes.len())
        && bytes.iter().all(|&b| inner(b) || b == b'-')
        && bytes.first().copied().is_some_and(inner)
        && bytes.last().copied().is_some_and(inner);
    if ok {
        return Ok(Arc::from(text));
    }
    let given = text
        .chars()
        .take(80)
        .flat_map(char::escape_default)
        .collect();
    Err(InvalidLabel { what, given })
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The label as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidLabel;

            fn from_str(text: &str) -> Result<Self, InvalidLabel> {
                check($what, text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

label! {
    /// A camera's name.
    CameraId, "camera id"
}

label! {
    /// One encoding of a camera's picture; every camera has `main`.
    Rendition, "rendition"
}

impl Rendition {
    /// The rendition that every camera has.
    #[must_use]
    pub fn main() -> Self {
        Self(Arc::from("main"))
    }
}

impl Default for Rendition {
    fn default() -> Self {
        Self::main()
    }
}

/// One rendition of one camera: what a subject, a hub and a metric are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The camera.
    pub camera: CameraId,
    /// Which of its encodings.
    pub rendition: Rendition,
}

impl StreamId {
    /// The `main` rendition of a camera.
    #[must_use]
    pub fn main(camera: CameraId) -> Self {
        Self {
            camera,
            rendition: Rendition::main(),
        }
    }

    /// The rendition unless it is `main`: the field `rendition` of a log line, beside `camera`.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        let name = self.rendition.as_str();
        (name != "main").then_some(name)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.camera, self.rendition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_dns_labels_only() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "front-door", "a--b", longest.as_str()] {
            assert_eq!(good.parse::<CameraId>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(64);
        for bad in [
            "",
            "-a",
            "a-",
            "Front",
            "a.b",
            "a b",
            "a*",
            ">",
            "ü",
            "a\n",
            too_long.as_str(),
        ] {
            assert!(bad.parse::<CameraId>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn the_error_names_what_is_wrong_and_escapes_it() {
        let error = "Bad\nName".parse::<CameraId>().unwrap_err().to_string();
        assert!(error.contains(r"`Bad\nName` is not a camera id"), "{error}");
        assert!(error.contains("front-door"), "{error}");
    }

    #[test]
    fn serde_validates() {
        assert!(serde_json::from_str::<Rendition>("\"sub\"").is_ok());
        assert!(serde_json::from_str::<Rendition>("\"Sub.1\"").is_err());
    }
}
