//! An RTSP camera: GStreamer's server with digest authentication (tests/tools/rtsp_camera.py).

use std::path::PathBuf;
use std::time::Duration;

use crate::{Process, eventually, free_port, repository};

/// What the camera sends and who may see it.
#[derive(Debug, Clone)]
pub struct CameraOptions {
    /// `h264` or `h265`.
    pub codec: &'static str,
    /// User name and password; none for an open camera.
    pub credentials: Option<(&'static str, &'static str)>,
    /// Seconds between key pictures.
    pub gop: u32,
    /// More arguments for the script.
    pub extra: Vec<String>,
}

impl Default for CameraOptions {
    fn default() -> Self {
        Self {
            codec: "h264",
            credentials: Some(("cam", "p@ss")),
            gop: 1,
            extra: Vec::new(),
        }
    }
}

/// A running camera. It keeps its port over [`restart`](Self::restart).
#[derive(Debug)]
pub struct Camera {
    options: CameraOptions,
    port: u16,
    process: Option<Process>,
}

impl Camera {
    /// Starts one.
    pub async fn start(options: CameraOptions) -> Self {
        let mut camera = Self {
            options,
            port: free_port(),
            process: None,
        };
        camera.launch().await;
        camera
    }

    async fn launch(&mut self) {
        let script = repository().join("tests/tools/rtsp_camera.py");
        let mut args = vec![
            script.display().to_string(),
            "--port".to_owned(),
            self.port.to_string(),
            "--codec".to_owned(),
            self.options.codec.to_owned(),
            "--gop".to_owned(),
            self.options.gop.to_string(),
        ];
        if let Some((user, password)) = self.options.credentials {
            args.extend(["--user", user, "--password", password].map(str::to_owned));
        } else {
            args.extend(["--auth", "none"].map(str::to_owned));
        }
        args.extend(self.options.extra.iter().cloned());
        // Debian's own interpreter: GStreamer's bindings are installed for no other.
        let mut process = Process::start(&PathBuf::from("/usr/bin/python3"), args);
        let port = self.port;
        eventually(
            "the RTSP camera listening",
            Duration::from_secs(15),
            async || {
                assert!(
                    process.is_running(),
                    "the camera ended:\n{}",
                    process.output()
                );
                tokio::net::TcpStream::connect(("127.0.0.1", port))
                    .await
                    .ok()
                    .map(drop)
            },
        )
        .await;
        self.process = Some(process);
    }

    /// The camera's URL with its credentials, percent-encoded.
    #[must_use]
    pub fn url(&self) -> String {
        match self.options.credentials {
            Some((user, password)) => self.url_as(user, password),
            None => format!("rtsp://127.0.0.1:{}/stream", self.port),
        }
    }

    /// The camera's URL with other credentials.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let password = password
            .replace('%', "%25")
            .replace('@', "%40")
            .replace(':', "%3A");
        format!("rtsp://{user}:{password}@127.0.0.1:{}/stream", self.port)
    }

    /// The running process, to send signals to.
    ///
    /// # Panics
    /// While it is killed.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the camera runs")
    }

    /// Takes it off the network (SIGKILL).
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Brings it back on the same port, with other options if given.
    pub async fn restart(&mut self, options: Option<CameraOptions>) {
        self.kill().await;
        if let Some(options) = options {
            self.options = options;
        }
        self.launch().await;
    }
}
