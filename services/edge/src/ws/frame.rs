//! Frames from server to client: never masked, never fragmented, never compressed
//! (RFC 6455 section 5.2).

use super::close::Close;

/// Opcodes of RFC 6455 section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// Close.
    Close = 0x8,
    /// Ping.
    Ping = 0x9,
    /// Pong.
    Pong = 0xA,
}

/// Longest header a server sends: two bytes and a 64-bit length.
pub const MAX_HEADER: usize = 10;

/// Appends the header of a whole frame of `len` payload bytes.
pub fn put_header(out: &mut Vec<u8>, opcode: Opcode, len: usize) {
    const FIN: u8 = 0x80;
    out.push(FIN | opcode as u8);
    match len {
        0..=125 => out.push(len as u8),
        126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// A whole frame: header and payload in one piece. This copy is the only one the edge makes of
/// a media payload, once for all viewers; it also lets go of the bus's read buffer.
#[must_use]
pub fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header_len(payload.len()) + payload.len());
    put_header(&mut out, opcode, payload.len());
    out.extend_from_slice(payload);
    out
}

/// Bytes of header in front of a payload of this length.
#[must_use]
pub fn header_len(len: usize) -> usize {
    match len {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => MAX_HEADER,
    }
}

/// A close frame with its code and reason; without a body for 1005 ("no status received"),
/// which must not be sent (section 7.4.1).
#[must_use]
pub fn close(close: Close) -> Vec<u8> {
    if close.code() == 1005 {
        return encode(Opcode::Close, &[]);
    }
    let mut body = close.code().to_be_bytes().to_vec();
    body.extend_from_slice(close.reason().as_bytes());
    encode(Opcode::Close, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_use_the_shortest_form() {
        for (len, header) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (65_535, 4),
            (65_536, 10),
            (600_000, 10),
        ] {
            let frame = encode(Opcode::Binary, &vec![7; len]);
            assert_eq!(frame.len(), header + len, "payload of {len}");
            assert_eq!(header_len(len), header);
            assert_eq!(frame.capacity(), frame.len(), "one exact allocation");
            assert_eq!(frame[0], 0x82);
        }
        assert_eq!(encode(Opcode::Text, &[0; 300])[..4], [0x81, 126, 1, 44]);
    }

    #[test]
    fn every_close_reason_fits_a_control_frame() {
        for reason in [
            Close::Client(1000),
            Close::Draining,
            Close::Fragmented,
            Close::TooBig,
            Close::Revoked,
            Close::NoPong,
        ] {
            assert!(close(reason).len() <= 127);
        }
        assert_eq!(close(Close::Client(1005)), [0x88, 0]);
        assert_eq!(close(Close::Draining)[..4], [0x88, 19, 0x03, 0xE9]);
    }
}
