//! Real programs for tests: started on free loopback ports, their output kept, ended when
//! the handle is dropped. A missing program fails the test and says how to get it.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops at the first fault"
)]

mod camera;
mod http;
mod nats;
mod process;

pub use camera::{Camera, CameraOptions};
pub use http::{Response, get, request_raw};
pub use nats::NatsServer;
pub use process::{Process, Signal};

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

/// The repository's top folder.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the repository")
}

/// One of the project's programs, from the target folder this test was built into.
///
/// # Panics
/// When it was not built: `cargo build --workspace` does that.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("own path");
    let profile = exe
        .ancestors()
        .find(|d| d.join("deps").is_dir())
        .expect("the target folder");
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --workspace`",
        path.display()
    );
    path
}

/// A program that tests need, from the project's `.venv` or the search path.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let venv = repository().join(".venv/bin").join(name);
    if venv.is_file() {
        return venv;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(extra)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not installed: run `make setup-test`"))
}

/// A TCP port that was free a moment ago. Drawn at random below the range that the kernel
/// gives to outgoing connections, so that nothing takes it before it is used.
#[must_use]
pub fn free_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    loop {
        let port = 12_000 + (RandomState::new().hash_one(0) % 20_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Polls until `check` gives a value.
///
/// # Panics
/// After `limit`, naming what was waited for.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = tokio::time::Instant::now() + limit;
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{what}: not within {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
