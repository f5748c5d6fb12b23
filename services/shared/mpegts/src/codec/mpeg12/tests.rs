use super::*;

fn sequence(width: u16, height: u16, rate: u8) -> [u8; 8] {
    let (w, h) = (width, height);
    [
        (w >> 4) as u8,
        (w << 4) as u8 | (h >> 8) as u8,
        h as u8,
        0x10 | rate,
        0xff,
        0xff,
        0xe0,
        0x18,
    ]
}

fn extension(profile: u8, size: [u8; 2], rate: (u8, u8)) -> [u8; 6] {
    let [width, height] = size;
    [
        0x10 | profile,
        0x80 | 0x0a | width >> 1,
        width << 7 | height << 5,
        1,
        0,
        rate.0 << 5 | rate.1,
    ]
}

#[test]
fn mpeg1_rates_include_the_unofficial_ones() {
    let rates = [
        (1, 23.976),
        (2, 24.0),
        (3, 25.0),
        (4, 29.97),
        (5, 30.0),
        (6, 50.0),
        (7, 59.94),
        (8, 60.0),
        (9, 15.0),
        (10, 5.0),
        (11, 10.0),
        (12, 12.0),
        (13, 15.0),
    ];
    for (code, fps) in rates {
        let format = parse_sequence(&sequence(320, 240, code), None).unwrap();
        assert_eq!(&*format.codec, "mp4v.6A");
        assert_eq!((format.width, format.height), (320, 240));
        assert!(
            (format.fps.unwrap() - fps).abs() < 0.001,
            "code {code}: {:?}",
            format.fps
        );
    }
    for code in [0, 14, 15] {
        assert_eq!(
            parse_sequence(&sequence(320, 240, code), None).unwrap().fps,
            None
        );
    }
}

#[test]
fn mpeg2_extends_size_rate_and_profile() {
    let header = sequence(704, 80, 5);
    for (profile, codec) in [
        (5, "mp4v.60"),
        (4, "mp4v.61"),
        (3, "mp4v.62"),
        (2, "mp4v.63"),
        (1, "mp4v.64"),
        (8, "mp4v.65"),
    ] {
        let format = parse_sequence(&header, Some(&extension(profile, [0, 0], (0, 0)))).unwrap();
        assert_eq!(&*format.codec, codec);
    }
    let format = parse_sequence(&header, Some(&extension(4, [1, 1], (0, 1)))).unwrap();
    assert_eq!((format.width, format.height), (4096 + 704, 4096 + 80));
    assert_eq!(format.fps, Some(15.0));
}

#[test]
fn what_is_cut_short_or_empty_is_an_error() {
    assert_eq!(
        parse_sequence(&[1, 2, 3], None),
        Err(ParameterSetError::Truncated)
    );
    let header = sequence(320, 240, 3);
    assert_eq!(
        parse_sequence(&header, Some(&[0x14, 0x8a])),
        Err(ParameterSetError::Truncated)
    );
    assert!(parse_sequence(&sequence(0, 240, 3), None).is_err());
    // Another extension says nothing about the sequence.
    assert_eq!(
        &*parse_sequence(&header, Some(&[0x20, 0])).unwrap().codec,
        "mp4v.6A"
    );
}
