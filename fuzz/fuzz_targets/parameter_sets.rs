//! Parameter sets of H.264 and H.265 and sequence headers of MPEG-1/2 on any bytes. The first
//! byte chooses the codec; for MPEG also how much of the rest is the extension.

#![no_main]

use fanlight_mpegts::codec::{h264, h265, mpeg12};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((codec, bytes)) = input.split_first() else {
        return;
    };
    let format = match codec % 4 {
        0 => h264::parse_sps(bytes),
        1 => h265::parse_sps(bytes),
        2 => mpeg12::parse_sequence(bytes, None),
        _ => {
            let (header, extension) = bytes.split_at(bytes.len().min(usize::from(codec / 4)));
            mpeg12::parse_sequence(header, Some(extension))
        }
    };
    if let Ok(format) = format {
        assert!((1..=16_384).contains(&format.width), "{format:?}");
        assert!((1..=16_384).contains(&format.height), "{format:?}");
        assert!(
            format.fps.is_none_or(|fps| fps > 0.0 && fps <= 1000.0),
            "{format:?}"
        );
        assert!(format.codec.is_ascii());
    }
});
