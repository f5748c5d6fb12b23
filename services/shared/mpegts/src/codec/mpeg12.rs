//! MPEG-1 and MPEG-2 sequence headers (ISO 11172-2 2.4.2.3, ISO 13818-2 6.2.2).

use super::{ParameterSetError, PictureType, VideoFormat};

pub(super) const PICTURE: u8 = 0x00;
pub(super) const SEQUENCE: u8 = 0xb3;
pub(super) const EXTENSION: u8 = 0xb5;
/// extension_start_code_identifier of a sequence extension: only MPEG-2 has it.
const SEQUENCE_EXTENSION: u8 = 1;

/// Frame rates by code. 1 to 8 are in the standard; ffmpeg (`-strict unofficial`) writes 9 for
/// Xing's 15 and 10 to 13 for libmpeg3's economy rates.
const FRAME_RATES: [f64; 14] = [
    0.0,
    24_000.0 / 1001.0,
    24.0,
    25.0,
    30_000.0 / 1001.0,
    30.0,
    50.0,
    60_000.0 / 1001.0,
    60.0,
    15.0,
    5.0,
    10.0,
    12.0,
    15.0,
];

/// The format a sequence header announces. `header` starts after the start code 00 00 01 B3;
/// `extension` after the 00 00 01 B5 of the extension that follows it in MPEG-2.
///
/// # Errors
/// [`ParameterSetError`] if it is cut short or has forbidden values.
pub fn parse_sequence(
    header: &[u8],
    extension: Option<&[u8]>,
) -> Result<VideoFormat, ParameterSetError> {
    let [a, b, c, d, ..] = header else {
        return Err(ParameterSetError::Truncated);
    };
    let mut width = u32::from(*a) << 4 | u32::from(b >> 4);
    let mut height = u32::from(b & 0x0f) << 8 | u32::from(*c);
    let mut fps = FRAME_RATES
        .get(usize::from(d & 0x0f))
        .copied()
        .filter(|fps| *fps > 0.0);
    let mut object_type = 0x6a;
    if let Some(extension) = extension.filter(|e| is_sequence_extension(e)) {
        let [a, b, c, _, _, f, ..] = extension else {
            return Err(ParameterSetError::Truncated);
        };
        // ISO 14496-1 table 5: 60 Simple, 61 Main, 62 SNR, 63 Spatial, 64 High, 65 4:2:2.
        // The profile counts downwards from 5 Simple to 1 High (ISO 13818-2 8.1).
        object_type = match a & 0x07 {
            _ if a & 0x08 != 0 => 0x65, // escape bit
            profile @ 1..=5 => 0x65 - profile,
            _ => return Err(ParameterSetError::Invalid("profile")),
        };
        width |= (u32::from(b & 1) << 1 | u32::from(c >> 7)) << 12;
        height |= u32::from(c >> 5 & 3) << 12;
        let (n, d) = (f64::from(f >> 5 & 3), f64::from(f & 0x1f));
        fps = fps.map(|fps| fps * (n + 1.0) / (d + 1.0));
    }
    VideoFormat::new(format!("mp4v.{object_type:02X}"), width, height, fps)
}

pub(super) fn is_sequence_extension(extension: &[u8]) -> bool {
    extension
        .first()
        .is_some_and(|byte| byte >> 4 == SEQUENCE_EXTENSION)
}

/// picture_coding_type from the two bytes after the start code 00 00 01 00.
pub(super) fn picture_type(header: [u8; 2], after_sequence: bool) -> PictureType {
    match header[1] >> 3 & 7 {
        1 if after_sequence => PictureType::Key,
        1 => PictureType::Intra,
        2 | 3 => PictureType::Inter,
        _ => PictureType::Unknown,
    }
}

#[cfg(test)]
mod tests;
