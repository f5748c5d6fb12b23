//! Values of options: sizes, rates, amounts and times, as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Picture size in pixels, both even: the encoders work on 4:2:0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Pictures a second, as a fraction so that 29.97 is 30000/1001.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fps {
    num: u32,
    den: u32,
}

/// Bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(pub u64);

/// An amount of memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

/// What would be right.
pub type Remedy = &'static str;

/// Widest and highest picture: the largest of H.264 level 6.
const MAX_SIDE: u32 = 8192;

// === impl Size ===

impl FromStr for Size {
    type Err = Remedy;

    fn from_str(text: &str) -> Result<Self, Remedy> {
        let parse = || {
            let (width, height) = text.split_once(['x', 'X'])?;
            let side = |s: &str| {
                let digits = s.bytes().all(|b| b.is_ascii_digit());
                let side = s.parse().ok().filter(|_| digits)?;
                ((16..=MAX_SIDE).contains(&side) && side % 2 == 0).then_some(side)
            };
            Some(Self {
                width: side(width)?,
                height: side(height)?,
            })
        };
        parse().ok_or("write WIDTHxHEIGHT in even numbers from 16 to 8192, for example `640x480`")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

// === impl Fps ===

impl Fps {
    /// Rates of MPEG-1's table (ISO 11172-2 2.4.3.2), and those beyond it that ffmpeg's
    /// `-strict unofficial` adds.
    pub const MPEG1: [Self; 12] = [
        Self::new(5, 1),
        Self::new(10, 1),
        Self::new(12, 1),
        Self::new(15, 1),
        Self::new(24_000, 1001),
        Self::new(24, 1),
        Self::new(25, 1),
        Self::new(30_000, 1001),
        Self::new(30, 1),
        Self::new(50, 1),
        Self::new(60_000, 1001),
        Self::new(60, 1),
    ];

    const fn new(num: u32, den: u32) -> Self {
        Self { num, den }
    }

    /// Pictures a second.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

impl FromStr for Fps {
    type Err = Remedy;

    fn from_str(text: &str) -> Result<Self, Remedy> {
        const REMEDY: Remedy =
            "write pictures a second from 0.1 to 240, for example `15` or `29.97`";
        let parse = || -> Option<Self> {
            if let Some((num, den)) = text.split_once('/') {
                let (num, den) = (num.parse().ok()?, den.parse().ok()?);
                return (den > 0).then_some(Self { num, den });
            }
            let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite())?;
            for ntsc in [24_000, 30_000, 60_000] {
                let exact = f64::from(ntsc) / 1001.0;
                if (value - exact).abs() < 0.006 {
                    return Some(Self {
                        num: ntsc,
                        den: 1001,
                    });
                }
            }
            let thousandths = (value * 1000.0).round();
            if !(1.0..=1e6).contains(&thousandths) {
                return None;
            }
            let thousandths = thousandths as u32;
            Some(match thousandths % 1000 {
                0 => Self::new(thousandths / 1000, 1),
                _ => Self::new(thousandths, 1000),
            })
        };
        parse()
            .filter(|fps| (0.1..=240.0).contains(&fps.as_f64()))
            .ok_or(REMEDY)
    }
}

/// As ffmpeg takes it: `15` or `30000/1001`.
impl fmt::Display for Fps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

/// A number with a unit behind it.
fn scaled(text: &str, unit: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    Some(number * unit(suffix.trim())?)
}

// === impl Bitrate ===

impl FromStr for Bitrate {
    type Err = Remedy;

    fn from_str(text: &str) -> Result<Self, Remedy> {
        let unit = |suffix: &str| match suffix {
            "" => Some(1.0),
            "k" | "K" => Some(1e3),
            "m" | "M" => Some(1e6),
            _ => None,
        };
        scaled(text, unit)
            .filter(|bits| (10e3..=400e6).contains(bits))
            .map(|bits| Self(bits.round() as u64))
            .ok_or("write bits a second from 10k to 400M, for example `800k` or `1.5M`")
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits.is_multiple_of(1000) => write!(f, "{}k", bits / 1000),
            bits => write!(f, "{bits}"),
        }
    }
}

// === impl ByteSize ===

impl FromStr for ByteSize {
    type Err = Remedy;

