//! The smallest HTTP client that tests need: plain HTTP/1.1 over loopback, no dependency
//! that could share a fault with the code under test.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunked encoding undone.
    pub body: Vec<u8>,
}

impl Response {
    /// Reads an answer's bytes, which end with the connection.
    #[must_use]
    pub fn parse(all: &[u8]) -> Option<Self> {
        parse(all)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A header's first value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// `GET url` with no further headers.
///
/// # Errors
/// When the connection fails or the answer is not HTTP.
pub async fn get(url: &str) -> io::Result<Response> {
    let bad = || io::Error::other(format!("not an http URL: {url}"));
    let rest = url.strip_prefix("http://").ok_or_else(bad)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    request_raw(host, request.as_bytes()).await
}

/// Sends bytes and reads the answer to the end of the connection.
///
/// # Errors
/// As [`get`].
pub async fn request_raw(host: &str, request: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect(host).await?;
    // A server may refuse before it has read everything, and close: its answer counts all the same.
    let sent = stream.write_all(request).await;
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all).await.map(|_| ());
    parse(&all).ok_or_else(|| match sent.and(read) {
        Ok(()) => io::Error::other("not an HTTP answer"),
        Err(error) => error,
    })
}

fn parse(all: &[u8]) -> Option<Response> {
    let end = all.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&all[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let rest = &all[end + 4..];
    let chunked = headers
        .iter()
        .any(|(n, v)| n == "transfer-encoding" && v == "chunked");
    let body = if chunked {
        unchunk(rest)?
    } else {
        rest.to_vec()
    };
    Some(Response {
        status,
        headers,
        body,
    })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 4 + size..)?;
    }
}
