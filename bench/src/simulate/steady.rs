//! What a site uses while nothing happens, and what is used up first.

use std::fmt;

use super::coefficients::{Coefficients, Site};

/// What can run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// CPU of an edge.
    EdgeCpu,
    /// Egress of an edge.
    EdgeLink,
    /// Places on the edges (`--max-viewers`).
    Places,
    /// Connections that wait to be accepted.
    Accept,
    /// CPU of a NATS server.
    NatsCpu,
    /// Egress of a NATS server: live messages and GOP replies.
    NatsLink,
    /// Nothing ran out, but players, load balancer or NATS clients took their time.
    Timers,
}

impl Resource {
    /// All, in the order of [`Resource`] `as usize`.
    pub const ALL: [Self; 7] = [
        Self::EdgeCpu,
        Self::EdgeLink,
        Self::Places,
        Self::Accept,
        Self::NatsCpu,
        Self::NatsLink,
        Self::Timers,
    ];
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EdgeCpu => "edge CPU",
            Self::EdgeLink => "edge link",
            Self::Places => "places on edges",
            Self::Accept => "accept queue",
            Self::NatsCpu => "NATS CPU",
            Self::NatsLink => "NATS egress",
            Self::Timers => "timers",
        })
    }
}

/// Use of each resource at its busiest node, 1 being all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steady {
    /// CPU of the busiest edge.
    pub edge_cpu: f64,
    /// Egress of the busiest edge.
    pub edge_link: f64,
    /// Viewers of the fullest edge by `--max-viewers`.
    pub places: f64,
    /// CPU of a NATS server.
    pub nats_cpu: f64,
    /// Egress of a NATS server.
    pub nats_link: f64,
}

impl Steady {
    /// From viewers and watched cameras of each edge, with `nats` servers up.
    #[must_use]
    pub fn of(
        c: &Coefficients,
        site: &Site,
        viewers: &[usize],
        watched: &[usize],
        nats: usize,
    ) -> Self {
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let cpu = |(&v, &w): (&usize, &usize)| edge_us(c, v, w) / 1e6 / site.edge_cores;
        let full = viewers.iter().copied().max().unwrap_or(0) as f64;
        let messages = nats_messages(c, site, watched.iter().sum(), nats);
        Self {
            edge_cpu: most(&mut viewers.iter().zip(watched).map(cpu)),
            edge_link: full * c.stream_bytes() / site.edge_bytes(),
            places: full / site.max_viewers.max(1) as f64,
            nats_cpu: messages * c.nats_us / 1e6 / site.nats_cores,
            nats_link: messages * c.wire_bytes() / site.nats_bytes(),
        }
    }

    /// What is used most, and how much of it.
    #[must_use]
    pub fn tightest(&self) -> (Resource, f64) {
        [
            (Resource::EdgeCpu, self.edge_cpu),
            (Resource::EdgeLink, self.edge_link),
            (Resource::Places, self.places),
            (Resource::NatsCpu, self.nats_cpu),
            (Resource::NatsLink, self.nats_link),
        ]
        .into_iter()
        .fold(
            (Resource::Timers, 0.0),
            |a, b| if b.1 > a.1 { b } else { a },
        )
    }
}

/// CPU time a second of an edge, us.
#[must_use]
pub fn edge_us(c: &Coefficients, viewers: usize, watched: usize) -> f64 {
    c.fps * (viewers as f64 * c.deliver_us + watched as f64 * c.receive_us)
}

/// Messages a second that one of `nats` servers sends: to its edges, and each camera of its own
/// to every other server. `pairs`: watched cameras of all edges.
#[must_use]
pub fn nats_messages(c: &Coefficients, site: &Site, pairs: usize, nats: usize) -> f64 {
    if nats == 0 {
        return 0.0;
    }
    let routes = site.cameras.min(pairs) * (nats - 1);
    c.fps * (pairs + routes) as f64 / nats as f64
}
