//! What happens to a region of edges and NATS servers when viewers come at once or a node is
//! lost, and how many viewers it carries: see docs/scaling.md.
#![allow(clippy::print_stdout, reason = "its output is a table")]

use clap::Parser;
use fanlight_bench::simulate::{Coefficients, Fault, Outcome, Resource, Site, find_limit, run};

/// Most viewers that `--find-limit` tries.
const MOST: usize = 4_000_000;

#[derive(Parser)]
#[command(about)]
struct Options {
    #[command(flatten)]
    site: Site,
    #[command(flatten)]
    coefficients: Coefficients,
    /// What happens; all four if not given
    #[arg(long, value_enum)]
    fault: Vec<Fault>,
    /// Seconds over which viewers come, with `--fault join`
    #[arg(long, default_value_t = 10.0)]
    burst: f64,
    /// Seconds within which everybody must have a picture
    #[arg(long, default_value_t = 30.0)]
    patience: f64,
    /// Raise the viewers until it breaks
    #[arg(long)]
    find_limit: bool,
    /// Same seed, same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() {
    let mut options = Options::parse();
    if options.fault.is_empty() {
        options.fault = vec![Fault::Join, Fault::Edge, Fault::Nats, Fault::Zone];
    }
    if options.find_limit {
        limits(&options);
    } else {
        outcomes(&options);
    }
}

fn limits(o: &Options) {
    println!("| fault | most viewers | breaks first |");
    println!("|---|---|---|");
    for &fault in &o.fault {
        let (c, s) = (&o.coefficients, &o.site);
        let limit = find_limit(c, s, fault, o.burst, o.patience, o.seed, MOST);
        let breaks = limit.breaks.map_or("nothing".to_owned(), |r| r.to_string());
        println!("| {} | {} | {breaks} |", name(fault), limit.viewers);
    }
}

fn outcomes(o: &Options) {
    println!(
        "| fault | affected | served | 50 % s | 99 % s | all s | attempts | most a second | waited for most | tightest after | broken |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for &fault in &o.fault {
        let (c, s) = (&o.coefficients, &o.site);
        row(fault, &run(c, s, fault, o.burst, o.patience, o.seed));
    }
}

fn row(fault: Fault, outcome: &Outcome) {
    let seconds = |at: Option<f64>| at.map_or("-".to_owned(), |at| format!("{at:.1}"));
    let (resource, used) = outcome.after.tightest();
    let broken = outcome.broken().map_or("no".to_owned(), |r| r.to_string());
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {resource} {:.0} % | {broken} |",
        name(fault),
        outcome.affected,
        outcome.served,
        seconds(outcome.half),
        seconds(outcome.most),
        seconds(outcome.all),
        outcome.attempts,
        outcome.storm,
        waited(outcome),
        used * 100.0,
    );
}

fn waited(outcome: &Outcome) -> String {
    let resource: Resource = outcome.bottleneck();
    let each = outcome.waited[resource as usize] / outcome.affected.max(1) as f64;
    format!("{resource} {each:.2} s")
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Join => "join",
        Fault::Edge => "edge",
        Fault::Nats => "NATS server",
        Fault::Zone => "zone",
    }
}
