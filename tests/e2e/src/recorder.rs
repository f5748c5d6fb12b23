//! A stand-in for `--ffmpeg` that runs the real one and keeps a copy of its stdout.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

/// The stand-in and its recording.
#[derive(Debug)]
pub struct Recorder {
    dir: TempDir,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// One that records what ffmpeg writes.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let copies = dir.path().join("run");
        // Questions (`-version`, `-h`) are passed through, so that only a run is recorded.
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' pipe:1 '*) ffmpeg \"$@\" | tee '{}'.$$ ;; *) exec ffmpeg \"$@\" ;; esac\n",
            copies.display()
        );
        let recorder = Self { dir };
        recorder.install(&script);
        recorder
    }

    /// A stand-in that runs `body` (a shell script) in place of a run of ffmpeg.
    #[must_use]
    pub fn script(body: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let recorder = Self { dir };
        recorder.install(&format!(
            "#!/bin/sh\ncase \" $* \" in *' pipe:1 '*) ;; *) exec ffmpeg \"$@\" ;; esac\n{body}\n"
        ));
        recorder
    }

    fn install(&self, script: &str) {
        let path = self.dir.path().join("ffmpeg");
        std::fs::write(&path, script).expect("write the stand-in");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("make it executable");
    }

    /// The program to give as `--ffmpeg`.
    #[must_use]
    pub fn program(&self) -> String {
        self.dir.path().join("ffmpeg").display().to_string()
    }

    /// What the longest run has written to stdout so far; ingest also asks ffmpeg what it can
    /// do, in runs of a few bytes.
    ///
    /// # Panics
    /// Before the first run.
    #[must_use]
    pub fn recording(&self) -> Vec<u8> {
        let entries = std::fs::read_dir(self.dir.path()).expect("the stand-in's folder");
        let runs = entries
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with("run."));
        let copies = runs.map(|run| std::fs::read(run.path()).expect("a recording"));
        copies.max_by_key(Vec::len).expect("a run")
    }

    /// A path in the stand-in's own folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
