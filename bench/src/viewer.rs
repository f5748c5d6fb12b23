//! One viewer of the load generator: the client's side of WebSocket (RFC 6455), reduced to what
//! a check needs. Whole messages are never put together: bytes are compared as they come.

use crate::stream::{GOP, STAMP, Stamp, Template};

/// Longest payload of a control frame (RFC 6455 section 5.5).
const CONTROL: usize = 125;

/// What came of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A whole media message.
    Message(Stamp),
    /// The answer to a ping is in [`Viewer::pong`].
    Ping,
    /// The server closes, with this code (1005 without one).
    Close(u16),
}

/// The stream is not what was sent, or no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A frame that a server may not send or that no message of ours needs.
    Frame,
    /// Other bytes than those that were published.
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Payload,
}

/// Checks one connection behind its handshake.
#[derive(Debug)]
pub struct Viewer {
    /// Number of the camera that is watched.
    camera: u32,
    phase: Phase,
    opcode: u8,
    /// Bytes of the payload and how many are there.
    length: usize,
    offset: usize,
    small: [u8; CONTROL],
    have: usize,
    stamp: Option<Stamp>,
    last: Option<u64>,
    /// Messages missing between two that came.
    pub gaps: u64,
    /// Gaps behind which the stream did not go on with a key message.
    pub dirty: u64,
    /// Whole messages.
    pub messages: u64,
    /// The first message was a key message.
    pub clean_start: bool,
}

impl Viewer {
    /// A viewer of a camera.
    #[must_use]
    pub fn new(camera: u32) -> Self {
        Self {
            camera,
            phase: Phase::Head,
            opcode: 0,
            length: 0,
            offset: 0,
            small: [0; CONTROL],
            have: 0,
            stamp: None,
            last: None,
            gaps: 0,
            dirty: 0,
            messages: 0,
            clean_start: false,
        }
    }

