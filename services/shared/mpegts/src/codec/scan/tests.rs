use super::*;

fn judge(codec: Codec, unit: &[u8], step: usize) -> Judged {
    let mut scanner = UnitScanner::default();
    scanner.start();
    for part in unit.chunks(step) {
        scanner.push(codec, part);
    }
    scanner.finish(codec);
    scanner.judged(codec)
}

fn nals(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter()
        .flat_map(|nal| [&[0, 0, 0, 1], *nal].concat())
        .collect()
}

#[track_caller]
fn assert_judged(codec: Codec, unit: &[u8], picture: PictureType, parameter_sets: bool) {
    for step in 1..=unit.len() {
        let judged = judge(codec, unit, step);
        assert_eq!(
            judged,
            Judged {
                picture,
                parameter_sets
            },
            "in steps of {step}"
        );
    }
}

#[test]
fn h264_key_needs_idr_and_both_sets() {
    use PictureType::{Inter, Intra, Key, Unknown};
    let (aud, sps, pps) = (
        &[9, 0xf0][..],
        &[0x67, 0x42, 0xc0, 0x1e][..],
        &[0x68, 0xce][..],
    );
    let idr = &[0x65, 0x88, 0x80][..];
    assert_judged(Codec::H264, &nals(&[aud, sps, pps, idr]), Key, true);
    assert_judged(Codec::H264, &nals(&[aud, sps, idr]), Key, false);
    assert_judged(Codec::H264, &nals(&[idr]), Key, false);
    // Sets after the picture do not help a decoder.
    assert_judged(Codec::H264, &nals(&[idr, sps, pps]), Key, false);
    // slice_type 7: an I slice without IDR; 5: a P slice.
    assert_judged(
        Codec::H264,
        &nals(&[sps, pps, &[0x41, 0b1000_1000, 0]]),
        Intra,
        true,
    );
    assert_judged(
        Codec::H264,
        &nals(&[aud, &[0x41, 0b1001_1000, 0]]),
        Inter,
        false,
    );
    assert_judged(Codec::H264, &nals(&[aud]), Unknown, false);
}

#[test]
fn h265_key_is_16_to_21_with_three_sets() {
    for nal_type in 0..32_u8 {
        let unit = nals(&[
            &[32 << 1, 1],
            &[33 << 1, 1],
            &[34 << 1, 1],
            &[nal_type << 1, 1, 0xaf],
        ]);
        let picture = match nal_type {
            16..=21 => PictureType::Key,
            0..=15 => PictureType::Inter,
            _ => PictureType::Unknown,
        };
        assert_judged(Codec::H265, &unit, picture, true);
    }
    let without_vps = nals(&[&[33 << 1, 1], &[34 << 1, 1], &[19 << 1, 1]]);
    assert_judged(Codec::H265, &without_vps, PictureType::Key, false);
    // A slice of another layer decides nothing.
    let layered = nals(&[&[19 << 1, 1 << 3 | 1], &[1 << 1, 1, 0]]);
    assert_judged(Codec::H265, &layered, PictureType::Inter, false);
}

#[test]
fn mpeg_key_is_an_i_picture_after_a_sequence_header() {
    let sequence = [
        0, 0, 1, 0xb3, 0x14, 0x00, 0xf0, 0x19, 0xff, 0xff, 0xe0, 0x18,
    ];
    let gop = [0, 0, 1, 0xb8, 0, 8, 0, 0];
    let picture = |kind: u8| [0, 0, 1, 0x00, 0, kind << 3, 0, 0];
    let unit = [&sequence[..], &gop, &picture(1)].concat();
    assert_judged(Codec::Mpeg12, &unit, PictureType::Key, true);
    assert_judged(Codec::Mpeg12, &picture(1), PictureType::Intra, false);
    assert_judged(Codec::Mpeg12, &picture(2), PictureType::Inter, false);
    assert_judged(Codec::Mpeg12, &picture(3), PictureType::Inter, false);
    assert_judged(Codec::Mpeg12, &picture(0), PictureType::Unknown, false);
}

#[test]
fn a_head_without_slice_is_given_up() {
    let mut scanner = UnitScanner::default();
    scanner.start();
    for _ in 0..100 {
        scanner.push(Codec::H264, &[0x55; 1000]);
    }
    assert!(scanner.is_done());
    assert_eq!(scanner.head.len(), MAX_HEAD);
    assert_eq!(scanner.judged(Codec::H264).picture, PictureType::Unknown);
}
