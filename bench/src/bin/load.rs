//! `bench-load`: many checking viewers on one thread.
//!
//! Prints `ready` when all viewers have a message, starts to measure at a line on standard
//! input, prints one line of JSON, and stays until standard input ends.

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use fanlight_bench::clock::now;
use fanlight_bench::histogram::Histogram;
use fanlight_bench::stream::{Stamp, Template};
use fanlight_bench::transport::{self, Transport};
use fanlight_bench::viewer::{News, Viewer};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustls::ClientConfig;
use serde::Serialize;
use socket2::{Domain, SockRef, Socket, Type};

const SECOND: u64 = 1_000_000_000;

/// Mark of standard input among the sockets.
const INPUT: u64 = u64::MAX;

#[derive(Parser)]
struct Args {
    /// Server
    #[arg(long)]
    connect: SocketAddr,
    /// Path of a camera's stream; `{}` is its number
    #[arg(long, default_value = "/ws/cam-{}")]
    path: String,
    #[arg(long, default_value_t = 1000)]
    viewers: usize,
    /// Viewers are spread over so many cameras
    #[arg(long, default_value_t = 1)]
    cameras: u32,
    /// TS packets of a message
    #[arg(long, default_value_t = 36)]
    packets: usize,
    /// Connections opened a second
    #[arg(long, default_value_t = 1000)]
    ramp: u64,
    /// Time measured, seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Joins a second while it measures
    #[arg(long, default_value_t = 0)]
    joins: u64,
    /// How long each of those stays, seconds
    #[arg(long, default_value_t = 1.0)]
    stay: f64,
    /// Speak TLS, and trust the certificates of this file
    #[arg(long)]
    tls_ca: Option<PathBuf>,
    /// Viewers, of all, that stop reading when the measuring starts
    #[arg(long, default_value_t = 0)]
    stalled: usize,
    /// The stalled ones read again after so many seconds
    #[arg(long, default_value_t = f64::MAX)]
    resume: f64,
}

#[derive(Default, Serialize)]
struct Report {
    seconds: f64,
    messages: u64,
    gaps: u64,
    wrong: u64,
    lost: u64,
    refused: u64,
    latency_us: Histogram,
    joins: u64,
    joins_clean: u64,
    join_us: Histogram,
    stalled_reset: u64,
    stalled_gaps: u64,
    stalled_dirty: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Steady,
    Stalls,
    Joins,
}

struct Conn {
    socket: Transport,
    viewer: Viewer,
    role: Role,
    /// Bytes of the answer to the upgrade, until it is whole.
    answer: Option<Vec<u8>>,
    opened: u64,
    gaps_before: u64,
}

struct Load {
    args: Args,
    tls: Option<Arc<ClientConfig>>,
    template: Template,
    epoll: rustix::fd::OwnedFd,
    conns: Vec<Option<Conn>>,
    leaving: VecDeque<(u64, usize)>,
    buffer: Vec<u8>,
    waiting: usize,
    measuring: bool,
    report: Report,
}

