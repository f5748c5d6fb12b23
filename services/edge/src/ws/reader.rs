//! Frames from client to server. A viewer sends little: masked, whole messages of at most
//! 4 KiB; anything else ends the connection with the code that RFC 6455 gives it.

use super::close::Close;

/// Largest payload taken from a client.
pub const MAX_PAYLOAD: usize = 4096;

/// Largest header a client may send: 64-bit length and mask.
const MAX_HEADER: usize = 14;

/// One whole message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Bytes; a viewer has none to send.
    Binary(Vec<u8>),
    /// To be answered with a pong of the same payload.
    Ping(Vec<u8>),
    /// The answer to our ping, or an unasked one.
    Pong,
    /// The client's close code, 1005 when it gave none.
    Close(u16),
}

/// Incremental parser. Holds memory only while a frame is incomplete.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Vec<u8>,
}

impl Reader {
    /// Takes bytes as they come and calls `message` for every message they complete.
    ///
    /// # Errors
    /// How to close when the client broke a rule; nothing more can be read then.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut message: impl FnMut(Message),
    ) -> Result<(), Close> {
        while !bytes.is_empty() {
            if self.partial.is_empty() {
                match parse(bytes)? {
                    Some((parsed, used)) => {
                        message(parsed);
                        bytes = &bytes[used..];
                    }
                    None => {
                        self.partial = bytes.to_vec();
                        return Ok(());
                    }
                }
                continue;
            }
            // A frame is never longer than this, so that is all that must be added.
            let add = bytes
                .len()
                .min((MAX_HEADER + MAX_PAYLOAD).saturating_sub(self.partial.len()));
            let before = self.partial.len();
            self.partial.extend_from_slice(&bytes[..add]);
            match parse(&self.partial)? {
                Some((parsed, used)) => {
                    message(parsed);
                    self.partial = Vec::new();
                    bytes = &bytes[used - before..];
                }
                None => bytes = &bytes[add..],
            }
        }
        Ok(())
    }
}

/// The first frame in `bytes` and its length; `None` while it is incomplete. What is wrong is
/// said as soon as it can be seen, before the payload is there.
fn parse(bytes: &[u8]) -> Result<Option<(Message, usize)>, Close> {
    let &[first, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let (fin, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0F);
    // Reserved bits are for extensions, and none was agreed on (section 5.2).
    if reserved != 0 || !matches!(opcode, 0..=2 | 8..=10) {
        return Err(Close::Protocol);
    }
    let control = opcode >= 8;
    if control && !fin {
        return Err(Close::Protocol);
    }
    if opcode == 0 {
        // The start of the fragmented message was refused, so this continues nothing.
        return Err(Close::Protocol);
    }
    if !fin {
        return Err(Close::Fragmented);
    }
    let &[second, ref rest @ ..] = rest else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(Close::Protocol); // unmasked (section 5.1)
    }
    let short = usize::from(second & 0x7F);
    if control && short > 125 {
        return Err(Close::Protocol);
    }
    let (len, header) = match (short, rest) {
        (126, &[a, b, ..]) => (usize::from(u16::from_be_bytes([a, b])), 4),
        (127, &[a, b, c, d, e, f, g, h, ..]) => {
            let len = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            if len >> 63 != 0 {
                return Err(Close::Protocol);
            }
            (usize::try_from(len).unwrap_or(usize::MAX), 10)
        }
        (126 | 127, _) => return Ok(None),
        (len, _) => (len, 2),
    };
    if len > MAX_PAYLOAD {
        return Err(Close::TooBig);
    }
    let Some(mask) = bytes.get(header..header + 4) else {
        return Ok(None);
    };
    let end = header + 4 + len;
    let Some(masked) = bytes.get(header + 4..end) else {
        return Ok(None);
    };
    let payload: Vec<u8> = masked
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    let message = match opcode {
        1 => Message::Text(String::from_utf8(payload).map_err(|_| Close::NotUtf8)?),
        2 => Message::Binary(payload),
        8 => Message::Close(close_code(&payload)?),
        9 => Message::Ping(payload),
        _ => Message::Pong,
    };
    Ok(Some((message, end)))
}

