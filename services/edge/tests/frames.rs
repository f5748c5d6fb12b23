//! Frames and outbox against tungstenite as the judge: whatever is queued, skipped and however
//! the socket cuts the writes, the client reads whole messages in order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod support;

use std::io::{self, Cursor, Read, Write};
use std::sync::Arc;

use bytes::Buf;
use fanlight_bus::Part;
use fanlight_edge::hub::Frame;
use fanlight_edge::ws::frame::{Opcode, encode};
use fanlight_edge::ws::outbox::{Control, Outbox};
use proptest::prelude::*;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

/// Reads what the edge wrote; what tungstenite answers goes nowhere.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn decode(bytes: Vec<u8>) -> Vec<Message> {
    let mut client = WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), Role::Client, None);
    let mut messages = Vec::new();
    loop {
        match client.read() {
            Ok(message) => messages.push(message),
            Err(Error::Io(_) | Error::Protocol(_) | Error::ConnectionClosed) => return messages,
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A picture in so many parts of so many packets.
    Picture(u32, usize),
    Text,
    Pong,
    Write(usize),
    Skip,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u32..4, prop_oneof![1_usize..3, Just(40), Just(400)])
            .prop_map(|(parts, packets)| Step::Picture(parts, packets)),
        1 => Just(Step::Text),
        1 => Just(Step::Pong),
        4 => (1_usize..30_000).prop_map(Step::Write),
        1 => Just(Step::Skip),
    ]
}

/// Writes up to `n` bytes as `writev` would, cut anywhere.
fn write(outbox: &mut Outbox, n: usize, wire: &mut Vec<u8>) {
    let n = n.min(outbox.remaining());
    let mut slices = [io::IoSlice::new(&[]); 64];
    let used = outbox.chunks_vectored(&mut slices);
    let gathered: Vec<u8> = slices[..used]
        .iter()
        .flat_map(|s| s.iter().copied())
        .take(n)
        .collect();
    wire.extend_from_slice(&gathered);
    let n = gathered.len();
    outbox.advance(n);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_client_reads_whole_messages_in_order(steps in proptest::collection::vec(step(), 1..40)) {
        let (mut outbox, mut wire, mut pos) = (Outbox::default(), Vec::new(), 0);
        let mut pictures = Vec::new();
        for step in steps {
            match step {
                Step::Picture(count, packets) => {
                    pictures.push((pos, u64::from(count)));
                    for index in 1..=count {
                        let mut chunk = support::chunk(1, pos, false, packets);
                        chunk.part = (count > 1).then_some(Part { index, count });
                        outbox.media(Arc::new(Frame::new(pos, &chunk, 0, Instant::now())));
                        pos += 1;
                    }
                }
                Step::Text => outbox.control(Control::Free, encode(Opcode::Text, b"{}")),
                Step::Pong => outbox.control(Control::Pong, encode(Opcode::Pong, b"beat")),
                Step::Write(n) => write(&mut outbox, n, &mut wire),
                Step::Skip => {
                    outbox.skip();
                }
            }
        }
        while !outbox.is_empty() {
            write(&mut outbox, usize::MAX, &mut wire);
        }
        let whole = wire.len();
        let messages = decode(wire);
        let mut read = 0;
        let mut got = Vec::new();
        for message in &messages {
            let payload = message.len();
            read += payload + fanlight_edge::ws::frame::header_len(payload);
            if let Message::Binary(media) = message {
                prop_assert_eq!(media.len() % 188, 0);
                got.push(support::read(media).1);
            }
        }
        prop_assert_eq!(read, whole, "every byte belongs to a message");
        prop_assert!(got.is_sorted(), "{:?}", got);
        for (first, parts) in pictures {
            let there = got.iter().filter(|&&p| (first..first + parts).contains(&p)).count() as u64;
            prop_assert!(there == 0 || there == parts, "picture at {} is cut: {} of {}", first, there, parts);
        }
    }
}
