//! The last stop of every line: nothing reaches standard error that the redactor has not seen.

use std::cell::Cell;
use std::io::{self, Write};
use std::panic::PanicHookInfo;

use tracing_subscriber::fmt::MakeWriter;

use crate::secret::{redact, redact_registered};

/// Standard error behind the redactor. The formatter hands over one whole line a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct RedactingStderr {
    /// JSON lines were redacted value by value. Here only known secrets are looked for, since the
    /// patterns for free text could take a quote or brace with them.
    pub(super) json: bool,
}

impl<'a> MakeWriter<'a> for RedactingStderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
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
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
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
