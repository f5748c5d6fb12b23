//! Start codes and emulation prevention, shared by H.264 and H.265 (annex B of both).

/// Offset of the next 00 00 01 at or after `from`.
pub(super) fn find_start_code(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // The third byte decides how far a start code can be away.
    while let Some(third) = bytes.get(at + 2) {
        match third {
            0 => at += 1,
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

/// The payload of a NAL unit: 00 00 03 becomes 00 00 (H.264 7.4.1, H.265 7.4.2).
pub(super) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for byte in nal {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_start_codes_anywhere() {
        for pad in 0..7 {
            let mut bytes = vec![0x55; pad];
            bytes.extend([0, 0, 0, 1, 9]);
            assert_eq!(find_start_code(&bytes, 0), Some(pad + 1));
            assert_eq!(find_start_code(&bytes, pad + 2), None);
        }
        assert_eq!(find_start_code(&[0, 0, 2, 0, 1, 0, 0, 1], 0), Some(5));
        assert_eq!(find_start_code(&[0, 0], 0), None);
    }

    #[test]
    fn removes_emulation_prevention() {
        assert_eq!(unescape(&[1, 0, 0, 3, 1, 0, 0, 3]), [1, 0, 0, 1, 0, 0]);
        assert_eq!(unescape(&[0, 0, 3, 0, 0, 3, 3]), [0, 0, 0, 0, 3]);
    }
}
