//! A running `fanlight-edge`, and `fanlight`, which holds one.

use std::time::Duration;

use fanlight_testkit::{Process, eventually, free_port, program};

use crate::{SOON, Viewer};

/// One edge process.
#[derive(Debug)]
pub struct Edge {
    /// The process.
    pub process: Process,
    name: &'static str,
    args: Vec<String>,
    port: u16,
    admin_port: u16,
}

impl Edge {
    /// Starts an edge on loopback and waits until it is ready.
    pub async fn start(nats_url: &str, args: &[&str]) -> Self {
        let mut all = vec!["--nats-url", nats_url];
        all.extend(args);
        Self::start_program("fanlight-edge", &all).await
    }

    async fn start_program(name: &'static str, args: &[&str]) -> Self {
        let mut edge = Self::spawn(name, args);
        edge.wait_ready(SOON).await;
        edge
    }

    fn spawn(name: &'static str, args: &[&str]) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        let process = Self::launch(name, port, admin_port, &args);
        Self {
            process,
            name,
            args,
            port,
            admin_port,
        }
    }

    fn launch(name: &str, port: u16, admin_port: u16, args: &[String]) -> Process {
        let (listen, admin) = (
            format!("127.0.0.1:{port}"),
            format!("127.0.0.1:{admin_port}"),
        );
        let own = ["--listen", &listen, "--admin-listen", &admin];
        Process::start(
            &program(name),
            own.into_iter().chain(args.iter().map(String::as_str)),
        )
    }

    /// Starts it again, after its end, with the same ports and arguments.
    pub async fn restart(&mut self) {
        self.process = Self::launch(self.name, self.port, self.admin_port, &self.args);
        self.wait_ready(SOON).await;
    }

    async fn wait_ready(&mut self, limit: Duration) {
        let url = format!("{}/readyz", self.admin_url());
        eventually("a ready edge", limit, async || {
            assert!(
                self.process.is_running(),
                "edge ended:\n{}",
                self.process.output()
            );
            let answer = fanlight_testkit::get(&url).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// `host:port` of the public listener.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Base URL of the admin listener.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    /// URL of a path on the public listener.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// WebSocket URL of a camera.
    #[must_use]
    pub fn ws(&self, camera: &str) -> String {
        format!("ws://{}/ws/{camera}", self.address())
    }

    /// A plain viewer (no subprotocol) of a camera.
    pub async fn watch(&self, camera: &str) -> Viewer {
        Viewer::connect(&self.ws(camera), None).await
    }

    /// Its metrics as text.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn metrics(&self) -> String {
        let url = format!("{}/metrics", self.admin_url());
        fanlight_testkit::get(&url).await.expect("metrics").text()
    }

    /// What the API says about a camera.
    ///
    /// # Panics
    /// When it does not answer in JSON.
    pub async fn camera(&self, camera: &str) -> serde_json::Value {
        let url = self.url(&format!("/api/cameras/{camera}"));
        fanlight_testkit::get(&url)
            .await
            .expect("the API")
            .json()
            .expect("JSON")
    }

    /// Waits until the API shows a camera for which `check` holds.
    pub async fn wait_camera(
        &self,
        camera: &str,
        what: &str,
        limit: Duration,
        check: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let url = self.url(&format!("/api/cameras/{camera}"));
        eventually(what, limit, async || {
            let state = fanlight_testkit::get(&url).await.ok()?.json()?;
            check(&state).then_some(state)
        })
        .await
    }
}

/// `fanlight`: ingests and edge in one process.
#[derive(Debug)]
pub struct Standalone;

impl Standalone {
    /// Starts it and waits until it is ready.
    pub async fn start(args: &[&str]) -> Edge {
        Edge::start_program("fanlight", args).await
    }

    /// Starts it without waiting, for what must fail.
    #[must_use]
    pub fn spawn(args: &[&str]) -> Edge {
        Edge::spawn("fanlight", args)
    }
}
