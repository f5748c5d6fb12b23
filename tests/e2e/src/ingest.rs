//! A running `fanlight-ingest`.

use std::time::Duration;

use fanlight_testkit::{Process, eventually, free_port, program};

use crate::SOON;

/// One ingest process.
#[derive(Debug)]
pub struct Ingest {
    /// The process.
    pub process: Process,
    admin_port: u16,
}

impl Ingest {
    /// Starts an ingest of `camera`; does not wait for pictures.
    #[must_use]
    pub fn start(camera: &str, nats_url: &str, args: &[&str]) -> Self {
        let admin_port = free_port();
        let admin = format!("127.0.0.1:{admin_port}");
        let mut all = vec![
            "--camera",
            camera,
            "--nats-url",
            nats_url,
            "--admin-listen",
            admin.as_str(),
        ];
        all.extend(args);
        let process = Process::start(&program("fanlight-ingest"), all);
        Self {
            process,
            admin_port,
        }
    }

    /// Starts one whose clock is off, as libfaketime writes it (`-1h`).
    #[must_use]
    pub fn start_with_clock(camera: &str, nats_url: &str, clock: &str, args: &[&str]) -> Self {
        let admin_port = free_port();
        let mut command = tokio::process::Command::new(program("fanlight-ingest"));
        // The library itself: the `faketime` program is a parent that signals do not pass.
        let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
        assert!(
            std::path::Path::new(library).is_file(),
            "libfaketime: run `make setup-test`"
        );
        command.env("LD_PRELOAD", library).env("FAKETIME", clock);
        command.args(["--camera", camera, "--nats-url", nats_url]);
        command
            .arg("--admin-listen")
            .arg(format!("127.0.0.1:{admin_port}"))
            .args(args);
        Self {
            process: Process::spawn(command),
            admin_port,
        }
    }

    /// Starts one and waits until pictures come.
    pub async fn start_live(camera: &str, nats_url: &str, args: &[&str]) -> Self {
        let mut ingest = Self::start(camera, nats_url, args);
        ingest.wait_live(SOON).await;
        ingest
    }

    /// Waits until pictures come.
    ///
    /// # Panics
    /// After `limit`, or when the process ends; its output is shown.
    pub async fn wait_live(&mut self, limit: Duration) {
        let url = self.metrics_url();
        eventually(
            &format!("pictures from ingest\n{}", self.process.output()),
            limit,
            async || {
                assert!(
                    self.process.is_running(),
                    "ingest ended:\n{}",
                    self.process.output()
                );
                let text = fanlight_testkit::get(&url).await.ok()?.text();
                let up = crate::metric(&text, "fanlight_ingest_camera_up", &[])?;
                let frames = crate::metric(&text, "fanlight_ingest_frames_total", &[])?;
                (up == 1.0 && frames >= 2.0).then_some(())
            },
        )
        .await;
    }

    /// Where its metrics are.
    #[must_use]
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.admin_port)
    }

    /// Its metrics as text.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn metrics(&self) -> String {
        fanlight_testkit::get(&self.metrics_url())
            .await
            .expect("metrics")
            .text()
    }

    /// Base URL of its admin listener.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }
}
