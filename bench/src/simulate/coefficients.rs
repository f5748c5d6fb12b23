//! What things cost, and what there is. Defaults are the table of docs/scaling.md.

use clap::{Args, ValueEnum};

/// What one unit of work costs. Each has its source in docs/scaling.md.
#[derive(Debug, Clone, Args)]
pub struct Coefficients {
    /// Pictures (messages) a second of a camera
    #[arg(long, default_value_t = 15.0)]
    pub fps: f64,
    /// Bytes of a message
    #[arg(long, default_value_t = 6700.0)]
    pub message_bytes: f64,
    /// Seconds from key picture to key picture
    #[arg(long, default_value_t = 2.0)]
    pub gop_seconds: f64,
    /// Bytes of TCP, IP, Ethernet and WebSocket around a message
    #[arg(long, default_value_t = 350.0)]
    pub overhead_bytes: f64,
    /// CPU of an edge for a message delivered to a viewer, us
    #[arg(long, default_value_t = 5.0)]
    pub deliver_us: f64,
    /// CPU of an edge for a message taken from NATS, us
    #[arg(long, default_value_t = 25.0)]
    pub receive_us: f64,
    /// CPU of an edge for a join (handshake, admission, first write), us
    #[arg(long, default_value_t = 400.0)]
    pub join_us: f64,
    /// Memory of an edge for a viewer, KiB
    #[arg(long, default_value_t = 3.6)]
    pub viewer_kib: f64,
    /// CPU of a NATS server for a message delivered, us
    #[arg(long, default_value_t = 10.0)]
    pub nats_us: f64,
    /// Seconds from the loss of a NATS server until its edges have another
    #[arg(long, default_value_t = 1.0)]
    pub nats_reconnect: f64,
    /// Seconds until the load balancer sends nobody to a lost edge any more
    #[arg(long, default_value_t = 5.0)]
    pub detect: f64,
    /// Share of a core or link that is planned for
    #[arg(long, default_value_t = 0.7)]
    pub headroom: f64,
}

/// What there is.
#[derive(Debug, Clone, Args)]
pub struct Site {
    /// Viewers
    #[arg(long, default_value_t = 10_000)]
    pub viewers: usize,
    /// Cameras
    #[arg(long, default_value_t = 100)]
    pub cameras: usize,
    /// Edges
    #[arg(long, default_value_t = 6)]
    pub edges: usize,
    /// Zones that edges and NATS servers are spread over
    #[arg(long, default_value_t = 3)]
    pub zones: usize,
    /// NATS servers of the cluster
    #[arg(long, default_value_t = 3)]
    pub nats: usize,
    /// Cores of an edge
    #[arg(long, default_value_t = 2.0)]
    pub edge_cores: f64,
    /// Link of an edge, Gbit/s
    #[arg(long, default_value_t = 10.0)]
    pub edge_gbit: f64,
    /// Most viewers of an edge; `edge.maxViewers` of the chart
    #[arg(long, default_value_t = 4000)]
    pub max_viewers: usize,
    /// Connections that wait to be accepted, at most
    #[arg(long, default_value_t = 4096)]
    pub backlog: usize,
    /// Cores of a NATS server
    #[arg(long, default_value_t = 4.0)]
    pub nats_cores: f64,
    /// Link of a NATS server, Gbit/s
    #[arg(long, default_value_t = 10.0)]
    pub nats_gbit: f64,
    /// How the load balancer picks an edge
    #[arg(long, value_enum, default_value_t = Spread::Random)]
    pub spread: Spread,
    /// Edges a camera may be on, with `--spread camera`
    #[arg(long, default_value_t = 2)]
    pub edges_per_camera: usize,
}

/// How the load balancer picks an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// Any edge.
    Random,
    /// One of a few that the camera's name hashes to.
    Camera,
}

impl Coefficients {
    /// Bytes on the wire for a message.
    #[must_use]
    pub fn wire_bytes(&self) -> f64 {
        self.message_bytes + self.overhead_bytes
    }

    /// Bytes a second of one stream on the wire.
    #[must_use]
    pub fn stream_bytes(&self) -> f64 {
        self.fps * self.wire_bytes()
    }

    /// Bytes that a viewer gets at once when it joins: half a GOP on the average.
    #[must_use]
    pub fn burst_bytes(&self) -> f64 {
        self.stream_bytes() * self.gop_seconds / 2.0
    }
}

impl Site {
    /// Of an edge, bytes a second.
    #[must_use]
    pub fn edge_bytes(&self) -> f64 {
        self.edge_gbit * 125e6
    }

    /// Of a NATS server, bytes a second.
    #[must_use]
    pub fn nats_bytes(&self) -> f64 {
        self.nats_gbit * 125e6
    }

    /// Where the load balancer sends a viewer of a camera: the `pick`-th choice among the edges
    /// that are `up`. `None`: there is none.
    #[must_use]
    pub fn choose(&self, camera: usize, pick: usize, up: &[usize]) -> Option<usize> {
        let n = up.len();
        if n == 0 {
            return None;
        }
        Some(match self.spread {
            Spread::Random => up[pick % n],
            Spread::Camera => {
                let copies = self.edges_per_camera.clamp(1, n);
                // As a ring: cameras next to each other begin next to each other.
                up[(camera + pick % copies) % n]
            }
        })
    }
}
