//! Results of the faults, as lines for a person and as the table of docs/reliability.md.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// What one injection of a fault showed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Until pictures moved again, counted from the moment the row's text names.
    pub(crate) back: Option<Duration>,
    /// The longest time any viewer saw no picture.
    pub(crate) without: Duration,
    /// Pictures that a viewer with `fanlight.v1` missed or got twice.
    pub(crate) lost: usize,
    /// Continuity errors and pictures a decoder complained about.
    pub(crate) corrupt: usize,
    /// What page and API said meanwhile.
    pub(crate) said: String,
    /// Growth of edge and ingest memory in MiB.
    pub(crate) grown: i64,
    /// Everything that was not as it must be.
    pub(crate) wrong: Vec<String>,
}

impl Outcome {
    /// Notes a fault of the system unless `ok`.
    pub(crate) fn must(&mut self, ok: bool, what: impl Into<String>) {
        if !ok {
            self.wrong.push(what.into());
        }
    }
}

/// All outcomes, by fault.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<(&'static str, Vec<Outcome>)>,
}

impl Table {
    pub(crate) fn add(&mut self, name: &'static str, outcome: Outcome) {
        match self.rows.last_mut() {
            Some((last, outcomes)) if *last == name => outcomes.push(outcome),
            _ => self.rows.push((name, vec![outcome])),
        }
    }

    pub(crate) fn print_last(&self) {
        let Some((name, outcomes)) = self.rows.last() else {
            return;
        };
        let bad = outcomes.iter().filter(|o| !o.wrong.is_empty()).count();
        let verdict = if bad == 0 { "ok  " } else { "FAIL" };
        println!("{verdict} {name}: {}", summary(outcomes).join(" | "));
        for wrong in outcomes.iter().flat_map(|o| &o.wrong) {
            println!("     {wrong}");
        }
    }

    pub(crate) fn passed(&self) -> usize {
        self.rows
            .iter()
            .filter(|(_, o)| o.iter().all(|o| o.wrong.is_empty()))
            .count()
    }

    pub(crate) fn failed(&self) -> usize {
        self.rows.len() - self.passed()
    }

    pub(crate) fn write(&self, path: &Path) {
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let marker = "<!-- faults: written by `make faults` -->";
        let head = old.split(marker).next().unwrap_or_default();
        let runs = self.rows.iter().map(|(_, o)| o.len()).max().unwrap_or(0);
        let mut text = format!(
            "{head}{marker}\n\n{runs} runs of each fault; times are median / worst, in seconds.\n\n\
             | fault | moving again | without pictures | lost or twice | corrupt | the API said | memory |\n\
             |---|---|---|---|---|---|---|\n"
        );
        for (name, outcomes) in &self.rows {
            writeln!(text, "| {name} | {} |", summary(outcomes).join(" | ")).unwrap();
        }
        std::fs::write(path, text).expect("write the table");
    }
}

fn summary(outcomes: &[Outcome]) -> [String; 6] {
    let seconds = |d: Duration| format!("{:.2}", d.as_secs_f64());
    let spread = |mut times: Vec<Duration>| {
        times.sort();
        match times.as_slice() {
            [] => "-".to_owned(),
            [one] => seconds(*one),
            all => format!(
                "{} / {}",
                seconds(all[all.len() / 2]),
                seconds(all[all.len() - 1])
            ),
        }
    };
    let most = |f: fn(&Outcome) -> usize| outcomes.iter().map(f).max().unwrap_or(0).to_string();
    let grown = outcomes.iter().map(|o| o.grown).max().unwrap_or(0);
    [
        spread(outcomes.iter().filter_map(|o| o.back).collect()),
        spread(outcomes.iter().map(|o| o.without).collect()),
        most(|o| o.lost),
        most(|o| o.corrupt),
        outcomes.last().map(|o| o.said.clone()).unwrap_or_default(),
        format!("{grown:+} MiB"),
    ]
}
