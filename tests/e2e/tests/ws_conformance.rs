//! The cases of the Autobahn suite that apply to a server that does not echo: framing, pings,
//! reserved bits, opcodes, fragmentation, UTF-8, close handling and limits, by raw bytes.
//! Answers must also be what tungstenite, as the judge, takes for valid.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

use std::time::Duration;

use fanlight_e2e::{Edge, Frame, RawSocket, SOON, Standalone, masked};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

async fn system() -> Edge {
    Standalone::start(&["--camera", "gate", "--input", "test"]).await
}

async fn open(edge: &Edge) -> RawSocket {
    RawSocket::connect(&edge.address(), "/ws/gate", "").await
}

/// Sends `pieces`, then reads control frames to the end of the connection.
async fn answers(edge: &Edge, pieces: &[Vec<u8>]) -> Vec<Frame> {
    let mut socket = open(edge).await;
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        socket.send(piece).await;
    }
    let mut got = Vec::new();
    while let Some(frame) = socket.next_control().await {
        let closed = frame.first == 0x88;
        got.push(frame);
        if closed {
            let after = socket.next().await;
            assert_eq!(after, None, "a frame behind the close frame");
            break;
        }
    }
    got
}

fn codes(frames: &[Frame]) -> Vec<Option<u16>> {
    frames.iter().map(Frame::close_code).collect()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    masked(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

/// Every case is a connection of its own.
async fn each_ends_with(edge: &Edge, cases: Vec<(String, Vec<u8>, u16)>) {
    let ends = join_all(cases.into_iter().map(|(what, bytes, code)| async move {
        let got = answers(edge, &[bytes]).await;
        assert_eq!(codes(&got), [Some(code)], "{what}");
        judge(&got);
    }));
    ends.await;
}

/// tungstenite, as a client, reads these frames without a complaint.
fn judge(frames: &[Frame]) {
    let mut bytes = Vec::new();
    for frame in frames {
        bytes.extend([frame.first, u8::try_from(frame.payload.len()).unwrap()]);
        bytes.extend(&frame.payload);
    }
    let mut sink = std::io::Cursor::new(bytes);
    let config = Some(WebSocketConfig::default());
    let mut client = WebSocket::from_raw_socket(&mut sink, Role::Client, config);
    loop {
        match client.read() {
            Ok(Message::Close(_)) | Err(Error::ConnectionClosed) => return,
            Ok(_) => {}
            // The end of what was recorded, with or without a close frame in it.
            Err(Error::Io(_)) => return,
            Err(Error::Protocol(e)) if e.to_string().contains("without closing handshake") => {
                return;
            }
            Err(error) => panic!("{error}: {frames:?}"),
        }
    }
}

#[tokio::test]
async fn lengths_of_data_and_pings() {
    let edge = system().await;
    // Autobahn 1.*, 2.1-2.5: all lengths up to our limit are taken, in whole or in pieces.
    for len in [0, 1, 125, 126, 127, 128, 1000, 4095, 4096] {
        let mut socket = open(&edge).await;
        let mut bytes = masked(0x81, &vec![b'*'; len]);
        bytes.extend(masked(0x82, &vec![0xFE; len]));
        bytes.extend(masked(0x89, b"still there?"));
        for piece in bytes.chunks(bytes.len().min(997)) {
            socket.send(piece).await;
        }
        let pong = socket.next_control().await.expect("a pong");
        assert_eq!(
            (pong.first, &*pong.payload),
            (0x8A, &b"still there?"[..]),
            "{len}"
        );
        judge(&[pong]);
    }
    // Lengths in a longer form than needed are taken too: the RFC binds the sender.
    let mut long_form = vec![0x89, 0xFE, 0, 2, 0, 0, 0, 0];
    long_form.extend(b"hi");
    let got = answers(&edge, &[long_form]).await;
    assert_eq!(
        codes(&got),
        [Some(1002)],
        "a control frame has no long form"
    );
    let mut cases = Vec::new();
    for len in [4097, 65_535, 65_536, 1 << 20] {
        cases.push((format!("{len} bytes"), masked(0x82, &vec![0; len]), 1009));
    }
    each_ends_with(&edge, cases).await;
}

#[tokio::test]
async fn pings_and_pongs() {
    let edge = system().await;
    let mut socket = open(&edge).await;
    for payload in [
        &b""[..],
        b"Hello, world!",
        &[0, 255, 254, 253],
        &[0xFE; 125],
    ] {
        socket.send(&masked(0x89, payload)).await;
        let pong = socket.next_control().await.expect("a pong");
        assert_eq!((pong.first, &*pong.payload), (0x8A, payload));
        judge(&[pong]);
    }
    // 2.6: octet by octet. 2.7-2.9: unasked pongs are passed over.
    for byte in masked(0x89, b"in pieces") {
        socket.stream.write_all(&[byte]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(socket.next_control().await.unwrap().payload, b"in pieces");
    let mut bytes = masked(0x8A, b"");
    bytes.extend(masked(0x8A, b"unasked"));
    bytes.extend(masked(0x89, b"asked"));
    socket.send(&bytes).await;
    assert_eq!(socket.next_control().await.unwrap().payload, b"asked");
    // 2.10, 2.11: ten in one go; pongs of a burst may be folded into the last (section 5.5.3).
    for i in 0..10_u8 {
        socket.send(&masked(0x89, &[i])).await;
    }
    let mut last = 0;
    while last != 9 {
        let pong = socket.next_control().await.expect("pongs to the last");
        assert_eq!(pong.first, 0x8A);
        assert!(pong.payload[0] >= last, "out of order");
        last = pong.payload[0];
    }
    let long = vec![("ping of 126".to_owned(), masked(0x89, &[0; 126]), 1002)];
    each_ends_with(&edge, long).await;
}

#[tokio::test]
async fn reserved_bits_opcodes_and_masks() {
    let edge = system().await;
    let mut cases = Vec::new();
    for rsv in 1..8_u8 {
        for opcode in [1, 2, 8, 9, 10] {
            let first = 0x80 | rsv << 4 | opcode;
            cases.push((
                format!("reserved bits {rsv}, opcode {opcode}"),
                masked(first, b""),
                1002,
            ));
        }
    }
    for opcode in (3..8).chain(11..16_u8) {
        cases.push((format!("opcode {opcode}"), masked(0x80 | opcode, b""), 1002));
        cases.push((
            format!("opcode {opcode}, payload"),
            masked(0x80 | opcode, b"x"),
            1002,
        ));
    }
    for opcode in [1, 2, 8, 9, 10] {
        cases.push((format!("unmasked {opcode}"), vec![0x80 | opcode, 0], 1002));
    }
    each_ends_with(&edge, cases).await;
    // 4.*.3: what came before the fault is still answered.
    let mut bytes = masked(0x89, b"first");
    bytes.extend(masked(0x83, b""));
    let got = answers(&edge, &[bytes]).await;
    assert_eq!(codes(&got)[got.len() - 1], Some(1002));
}

#[tokio::test]
async fn fragments_and_utf8() {
    let edge = system().await;
    let joined = |parts: &[Vec<u8>]| parts.concat();
    // 5.*: we take no fragmented messages and say so with 1003; what the RFC forbids is 1002.
    let interleaved = joined(&[masked(0x01, b"a"), masked(0x89, b"?"), masked(0x80, b"b")]);
    let mut cases = vec![
        ("fragmented ping".to_owned(), masked(0x09, b"x"), 1002),
        ("fragmented pong".to_owned(), masked(0x0A, b"x"), 1002),
        ("fragmented close".to_owned(), masked(0x08, b""), 1002),
        (
            "continuation of nothing".to_owned(),
            masked(0x80, b"x"),
            1002,
        ),
        (
            "unfinished continuation".to_owned(),
            masked(0x00, b"x"),
            1002,
        ),
        (
            "text in two".to_owned(),
            joined(&[masked(0x01, b"a"), masked(0x80, b"b")]),
            1003,
        ),
        (
            "bytes in two".to_owned(),
            joined(&[masked(0x02, b"a"), masked(0x80, b"b")]),
            1003,
        ),
        ("ping between fragments".to_owned(), interleaved, 1003),
        ("empty fragment".to_owned(), masked(0x01, b""), 1003),
    ];
    // 6.*: text that is not UTF-8.
    for bad in [
        &b"\x80"[..],
        b"\xC0\xAF",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xF8\x88\x80\x80\x80",
        b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited",
        b"\xFE",
        b"\xE2\x82",
    ] {
        cases.push((format!("text {bad:02x?}"), masked(0x81, bad), 1007));
    }
    each_ends_with(&edge, cases).await;
    let mut socket = open(&edge).await;
    for good in ["", "κόσμε", "\u{10FFFF}", "\u{FFFE}", "\0"] {
        socket.send(&masked(0x81, good.as_bytes())).await;
    }
    socket.send(&masked(0x89, b"ok")).await;
    assert_eq!(socket.next_control().await.unwrap().payload, b"ok");
}

#[tokio::test]
async fn closing() {
    let edge = system().await;
    let mut cases = vec![
        ("half a code".to_owned(), masked(0x88, &[3]), 1002),
        ("125 bytes".to_owned(), close(1000, &[b'*'; 123]), 1000),
        ("126 bytes".to_owned(), close(1000, &[b'*'; 124]), 1002),
        (
            "reason not UTF-8".to_owned(),
            close(1000, b"\xCE\xBA\xED\xA0\x80"),
            1007,
        ),
        (
            "reason cut in a letter".to_owned(),
            close(1000, b"\xE2\x82"),
            1007,
        ),
        (
            "reason".to_owned(),
            close(1000, "auf Wiederhören".as_bytes()),
            1000,
        ),
    ];
    let valid = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ];
    for code in valid {
        cases.push((format!("code {code}"), close(code, b""), code));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        cases.push((format!("code {code}"), close(code, b""), 1002));
    }
    // 7.1.3, 7.1.5: what follows a close frame is passed over.
    let more = [close(1000, b""), masked(0x89, b"late"), masked(0x83, b"")].concat();
    cases.push(("frames behind the close".to_owned(), more, 1000));
    each_ends_with(&edge, cases).await;
    // No code: a close frame without one comes back.
    let got = answers(&edge, &[masked(0x88, b"")]).await;
    assert_eq!(got.len(), 1);
    assert_eq!((got[0].first, got[0].payload.len()), (0x88, 0), "{got:?}");
    judge(&got);
    // Half-closed: who only ends its own direction gets the rest, then the end.
    let mut socket = open(&edge).await;
    socket.next().await.expect("media");
    socket.stream.shutdown().await.unwrap();
    let end = async { while socket.next().await.is_some() {} };
    tokio::time::timeout(SOON, end).await.expect("the end");
    // A client that leaves without a word harms nobody.
    drop(open(&edge).await);
    let mut other = open(&edge).await;
    assert!(other.next().await.is_some());
}
