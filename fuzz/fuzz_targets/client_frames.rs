//! What viewers send, in any pieces: the first byte is the length of a piece, the rest the bytes.
//! However they are cut, the same messages come out, and memory stays small.

#![no_main]

use fanlight_edge::wire::ClientMessage;
use fanlight_edge::ws::reader::{MAX_PAYLOAD, Message, Reader};
use libfuzzer_sys::fuzz_target;

fn read(pieces: impl Iterator<Item = Vec<u8>>) -> (Vec<Message>, bool) {
    let (mut reader, mut messages) = (Reader::default(), Vec::new());
    for piece in pieces {
        if reader.push(&piece, |message| messages.push(message)).is_err() {
            return (messages, false);
        }
    }
    (messages, true)
}

fuzz_target!(|input: &[u8]| {
    let Some((length, bytes)) = input.split_first() else {
        return;
    };
    let whole = read(std::iter::once(bytes.to_vec()));
    let cut = read(bytes.chunks(usize::from(*length).max(1)).map(<[u8]>::to_vec));
    assert_eq!(whole.0, cut.0);
    assert_eq!(whole.1, cut.1);
    for message in whole.0 {
        match message {
            Message::Text(text) => {
                assert!(text.len() <= MAX_PAYLOAD);
                let _unknown = serde_json::from_str::<ClientMessage>(&text);
            }
            Message::Binary(bytes) => assert!(bytes.len() <= MAX_PAYLOAD),
            Message::Ping(bytes) => assert!(bytes.len() <= 125),
            Message::Pong => {}
            Message::Close(code) => assert!(code >= 1000),
        }
    }
});
