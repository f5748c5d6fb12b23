//! Which cameras somebody may watch.

use std::sync::Arc;

/// Which cameras a grant is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cameras {
    /// All there are and will be.
    All,
    /// Those that match one of the patterns: a camera id, or the start of ids and `*`.
    Matching(Arc<[String]>),
}

impl Cameras {
    /// From patterns such as `gate` and `yard-*`; `*` alone is all cameras, none is no camera.
    ///
    /// # Errors
    /// The first pattern that can match no camera id.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut kept = Vec::new();
        let mut all = false;
        for pattern in patterns {
            let start = pattern.strip_suffix('*').unwrap_or(pattern);
            let id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if pattern.is_empty() || start.len() > 63 || !start.chars().all(id) {
                return Err(pattern);
            }
            all |= pattern == "*";
            kept.push(pattern.to_owned());
        }
        Ok(if all {
            Self::All
        } else {
            Self::Matching(kept.into())
        })
    }

    /// One camera.
    #[must_use]
    pub fn one(camera: &str) -> Self {
        Self::Matching([camera.to_owned()].into())
    }

    /// Whether a camera is among them.
    #[must_use]
    pub fn contains(&self, camera: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|p| match p.strip_suffix('*') {
                Some(start) => camera.starts_with(start),
                None => p == camera,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cameras = Cameras::from_patterns(["gate", "yard-*"]).unwrap();
        for (name, expected) in [
            ("gate", true),
            ("gate-2", false),
            ("yard-2", true),
            ("yard", false),
        ] {
            assert_eq!(cameras.contains(name), expected, "{name}");
        }
        assert_eq!(Cameras::from_patterns(["gate", "*"]), Ok(Cameras::All));
        assert!(!Cameras::from_patterns([]).unwrap().contains("gate"));
        assert!(Cameras::one("gate").contains("gate"));
    }

    #[test]
    fn patterns_that_match_nothing_are_named() {
        for bad in ["Gate", "", "a*b", "**", "a b", "gäte"] {
            assert_eq!(Cameras::from_patterns(["gate", bad]), Err(bad));
        }
    }
}
