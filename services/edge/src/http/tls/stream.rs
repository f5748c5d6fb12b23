//! A public connection, plain or under TLS. Viewers write the same frames to either; a plain one
//! still gets them in one vectored write, without a copy.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::viewer::Socket;

/// See the module.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Shared with the hub, which writes to it when there is nothing else to do.
    Plain(Arc<TcpStream>),
    Tls(Box<Tls>),
}

/// Ends with a close_notify when it is dropped, unless it was reset.
#[derive(Debug)]
pub(crate) struct Tls {
    stream: TlsStream<TcpStream>,
    /// rustls may hold encrypted bytes that the kernel did not take.
    unflushed: bool,
    ended: std::sync::atomic::AtomicBool,
}

impl Stream {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::Plain(Arc::new(stream))
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(Tls {
            stream,
            unflushed: true,
            ended: false.into(),
        }))
    }
}

impl Tls {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.unflushed = flushed.is_pending();
        flushed
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        if self.ended.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let (tcp, session) = self.stream.get_mut();
        session.send_close_notify();
        let mut now = Now(tcp);
        while session.wants_write() && session.write_tls(&mut now).is_ok_and(|n| n > 0) {}
    }
}

/// Writes what the kernel takes at once.
struct Now<'a>(&'a TcpStream);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Stream {
    fn reset(&self) {
        match self {
            Self::Plain(tcp) => reset(tcp),
            Self::Tls(tls) => {
                tls.ended.store(true, std::sync::atomic::Ordering::Relaxed);
                reset(tls.stream.get_ref().0);
            }
        }
    }

    fn plain(&self) -> Option<&Arc<TcpStream>> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(_) => None,
        }
    }
}

fn reset(tcp: &TcpStream) {
    // Nothing else can be done about a socket that is already gone.
    let _gone = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

/// Tries until it is done or the socket is not ready.
fn poll_io<T>(
    mut ready: impl FnMut() -> Poll<io::Result<()>>,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        ready!(ready())?;
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => poll_io(
                || tcp.poll_read_ready(cx),
                || tcp.try_read_buf(buffer).map(drop),
            ),
            Self::Tls(tls) => {
                // Who reads always waits for more to come, so what is left over leaves here, and
                // a writer of whole frames need not know that there is anything left.
                if let Poll::Ready(Err(error)) = tls.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                Pin::new(&mut tls.stream).poll_read(cx, buffer)
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => poll_io(|| tcp.poll_write_ready(cx), || tcp.try_write(bytes)),
            Self::Tls(tls) => {
                tls.unflushed = true;
                Pin::new(&mut tls.stream).poll_write(cx, bytes)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => poll_io(
                || tcp.poll_write_ready(cx),
                || tcp.try_write_vectored(slices),
            ),
            Self::Tls(tls) => {
                tls.unflushed = true;
                Pin::new(&mut tls.stream).poll_write_vectored(cx, slices)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => {
                Poll::Ready(socket2::SockRef::from(&**tcp).shutdown(std::net::Shutdown::Write))
            }
            Self::Tls(tls) => {
                // It sends the close_notify itself.
                tls.ended.store(true, std::sync::atomic::Ordering::Relaxed);
                Pin::new(&mut tls.stream).poll_shutdown(cx)
            }
        }
    }
}
