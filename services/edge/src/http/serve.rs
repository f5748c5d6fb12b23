//! Accepts connections and runs HTTP on each, within limits of number and time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanlight_ops::throttle::Throttle;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::Site;
use super::client::{Ends, Network};
use super::conn::{self, Conn, accepted};
use super::proxied;
use super::tls::{self, Certificate, Stream, TlsConfig};

/// Connections that are not viewers (yet): requests, pages, half-open handshakes.
const MAX_OPEN: usize = 4096;

/// Those of one address, so that one client cannot take them all.
const MAX_OPEN_PER_ADDRESS: usize = 2048;

/// Time for a request's head, and for the next request on an open connection.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// The same while more than a quarter of all places are taken, so that half-open handshakes of
/// many addresses do not keep others out for long.
const HURRIED: Duration = Duration::from_secs(3);

/// Most bytes of a request's head, and of what hyper holds for a client that is slow to take it.
const MAX_BUFFER: usize = 32 << 10;

/// Most header lines of a request.
const MAX_HEADERS: usize = 64;

/// Pause when the system has no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// What is listened on.
#[derive(Debug)]
pub(crate) struct Listeners {
    public: TcpListener,
    certificate: Option<Arc<Certificate>>,
    redirect: Option<(TcpListener, u16)>,
}

/// Opens the listeners.
///
/// # Errors
/// Which address could not be had, and why.
pub(crate) fn listen(
    address: SocketAddr,
    tls: Option<&TlsConfig>,
) -> Result<Listeners, (SocketAddr, std::io::Error)> {
    let open = |at: SocketAddr| conn::listen(at).map_err(|error| (at, error));
    let public = open(address)?;
    let port = public.local_addr().map_or(address.port(), |a| a.port());
    let redirect = tls.and_then(|tls| tls.redirect).map(|redirect| {
        let listener = open(redirect.listen)?;
        Ok((listener, redirect.port.unwrap_or(port)))
    });
    Ok(Listeners {
        public,
        certificate: tls.map(|tls| Arc::clone(&tls.certificate)),
        redirect: redirect.transpose()?,
    })
}

impl Listeners {
    /// Of the public one.
    pub(crate) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }
}

/// What connections of all listeners share.
#[derive(Clone)]
struct Shared {
    open: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    tracker: TaskTracker,
    end: CancellationToken,
    /// Those who begin with a PROXY header.
    proxies: Arc<[Network]>,
}

/// Serves until `end` is cancelled; connections are then closed as soon as their request is
/// answered.
pub(crate) async fn serve(site: Arc<Site>, listeners: Listeners, end: CancellationToken) {
    let shared = Shared {
        open: Arc::new(Semaphore::new(MAX_OPEN)),
        addresses: Arc::default(),
        tracker: site.shutdown.tracker.clone(),
        end: end.clone(),
        proxies: if site.proxy_protocol {
            site.proxies.as_slice().into()
        } else {
            Arc::default()
        },
    };
    let tracker = &shared.tracker;
    if let Some(certificate) = &listeners.certificate {
        tracker.spawn(Arc::clone(certificate).follow(end));
    }
    if let Some((listener, port)) = listeners.redirect {
        let router = super::redirect::router(port);
        tracker.spawn(accept(listener, router, None, shared.clone()));
    }
    let router = super::router(&site);
    accept(listeners.public, router, listeners.certificate, shared).await;
}

async fn accept(
    listener: TcpListener,
    router: axum::Router,
    certificate: Option<Arc<Certificate>>,
    shared: Shared,
) {
    let failures = Throttle::new(Duration::from_secs(10));
    loop {
        let connection = tokio::select! {
            () = shared.end.cancelled() => return,
            connection = next(&listener, &shared.open) => connection,
        };
        let (mut stream, mut ends, permit) = match connection {
            Ok(connection) => connection,
            Err(error) => {
                if let Some(suppressed) = failures.allow("accept") {
                    tracing::warn!(%error, suppressed, "connection not accepted");
                }
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        let remote = ends.remote.ip().to_canonical();
        let Some(place) = Addresses::enter(&shared.addresses, remote) else {
            if let Some(suppressed) = failures.allow("address") {
                tracing::warn!(%remote, suppressed, "connection refused: too many of one address");
            }
            continue;
        };
        accepted(&stream);
        let (router, end) = (router.clone(), shared.end.clone());
        let certificate = certificate.clone();
        let hurry = shared.open.available_permits() < MAX_OPEN / 4 * 3;
        let patience = if hurry { HURRIED } else { HEAD_LIMIT };
        ends.tls = certificate.is_some();
        let proxied = shared
            .proxies
            .iter()
            .any(|network| network.contains(remote));
        shared.tracker.spawn(async move {
            if proxied {
                let header = tokio::time::timeout(patience, proxied::source(&mut stream)).await;
                match header.unwrap_or_else(|late| Err(late.into())) {
                    Ok(source) => ends.remote = source.unwrap_or(ends.remote),
                    Err(error) => {
                        tracing::debug!(%error, %remote, "no PROXY header");
                        return;
                    }
                }
            }
            let stream = match certificate {
                None => Ok(Stream::plain(stream)),
                Some(certificate) => Box::pin(tls::accept(stream, &certificate, patience)).await,
            };
            match stream {
                Ok(stream) => connection_of(stream, ends, router, patience, end).await,
                Err(error) => {
                    tracing::debug!(%error, remote = %ends.remote, "no tls handshake");
                }
            }
            drop((place, permit));
        });
    }
}

async fn next(
    listener: &TcpListener,
    open: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Ends, OwnedSemaphorePermit)> {
    let permit = Arc::clone(open).acquire_owned().await;
    let permit = permit.map_err(std::io::Error::other)?;
    let (stream, remote) = listener.accept().await?;
    let local = stream.local_addr()?;
    let tls = false;
    Ok((stream, Ends { remote, local, tls }, permit))
}

async fn connection_of(
    stream: Stream,
    ends: Ends,
    router: axum::Router,
    patience: Duration,
    end: CancellationToken,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ends);
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(MAX_BUFFER)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Conn::new(stream)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, remote = %ends.remote, "connection ended");
    }
}

/// Open connections by address.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    fn enter(this: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut counts = this.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= MAX_OPEN_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place {
            addresses: Arc::clone(this),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .addresses
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
