use super::*;
use crate::codec::bytes_of;

/// Sequence parameter sets of x264; size, rate and profile as ffprobe tells them.
#[test]
fn reads_parameter_sets_of_x264() {
    let cases = [
        // 1080i, custom scaling matrices, sample aspect ratio and colours in the VUI
        (
            "67640028ace8078044fde06d4040405000000300100000030321f162ea",
            ("avc1.640028", 1920, 1080, Some(25.0)),
        ),
        (
            "67f4000d91968150878f8fc04400000fa40003a9803c50aa80",
            ("avc1.F4000D", 322, 242, Some(30_000.0 / 1001.0)),
        ),
        (
            "677a001eb6cb405217f113e022000003000200000300781e2c5d40",
            ("avc1.7A001E", 642, 362, Some(30.0)),
        ),
        (
            "6742c01fda014016ec0440000003004000000f03c60ca8",
            ("avc1.42C01F", 1280, 720, Some(30.0)),
        ),
    ];
    for (hex, (codec, width, height, fps)) in cases {
        let format = parse_sps(&bytes_of(hex)).unwrap();
        assert_eq!(
            (&*format.codec, format.width, format.height, format.fps),
            (codec, width, height, fps)
        );
    }
}

#[test]
fn a_set_cut_short_keeps_its_size_or_is_an_error() {
    let whole = bytes_of("6742c01fda014016ec0440000003004000000f03c60ca8");
    for end in 0..whole.len() {
        match parse_sps(&whole[..end]) {
            Ok(format) => assert_eq!((format.width, format.height), (1280, 720), "{end} bytes"),
            Err(error) => assert_eq!(error, ParameterSetError::Truncated, "{end} bytes"),
        }
    }
    assert_eq!(parse_sps(&whole[..6]), Err(ParameterSetError::Truncated));
}

#[test]
fn cropping_more_than_the_picture_is_an_error() {
    assert_eq!(crop(16, 4, 3, 2), Ok(2));
    assert_eq!(
        crop(16, 5, 4, 2),
        Err(ParameterSetError::Invalid("cropping"))
    );
    assert_eq!(
        crop(16, u32::MAX, u32::MAX, 4),
        Err(ParameterSetError::Invalid("cropping"))
    );
}
