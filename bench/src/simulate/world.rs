//! The region in steps of ten milliseconds: each viewer is a token that goes from its player's
//! backoff through accept, CPU, GOP and link of an edge to its first whole picture.

use std::collections::{BTreeMap, VecDeque};

use clap::ValueEnum;

use super::coefficients::{Coefficients, Site};
use super::steady::{Resource, Steady};
use super::{Random, backoff};

/// Seconds of a step.
pub const STEP: f64 = 0.01;
/// What an edge at its limit asks players to wait, seconds (`Retry-After`).
pub(super) const FULL_RETRY: f64 = 10.0;
/// GOP replies that one edge lets be in flight, bytes.
pub(super) const REPLIES: f64 = (8 << 20) as f64;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// All viewers come within `--burst` seconds.
    Join,
    /// The process of an edge dies: its sockets are reset.
    Edge,
    /// A NATS server dies.
    Nats,
    /// A zone goes dark: its edges and NATS servers answer nothing any more.
    Zone,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Viewers who lost their picture or wanted a first one.
    pub affected: usize,
    /// Of those, who have it at the end.
    pub served: usize,
    /// Seconds until half of them had it.
    pub half: Option<f64>,
    /// Seconds until 99 of 100 had it.
    pub most: Option<f64>,
    /// Seconds until all had it.
    pub all: Option<f64>,
    /// Attempts to connect.
    pub attempts: u64,
    /// Most attempts that came in one second.
    pub storm: u64,
    /// Viewer-seconds waited for each resource, in the order of [`Resource::ALL`].
    pub waited: [f64; 7],
    /// Use before and after.
    pub before: Steady,
    /// Use at the end.
    pub after: Steady,
}

impl Outcome {
    /// What was waited for most.
    #[must_use]
    pub fn bottleneck(&self) -> Resource {
        let most = (0..7).fold(6, |a, b| {
            if self.waited[b] > self.waited[a] {
                b
            } else {
                a
            }
        });
        Resource::ALL[most]
    }

    /// The same, leaving out timers while anything was short: who is refused waits by itself.
    fn scarcest(&self) -> Resource {
        if self.after.places >= 1.0 {
            return Resource::Places;
        }
        let short = &self.waited[..Resource::Timers as usize];
        let most = (0..short.len()).fold(0, |a, b| if short[b] > short[a] { b } else { a });
        if short[most] > 0.0 {
            Resource::ALL[most]
        } else {
            Resource::Timers
        }
    }

