use super::*;
use crate::codec::bytes_of;

/// Sequence parameter sets of x265; size, rate, profile and level as ffmpeg tells them.
#[test]
fn reads_parameter_sets_of_x265() {
    let cases = [
        // Main 10 with scaling lists
        (
            "42010102200000030090000003000003007ba003c08010e4d96566924e5780b40400000fa40003a98020",
            ("hvc1.2.4.L123.90", 1920, 1080, Some(60_000.0 / 1001.0)),
        ),
        // Range extensions, high tier, two temporal layers, colours in the VUI
        (
            "4201022408000003009e0800000300009900009001510080e3e3f2caca5654a4c2f03a7010202a410000030001000003000c08",
            ("hvc1.4.10.H153.9E.8", 322, 242, Some(12.0)),
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
fn reference_sets_predicted_from_another_are_skipped() {
    // Two sets: one picture back; predicted with both entries kept. Then a flag that must be 1.
    // ue(2)=011 | set 0: neg ue(1)=010 pos ue(0)=1 delta ue(0)=1 used 1
    // set 1: predicted 1, sign 0, ue(0)=1, used 1, used 0 use_delta 1 | 1
    let bits = [0b0110_1011, 0b1101_1011, 0];
    let mut reader = Bits::new(&bits);
    skip_short_term_sets(&mut reader).unwrap();
    assert!(reader.flag().unwrap());
    assert_eq!(reader.bits(7), Ok(0));
}

#[test]
fn a_set_cut_short_keeps_its_size_or_is_an_error() {
    let whole = bytes_of(
        "42010102200000030090000003000003007ba003c08010e4d96566924e5780b40400000fa40003a98020",
    );
    for end in 0..whole.len() {
        match parse_sps(&whole[..end]) {
            Ok(format) => assert_eq!((format.width, format.height), (1920, 1080), "{end} bytes"),
            Err(error) => assert_eq!(error, ParameterSetError::Truncated, "{end} bytes"),
        }
    }
    assert_eq!(parse_sps(&whole[..20]), Err(ParameterSetError::Truncated));
}
