//! One ffmpeg: a direct child in its own process group, stdout a pipe that can be asked
//! whether it is dry, stderr always drained. Dropping it kills the group.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, Interval, interval, interval_at};

use super::spawner;

/// How long ffmpeg may take to leave when it is asked to, and to be gone when it is killed.
const TERM_GRACE: Duration = Duration::from_millis(1500);
const KILL_GRACE: Duration = Duration::from_secs(2);

/// How often is asked whether the child has ended, while it works and while it is waited for.
/// The end of its output tells first; asking catches a child that left its output to another.
const POLL_WORKING: Duration = Duration::from_secs(1);
const POLL_ENDING: Duration = Duration::from_millis(10);

/// How ffmpeg is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It has closed its output or left: take its exit code.
    Leaving,
    /// It works, and shall close its connection to the camera in order.
    Asked,
    /// It hangs.
    Killed,
}

/// A running ffmpeg.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Option<Pid>,
    reaped: bool,
    /// When to ask next whether it has ended.
    look: Interval,
}

/// The pipes of a running ffmpeg.
#[derive(Debug)]
pub struct Pipes {
    /// The stream.
    pub stdout: pipe::Receiver,
    /// The log; must be read to its end.
    pub stderr: ChildStderr,
}

impl Process {
    /// Starts `program`.
    ///
    /// # Errors
    /// The system refuses: no such program, no permission, no resources.
    pub async fn spawn(program: &Path, args: Vec<OsString>) -> io::Result<(Self, Pipes)> {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // Where the broker is, and who we are to it, is none of its business.
        for (name, _) in std::env::vars_os() {
            let name = name.as_encoded_bytes();
            if name.starts_with(b"FANLIGHT_INPUT") || name.starts_with(b"FANLIGHT_NATS_") {
                command.env_remove(OsStr::from_bytes(name));
            }
        }
        let mut child = spawner::spawn(command).await?;
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // From here on an early return kills the child.
        let process = Self {
            child,
            pid,
            reaped: false,
            look: interval_at(Instant::now() + POLL_WORKING, POLL_WORKING),
        };
        let missing = || io::Error::other("a pipe is missing");
        let stdout = stdout.ok_or_else(missing)?.into_owned_fd()?;
        let pipes = Pipes {
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
            stderr: stderr.ok_or_else(missing)?,
        };
        Ok((process, pipes))
    }

    /// The child's process id, for the log.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.pid
            .map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// Waits until the child has ended, without reaping it. Cancel-safe, and while it is waited
    /// for again and again, once for each picture, it asks the system no oftener.
    pub async fn ended(&mut self) {
        loop {
            self.look.tick().await;
            if self.has_ended() {
                return;
            }
        }
    }

    /// A child that is not reaped keeps its number, so that the group can still be signalled
    /// and no other is hit.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Some(pid) = self.pid else { return true };
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => false,
            Ok(Some(_)) | Err(_) => true,
        }
    }

    /// Ends the child and its process group and reaps it. `None` when it could not be reaped
    /// in time, which only a kernel that holds it can cause; the runtime reaps it later.
    pub async fn end(mut self, ending: Ending) -> Option<ExitStatus> {
        match ending {
            Ending::Killed => {}
            Ending::Asked | Ending::Leaving => {
                if ending == Ending::Asked {
                    self.signal(Signal::TERM);
                }
                self.look = interval(POLL_ENDING);
                let _late = tokio::time::timeout(TERM_GRACE, self.ended()).await;
            }
        }
        // Whoever is left of the group: ffmpeg itself, or children of a program in its place.
        self.signal(Signal::KILL);
        let reaped = tokio::time::timeout(KILL_GRACE, self.child.wait()).await;
        match reaped {
            Ok(status) => {
                self.reaped = true;
                status.ok()
            }
            Err(_) => {
                tracing::error!(pid = self.id(), "ffmpeg does not end though it was killed");
                None
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid
            && !self.reaped
        {
            let _gone = rustix::process::kill_process_group(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// How a process ended, in words.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