impl Load {
    fn open(&mut self, role: Role, number: usize) -> anyhow::Result<()> {
        let camera = u32::try_from(number)? % self.args.cameras;
        let opened = now();
        let socket = Socket::new(Domain::for_address(self.args.connect), Type::STREAM, None)?;
        if role == Role::Stalls {
            // or the client's own kernel would hold a minute of video
            socket.set_recv_buffer_size(16 << 10)?;
        }
        socket
            .connect(&self.args.connect.into())
            .context("connect")?;
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        let mut socket = Transport::new(socket, self.tls.as_ref())?;
        let path = self.args.path.replace("{}", &camera.to_string());
        // in one piece: `write!` alone would send each argument by itself
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.args.connect
        );
        socket.write_all(request.as_bytes())?;
        socket.socket().set_nonblocking(true)?;
        let index = self.conns.len();
        epoll::add(
            &self.epoll,
            &socket,
            EventData::new_u64(index as u64),
            EventFlags::IN,
        )?;
        let viewer = Viewer::new(camera);
        let answer = Some(Vec::new());
        self.conns.push(Some(Conn {
            socket,
            viewer,
            role,
            answer,
            opened,
            gaps_before: 0,
        }));
        self.waiting += 1;
        if role == Role::Joins {
            let stay = (self.args.stay * SECOND as f64) as u64;
            self.leaving.push_back((opened + stay, index));
        }
        Ok(())
    }

    fn read(&mut self, index: usize) {
        // What TLS has decrypted and nobody fetched is not told by epoll.
        while self.read_once(index)
            && self.conns[index]
                .as_ref()
                .is_some_and(|c| c.socket.buffers())
        {}
    }

    /// Whether there was anything to read.
    fn read_once(&mut self, index: usize) -> bool {
        let Some(conn) = self.conns[index].as_mut() else {
            return false;
        };
        let n = match conn.socket.read(&mut self.buffer) {
            Ok(n) if n > 0 => n,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Ok(_) | Err(_) => {
                self.lost(index);
                return false;
            }
        };
        let time = now();
        let mut bytes = &self.buffer[..n];
        let whole;
        if let Some(answer) = &mut conn.answer {
            answer.extend_from_slice(bytes);
            let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else {
                return true;
            };
            if !answer.starts_with(b"HTTP/1.1 101") {
                let answer = String::from_utf8_lossy(answer).into_owned();
                if self.report.refused == 0 {
                    eprintln!("refused: {answer}");
                }
                self.report.refused += 1;
                self.conns[index] = None;
                return false;
            }
            whole = answer.split_off(end + 4);
            bytes = &whole;
            conn.answer = None;
        }
        let (report, waiting) = (&mut self.report, &mut self.waiting);
        let (role, opened, measuring) = (conn.role, conn.opened, self.measuring);
        let (mut pong, mut closed) = (None, false);
        let result = conn
            .viewer
            .push(bytes, &self.template, |viewer, news| match news {
                News::Message(stamp) => {
                    if viewer.messages == 1 {
                        *waiting -= 1;
                        if role == Role::Joins {
                            report.join_us.add(time - opened);
                        }
                    }
                    if measuring && role == Role::Steady {
                        count(report, stamp, time);
                    } else if measuring {
                        report.messages += 1;
                    }
                }
                News::Ping => pong = Some(viewer.pong()),
                News::Close(_) => closed = true,
            });
        if let Some(pong) = pong {
            let _lost_is_seen_by_the_read = conn.socket.write_all(&pong);
        }
        if result.is_err() {
            self.report.wrong += 1;
            self.conns[index] = None;
        } else if closed {
            self.lost(index);
        }
        true
    }

    fn lost(&mut self, index: usize) {
        if let Some(conn) = self.conns[index].take() {
            if conn.role == Role::Stalls && self.measuring {
                self.report.stalled_reset += 1;
            } else {
                self.report.lost += 1;
            }
        }
    }

    fn leave(&mut self, index: usize) {
        if let Some(conn) = self.conns[index].take() {
            let viewer = &conn.viewer;
            let clean = viewer.clean_start && viewer.gaps == 0;
            self.report.joins_clean += u64::from(clean);
            // no TIME_WAIT: its ports would run out
            let _gone = SockRef::from(conn.socket.socket()).set_linger(Some(Duration::ZERO));
        }
    }

    fn stall(&mut self, read: bool) -> anyhow::Result<()> {
        for (index, conn) in self.conns.iter().enumerate() {
            if let Some(conn) = conn.as_ref().filter(|c| c.role == Role::Stalls) {
                let flags = if read {
                    EventFlags::IN
                } else {
                    EventFlags::empty()
                };
                let data = EventData::new_u64(index as u64);
                epoll::modify(&self.epoll, conn.socket.as_fd(), data, flags)?;
            }
        }
        Ok(())
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let started = now();
        let mut opened = 0;
        let (mut begin, mut end, mut resume) = (u64::MAX, u64::MAX, u64::MAX);
        let mut told = false;
        let mut events = Vec::with_capacity(512);
        loop {
            let time = now();
            let due = (time - started) * self.args.ramp / SECOND;
            while opened < self.args.viewers && opened as u64 <= due {
                let role = if opened < self.args.stalled {
                    Role::Stalls
                } else {
                    Role::Steady
                };
                self.open(role, opened)?;
                opened += 1;
            }
            if self.measuring && time < end {
                let due = (time - begin) * self.args.joins / SECOND;
                while self.report.joins < due {
                    self.open(Role::Joins, usize::try_from(self.report.joins)?)?;
                    self.report.joins += 1;
                }
            }
            while self.leaving.front().is_some_and(|(at, _)| *at <= time) {
                if let Some((_, index)) = self.leaving.pop_front() {
                    self.leave(index);
                }
            }
            if opened == self.args.viewers && self.waiting == 0 && !told {
                told = true;
                println!("ready");
            }
            if !told && time - started > 60 * SECOND {
                bail!("{} viewers have no picture after 60 s", self.waiting);
            }
            if time >= resume {
                resume = u64::MAX;
                self.stall(true)?;
            }
            if time >= end && self.leaving.is_empty() {
                end = u64::MAX;
                self.measuring = false;
                self.report.seconds = (now() - begin) as f64 / SECOND as f64;
                for conn in self.conns.iter().flatten() {
                    let gaps = conn.viewer.gaps - conn.gaps_before;
                    if conn.role == Role::Stalls {
                        self.report.stalled_gaps += gaps;
                        self.report.stalled_dirty += conn.viewer.dirty;
                    } else {
                        self.report.gaps += gaps;
                    }
                }
                println!("{}", serde_json::to_string(&self.report)?);
            }
            let wait = rustix::time::Timespec {
                tv_sec: 0,
                tv_nsec: 1_000_000,
            };
            events.clear();
            epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&wait),
            )?;
            for event in &events {
                if event.data.u64() != INPUT {
                    self.read(usize::try_from(event.data.u64())?);
                    continue;
                }
                if std::io::stdin().lock().read_line(&mut String::new())? == 0 {
                    return Ok(());
                }
                self.report = Report::default();
                for conn in self.conns.iter_mut().flatten() {
                    conn.gaps_before = conn.viewer.gaps;
                }
                self.measuring = true;
                begin = now();
                end = begin + (self.args.seconds * SECOND as f64) as u64;
                if self.args.stalled > 0 {
                    resume = begin.saturating_add((self.args.resume * SECOND as f64) as u64);
                    self.stall(false)?;
                }
            }
        }
    }
}

fn count(report: &mut Report, stamp: Stamp, time: u64) {
    report.messages += 1;
    report.latency_us.add(time.saturating_sub(stamp.sent));
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        std::io::stdin(),
        EventData::new_u64(INPUT),
        EventFlags::IN,
    )?;
    let template = Template::new(args.packets);
    let tls = args.tls_ca.as_deref().map(transport::trust).transpose()?;
    let mut load = Load {
        args,
        tls,
        template,
        epoll,
        conns: Vec::new(),
        leaving: VecDeque::new(),
        buffer: vec![0; 256 << 10],
        waiting: 0,
        measuring: false,
        report: Report::default(),
    };
    load.run()
}
