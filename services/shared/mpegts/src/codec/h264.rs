//! H.264 sequence parameter sets (ITU-T H.264 7.3.2.1.1 and annex E) and slice types.

use super::bits::Bits;
use super::{ParameterSetError, PictureType, VideoFormat, nal};

type Result<T> = std::result::Result<T, ParameterSetError>;

pub(super) const SLICE_IDR: u8 = 5;
pub(super) const SPS: u8 = 7;
pub(super) const PPS: u8 = 8;

/// nal_unit_type from the first byte of a NAL unit.
pub(super) fn nal_type(header: u8) -> u8 {
    header & 0x1f
}

/// The format an SPS announces. `nal` starts with the NAL header and still has its emulation
/// prevention bytes.
///
/// # Errors
/// [`ParameterSetError`] if it is cut short or has forbidden values.
pub fn parse_sps(nal: &[u8]) -> Result<VideoFormat> {
    let rbsp = nal::unescape(nal.get(1..).ok_or(ParameterSetError::Truncated)?);
    let mut bits = Bits::new(&rbsp);
    let profile = bits.bits(8)?;
    let constraints = bits.bits(8)?;
    let level = bits.bits(8)?;
    let codec = format!("avc1.{profile:02X}{constraints:02X}{level:02X}");
    bits.ue_max(31, "parameter set id")?;

    let mut chroma_format = 1;
    let mut separate_planes = false;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma_format = bits.ue_max(3, "chroma format")?;
        if chroma_format == 3 {
            separate_planes = bits.flag()?;
        }
        bits.ue_max(6, "bit depth")?;
        bits.ue_max(6, "bit depth")?;
        bits.skip(1)?; // qpprime_y_zero_transform_bypass
        if bits.flag()? {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue_max(12, "frame number length")?;
    match bits.ue_max(2, "picture order type")? {
        0 => {
            bits.ue_max(12, "picture order length")?;
        }
        1 => {
            bits.skip(1)?;
            bits.se()?;
            bits.se()?;
            for _ in 0..bits.ue_max(255, "picture order cycle")? {
                bits.se()?;
            }
        }
        _ => {}
    }
    bits.ue()?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed
    let width_mbs = bits.ue_max(super::MAX_DIMENSION / 16, "width")? + 1;
    let height_units = bits.ue_max(super::MAX_DIMENSION / 16, "height")? + 1;
    let frame_mbs_only = bits.flag()?;
    if !frame_mbs_only {
        bits.skip(1)?; // mb_adaptive_frame_field
    }
    bits.skip(1)?; // direct_8x8_inference
    let field_factor = if frame_mbs_only { 1 } else { 2 };
    let (mut width, mut height) = (width_mbs * 16, height_units * 16 * field_factor);
    if bits.flag()? {
        let chroma = if separate_planes { 0 } else { chroma_format };
        let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let unit_y = field_factor * if chroma == 1 { 2 } else { 1 };
        let [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?];
        width = crop(width, left, right, unit_x)?;
        height = crop(height, top, bottom, unit_y)?;
    }
    // The size is known: a broken VUI only costs the frame rate.
    let fps = vui_fps(&mut bits).unwrap_or(None);
    VideoFormat::new(codec, width, height, fps)
}

pub(super) fn crop(size: u32, before: u32, after: u32, unit: u32) -> Result<u32> {
    let cut = (u64::from(before) + u64::from(after)) * u64::from(unit);
    u32::try_from(cut)
        .ok()
        .and_then(|cut| size.checked_sub(cut))
        .ok_or(ParameterSetError::Invalid("cropping"))
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Result<()> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.se()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

fn vui_fps(bits: &mut Bits<'_>) -> Result<Option<f64>> {
    if !bits.flag()? {
        return Ok(None);
    }
    if bits.flag()? && bits.bits(8)? == 255 {
        bits.skip(32)?; // sar_width, sar_height
    }
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate
    }
    if bits.flag()? {
        bits.skip(4)?; // video_format, video_full_range
        if bits.flag()? {
            bits.skip(24)?;
        }
    }
    if bits.flag()? {
        bits.ue()?;
        bits.ue()?;
    }
    if !bits.flag()? {
        return Ok(None);
    }
    let units = bits.bits(32)?;
    let scale = bits.bits(32)?;
    // A tick is a field (annex E.2.1).
    Ok((units > 0).then(|| f64::from(scale) / (2.0 * f64::from(units))))
}

/// Type of the picture that the slice in `nal` belongs to.
pub(super) fn picture_type(nal: &[u8]) -> PictureType {
    if nal_type(nal[0]) == SLICE_IDR {
        return PictureType::Key;
    }
    let rbsp = nal::unescape(&nal[1..nal.len().min(16)]);
    let mut bits = Bits::new(&rbsp);
    match bits.ue().and_then(|_first_mb| bits.ue()) {
        Ok(2 | 4 | 7 | 9) => PictureType::Intra,
        Ok(0..=9) => PictureType::Inter,
        _ => PictureType::Unknown,
    }
}

#[cfg(test)]
mod tests;
