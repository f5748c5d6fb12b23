//! What the command-line viewer counted.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use fanlight_mpegts::{Checker, Report};
use serde::Serialize;
use tokio::time::Instant;

use crate::wire::ServerMessage;

/// Counts while watching.
#[derive(Debug)]
pub(super) struct Tally {
    v1: bool,
    upgraded: Instant,
    checker: Checker,
    /// What was counted before the last break in the stream that the server told of.
    before: Report,
    figures: Figures,
    /// What a mark said the next media message is.
    place: Option<(String, u64)>,
    told: bool,
    /// Our clock minus the edge's, nanoseconds.
    offset: Option<i128>,
    delays: Vec<f64>,
    mark_time: Option<u64>,
    last_media: Option<Instant>,
}

/// The result.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Figures {
    connect_ms: f64,
    first_picture_ms: Option<f64>,
    seconds: f64,
    messages: u64,
    bytes: u64,
    packets: u64,
    pictures: u64,
    key_pictures: u64,
    fps: f64,
    kbit_per_second: f64,
    longest_pause_ms: f64,
    starts_with_key: bool,
    continuity_errors: u64,
    skipped_bytes: u64,
    sequence_errors: u64,
    unknown_messages: u64,
    runs: u64,
    skips: u64,
    delay_ms_p50: Option<f64>,
    delay_ms_max: Option<f64>,
    codec: Option<String>,
    size: Option<String>,
    state: Option<String>,
    close_code: Option<u16>,
    broke_off: bool,
}

impl Tally {
    pub(super) fn new(connect: Duration, v1: bool) -> Self {
        Self {
            v1,
            upgraded: Instant::now(),
            checker: Checker::new(),
            before: Report::default(),
            figures: Figures {
                connect_ms: ms(connect),
                ..Figures::default()
            },
            place: None,
            told: false,
            offset: None,
            delays: Vec::new(),
            mark_time: None,
            last_media: None,
        }
    }

    pub(super) fn is_v1(&self) -> bool {
        self.v1
    }

    pub(super) fn key_pictures(&self) -> u64 {
        self.before.key_pictures + self.checker.report().key_pictures
    }

    pub(super) fn media(&mut self, media: Bytes) {
        let now = Instant::now();
        let figures = &mut self.figures;
        figures.messages += 1;
        figures
            .first_picture_ms
            .get_or_insert_with(|| ms(self.upgraded.elapsed()));
        if let Some(last) = self.last_media.replace(now) {
            figures.longest_pause_ms = figures.longest_pause_ms.max(ms(now - last));
        }
        if let Some(time) = self.mark_time.take()
            && let Some(offset) = self.offset
        {
            let arrived = i128::from(crate::clock::unix_ns()) - offset;
            self.delays.push((arrived - i128::from(time)) as f64 / 1e6);
        }
        match &mut self.place {
            Some((_, seq)) => *seq += 1,
            None if self.v1 => figures.sequence_errors += 1,
            None => {}
        }
        self.told = false;
        self.checker.push(media);
    }

    pub(super) fn control(&mut self, message: &ServerMessage, now: u64) {
        match message {
            ServerMessage::Hello {
                state, run, seq, ..
            } => {
                self.figures.codec = state.video.codec.as_deref().map(str::to_owned);
                self.figures.state = Some(state.state.as_str().to_owned());
                if let (Some(run), Some(seq)) = (run, seq) {
                    self.next_is(run, *seq);
                }
            }
            ServerMessage::Mark { run, seq, time } => {
                self.mark_time = Some(*time);
                self.next_is(run, *seq);
            }
            ServerMessage::State(state) => {
                self.figures.state = Some(state.state.as_str().to_owned());
            }
            ServerMessage::Slow { .. } => {
                self.figures.skips += 1;
                self.told = true;
            }
            ServerMessage::Clock { t0, t1, t2 } => {
                let asked = (t0 * 1e6) as i128;
                let theirs = i128::midpoint((*t1).into(), (*t2).into());
                self.offset = Some(i128::midpoint(asked, now.into()) - theirs);
            }
            ServerMessage::Drain { .. } => {}
        }
    }

