//! H.265 sequence parameter sets (ITU-T H.265 7.3.2.2 and annex E) and NAL types.

use super::bits::Bits;
use super::h264::crop;
use super::{ParameterSetError, PictureType, VideoFormat, nal};

type Result<T> = std::result::Result<T, ParameterSetError>;

pub(super) const VPS: u8 = 32;
pub(super) const SPS: u8 = 33;
pub(super) const PPS: u8 = 34;

/// nal_unit_type from the first byte of a NAL unit.
pub(super) fn nal_type(header: u8) -> u8 {
    header >> 1 & 0x3f
}

/// Slices are types 0 to 31; BLA, IDR and CRA pictures (16 to 21) start a sequence.
pub(super) fn picture_type(nal_type: u8) -> PictureType {
    match nal_type {
        16..=21 => PictureType::Key,
        0..=15 => PictureType::Inter,
        _ => PictureType::Unknown,
    }
}

/// The format an SPS announces. `nal` starts with the two-byte NAL header and still has its
/// emulation prevention bytes.
///
/// # Errors
/// [`ParameterSetError`] if it is cut short or has forbidden values.
pub fn parse_sps(nal: &[u8]) -> Result<VideoFormat> {
    let rbsp = nal::unescape(nal.get(2..).ok_or(ParameterSetError::Truncated)?);
    let mut bits = Bits::new(&rbsp);
    bits.skip(4)?; // sps_video_parameter_set_id
    let max_sub_layers = bits.bits(3)?;
    bits.skip(1)?; // temporal_id_nesting
    if max_sub_layers > 6 {
        return Err(ParameterSetError::Invalid("sub-layer count"));
    }
    let codec = profile_tier_level(&mut bits, max_sub_layers)?;
    bits.ue_max(15, "parameter set id")?;
    let chroma_format = bits.ue_max(3, "chroma format")?;
    let separate_planes = chroma_format == 3 && bits.flag()?;
    let mut width = bits.ue_max(super::MAX_DIMENSION, "width")?;
    let mut height = bits.ue_max(super::MAX_DIMENSION, "height")?;
    if bits.flag()? {
        let chroma = if separate_planes { 0 } else { chroma_format };
        let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma == 1 { 2 } else { 1 };
        let [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?];
        width = crop(width, left, right, unit_x)?;
        height = crop(height, top, bottom, unit_y)?;
    }
    // The size is known: what is broken behind it only costs the frame rate.
    let fps = fps(&mut bits, max_sub_layers).unwrap_or(None);
    VideoFormat::new(codec, width, height, fps)
}

/// Reads profile_tier_level and writes it as RFC 6381 does (ISO 14496-15 annex E.3).
fn profile_tier_level(bits: &mut Bits<'_>, max_sub_layers: u32) -> Result<String> {
    let space = ["", "A", "B", "C"][bits.bits(2)? as usize];
    let tier = if bits.flag()? { 'H' } else { 'L' };
    let profile = bits.bits(5)?;
    let compatibility = bits.bits(32)?.reverse_bits();
    let mut constraints = [0; 6];
    for byte in &mut constraints {
        *byte = bits.bits(8)?;
    }
    let level = bits.bits(8)?;
    let mut codec = format!("hvc1.{space}{profile}.{compatibility:X}.{tier}{level}");
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        codec.push_str(&format!(".{byte:X}"));
    }

    let mut present = [(false, false); 8];
    for layer in present.iter_mut().take(max_sub_layers as usize) {
        *layer = (bits.flag()?, bits.flag()?);
    }
    if max_sub_layers > 0 {
        bits.skip(2 * (8 - max_sub_layers as usize))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Ok(codec)
}

/// Walks from the bit depths to the VUI timing.
fn fps(bits: &mut Bits<'_>, max_sub_layers: u32) -> Result<Option<f64>> {
    bits.ue()?;
    bits.ue()?;
    let poc_bits = bits.ue_max(12, "picture order length")? + 4;
    let all_layers = bits.flag()?;
    for _ in if all_layers { 0 } else { max_sub_layers }..=max_sub_layers {
        bits.ue()?;
        bits.ue()?;
        bits.ue()?;
    }
    for _ in 0..6 {
        bits.ue()?; // block sizes and transform depths
    }
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp, sample_adaptive_offset
    if bits.flag()? {
        bits.skip(8)?;
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    skip_short_term_sets(bits)?;
    if bits.flag()? {
        for _ in 0..bits.ue_max(32, "long-term picture count")? {
            bits.skip(poc_bits as usize + 1)?;
        }
    }
    bits.skip(2)?; // temporal_mvp, strong_intra_smoothing
    if !bits.flag()? {
        return Ok(None);
    }
    vui_fps(bits)
}

fn skip_scaling_lists(bits: &mut Bits<'_>) -> Result<()> {
    for size in 0..4 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.flag()? {
                bits.ue()?;
                continue;
            }
            if size > 1 {
                bits.se()?;
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                bits.se()?;
            }
        }
    }
    Ok(())
}

/// st_ref_pic_set (7.3.7): each may be predicted from the one before, so their sizes are kept.
fn skip_short_term_sets(bits: &mut Bits<'_>) -> Result<()> {
    let mut previous = 0;
    for index in 0..bits.ue_max(64, "reference set count")? {
        if index > 0 && bits.flag()? {
            bits.skip(1)?; // delta_rps_sign
            bits.ue()?;
            let mut kept = 0;
            for _ in 0..=previous {
                let used = bits.flag()?;
                if used || bits.flag()? {
                    kept += 1;
                }
            }
            previous = kept;
        } else {
            let negative = bits.ue_max(16, "reference count")?;
            let positive = bits.ue_max(16, "reference count")?;
            for _ in 0..negative + positive {
                bits.ue()?;
                bits.skip(1)?;
            }
            previous = negative + positive;
        }
    }
    Ok(())
}

fn vui_fps(bits: &mut Bits<'_>) -> Result<Option<f64>> {
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
    bits.skip(3)?; // neutral_chroma, field_seq, frame_field_info
    if bits.flag()? {
        for _ in 0..4 {
            bits.ue()?; // default display window
        }
    }
    if !bits.flag()? {
        return Ok(None);
    }
    let units = bits.bits(32)?;
    let scale = bits.bits(32)?;
    Ok((units > 0).then(|| f64::from(scale) / f64::from(units)))
}

#[cfg(test)]
mod tests;
