//! A WebSocket client that sends any bytes, right or wrong, and reads frames as they are.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A frame of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: end of message, reserved bits, opcode.
    pub first: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        let code = (self.first == 0x88).then(|| self.payload.get(..2))??;
        Some(u16::from_be_bytes([code[0], code[1]]))
    }
}

/// A client frame with a mask: `first` as it is, a length of the shortest form.
#[must_use]
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [0x5A, 0x00, 0xFF, 0x13];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    out
}

/// An upgraded connection.
#[derive(Debug)]
pub struct RawSocket {
    /// The connection itself.
    pub stream: TcpStream,
}

impl RawSocket {
    /// Asks for an upgrade with these further header lines (each ended by CRLF) and returns the
    /// status of the answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ask(address: &str, path: &str, headers: &str) -> (u16, Self) {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let host = if headers.contains("Host:") {
            String::new()
        } else {
            format!("Host: {address}\r\n")
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(Duration::from_secs(10), stream.read_u8()).await;
            head.push(byte.expect("an answer in time").expect("an answer"));
        }
        let status = String::from_utf8_lossy(&head);
        let status = status.split(' ').nth(1).and_then(|s| s.parse().ok());
        (status.expect("HTTP"), Self { stream })
    }

    /// Connects.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(address: &str, path: &str, headers: &str) -> Self {
        let (status, socket) = Self::ask(address, path, headers).await;
        assert_eq!(status, 101);
        socket
    }

    /// Sends bytes; a server that has already left is no fault.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _left = self.stream.write_all(bytes).await;
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// When nothing comes for 10 s, or when a frame is masked.
    pub async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let (first, second) = (self.stream.read_u8().await?, self.stream.read_u8().await?);
            assert_eq!(second & 0x80, 0, "a server never masks");
            let len = match second {
                126 => usize::from(self.stream.read_u16().await?),
                127 => usize::try_from(self.stream.read_u64().await?).unwrap_or(usize::MAX),
                short => usize::from(short),
            };
            let mut payload = vec![0; len];
            self.stream.read_exact(&mut payload).await?;
            std::io::Result::Ok(Frame { first, payload })
        };
        timeout(Duration::from_secs(10), read)
            .await
            .expect("a frame or the end in time")
            .ok()
    }

    /// The next frame that is not media or a control message of ours.
    pub async fn next_control(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.first & 0x08 != 0 {
                return Some(frame);
            }
        }
    }
}