    /// The place that the server names for the next message.
    fn next_is(&mut self, run: &str, seq: u64) {
        let same_run = self.place.as_ref().is_some_and(|(known, _)| known == run);
        let follows = same_run
            && self
                .place
                .as_ref()
                .is_some_and(|(_, expected)| *expected == seq);
        if follows {
            return;
        }
        let first = self.figures.messages == 0;
        if !same_run && self.place.as_ref().is_none_or(|(known, _)| known != run) {
            self.figures.runs += 1;
        }
        // A jump inside a run is either told as a skip, or media was lost on the way.
        if same_run && !self.told && !first {
            self.figures.sequence_errors += 1;
        }
        if !first {
            let checker = std::mem::take(&mut self.checker);
            add(&mut self.before, &checker.finish());
        }
        self.place = Some((run.to_owned(), seq));
    }

    pub(super) fn unknown_message(&mut self) {
        self.figures.unknown_messages += 1;
    }

    pub(super) fn closed(&mut self, code: Option<u16>) {
        self.figures.close_code = code;
        self.figures.broke_off = code.is_none();
    }

    pub(super) fn figures(mut self) -> Figures {
        let seconds = self.upgraded.elapsed().as_secs_f64();
        let last = self.checker.finish();
        let format = last.format.clone().or_else(|| self.before.format.clone());
        add(&mut self.before, &last);
        let report = self.before;
        let mut figures = self.figures;
        if let Some(format) = &format {
            figures.size = Some(format!("{}x{}", format.width, format.height));
            figures.codec = Some(format.codec.to_string());
        }
        figures.seconds = seconds;
        figures.bytes = report.bytes;
        figures.packets = report.packets;
        figures.pictures = report.pictures;
        figures.key_pictures = report.key_pictures;
        figures.starts_with_key = report.starts_with_key;
        figures.continuity_errors = report.continuity_errors;
        figures.skipped_bytes = report.skipped_bytes;
        figures.fps = report.pictures as f64 / seconds.max(1e-3);
        figures.kbit_per_second = report.bytes as f64 * 8e-3 / seconds.max(1e-3);
        self.delays.sort_by(f64::total_cmp);
        figures.delay_ms_p50 = self.delays.get(self.delays.len() / 2).copied();
        figures.delay_ms_max = self.delays.last().copied();
        figures
    }
}

fn add(sum: &mut Report, part: &Report) {
    let first = sum.pictures == 0;
    if first {
        sum.starts_with_key = part.starts_with_key;
    }
    sum.bytes += part.bytes;
    sum.packets += part.packets;
    sum.skipped_bytes += part.skipped_bytes;
    sum.pictures += part.pictures;
    sum.key_pictures += part.key_pictures;
    sum.continuity_errors += part.continuity_errors;
    if part.format.is_some() {
        sum.format.clone_from(&part.format);
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl Figures {
    /// Why this was no good stream.
    pub(super) fn problem(&self) -> Option<String> {
        if self.key_pictures == 0 {
            let state = self.state.as_deref().unwrap_or("unknown");
            return Some(format!("no key picture came (camera state: {state})"));
        }
        let count = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}"));
        let problems: Vec<String> = [
            (!self.starts_with_key).then(|| "the first picture is no key picture".to_owned()),
            count(self.continuity_errors, "continuity errors"),
            count(self.skipped_bytes, "bytes outside of TS packets"),
            count(self.sequence_errors, "errors in the sequence"),
            count(self.unknown_messages, "messages that are not fanlight.v1"),
            self.broke_off
                .then(|| "the connection broke off".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!problems.is_empty()).then(|| problems.join(", "))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
        let number =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
        writeln!(
            f,
            "codec {}, size {}, {:.1} pictures/s, {:.0} kbit/s",
            text(&self.codec),
            text(&self.size),
            self.fps,
            self.kbit_per_second
        )?;
        writeln!(
            f,
            "connected after {:.0} ms, first picture {} ms later",
            self.connect_ms,
            number(self.first_picture_ms)
        )?;
        writeln!(
            f,
            "{:.1} s: {} messages, {} bytes, {} packets, {} pictures, {} key pictures",
            self.seconds, self.messages, self.bytes, self.packets, self.pictures, self.key_pictures
        )?;
        writeln!(
            f,
            "longest pause {:.0} ms, delay since ingest {} ms (longest {} ms)",
            self.longest_pause_ms,
            number(self.delay_ms_p50),
            number(self.delay_ms_max)
        )?;
        write!(
            f,
            "{} continuity errors, {} sequence errors, {} skips, {} runs",
            self.continuity_errors, self.sequence_errors, self.skips, self.runs
        )
    }
}
