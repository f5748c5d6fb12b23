//! An ingest in this process, on the in-process bus, and what a subscriber gets from it.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use fanlight_bus::{
    Announcement, Bus, Chunk, GopEvent, State, StatusSubscription, StreamId, Subscription,
};
use fanlight_ingest::{Ffmpeg, Ingest, IngestArgs};
use fanlight_ops::health::Health;
use fanlight_ops::metrics::Metrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const CAMERA: &str = "gate";

pub fn stream() -> StreamId {
    StreamId::main(CAMERA.parse().unwrap())
}

pub struct Lab {
    pub bus: Bus,
    pub metrics: Metrics,
    pub media: Subscription,
    status: StatusSubscription,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    marker: String,
    pub instance: String,
    pub dir: tempfile::TempDir,
    announced: VecDeque<Announcement>,
}

impl Lab {
    /// An ingest with these flags beside `--camera`.
    pub async fn start(flags: &[&str]) -> Self {
        Self::on(Bus::memory(), flags).await
    }

    pub async fn on(bus: Bus, flags: &[&str]) -> Self {
        Self::with_program(bus, flags, |_| "ffmpeg".into()).await
    }

    /// An ingest whose `--ffmpeg` is a shell script; `"$DIR"` is a folder of its own.
    pub async fn with_script(flags: &[&str], script: &str) -> Self {
        Self::with_program(Bus::memory(), flags, |dir| {
            let head = format!(
                "#!/bin/bash\nDIR='{}'\ncase \" $* \" in *-mpegts_flags*) ;; *) exec ffmpeg \"$@\";; esac\n",
                dir.display()
            );
            let path = dir.join("stand-in");
            std::fs::write(&path, head + script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        })
        .await
    }

    async fn with_program(
        bus: Bus,
        flags: &[&str],
        program: impl FnOnce(&Path) -> PathBuf,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let marker = format!(
            "mark{}",
            dir.path()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .replace('.', "")
        );
        let marked = format!("-metadata comment={marker}");
        let mut line = vec![
            "fanlight-ingest",
            "--camera",
            CAMERA,
            "--ffmpeg-args",
            &marked,
        ];
        line.extend(flags);
        let config = IngestArgs::try_parse_from(line)
            .unwrap()
            .validate()
            .unwrap();
        let ffmpeg = Ffmpeg::probe(&program(dir.path())).await.unwrap();
        let metrics = Metrics::new("ingest");
        let media = bus.subscribe(&stream()).await.unwrap();
        let status = bus.subscribe_status().await.unwrap();
        let ingest = Ingest::build(config.camera, ffmpeg, bus.clone(), &metrics, &Health::new());
        let instance = ingest.instance().to_owned();
        let stop = CancellationToken::new();
        let task = tokio::spawn(ingest.run(stop.clone()));
        Self {
            bus,
            metrics,
            media,
            status,
            stop,
            task: Some(task),
            marker,
            instance,
            dir,
            announced: VecDeque::new(),
        }
    }

    /// The next message.
    pub async fn chunk(&mut self) -> Chunk {
        let next = tokio::time::timeout(Duration::from_secs(15), self.media.next());
        next.await
            .expect("a message in time")
            .expect("an open bus")
            .expect("a good message")
    }

    /// All messages of the next `seconds`.
    pub async fn record(&mut self, seconds: f64) -> Vec<Chunk> {
        let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        let mut chunks = Vec::new();
        while let Ok(chunk) = tokio::time::timeout_at(end, self.media.next()).await {
            chunks.push(chunk.unwrap().unwrap());
        }
        chunks
    }

    /// Waits for an announcement of this ingest.
    pub async fn announced(
        &mut self,
        what: &str,
        wanted: impl Fn(&Announcement) -> bool,
    ) -> Announcement {
        let end = tokio::time::Instant::now() + Duration::from_secs(40);
        loop {
            match tokio::time::timeout_at(end, self.status.next()).await {
                Ok(Some(Ok(a))) if a.instance == self.instance => {
                    if wanted(&a) {
                        return a;
                    }
                    self.announced.push_back(a);
                }
                Ok(Some(_)) => {}
                _ => panic!(
                    "not announced: {what}; but: {:#?}",
                    self.announced
                        .iter()
                        .map(|a| (a.state, &a.cause))
                        .collect::<Vec<_>>()
                ),
            }
        }
    }

    /// Waits until it is announced as not live for a reason of this kind.
    pub async fn cause(&mut self, kind: &str) -> Announcement {
        let wanted = |a: &Announcement| a.cause_kind.as_deref() == Some(kind);
        let told = self.announced(kind, wanted).await;
        assert_ne!(told.state, State::Live);
        told
    }

    pub async fn live(&mut self) -> Announcement {
        self.announced("live", |a| a.state == State::Live).await
    }

    /// The current GOP, asked for.
    pub async fn gop(&self) -> (Vec<Chunk>, Option<u64>) {
        let mut reply = self.bus.request_gop(&stream()).await.unwrap();
        let mut chunks = Vec::new();
        loop {
            let event = tokio::time::timeout(Duration::from_secs(1), reply.next()).await;
            match event.expect("an answer within 1 s").unwrap() {
                GopEvent::Chunk(chunk) => chunks.push(chunk),
                GopEvent::End { last_seq, .. } => return (chunks, last_seq),
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn metric(&self, name_and_labels: &str) -> f64 {
        let text = self.metrics.encode();
        let line = text.lines().find(|l| l.starts_with(name_and_labels));
        let line = line.unwrap_or_else(|| panic!("{name_and_labels} is not in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub fn restarts(&self, reason: &str) -> f64 {
        self.metric(&format!(
            "fanlight_ingest_ffmpeg_restarts_total{{camera=\"gate\",reason=\"{reason}\","
        ))
    }

    /// Processes that were started for this ingest.
    pub fn children(&self) -> Vec<i32> {
        processes_with(&self.marker)
    }

    pub async fn stop(&mut self) {
        self.stop.cancel();
        let task = self.task.take().unwrap();
        tokio::time::timeout(Duration::from_secs(5), task)
            .await
            .expect("stopped in 5 s")
            .unwrap();
        assert_eq!(self.children(), [0; 0], "ffmpeg is gone");
    }

    /// Ends it as a panic or an aborted runtime would.
    pub async fn abort(&mut self) {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
    }
}

/// Numbers of the processes that have `word` in their command line.
pub fn processes_with(word: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    })
    .collect()
}

pub fn kill(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Makes a file with ffmpeg; gives its path as text.
pub fn clip(dir: &Path, name: &str, args: &str) -> String {
    let path = dir.join(name);
    let status = std::process::Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"])
        .args(args.split_whitespace())
        .arg(&path)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg {args}");
    path.to_str().unwrap().to_owned()
}

/// What ffprobe says about a stream.
pub fn ffprobe(bytes: &[u8], entries: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "csv=p=0"])
        .arg(file.path())
        .output()
        .expect("ffprobe is installed");
    // Streams are listed twice: by program and by file.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<_> = text.lines().filter(|l| !l.is_empty()).collect();
    lines.dedup();
    lines.join("\n")
}

pub fn joined(chunks: &[Chunk]) -> Vec<u8> {
    chunks
        .iter()
        .flat_map(|c| c.payload.iter().copied())
        .collect()
}