    fn from_str(text: &str) -> Result<Self, Remedy> {
        let unit = |suffix: &str| match suffix.to_ascii_lowercase().as_str() {
            "" | "b" => Some(1.0),
            "k" | "kb" => Some(1e3),
            "m" | "mb" => Some(1e6),
            "g" | "gb" => Some(1e9),
            "ki" | "kib" => Some(1024.0),
            "mi" | "mib" => Some(1024.0 * 1024.0),
            "gi" | "gib" => Some(1024.0 * 1024.0 * 1024.0),
            _ => None,
        };
        scaled(text, unit)
            .filter(|bytes| (65_536.0..=2e9).contains(bytes))
            .map(|bytes| Self(bytes as usize))
            .ok_or("write an amount of memory from 64KiB to 2GB, for example `8MiB`")
    }
}

// === impl Seconds ===

impl FromStr for Seconds {
    type Err = Remedy;

    fn from_str(text: &str) -> Result<Self, Remedy> {
        let unit = |suffix: &str| match suffix {
            "" | "s" => Some(1.0),
            "ms" => Some(1e-3),
            "m" | "min" => Some(60.0),
            _ => None,
        };
        scaled(text, unit)
            .filter(|seconds| (0.1..=3600.0).contains(seconds))
            .map(|seconds| Self(Duration::from_secs_f64(seconds)))
            .ok_or("write a time from 0.1 s to 1 hour, for example `5s` or `500ms`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size: Size = "1280x720".parse().unwrap();
        assert_eq!(
            (size.width, size.height, size.to_string().as_str()),
            (1280, 720, "1280x720")
        );
        for bad in [
            "",
            "640",
            "640x",
            "641x480",
            "0x0",
            "99999x2",
            "-4x16",
            "640x480x2",
            "+16x16",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates() {
        let text = |s: &str| s.parse::<Fps>().unwrap().to_string();
        assert_eq!(text("15"), "15");
        assert_eq!(text("29.97"), "30000/1001");
        assert_eq!(text("23.976"), "24000/1001");
        assert_eq!(text("30000/1001"), "30000/1001");
        assert_eq!(text("12.5"), "12500/1000");
        for bad in ["", "0", "-1", "nan", "inf", "1/0", "1000", "fast"] {
            assert!(bad.parse::<Fps>().is_err(), "{bad}");
        }
        assert!(Fps::MPEG1.contains(&"15".parse().unwrap()));
        assert!(!Fps::MPEG1.contains(&"20".parse().unwrap()));
    }

    #[test]
    fn amounts() {
        let bits = |s: &str| s.parse::<Bitrate>().map(|b| b.0);
        assert_eq!(
            (bits("800k"), bits("1.5M"), bits("64000")),
            (Ok(800_000), Ok(1_500_000), Ok(64_000))
        );
        assert_eq!(Bitrate(1_500_000).to_string(), "1500k");
        for bad in ["", "0", "800kb", "k", "-800k", "1e9", "999M"] {
            assert!(bits(bad).is_err(), "{bad}");
        }
        let bytes = |s: &str| s.parse::<ByteSize>().map(|b| b.0);
        assert_eq!(
            (bytes("8MiB"), bytes("512KiB"), bytes("1mb")),
            (Ok(8 << 20), Ok(512 << 10), Ok(1_000_000))
        );
        assert!(bytes("1").is_err() && bytes("8 parsecs").is_err() && bytes("99GB").is_err());
        let time = |s: &str| s.parse::<Seconds>().map(|t| t.0.as_millis());
        assert_eq!(
            (time("5s"), time("500ms"), time("2")),
            (Ok(5000), Ok(500), Ok(2000))
        );
        assert!(time("0").is_err() && time("2h").is_err());
    }
}