    /// Takes bytes from the socket and tells what they complete.
    ///
    /// # Errors
    /// [`Fault`]; the connection is of no more use.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        template: &Template,
        mut news: impl FnMut(&mut Self, News),
    ) -> Result<(), Fault> {
        while !bytes.is_empty() || self.phase == Phase::Payload && self.offset == self.length {
            match self.phase {
                Phase::Head => {
                    self.small[self.have] = bytes[0];
                    self.have += 1;
                    bytes = &bytes[1..];
                    self.head()?;
                }
                Phase::Payload => {
                    let take = bytes.len().min(self.length - self.offset);
                    let (now, rest) = bytes.split_at(take);
                    bytes = rest;
                    self.payload(now, template)?;
                    if self.offset == self.length {
                        self.phase = Phase::Head;
                        if let Some(what) = self.complete() {
                            news(self, what);
                        }
                        self.have = 0;
                    }
                }
            }
        }
        Ok(())
    }

    /// The masked frame that answers the ping just told of.
    #[must_use]
    pub fn pong(&self) -> Vec<u8> {
        // A mask of zeros is a mask (RFC 6455 section 5.3 asks for an unpredictable one for
        // the sake of proxies, of which there are none here).
        let mut frame = vec![0x8a, 0x80 | self.length as u8, 0, 0, 0, 0];
        frame.extend_from_slice(&self.small[..self.length]);
        frame
    }

    fn head(&mut self) -> Result<(), Fault> {
        if self.have < 2 {
            return Ok(());
        }
        let short = self.small[1] & 0x7f;
        let length = match short {
            126 if self.have < 4 => return Ok(()),
            126 => usize::from(u16::from_be_bytes([self.small[2], self.small[3]])),
            127 if self.have < 10 => return Ok(()),
            127 => self.small[2..10]
                .iter()
                .fold(0, |n, byte| n << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        self.opcode = self.small[0] & 0x0f;
        let whole = self.small[0] & 0xf0 == 0x80;
        let fits = match self.opcode {
            1 | 2 => true,
            8..=10 => length <= CONTROL,
            _ => false,
        };
        if !whole || self.small[1] & 0x80 != 0 || !fits {
            return Err(Fault::Frame);
        }
        (self.phase, self.length, self.offset, self.have) = (Phase::Payload, length, 0, 0);
        Ok(())
    }

    fn payload(&mut self, bytes: &[u8], template: &Template) -> Result<(), Fault> {
        let end = self.offset + bytes.len();
        let limit = match self.opcode {
            2 => STAMP,
            1 => 0,
            _ => CONTROL,
        };
        let mut rest = bytes;
        if self.offset < limit {
            let take = rest.len().min(limit - self.offset);
            self.small[self.offset..self.offset + take].copy_from_slice(&rest[..take]);
            self.offset += take;
            rest = &rest[take..];
            if self.opcode == 2 && self.offset == STAMP {
                self.stamp = self.small.first_chunk().and_then(Stamp::read);
                let right = self.stamp.is_some_and(|s| {
                    s.camera == self.camera && self.small[..4] == template.message(s.seq)[..4]
                });
                if !right || self.length != template.message_len() {
                    return Err(Fault::Bytes);
                }
            }
        }
        if self.opcode == 2
            && let Some(stamp) = self.stamp
            && template.message(stamp.seq)[self.offset..self.offset + rest.len()] != *rest
        {
            return Err(Fault::Bytes);
        }
        self.offset = end;
        Ok(())
    }

    fn complete(&mut self) -> Option<News> {
        match self.opcode {
            2 => {
                let stamp = self.stamp.take()?;
                match self.last {
                    None => self.clean_start = stamp.is_key(),
                    Some(last) => {
                        let missing = stamp.seq.wrapping_sub(last + 1);
                        self.gaps += missing;
                        self.dirty += u64::from(missing > 0 && !stamp.seq.is_multiple_of(GOP));
                    }
                }
                self.last = Some(stamp.seq);
                self.messages += 1;
                Some(News::Message(stamp))
            }
            9 => Some(News::Ping),
            8 if self.length >= 2 => Some(News::Close(u16::from_be_bytes([
                self.small[0],
                self.small[1],
            ]))),
            8 => Some(News::Close(1005)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(short as u8),
            Ok(length) => {
                frame.push(126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn media(template: &Template, seq: u64) -> Vec<u8> {
        let stamp = Stamp {
            camera: 3,
            seq,
            sent: seq + 1,
        };
        frame(2, &template.stamped(stamp))
    }

    #[test]
    fn any_split_gives_the_same() {
        let template = Template::new(4);
        let mut bytes = frame(1, b"{\"type\":\"hello\"}");
        bytes.extend(media(&template, 30));
        bytes.extend(frame(9, b"abc"));
        bytes.extend(frame(1, b""));
        bytes.extend(media(&template, 31));
        bytes.extend(media(&template, 60));
        bytes.extend(media(&template, 62));
        bytes.extend(frame(8, &1001_u16.to_be_bytes()));
        for step in [1, 3, 7, 100, bytes.len()] {
            let mut viewer = Viewer::new(3);
            let mut seen = Vec::new();
            let mut pong = Vec::new();
            for part in bytes.chunks(step) {
                let told = viewer.push(part, &template, |viewer, news| match news {
                    News::Message(stamp) => seen.push(stamp.seq),
                    News::Ping => pong = viewer.pong(),
                    News::Close(code) => seen.push(u64::from(code)),
                });
                told.unwrap();
            }
            assert_eq!(seen, [30, 31, 60, 62, 1001], "by {step}");
            assert_eq!(pong, b"\x8a\x83\0\0\0\0abc");
            assert_eq!((viewer.gaps, viewer.dirty, viewer.messages), (29, 1, 4));
            assert!(viewer.clean_start);
        }
    }

    #[test]
    fn one_wrong_bit_is_seen() {
        let template = Template::new(4);
        let good = media(&template, 5);
        for at in [4, 12, 16, 200, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let mut viewer = Viewer::new(3);
            let result = viewer.push(&bad, &template, |_, _| {});
            // A wrong number shows as wrong bytes or, where those happen to fit, as a gap.
            assert!(result.is_err(), "byte {at}");
        }
    }

    #[test]
    fn frames_no_server_may_send() {
        let template = Template::new(4);
        for bad in [
            &[0x02, 1][..],
            &[0x82, 0x81],
            &[0xc2, 1],
            &[0x83, 1],
            &[0x89, 126, 0, 126],
        ] {
            let result = Viewer::new(0).push(bad, &template, |_, _| {});
            assert_eq!(result, Err(Fault::Frame), "{bad:x?}");
        }
    }
}
