//! A real nats-server, alone or as a cluster.

use std::fmt::Write as _;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{Process, eventually, free_port, tool};

/// A nats-server on loopback that keeps its port over [`restart`](Self::restart).
#[derive(Debug)]
pub struct NatsServer {
    port: u16,
    monitor_port: u16,
    dir: TempDir,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts one with default settings.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts one with more configuration (nats-server's own format).
    pub async fn start_with(config: &str) -> Self {
        let mut server = Self::prepare(config);
        server.launch().await;
        server
    }

    /// Starts a full mesh of `n` servers.
    pub async fn start_cluster(n: usize) -> Vec<Self> {
        let routes: Vec<u16> = (0..n).map(|_| free_port()).collect();
        let list = routes
            .iter()
            .map(|p| format!("nats://127.0.0.1:{p}"))
            .collect::<Vec<_>>()
            .join(", ");
        let mut servers = Vec::new();
        for (i, port) in routes.iter().enumerate() {
            servers.push(Self::prepare(&format!(
                "server_name: n{i}\ncluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{list}] }}\n"
            )));
        }
        for server in &mut servers {
            server.launch().await;
        }
        for server in &servers {
            let url = format!("http://127.0.0.1:{}/routez", server.monitor_port);
            eventually(
                "routes between all nodes",
                Duration::from_secs(10),
                async || {
                    let body = crate::get(&url).await.ok()?.json()?;
                    let peers: std::collections::BTreeSet<_> = body["routes"]
                        .as_array()?
                        .iter()
                        .filter_map(|r| r["remote_id"].as_str().map(str::to_owned))
                        .collect();
                    (peers.len() + 1 >= n).then_some(())
                },
            )
            .await;
        }
        servers
    }

    fn prepare(config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (port, monitor_port) = (free_port(), free_port());
        let mut text = String::new();
        writeln!(
            text,
            "listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitor_port}\""
        )
        .unwrap();
        text.push_str(config);
        std::fs::write(dir.path().join("nats.conf"), text).expect("write the configuration");
        Self {
            port,
            monitor_port,
            dir,
            process: None,
        }
    }

    async fn launch(&mut self) {
        let config = self.dir.path().join("nats.conf");
        let mut process = Process::start(&tool("nats-server"), ["-c".as_ref(), config.as_os_str()]);
        let port = self.port;
        eventually(
            "nats-server listening",
            Duration::from_secs(10),
            async || {
                assert!(
                    process.is_running(),
                    "nats-server ended:\n{}",
                    process.output()
                );
                TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
            },
        )
        .await;
        self.process = Some(process);
    }

    /// `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port for clients.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Base URL of the server's own monitoring.
    #[must_use]
    pub fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port)
    }

    /// The running process.
    ///
    /// # Panics
    /// While it is killed.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    /// Kills it (SIGKILL).
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Starts it again on the same port.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.launch().await;
    }
}
