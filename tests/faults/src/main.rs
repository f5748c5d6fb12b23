//! Injects faults into the real system and says what the viewers saw. `--short` is the form
//! of `make test`; without it each fault is repeated and `docs/reliability.md` is written;
//! `--soak` draws faults at random for a while.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod faults;
mod link;
mod soak;
mod system;
mod table;
mod watcher;

use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;

use crate::table::Table;

/// Faults, and what must hold under them.
#[derive(Debug, Parser)]
struct Args {
    /// Each fault once, with slack for a busy machine
    #[arg(long)]
    short: bool,
    /// How often each fault is injected
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only the faults whose name holds this text
    #[arg(long, default_value = "")]
    only: String,
    /// Draw faults at random for this many minutes
    #[arg(long)]
    soak: Option<u64>,
    /// Seed of the soak's draw; the same seed gives the same faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

static SHORT: OnceLock<bool> = OnceLock::new();

/// How many viewers a fault has: fewer in the short form.
pub(crate) fn viewers(short: usize, full: usize) -> usize {
    if SHORT.get() == Some(&true) {
        short
    } else {
        full
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    SHORT.get_or_init(|| args.short);
    if let Some(minutes) = args.soak {
        return soak::run(minutes, args.seed).await;
    }
    let runs = if args.short { 1 } else { args.runs };
    let mut table = Table::default();
    for fault in faults::all()
        .into_iter()
        .filter(|f| f.name.contains(&args.only))
    {
        if args.short && !fault.short {
            continue;
        }
        for _ in 0..runs {
            table.add(fault.name, (fault.inject)().await);
        }
        table.print_last();
    }
    if !args.short && args.only.is_empty() {
        table.write(&fanlight_testkit::repository().join("docs/reliability.md"));
    }
    // The closing line that test reports are read by.
    println!("{} passed, {} failed", table.passed(), table.failed());
    if table.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
