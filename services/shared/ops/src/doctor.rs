//! What a `doctor` subcommand has found: one plain sentence a check, with the remedy where
//! something is wrong. Written as it is found, or as JSON at the end; never with a credential.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::exit::{self, ConfigError};
use crate::secret::redact;

/// Offset of two clocks from which delays shown to people are told from an estimate that may be
/// off: an operator should know.
const CLOCK_LIMIT: f64 = 0.5;

/// Time for a service on this machine to say who it is.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not do what is wanted.
    Warning,
    /// It does not work.
    Problem,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, a word or two that stay the same.
    pub check: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub says: String,
    /// What to do about it; absent where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// The line for a person: the finding and the remedy in one sentence.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { check, says, .. } = self;
        let word = self.verdict.word();
        match &self.remedy {
            Some(remedy) => format!("{word:<8} {check}: {says}; {remedy}"),
            None => format!("{word:<8} {check}: {says}"),
        }
    }
}

/// The flags that only `doctor` has.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct DoctorFlags {
    /// Write the findings as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The findings of one run.
#[derive(Debug)]
pub struct Report {
    flags: DoctorFlags,
    findings: Vec<Finding>,
}

impl Report {
    /// Without findings.
    #[must_use]
    pub fn new(flags: DoctorFlags) -> Self {
        let findings = Vec::new();
        Self { flags, findings }
    }

    /// A check that found nothing wrong.
    pub fn ok(&mut self, check: &'static str, says: impl AsRef<str>) {
        self.add(check, Verdict::Ok, says.as_ref(), None);
    }

    /// Something that works and may not do what is wanted.
    pub fn warning(&mut self, check: &'static str, says: impl AsRef<str>, remedy: &str) {
        self.add(check, Verdict::Warning, says.as_ref(), Some(remedy));
    }

    /// Something that does not work.
    pub fn problem(&mut self, check: &'static str, says: impl AsRef<str>, remedy: &str) {
        self.add(check, Verdict::Problem, says.as_ref(), Some(remedy));
    }

    /// Everything that is wrong with the configuration.
    pub fn bad_configuration(&mut self, error: &ConfigError) {
        for bad in &error.0 {
            let says = format!("`{}`: {}", bad.key, bad.problem);
            self.problem("configuration", says, &bad.remedy);
        }
    }

    fn add(&mut self, check: &'static str, verdict: Verdict, says: &str, remedy: Option<&str>) {
        let says = redact(says).into_owned();
        let remedy = remedy.map(|r| redact(r).into_owned());
        let finding = Finding {
            check,
            verdict,
            says,
            remedy,
        };
        if !self.flags.json {
            println!("{}", finding.line());
        }
        self.findings.push(finding);
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The gravest verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let all = self.findings.iter().map(|f| f.verdict);
        all.max().unwrap_or(Verdict::Ok)
    }

    /// Writes what is left to write. Warnings alone are no failure.
    #[must_use]
    pub fn finish(self, program: &str) -> ExitCode {
        let verdict = self.verdict();
        if self.flags.json {
            let all = serde_json::json!({
                "program": program,
                "version": env!("CARGO_PKG_VERSION"),
                "verdict": verdict,
                "findings": self.findings,
            });
            println!("{all}");
        }
        ExitCode::from(match verdict {
            Verdict::Ok | Verdict::Warning => exit::OK,
            Verdict::Problem => exit::FAILURE,
        })
    }

