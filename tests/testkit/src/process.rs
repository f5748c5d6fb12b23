//! A child process whose output is kept and which never outlives the test.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

pub use rustix::process::Signal;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program with stdout and stderr kept for [`output`](Self::output).
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(program);
        command.args(args);
        Self::spawn(command)
    }

    /// Starts a prepared command; see [`start`](Self::start).
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let (mut process, stdout) = Self::spawn_with_stdout(command);
        if let Some(stdout) = stdout {
            process.keep(stdout);
        }
        process
    }

    /// Starts a prepared command and hands out its stdout when that is piped; stderr is kept.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn_with_stdout(mut command: Command) -> (Self, Option<ChildStdout>) {
        let name = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Colours would get between the words that tests look for.
        command.env("NO_COLOR", "1").env_remove("RUST_LOG");
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("start {name}: {e}"));
        let stdout = child.stdout.take();
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut process = Self {
            name,
            child,
            output: Arc::default(),
            readers: Vec::new(),
        };
        process.keep(stderr);
        (process, stdout)
    }

    fn keep(&mut self, mut stream: impl AsyncRead + Unpin + Send + 'static) {
        let output = Arc::clone(&self.output);
        self.readers.push(tokio::spawn(async move {
            let mut buffer = vec![0; 8192];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                output.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        }));
    }

    /// Takes in what an ended process left in its pipes. A grandchild may hold them open, so
    /// this gives up after a second.
    async fn read_rest(&mut self) {
        for reader in &mut self.readers.drain(..) {
            let _held = tokio::time::timeout(Duration::from_secs(1), reader).await;
        }
    }

    /// The process id.
    ///
    /// # Panics
    /// When the process was reaped already.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process has ended")
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// Sends a signal; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
        {
            let _gone = kill_process(pid, signal);
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end and for the last of its output.
    ///
    /// # Panics
    /// When it has not ended after `limit`; its output is shown.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => {
                self.read_rest().await;
                status.expect("wait for a child")
            }
            Err(_) => panic!(
                "{} still runs after {limit:?}\n{}",
                self.name,
                self.output()
            ),
        }
    }

    /// Waits until it has printed `text`.
    ///
    /// # Panics
    /// After `limit`, or when it ends without; its output is shown.
    pub async fn wait_for_output(&mut self, text: &str, limit: Duration) {
        let end = tokio::time::Instant::now() + limit;
        loop {
            let running = self.is_running();
            if !running {
                self.read_rest().await;
            }
            if self.output().contains(text) {
                return;
            }
            let in_time = tokio::time::Instant::now() < end;
            assert!(
                running && in_time,
                "{}: no `{text}` in\n{}",
                self.name,
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it at once and reaps it.
    pub async fn kill(&mut self) {
        let _gone = self.child.kill().await;
    }
}
