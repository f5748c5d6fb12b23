//! The PROXY protocol, versions 1 and 2: a load balancer that passes bytes on as they are says
//! in front of them whose they are
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::SocketAddr;

use ppp::v1::Addresses as V1;
use ppp::v2::{Addresses as V2, Command};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that tell the versions apart; the shortest header is longer.
const FIRST: usize = 12;

/// Longest header of version 1, its line end included (section 2.1).
const MAX_V1: usize = 107;

/// Longest header of version 2 that is taken: addresses of 36 bytes and some extensions.
const MAX_V2: usize = 4096;

/// How version 2 begins (section 2.2).
const SIGNATURE: [u8; FIRST] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Reads the header and nothing behind it. `None` where the balancer speaks for itself, as its
/// health checks do.
///
/// # Errors
/// The connection does not begin with a header, or ends within it.
pub(super) async fn source(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; FIRST];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        version_2(stream, header).await
    } else if header.starts_with(b"PROXY ") {
        version_1(stream, header).await
    } else {
        Err(bad("it does not begin with a PROXY header"))
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

async fn version_1(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    while !header.ends_with(b"\r\n") {
        if header.len() == MAX_V1 {
            return Err(bad("the PROXY line is longer than 107 bytes"));
        }
        // byte by byte: what comes behind the line is not ours
        header.push(stream.read_u8().await?);
    }
    let parsed = ppp::v1::Header::try_from(header.as_slice());
    Ok(
        match parsed
            .map_err(|_| bad("the PROXY line cannot be read"))?
            .addresses
        {
            V1::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            V1::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            V1::Unknown => None,
        },
    )
}

async fn version_2(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).await?;
    header.extend_from_slice(&rest);
    let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
    if length > MAX_V2 {
        return Err(bad("the PROXY header is longer than 4096 bytes"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    header.extend_from_slice(&body);
    let parsed = ppp::v2::Header::try_from(header.as_slice());
    let parsed = parsed.map_err(|_| bad("the PROXY header cannot be read"))?;
    if parsed.command == Command::Local {
        return Ok(None);
    }
    Ok(match parsed.addresses {
        V2::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        V2::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        V2::Unspecified | V2::Unix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> io::Result<(Option<SocketAddr>, Vec<u8>)> {
        let mut rest = bytes;
        let address = source(&mut rest).await?;
        Ok((address, rest.to_vec()))
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [
            &SIGNATURE[..],
            &[0x20 | command, family],
            &length,
            body,
            b"GET /",
        ]
        .concat()
    }

    #[tokio::test]
    async fn both_versions_and_nothing_behind_them() {
        let ipv4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x1f, 0xa7];
        for (bytes, expected) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 8103\r\nGET /".to_vec(),
                Some("192.0.2.7:12345"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 12345 8103\r\nGET /".to_vec(),
                Some("[2001:db8::7]:12345"),
            ),
            (b"PROXY UNKNOWN\r\nGET /".to_vec(), None),
            (v2(1, 0x11, &ipv4), Some("192.0.2.7:12345")),
            // a health check of the balancer's own
            (v2(0, 0x00, &[]), None),
        ] {
            let (address, rest) = read(&bytes).await.unwrap();
            assert_eq!(address, expected.map(|text| text.parse().unwrap()));
            assert_eq!(rest, b"GET /");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(),
            b"PROXY TCP4 not.an.address x 1 2\r\n",
            b"PROXY TCP4 192.0.2.7",
            &long,
            &v2(1, 0x11, &[1, 2, 3]),
            &[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
            b"",
        ] {
            assert!(read(bytes).await.is_err(), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(0_u8.., 0..200), v2: bool) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let start = if v2 { SIGNATURE.to_vec() } else { b"PROXY TCP4 x".to_vec() };
            let _any = runtime.block_on(read(&[start, bytes].concat()));
        }
    }
}
