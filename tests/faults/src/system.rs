//! The system that faults are injected into: nats-servers, ingests, edges, haproxy.

use std::fmt::Write as _;
use std::time::Duration;

use fanlight_e2e::{Edge, Ingest};
use fanlight_testkit::{NatsServer, Process, eventually, free_port, repository, tool};
use tempfile::TempDir;

use crate::link::Link;
use crate::watcher::Watcher;

/// A running system with one camera, `gate`.
pub(crate) struct System {
    pub(crate) nats: Vec<NatsServer>,
    pub(crate) ingest: Ingest,
    pub(crate) edges: Vec<Edge>,
    pub(crate) balancer: Balancer,
}

impl System {
    /// `nodes` nats-servers and `edges` edges; `input` is the camera.
    pub(crate) async fn start(nodes: usize, edges: usize, input: &str, args: &[&str]) -> Self {
        let nats = match nodes {
            1 => vec![NatsServer::start().await],
            n => NatsServer::start_cluster(n).await,
        };
        let urls = urls(&nats);
        Self::around(nats, &urls, edges, input, args).await
    }

    /// One nats-server, which the edges reach over a link that can be cut.
    pub(crate) async fn start_linked(edges: usize, input: &str, args: &[&str]) -> (Self, Link) {
        let nats = vec![NatsServer::start().await];
        let url = urls(&nats);
        let server = url.strip_prefix("nats://").expect("a NATS URL").to_owned();
        let link = Link::to(server).await;
        let through = format!("nats://{}", link.address());
        let system = Self::around(nats, &through, edges, input, args).await;
        (system, link)
    }

    async fn around(
        nats: Vec<NatsServer>,
        edge_urls: &str,
        edges: usize,
        input: &str,
        args: &[&str],
    ) -> Self {
        let mut all = vec!["--input", input];
        all.extend(args);
        let ingest = Ingest::start_live("gate", &urls(&nats), &all).await;
        let mut running = Vec::new();
        for _ in 0..edges {
            running.push(start_edge(edge_urls).await);
        }
        let balancer = Balancer::haproxy(&running).await;
        Self {
            nats,
            ingest,
            edges: running,
            balancer,
        }
    }

    pub(crate) fn nats_urls(&self) -> String {
        urls(&self.nats)
    }

    /// Viewers through the load balancer, each with a picture; every second one speaks
    /// `fanlight.v1`.
    pub(crate) async fn watch(&self, n: usize) -> Vec<Watcher> {
        // a crowd's bytes would fill the memory: four of them are judged by a decoder
        self.watch_with(n, if n > 100 { 4 } else { n }).await
    }

    /// The same without keeping what they got.
    pub(crate) async fn watch_lightly(&self, n: usize) -> Vec<Watcher> {
        self.watch_with(n, 0).await
    }

    async fn watch_with(&self, n: usize, kept: usize) -> Vec<Watcher> {
        let watchers: Vec<_> = (0..n)
            .map(|i| {
                let start = if i < kept {
                    Watcher::start
                } else {
                    Watcher::light
                };
                start(self.balancer.ws("gate"), i % 2 == 0)
            })
            .collect();
        for watcher in &watchers {
            eventually("a first picture", Duration::from_secs(20), async || {
                watcher
                    .stretches()
                    .iter()
                    .any(|s| !s.pictures.is_empty())
                    .then_some(())
            })
            .await;
        }
        watchers
    }

    /// What one edge's API says of the camera.
    pub(crate) async fn said(&self) -> String {
        let camera = self.edges[0].camera("gate").await;
        let text = |key: &str| camera[key].as_str().unwrap_or_default().to_owned();
        match text("cause") {
            cause if cause.is_empty() => text("state"),
            cause => format!("{}: {cause}", text("state")),
        }
    }
}

fn urls(nats: &[NatsServer]) -> String {
    nats.iter()
        .map(NatsServer::url)
        .collect::<Vec<_>>()
        .join(",")
}

/// An edge whose drain is short enough for a test.
pub(crate) async fn start_edge(urls: &str) -> Edge {
    let args = [
        "--cameras",
        "gate",
        "--drain-delay",
        "1",
        "--drain-seconds",
        "3",
    ];
    let host = ["--allow-host", "*"];
    Edge::start(urls, &[args.as_slice(), host.as_slice()].concat()).await
}

/// A load balancer in front of the edges, with the settings that WebSockets need.
pub(crate) struct Balancer {
    port: u16,
    _dir: TempDir,
    _process: Process,
}

impl Balancer {
    /// deploy/nginx with these edges: it has no health checks, and sends new sockets to a
    /// draining edge until that is gone.
    pub(crate) async fn nginx(edges: &[Edge]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let shipped = repository().join("deploy/nginx/nginx.conf");
        let shipped = std::fs::read_to_string(shipped).expect("deploy/nginx/nginx.conf");
        let mut servers = String::new();
        for edge in edges {
            writeln!(servers, "server {} max_fails=0;", edge.address()).expect("write to a string");
        }
        let folder = dir.path().display();
        let config = shipped
            .replace("server edge-1:8103 max_fails=0;", &servers)
            .replace("server edge-2:8103 max_fails=0;", "")
            .replace("listen 8103;", &format!("listen 127.0.0.1:{port};"))
            .replace(
                "events {",
                &format!("daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{"),
            )
            .replace(
                "http {",
                &format!(
                    "http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; \
                     fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;"
                ),
            );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).expect("write the configuration");
        let args = ["-p".into(), dir.path().to_owned(), "-c".into(), file];
        let process = Process::start(&tool("nginx"), args);
        Self::ready(port, dir, process).await
    }

    async fn haproxy(edges: &[Edge]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut config = format!(
            "defaults\n mode http\n timeout connect 2s\n timeout client 60s\n timeout server 60s\n \
             timeout tunnel 1h\nfrontend f\n bind 127.0.0.1:{port}\n default_backend edges\n\
             backend edges\n balance leastconn\n option redispatch\n retries 2\n option httpchk GET /readyz\n"
        );
        for (i, edge) in edges.iter().enumerate() {
            let admin = edge.admin_url();
            let admin_port = admin.rsplit(':').next().expect("a port");
            writeln!(
                config,
                " server e{i} {} check port {admin_port} inter 200 fall 1 rise 1",
                edge.address()
            )
            .expect("write to a string");
        }
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).expect("write the configuration");
        let process = Process::start(
            &tool("haproxy"),
            ["-db".as_ref(), "-f".as_ref(), file.as_os_str()],
        );
        Self::ready(port, dir, process).await
    }

    async fn ready(port: u16, dir: TempDir, mut process: Process) -> Self {
        eventually(
            "the balancer listening",
            Duration::from_secs(10),
            async || {
                assert!(process.is_running(), "it ended:\n{}", process.output());
                let url = format!("http://127.0.0.1:{port}/api/cameras");
                (fanlight_testkit::get(&url).await.ok()?.status == 200).then_some(())
            },
        )
        .await;
        Self {
            port,
            _dir: dir,
            _process: process,
        }
    }

    /// WebSocket URL of a camera through the balancer.
    pub(crate) fn ws(&self, camera: &str) -> String {
        format!("ws://127.0.0.1:{}/ws/{camera}", self.port)
    }
}
