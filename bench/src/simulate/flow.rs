//! One step of [`World`]: attempts, then each edge's CPU, GOPs and link, in that order.

use super::backoff;
use super::steady::{Resource, edge_us, nats_messages};
use super::world::{FULL_RETRY, REPLIES, STEP, World};

impl World<'_> {
    pub(super) fn step(&mut self) {
        self.now += 1;
        if self.relist.is_some_and(|at| at <= self.now) {
            self.relist = None;
            self.listed.retain(|&edge| self.edges[edge].up);
        }
        for id in self.due.remove(&self.now).unwrap_or_default() {
            self.attempt(id);
        }
        let waiting: usize = self.due.values().map(Vec::len).sum();
        self.wait(Resource::Timers, waiting);
        for edge in 0..self.edges.len() {
            self.accept(edge);
        }
        self.fetch();
        for edge in 0..self.edges.len() {
            self.send(edge);
        }
    }

    fn wait(&mut self, resource: Resource, viewers: usize) {
        self.waited[resource as usize] += viewers as f64 * STEP;
    }

    fn attempt(&mut self, id: u32) {
        let second = (self.now as f64 * STEP) as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, 0);
        }
        self.seconds[second] += 1;
        self.attempts += 1;
        let Some(edge) = self.pick(id) else {
            return self.retry(id, 0.0, 0.0);
        };
        let target = &mut self.edges[edge];
        if !target.up {
            let notice = if target.resets {
                0.0
            } else {
                backoff::OPEN_TIMEOUT
            };
            return self.retry(id, notice, 0.0);
        }
        if target.accept.len() < self.site.backlog {
            target.accept.push_back(id);
            return;
        }
        // The kernel drops the SYN; the client's sends it again after 1, 2, 4 … seconds.
        let viewer = &mut self.viewers[id as usize];
        let again = f64::from(1_u32 << viewer.syns.min(3));
        viewer.syns += 1;
        self.waited[Resource::Accept as usize] += again;
        if viewer.syns > 3 {
            viewer.syns = 0;
            self.retry(id, backoff::OPEN_TIMEOUT - 7.0, 0.0);
        } else {
            self.later(id, again);
        }
    }

    fn accept(&mut self, index: usize) {
        let (c, site) = (self.c, self.site);
        let edge = &self.edges[index];
        if edge.accept.is_empty() {
            return;
        }
        let live = edge_us(c, edge.viewers, edge.watched.len());
        let spare = (site.edge_cores * 1e6 - live).max(0.0) * STEP;
        self.edges[index].cpu += spare;
        while self.edges[index].cpu >= c.join_us {
            let Some(id) = self.edges[index].accept.pop_front() else {
                break;
            };
            self.edges[index].cpu -= c.join_us;
            self.viewers[id as usize].syns = 0;
            if self.edges[index].viewers >= site.max_viewers {
                self.waited[Resource::Places as usize] += FULL_RETRY;
                self.retry(id, 0.0, FULL_RETRY);
                continue;
            }
            let camera = self.viewers[id as usize].camera;
            let first = self.place(index, id);
            let edge = &mut self.edges[index];
            if first && edge.cut.is_none() {
                edge.fetches.push_back(camera);
            }
            if first || edge.waiting.contains_key(&camera) {
                edge.waiting.entry(camera).or_default().push(id);
            } else {
                edge.burst.push_back(id);
            }
        }
        let queued = self.edges[index].accept.len();
        if queued == 0 {
            self.edges[index].cpu = 0.0; // time does not keep
        }
        self.wait(Resource::EdgeCpu, queued);
    }

    /// GOPs over NATS: what live messages leave of it, shared by the edges that ask.
    fn fetch(&mut self) {
        let (c, site) = (self.c, self.site);
        for edge in &mut self.edges {
            if edge.cut.is_some_and(|until| until <= self.now) && self.nats > 0 {
                edge.cut = None;
                edge.fetches = edge.waiting.keys().copied().collect();
            }
        }
        let asking = |edge: &&mut super::world::Edge| !edge.fetches.is_empty();
        let count = self.edges.iter_mut().filter(asking).count();
        if count == 0 {
            return;
        }
        let pairs = self.edges.iter().map(|edge| edge.watched.len()).sum();
        let live = nats_messages(c, site, pairs, self.nats);
        let link = site.nats_bytes() - live * c.wire_bytes();
        let cpu = (site.nats_cores * 1e6 / c.nats_us - live) * c.wire_bytes();
        let tight = if link < cpu {
            Resource::NatsLink
        } else {
            Resource::NatsCpu
        };
        let spare = link.min(cpu).max(0.0) * self.nats as f64 * STEP;
        let share = (spare / count as f64).min(REPLIES);
        let mut waiting = 0;
        for edge in self.edges.iter_mut().filter(|e| !e.fetches.is_empty()) {
            edge.fetched += share;
            while edge.fetched >= c.burst_bytes()
                && let Some(camera) = edge.fetches.pop_front()
            {
                edge.fetched -= c.burst_bytes();
                edge.burst
                    .extend(edge.waiting.remove(&camera).unwrap_or_default());
            }
            if edge.fetches.is_empty() {
                edge.fetched = 0.0;
            }
            waiting += edge
                .fetches
                .iter()
                .filter_map(|camera| edge.waiting.get(camera))
                .map(Vec::len)
                .sum::<usize>();
        }
        self.wait(tight, waiting);
    }

    fn send(&mut self, index: usize) {
        let (c, site) = (self.c, self.site);
        let edge = &mut self.edges[index];
        if edge.burst.is_empty() {
            return;
        }
        let live = (edge.viewers.saturating_sub(edge.burst.len())) as f64 * c.stream_bytes();
        edge.sent += (site.edge_bytes() - live).max(0.0) * STEP;
        let time = self.now as f64 * STEP;
        while edge.sent >= c.burst_bytes()
            && let Some(id) = edge.burst.pop_front()
        {
            edge.sent -= c.burst_bytes();
            self.viewers[id as usize].attempt = 0;
            self.served.push(time);
        }
        let queued = edge.burst.len();
        if queued == 0 {
            edge.sent = 0.0;
        }
        self.wait(Resource::EdgeLink, queued);
    }
}