    /// Whether an address can be listened on. `running` tells that the service itself runs here
    /// already and holds it.
    pub async fn port(&mut self, flag: &'static str, address: SocketAddr, running: bool) {
        const CHECK: &str = "port";
        match TcpListener::bind(address).await {
            Ok(_) => self.ok(CHECK, format!("{address} ({flag}) is free")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && running => {
                let says = format!("{address} ({flag}) is held by this service, which runs");
                self.ok(CHECK, says);
            }
            Err(error) => {
                let (says, remedy) = match error.kind() {
                    io::ErrorKind::AddrInUse => (
                        "is taken by another program".to_owned(),
                        format!("end that program or choose another port with {flag}"),
                    ),
                    io::ErrorKind::AddrNotAvailable => (
                        "is no address of this machine".to_owned(),
                        format!("give 0.0.0.0 or an address of this machine with {flag}"),
                    ),
                    io::ErrorKind::PermissionDenied => (
                        "may not be listened on by this user".to_owned(),
                        format!("choose a port above 1023 with {flag}"),
                    ),
                    _ => (
                        format!("cannot be listened on: {error}"),
                        format!("choose another address with {flag}"),
                    ),
                };
                self.problem(CHECK, format!("{address} ({flag}) {says}"), &remedy);
            }
        }
    }

    /// Judges clocks. Each offset is in seconds, positive when this machine is ahead; `whose`
    /// names the others, for example by camera.
    pub fn clocks(&mut self, offsets: impl IntoIterator<Item = (String, f64)>) {
        const CHECK: &str = "clock";
        let worst = offsets
            .into_iter()
            .max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
        match worst {
            None => self.ok(CHECK, "not compared: nobody else announces a camera"),
            Some((whose, offset)) if offset.abs() >= CLOCK_LIMIT => {
                let side = if offset > 0.0 { "ahead of" } else { "behind" };
                let seconds = offset.abs();
                self.warning(
                    CHECK,
                    format!("this clock is {seconds:.1} s {side} that of the ingest of `{whose}`"),
                    "let NTP (chrony, systemd-timesyncd) set the clocks of both machines",
                );
            }
            Some((_, offset)) => {
                let ms = offset.abs() * 1000.0;
                self.ok(CHECK, format!("within {ms:.0} ms of every ingest's"));
            }
        }
    }
}

/// Whether `service` (`ingest`, `edge`) runs here, with this admin listener.
pub async fn is_running(service: &str, admin: SocketAddr) -> bool {
    let family = format!("fanlight_{service}_build_info");
    let ask = async {
        let mut stream = TcpStream::connect(reachable(admin)).await?;
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(8 << 20).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&answer).contains(&family))
    };
    matches!(tokio::time::timeout(ASK_LIMIT, ask).await, Ok(Ok(true)))
}

/// A listener on all addresses is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new(DoctorFlags { json: true })
    }

    #[test]
    fn the_gravest_finding_decides_and_a_warning_does_not_fail() {
        let mut report = report();
        assert_eq!(report.verdict(), Verdict::Ok);
        report.ok("ffmpeg", "version 5.1");
        report.warning("clock", "off", "set it");
        assert_eq!(report.verdict(), Verdict::Warning);
        report.problem("port", "taken", "choose another");
        report.ok("nats", "there");
        assert_eq!(report.verdict(), Verdict::Problem);
        let lines: Vec<_> = report.findings().iter().map(Finding::line).collect();
        assert_eq!(lines[2], "problem  port: taken; choose another");
        assert_eq!(lines[3], "ok       nats: there");
        assert_eq!(
            format!("{:?}", report.finish("x")),
            format!("{:?}", ExitCode::from(exit::FAILURE))
        );
    }

    #[test]
    fn no_finding_shows_a_credential() {
        let mut report = report();
        let url = "rtsp://cam:hunter2canary@10.0.0.1/s";
        report.problem("camera", format!("{url} is odd"), &format!("not {url}"));
        let json = serde_json::to_string(report.findings()).unwrap();
        assert!(!json.contains("hunter2canary"), "{json}");
        assert!(json.contains("10.0.0.1"), "{json}");
    }

    #[tokio::test]
    async fn a_taken_port_is_a_problem_unless_we_hold_it() {
        let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = held.local_addr().unwrap();
        let mut report = report();
        report.port("--listen", address, true).await;
        assert_eq!(report.verdict(), Verdict::Ok);
        report.port("--listen", address, false).await;
        assert_eq!(report.verdict(), Verdict::Problem);
        drop(held);
    }

    #[test]
    fn the_clock_that_is_farthest_off_is_named() {
        let mut near = report();
        near.clocks([("a".to_owned(), 0.002), ("b".to_owned(), -0.1)]);
        assert_eq!(near.verdict(), Verdict::Ok);
        let mut far = report();
        far.clocks([("a".to_owned(), 0.7), ("b".to_owned(), -3600.0)]);
        let says = &far.findings()[0].says;
        assert!(
            says.contains("3600.0 s behind") && says.contains("`b`"),
            "{says}"
        );
        assert_eq!(far.verdict(), Verdict::Warning);
    }
}