/// The code of a close frame's body (section 7.4).
fn close_code(body: &[u8]) -> Result<u16, Close> {
    match body {
        [] => Ok(1005),
        [_] => Err(Close::Protocol),
        &[high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Close::Protocol);
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Close::NotUtf8);
            }
            Ok(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            len @ 0..=125 => out.push(0x80 | len as u8),
            len => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        let mask = [0x11, 0x22, 0x33, 0x44];
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Message>, Close> {
        let mut got = Vec::new();
        Reader::default().push(bytes, |m| got.push(m)).map(|()| got)
    }

    #[test]
    fn whole_messages_in_any_split() {
        let mut bytes = frame(0x81, "grüße".as_bytes());
        bytes.extend(frame(0x89, b"beat"));
        bytes.extend(frame(0x8A, b""));
        bytes.extend(frame(0x82, &[9; 4096]));
        bytes.extend(frame(0x88, &[0x03, 0xE8, b'b', b'y', b'e']));
        let expected = read(&bytes).unwrap();
        assert_eq!(expected.len(), 5);
        assert_eq!(expected[0], Message::Text("grüße".to_owned()));
        assert_eq!(expected[1], Message::Ping(b"beat".to_vec()));
        assert_eq!(expected[4], Message::Close(1000));
        for size in [1, 2, 3, 7, 100, 4000, 4110] {
            let (mut reader, mut got) = (Reader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.push(piece, |m| got.push(m)).unwrap();
            }
            assert_eq!(got, expected, "pieces of {size}");
            assert_eq!(reader.partial.capacity(), 0, "no memory kept");
        }
    }

    #[test]
    fn broken_rules_have_the_code_of_the_rfc() {
        let unmasked = vec![0x81, 2, b'h', b'i'];
        let oversized = vec![0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0];
        let negative = vec![0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        for (what, bytes, close) in [
            ("unmasked", unmasked, Close::Protocol),
            ("compressed bit", frame(0xC1, b"x"), Close::Protocol),
            ("reserved bit 2", frame(0xA1, b"x"), Close::Protocol),
            ("reserved opcode", frame(0x83, b"x"), Close::Protocol),
            ("reserved control", frame(0x8B, b"x"), Close::Protocol),
            ("fragmented ping", frame(0x09, b"x"), Close::Protocol),
            ("long ping", frame(0x89, &[0; 126]), Close::Protocol),
            (
                "continuation of nothing",
                frame(0x80, b"x"),
                Close::Protocol,
            ),
            ("fragment", frame(0x01, b"x"), Close::Fragmented),
            ("too big", oversized, Close::TooBig),
            ("length with the top bit", negative, Close::Protocol),
            ("text of bytes", frame(0x81, &[0xFF, 0xFE]), Close::NotUtf8),
            ("half a close code", frame(0x88, &[3]), Close::Protocol),
            ("close code 1005", frame(0x88, &[3, 0xED]), Close::Protocol),
            ("close code 999", frame(0x88, &[3, 0xE7]), Close::Protocol),
            (
                "close reason",
                frame(0x88, &[3, 0xE8, 0xC0]),
                Close::NotUtf8,
            ),
        ] {
            assert_eq!(read(&bytes), Err(close), "{what}");
        }
    }

    #[test]
    fn what_is_wrong_shows_before_the_payload() {
        assert_eq!(read(&[0xC1]), Err(Close::Protocol));
        assert_eq!(read(&[0x81, 0x01]), Err(Close::Protocol));
        assert_eq!(read(&[0x82, 0xFE, 0xFF, 0xFF]), Err(Close::TooBig));
    }

    #[test]
    fn messages_before_the_fault_still_count() {
        let mut bytes = frame(0x81, b"good");
        bytes.extend(frame(0x01, b"bad"));
        let mut got = Vec::new();
        let end = Reader::default().push(&bytes, |m| got.push(m));
        assert_eq!(end, Err(Close::Fragmented));
        assert_eq!(got, [Message::Text("good".to_owned())]);
    }
}
