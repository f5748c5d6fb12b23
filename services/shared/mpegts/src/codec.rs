//! Video formats and picture types, read from the start of an access unit.

use std::sync::Arc;

mod bits;
pub mod h264;
pub mod h265;
pub mod mpeg12;
mod nal;
mod scan;

pub(crate) use scan::{UnitScanner, read_format};

/// Why a parameter set or sequence header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterSetError {
    /// It ends before its last field.
    #[error("parameter set is cut short")]
    Truncated,
    /// A field has a value the standard forbids.
    #[error("parameter set has a forbidden {0}")]
    Invalid(&'static str),
}

/// What a decoder has to be told about a video stream.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFormat {
    /// RFC 6381 codecs parameter: `avc1.42C01E`, `hvc1.1.6.L93.B0`, `mp4v.6A` (MPEG-1),
    /// `mp4v.61` (MPEG-2 Main; 60 to 65 for the other profiles).
    pub codec: Arc<str>,
    /// Width in pixels after cropping.
    pub width: u32,
    /// Height in pixels after cropping.
    pub height: u32,
    /// Pictures a second, if the stream says so.
    pub fps: Option<f64>,
}

/// What kind of picture an access unit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureType {
    /// A decoder can start here: H.264 IDR, H.265 NAL types 16 to 21, MPEG-1/2 I picture after a
    /// sequence header.
    Key,
    /// Intra coded, but no safe start (H.264 I slice without IDR, MPEG I without sequence header).
    Intra,
    /// Refers to other pictures.
    Inter,
    /// Not recognised.
    Unknown,
}

/// Widest or highest picture believed; H.265 level 6.2 ends at 8444.
const MAX_DIMENSION: u32 = 16_384;

impl VideoFormat {
    fn new(
        codec: String,
        width: u32,
        height: u32,
        fps: Option<f64>,
    ) -> Result<Self, ParameterSetError> {
        if !(1..=MAX_DIMENSION).contains(&width) || !(1..=MAX_DIMENSION).contains(&height) {
            return Err(ParameterSetError::Invalid("picture size"));
        }
        let fps = fps.filter(|fps| (0.01..=1000.0).contains(fps));
        Ok(VideoFormat {
            codec: codec.into(),
            width,
            height,
            fps,
        })
    }
}

/// The bytes a hexadecimal string spells.
#[cfg(test)]
fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}
