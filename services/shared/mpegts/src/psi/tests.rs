use super::*;

/// A section with header, length and checksum around `body`.
fn section(table_id: u8, extension: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() + 9;
    let mut bytes = vec![table_id, 0xb0 | (length >> 8) as u8, length as u8];
    bytes.extend(extension.to_be_bytes());
    bytes.extend([0xc1 | version << 1, 0, 0]);
    bytes.extend(body);
    let crc = crc32(&bytes);
    bytes.extend(crc.to_be_bytes());
    bytes
}

fn assemble(assembler: &mut SectionAssembler, payload: &[u8], start: bool) -> Vec<Vec<u8>> {
    let mut sections = Vec::new();
    assembler
        .push(payload, start, |section| sections.push(section.to_vec()))
        .unwrap();
    sections
}

#[test]
fn crc_is_that_of_mpeg_2() {
    // The check value of CRC-32/MPEG-2 in the catalogue of parametrised CRC algorithms.
    assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
}

#[test]
fn reads_pat_and_pmt() {
    let pat = section(0, 1, 3, &[0, 0, 0xe0, 0x10, 0, 1, 0xf0, 0x00]);
    let pat = Pat::parse(&Section::parse(&pat).unwrap()).unwrap();
    assert_eq!(pat.version, 3);
    assert_eq!(
        pat.programs,
        [Program {
            number: 1,
            pmt: Pid::new(0x1000)
        }]
    );

    let body = [
        0xe1, 0, 0xf0, 2, 9, 0, 0x1b, 0xe1, 0, 0xf0, 0, 0x0f, 0xe1, 1, 0xf0, 3, 1, 1, 7,
    ];
    let pmt = section(2, 1, 0, &body);
    let pmt = Pmt::parse(&Section::parse(&pmt).unwrap()).unwrap();
    assert_eq!((pmt.program, pmt.pcr), (1, Pid::new(0x100)));
    let streams: Vec<_> = pmt
        .streams
        .iter()
        .map(|stream| (stream.pid.get(), stream.stream_type.name()))
        .collect();
    assert_eq!(streams, [(0x100, "H.264"), (0x101, "AAC")]);
}

#[test]
fn a_flipped_bit_is_a_crc_error() {
    let good = section(0, 1, 0, &[0, 1, 0xf0, 0]);
    for at in 3..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert_eq!(
            Section::parse(&bad).unwrap_err(),
            PsiError::Crc,
            "byte {at}"
        );
    }
}

#[test]
fn entries_that_do_not_fit_are_refused() {
    for body in [&[0, 1, 0xf0][..], &[0, 1, 0xf0, 0, 0]] {
        let bytes = section(0, 1, 0, body);
        let section = Section::parse(&bytes);
        assert!(section.is_err() || Pat::parse(&section.unwrap()).is_err());
    }
    for body in [
        &[0xe1, 0, 0xf0, 9][..],
        &[0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 1],
    ] {
        let bytes = section(2, 1, 0, body);
        assert!(Pmt::parse(&Section::parse(&bytes).unwrap()).is_err());
    }
}

#[test]
fn a_section_may_span_packets() {
    let body: Vec<u8> = (1..=100).flat_map(|n| [0, n, 0xe1, n]).collect();
    let whole = section(0, 1, 0, &body);
    let mut assembler = SectionAssembler::default();
    let mut payload = vec![0];
    payload.extend(&whole[..183]);
    assert!(assemble(&mut assembler, &payload, true).is_empty());
    assert!(assemble(&mut assembler, &whole[183..367], false).is_empty());
    let mut last = whole[367..].to_vec();
    last.resize(184, 0xff);
    assert_eq!(assemble(&mut assembler, &last, false), [whole]);
}

#[test]
fn the_end_of_one_section_and_the_next_may_share_a_packet() {
    let body: Vec<u8> = (1..=60).flat_map(|n| [0, n, 0xe1, n]).collect();
    let (first, second) = (section(0, 1, 0, &body), section(0, 2, 0, &[0, 1, 0xf0, 0]));
    let mut assembler = SectionAssembler::default();
    let mut payload = vec![0];
    payload.extend(&first[..183]);
    assert!(assemble(&mut assembler, &payload, true).is_empty());
    let mut payload = vec![(first.len() - 183) as u8];
    payload.extend(&first[183..]);
    payload.extend(&second);
    payload.extend(&second);
    payload.resize(184, 0xff);
    assert_eq!(
        assemble(&mut assembler, &payload, true),
        [first, second.clone(), second]
    );
}

#[test]
fn a_section_cut_off_by_the_next_is_an_error_and_the_next_is_kept() {
    let body: Vec<u8> = (1..=60).flat_map(|n| [0, n, 0xe1, n]).collect();
    let (first, second) = (section(0, 1, 0, &body), section(0, 2, 0, &[0, 1, 0xf0, 0]));
    let mut assembler = SectionAssembler::default();
    let mut payload = vec![0];
    payload.extend(&first[..183]);
    assert!(assemble(&mut assembler, &payload, true).is_empty());
    let mut payload = vec![0];
    payload.extend(&second);
    let mut seen = Vec::new();
    let result = assembler.push(&payload, true, |section| seen.push(section.to_vec()));
    assert_eq!((result, seen), (Err(PsiError::Syntax), vec![second]));
}

#[test]
fn a_pointer_beyond_the_payload_is_an_error() {
    let mut assembler = SectionAssembler::default();
    assert_eq!(
        assembler.push(&[200, 0, 0], true, |_| ()),
        Err(PsiError::Syntax)
    );
    assert_eq!(assembler.push(&[], true, |_| ()), Err(PsiError::Syntax));
}
