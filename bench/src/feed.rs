//! The feed of the floor and the peers: messages over TCP, each behind its length (u32, big
//! endian). The cheapest way in there is, so that a peer's figure is its fan-out.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads messages.
#[derive(Debug)]
pub struct Feed {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Feed {
    /// Connects to a publisher.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let buffer = BytesMut::with_capacity(64 << 10);
        Ok(Self { stream, buffer })
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// The connection broke off.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(head) = self.buffer.first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                if self.buffer.len() >= 4 + length {
                    let mut message = self.buffer.split_to(4 + length);
                    return Ok(Some(message.split_off(4).freeze()));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Writes one message.
///
/// # Errors
/// The reader left.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = BytesMut::with_capacity(4 + message.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    to.write_all(&framed).await
}
