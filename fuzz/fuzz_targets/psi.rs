//! Section assembly and tables on any bytes. The first byte is the length of a packet payload,
//! the rest is payloads; each begins with a byte whose lowest bit says that a section starts.
//!
//! The checksum stops most mutations, so each section is also tried with the right one.

#![no_main]

use fanlight_mpegts::psi::{Pat, Pmt, Section, SectionAssembler};
use libfuzzer_sys::fuzz_target;

fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

fn read(bytes: &[u8]) {
    if let Ok(section) = Section::parse(bytes) {
        assert!(section.version < 32);
        if let Ok(pat) = Pat::parse(&section) {
            assert!(pat.programs.iter().all(|program| program.number != 0));
        }
        if let Ok(pmt) = Pmt::parse(&section) {
            assert!(pmt.streams.iter().all(|stream| stream.pid.get() < 0x2000));
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((length, payloads)) = input.split_first() else {
        return;
    };
    let mut assembler = SectionAssembler::default();
    for payload in payloads.chunks(usize::from(*length).clamp(2, 185)) {
        let result = assembler.push(&payload[1..], payload[0] & 1 != 0, |bytes| {
            assert!(bytes.len() <= 4096);
            read(bytes);
            if let Some(body) = bytes.len().checked_sub(4) {
                let mut right = bytes[..body].to_vec();
                right.extend(crc32(&right).to_be_bytes());
                read(&right);
            }
        });
        if result.is_err() && payload[0] & 2 != 0 {
            assembler.reset();
        }
    }
});