    /// What breaks: the resource that is used up at the end, else the one waited for most if not
    /// everybody was served.
    #[must_use]
    pub fn broken(&self) -> Option<Resource> {
        match self.after.tightest() {
            (resource, used) if used > 1.0 && resource != Resource::Places => Some(resource),
            _ if self.served < self.affected => Some(self.scarcest()),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer {
    pub(super) camera: u32,
    pub(super) edge: Option<u32>,
    pub(super) attempt: u8,
    /// How often the kernel sent the SYN of the handshake that goes on.
    pub(super) syns: u8,
}

#[derive(Debug, Default)]
pub(super) struct Edge {
    pub(super) up: bool,
    /// Reset at once what comes to it, instead of being silent.
    pub(super) resets: bool,
    pub(super) viewers: usize,
    /// Viewers of each camera.
    pub(super) watched: BTreeMap<u32, usize>,
    /// Wait for CPU, which has saved up `cpu` us for the first of them.
    pub(super) accept: VecDeque<u32>,
    pub(super) cpu: f64,
    /// GOPs asked for, in order, and the bytes of the first one that came.
    pub(super) fetches: VecDeque<u32>,
    pub(super) fetched: f64,
    /// Who waits for them.
    pub(super) waiting: BTreeMap<u32, Vec<u32>>,
    /// Wait for the link, and the bytes that the first of them got.
    pub(super) burst: VecDeque<u32>,
    pub(super) sent: f64,
    /// Without NATS until this step; then it asks for all GOPs again.
    pub(super) cut: Option<usize>,
}

pub(super) struct World<'a> {
    pub(super) c: &'a Coefficients,
    pub(super) site: &'a Site,
    pub(super) random: Random,
    pub(super) viewers: Vec<Viewer>,
    pub(super) edges: Vec<Edge>,
    /// Edges that the load balancer sends viewers to, and from which step on it leaves out lost ones.
    pub(super) listed: Vec<usize>,
    pub(super) relist: Option<usize>,
    /// NATS servers that are up.
    pub(super) nats: usize,
    /// Attempts by step.
    pub(super) due: BTreeMap<usize, Vec<u32>>,
    pub(super) now: usize,
    /// When viewers got their picture, in order.
    pub(super) served: Vec<f64>,
    pub(super) attempts: u64,
    pub(super) seconds: Vec<u64>,
    pub(super) waited: [f64; 7],
}

/// Runs `fault` for at most `patience` seconds; joins are spread over `burst` seconds.
#[must_use]
pub fn run(
    c: &Coefficients,
    site: &Site,
    fault: Fault,
    burst: f64,
    patience: f64,
    seed: u64,
) -> Outcome {
    let mut world = World::new(c, site, seed);
    let without = match fault {
        Fault::Join => 0,
        _ => world.settle(),
    };
    let before = world.steady();
    let affected = without
        + match fault {
            Fault::Join => world.join(burst),
            Fault::Edge => world.lose_edges(&[0], true),
            Fault::Nats => world.lose_nats(|server| server == 0),
            Fault::Zone => world.lose_zone(),
        };
    let end = steps(patience);
    while world.now < end && world.served.len() < affected {
        world.step();
    }
    world.outcome(affected, before)
}

pub(super) fn steps(seconds: f64) -> usize {
    (seconds / STEP).ceil() as usize
}

impl<'a> World<'a> {
    fn new(c: &'a Coefficients, site: &'a Site, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let viewers = (0..site.viewers)
            .map(|_| Viewer {
                camera: random.below(site.cameras) as u32,
                edge: None,
                attempt: 0,
                syns: 0,
            })
            .collect();
        let edge = |_| Edge {
            up: true,
            ..Edge::default()
        };
        Self {
            c,
            site,
            random,
            viewers,
            edges: (0..site.edges).map(edge).collect(),
            listed: (0..site.edges).collect(),
            relist: None,
            nats: site.nats,
            due: BTreeMap::new(),
            now: 0,
            served: Vec::new(),
            attempts: 0,
            seconds: Vec::new(),
            waited: [0.0; 7],
        }
    }

    fn steady(&self) -> Steady {
        let viewers: Vec<_> = self.edges.iter().map(|e| e.viewers).collect();
        let watched: Vec<_> = self.edges.iter().map(|e| e.watched.len()).collect();
        Steady::of(self.c, self.site, &viewers, &watched, self.nats)
    }

    /// Everybody watches, as far as there are places; who has none keeps trying. Returns how many.
    fn settle(&mut self) -> usize {
        let mut without = 0;
        for id in 0..self.viewers.len() as u32 {
            let free = (0..16).find_map(|_| {
                let edge = self.pick(id)?;
                (self.edges[edge].viewers < self.site.max_viewers).then_some(edge)
            });
            if let Some(edge) = free {
                self.place(edge, id);
            } else {
                let after = FULL_RETRY * self.random.unit();
                self.later(id, after);
                without += 1;
            }
        }
        without
    }

    pub(super) fn pick(&mut self, id: u32) -> Option<usize> {
        let pick = (self.random.bits() >> 32) as usize;
        let camera = self.viewers[id as usize].camera as usize;
        self.site.choose(camera, pick, &self.listed)
    }

    /// Gives a viewer a place; whether it is the edge's first one of its camera.
    pub(super) fn place(&mut self, edge: usize, id: u32) -> bool {
        let viewer = &mut self.viewers[id as usize];
        viewer.edge = Some(edge as u32);
        let edge = &mut self.edges[edge];
        edge.viewers += 1;
        let count = edge.watched.entry(viewer.camera).or_default();
        *count += 1;
        *count == 1
    }

    fn join(&mut self, burst: f64) -> usize {
        for id in 0..self.viewers.len() as u32 {
            let after = self.random.unit() * burst;
            self.later(id, after);
        }
        self.viewers.len()
    }

    /// An attempt in `seconds`.
    pub(super) fn later(&mut self, id: u32, seconds: f64) {
        let at = self.now + steps(seconds).max(1);
        self.due.entry(at).or_default().push(id);
    }

    fn lose_edges(&mut self, lost: &[usize], resets: bool) -> usize {
        for &edge in lost.iter().filter(|&&edge| edge < self.site.edges) {
            self.edges[edge] = Edge {
                resets,
                ..Edge::default()
            };
        }
        self.relist = Some(self.now + steps(self.c.detect));
        let mut affected = 0;
        for id in 0..self.viewers.len() {
            let on = self.viewers[id].edge;
            if on.is_some_and(|edge| !self.edges[edge as usize].up) {
                self.viewers[id].edge = None;
                let notice = if resets {
                    0.0
                } else {
                    backoff::SILENCE + backoff::LOOK * self.random.unit()
                };
                self.retry(id as u32, notice, 0.0);
                affected += 1;
            }
        }
        affected
    }

    /// Another attempt after the player's backoff, which begins in `notice` seconds.
    pub(super) fn retry(&mut self, id: u32, notice: f64, at_least: f64) {
        let attempt = &mut self.viewers[id as usize].attempt;
        let delay = backoff::next(attempt, at_least, &mut self.random);
        self.later(id, notice + delay);
    }

    fn lose_nats(&mut self, lost: impl Fn(usize) -> bool) -> usize {
        let servers = self.site.nats;
        self.nats = (0..servers).filter(|&server| !lost(server)).count();
        let back = self.now + steps(self.c.nats_reconnect);
        let mut affected = 0;
        for (index, edge) in self.edges.iter_mut().enumerate() {
            // Not bound to zones: clients are told all servers and take one by chance.
            if edge.up && lost((index / self.site.zones.max(1)) % servers.max(1)) {
                edge.cut = Some(back);
                affected += edge.viewers;
            }
        }
        for id in 0..self.viewers.len() as u32 {
            let Viewer { camera, edge, .. } = self.viewers[id as usize];
            if let Some(edge) = edge.map(|edge| &mut self.edges[edge as usize])
                && edge.cut.is_some()
            {
                edge.waiting.entry(camera).or_default().push(id);
            }
        }
        affected
    }

    fn lose_zone(&mut self) -> usize {
        let zones = self.site.zones.max(1);
        let dark: Vec<_> = (0..self.site.edges).step_by(zones).collect();
        let edges = self.lose_edges(&dark, false);
        edges + self.lose_nats(|server| server % zones == 0)
    }

    fn outcome(&self, affected: usize, before: Steady) -> Outcome {
        let at = |share: f64| {
            let rank = (affected as f64 * share).ceil().max(1.0) as usize;
            self.served.get(rank - 1).copied()
        };
        Outcome {
            affected,
            served: self.served.len(),
            half: at(0.5),
            most: at(0.99),
            all: at(1.0),
            attempts: self.attempts,
            storm: self.seconds.iter().copied().max().unwrap_or(0),
            waited: self.waited,
            before,
            after: self.steady(),
        }
    }
}
