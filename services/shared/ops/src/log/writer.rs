//! The last stop of every line: nothing reaches standard error that the redactor has not seen.

use std::cell::Cell;
use std::io::{self, Write};
use std::panic::PanicHookInfo;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use crate::secret::{redact, redact_registered};

/// Lines kept for a standard error that is not read; then new ones are lost, and counted. A log
/// that is stuck must not stop the pictures.
const LINES: usize = 4096;

/// Standard error behind the redactor. The formatter hands over one whole line a call; a thread
/// of its own writes it.
#[derive(Debug, Clone)]
pub(super) struct RedactingStderr {
    lines: NonBlocking,
    /// JSON lines were redacted value by value. Here only known secrets are looked for, since the
    /// patterns for free text could take a quote or brace with them.
    json: bool,
}

impl RedactingStderr {
    /// The writer; dropping the guard writes what waits, for at most a second.
    pub(super) fn new(json: bool) -> (Self, WorkerGuard) {
        let (lines, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LINES)
            .thread_name("log")
            .finish(io::stderr());
        (Self { lines, json }, guard)
    }

    /// Counts the lines that were lost.
    pub(super) fn lost(&self) -> ErrorCounter {
        self.lines.error_counter()
    }
}

impl<'a> MakeWriter<'a> for RedactingStderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for RedactingStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = if self.json {
            redact_registered(&text)
        } else {
            redact(&text)
        };
        self.lines.write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }
}

thread_local! {
    static PANICKING: Cell<bool> = const { Cell::new(false) };
}

/// Writes panics as log lines, so that they are redacted and machine-readable like the rest.
pub(super) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let message = message(info);
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        if PANICKING.replace(true) {
            // The log itself panicked: plain text, still redacted.
            let _ = writeln!(io::stderr(), "panic: {} at {location}", redact(message));
        } else {
            let thread = std::thread::current()
                .name()
                .unwrap_or("unnamed")
                .to_owned();
            tracing::error!(target: "fanlight_ops::panic", location, thread, "panic: {message}");
        }
        PANICKING.set(false);
    }));
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
