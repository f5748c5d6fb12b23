//! A hub for each watched stream: one subscription, one ring, any number of viewers.
//!
//! A hub is there from the first viewer until `--linger` after the last one. Its feed task
//! never waits for a viewer: it puts frames into the ring, writes what a socket takes at once,
//! and wakes the tasks of the others.

mod assembler;
mod cursor;
mod fanout;
mod feed;
mod frame;
mod lane;
mod ring;
mod select;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use fanlight_bus::{Bus, StreamId};
use fanlight_ops::shutdown::Shutdown;
use futures_util::task::AtomicWaker;
use slab::Slab;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

pub use assembler::{Assembler, Verdict};
pub use cursor::{Cursor, MAX_LAG};
pub use frame::Frame;
pub use lane::{Begun, Lane};
pub use ring::Ring;
pub use select::{Choice, RunSelect, SILENCE};

use crate::clock::Clocks;
use crate::metrics::{CameraMetrics, EdgeMetrics};
use crate::wire::CameraState;

/// Kibibytes of GOP replies in flight at a time, of all hubs: 200 cameras that ask at once would
/// pass the server's limit of 64 MiB for one client and be cut off.
const REPLIES_KIB: usize = 8 << 10;

/// How hubs behave.
#[derive(Debug, Clone, Copy)]
pub struct HubConfig {
    /// Most bytes of a ring.
    pub gop_cache: usize,
    /// How long a hub stays after its last viewer.
    pub linger: Duration,
}

/// All hubs of the edge. Clones share them.
#[derive(Clone)]
pub struct Hubs(Arc<Shared>);

struct Shared {
    bus: Bus,
    config: HubConfig,
    metrics: Arc<EdgeMetrics>,
    clocks: Arc<Clocks>,
    shutdown: Shutdown,
    replies: Arc<Semaphore>,
    /// When sockets are closed for good; set once, when the edge drains.
    drain_ends: OnceLock<Instant>,
    hubs: Mutex<HashMap<StreamId, Arc<Hub>>>,
}

impl std::fmt::Debug for Hubs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hubs")
            .field(&lock(&self.0.hubs).len())
            .finish()
    }
}

/// No code panics while it holds one of this module's locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One watched stream.
#[derive(Debug)]
pub struct Hub {
    stream: StreamId,
    /// [`Ring::next`], readable without the lock.
    head: AtomicU64,
    ring: Mutex<Ring>,
    slots: Mutex<Slab<Arc<Slot>>>,
    viewers: AtomicUsize,
    /// Where the next round over the viewers starts.
    turn: AtomicUsize,
    state: Mutex<Arc<CameraState>>,
    state_version: AtomicU32,
    /// A viewer came or left.
    crowd: Notify,
    /// Metrics of this stream.
    pub metrics: Arc<CameraMetrics>,
}

/// What a viewer is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Command {
    /// Nothing.
    None = 0,
    /// The edge drains: give notice, or close where the client knows no notice.
    Drain = 1,
    /// The edge drains and the time is up.
    Close = 2,
    /// The camera was removed.
    Removed = 3,
}

/// A viewer as its hub sees it.
#[derive(Debug, Default)]
pub struct Slot {
    waker: AtomicWaker,
    command: AtomicU8,
    has_picture: AtomicBool,
    /// While it is lent.
    lane: Mutex<Option<Lane>>,
}

impl Slot {
    /// Tells the viewer to do something; a stronger command stays.
    pub fn command(&self, command: Command) {
        self.command.fetch_max(command as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    fn current_command(&self) -> Command {
        match self.command.load(Ordering::Acquire) {
            0 => Command::None,
            1 => Command::Drain,
            2 => Command::Close,
            _ => Command::Removed,
        }
    }
}

impl Hubs {
    /// No hubs yet.
    #[must_use]
    pub fn new(
        bus: Bus,
        config: HubConfig,
        metrics: Arc<EdgeMetrics>,
        clocks: Arc<Clocks>,
        shutdown: Shutdown,
    ) -> Self {
        Self(Arc::new(Shared {
            bus,
            config,
            metrics,
            clocks,
            shutdown,
            replies: Arc::new(Semaphore::new(REPLIES_KIB)),
            drain_ends: OnceLock::new(),
            hubs: Mutex::default(),
        }))
    }

    /// Joins a stream's viewers, with the camera's state as known now. The first one starts the
    /// hub.
    #[must_use]
    pub fn join(&self, stream: &StreamId, state: Arc<CameraState>) -> Membership {
        let mut hubs = lock(&self.0.hubs);
        let mut fresh = false;
        let hub = hubs.entry(stream.clone()).or_insert_with(|| {
            fresh = true;
            Arc::new(Hub {
                stream: stream.clone(),
                head: AtomicU64::new(0),
                ring: Mutex::new(Ring::new(self.0.config.gop_cache)),
                slots: Mutex::default(),
                viewers: AtomicUsize::new(0),
                turn: AtomicUsize::new(0),
                state: Mutex::new(state),
                state_version: AtomicU32::new(0),
                crowd: Notify::new(),
                metrics: self.0.metrics.camera(stream),
            })
        });
        let hub = Arc::clone(hub);
        // Entered under the map's lock: a lingering hub cannot go away in between.
        let slot = Arc::new(Slot::default());
        let key = lock(&hub.slots).insert(Arc::clone(&slot));
        hub.viewers.fetch_add(1, Ordering::AcqRel);
        drop(hubs);
        hub.metrics.viewers.inc();
        hub.crowd.notify_one();
        if fresh {
            let task = feed::run(Arc::clone(&self.0), Arc::clone(&hub));
            self.0.shutdown.spawn("feed", task);
        }
        Membership {
            hub,
            slot,
            key,
            shared: Arc::clone(&self.0),
        }
    }

    /// Viewers of a stream now.
    #[must_use]
    pub fn viewers(&self, stream: &StreamId) -> usize {
        lock(&self.0.hubs)
            .get(stream)
            .map_or(0, |hub| hub.viewers())
    }

    /// Whether a viewer of this stream would get a picture at once.
    #[must_use]
    pub fn has_picture(&self, stream: &StreamId) -> bool {
        let hub = lock(&self.0.hubs).get(stream).cloned();
        hub.is_some_and(|hub| lock(&hub.ring).start(Instant::now()).is_some())
    }

    /// Passes a camera's new state on to its viewers.
    pub fn set_state(&self, stream: &StreamId, state: Arc<CameraState>) {
        let hub = lock(&self.0.hubs).get(stream).cloned();
        if let Some(hub) = hub {
            *lock(&hub.state) = state;
            hub.state_version.fetch_add(1, Ordering::AcqRel);
            for (_, slot) in lock(&hub.slots).iter() {
                slot.waker.wake();
            }
        }
    }

    /// Tells all viewers of a stream.
    pub fn command(&self, stream: &StreamId, command: Command) {
        let hub = lock(&self.0.hubs).get(stream).cloned();
        if let Some(hub) = hub {
            for (_, slot) in lock(&hub.slots).iter() {
                slot.command(command);
            }
        }
    }

    /// From now on sockets have until `ends`. Returns all viewers there are.
    #[must_use]
    pub fn begin_drain(&self, ends: Instant) -> Vec<Arc<Slot>> {
        let _first_wins = self.0.drain_ends.set(ends);
        self.slots()
    }

    /// All viewers there are.
    #[must_use]
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        let hubs: Vec<_> = lock(&self.0.hubs).values().cloned().collect();
        let slots = |hub: Arc<Hub>| -> Vec<_> {
            lock(&hub.slots)
                .iter()
                .map(|(_, slot)| Arc::clone(slot))
                .collect()
        };
        hubs.into_iter().flat_map(slots).collect()
    }

    /// Viewers of all streams.
    #[must_use]
    pub fn total_viewers(&self) -> usize {
        lock(&self.0.hubs).values().map(|hub| hub.viewers()).sum()
    }
}

impl Shared {
    /// Takes a hub without viewers out of the map; `false` when one has come.
    fn remove_idle(&self, hub: &Hub) -> bool {
        let mut hubs = lock(&self.hubs);
        let idle = hub.viewers() == 0;
        if idle {
            hubs.remove(&hub.stream);
        }
        idle
    }
}

impl Hub {
    /// Viewers now.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Acquire)
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Whether a viewer waits that never got a picture.
    fn somebody_waits(&self) -> bool {
        lock(&self.slots)
            .iter()
            .any(|(_, slot)| !slot.has_picture.load(Ordering::Relaxed))
    }
}

/// A viewer's place in a hub. Dropped, it leaves.
#[derive(Debug)]
pub struct Membership {
    hub: Arc<Hub>,
    slot: Arc<Slot>,
    key: usize,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Membership {
    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// A cursor for a viewer that joins now.
    #[must_use]
    pub fn cursor(&self, now: Instant) -> Cursor {
        Cursor::join(&lock(&self.hub.ring), now)
    }

    /// Has this task woken at each new frame, state or command. Check for them after it.
    pub fn register(&self, waker: &std::task::Waker) {
        self.slot.waker.register(waker);
    }

    /// Position that the next frame gets.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.hub.head.load(Ordering::Acquire)
    }

    /// What the viewer is told to do.
    #[must_use]
    pub fn command(&self) -> Command {
        self.slot.current_command()
    }

    /// Tells this viewer.
    pub fn tell(&self, command: Command) {
        self.slot.command(command);
    }

    /// When the draining edge closes sockets.
    #[must_use]
    pub fn drain_ends(&self) -> Option<Instant> {
        self.shared.drain_ends.get().copied()
    }

    /// Changes with each new state of the camera.
    #[must_use]
    pub fn state_version(&self) -> u32 {
        self.hub.state_version.load(Ordering::Acquire)
    }

    /// The camera's state.
    #[must_use]
    pub fn state(&self) -> Arc<CameraState> {
        Arc::clone(&lock(&self.hub.state))
    }

    /// Looks into the ring; short, since all viewers share its lock.
    pub fn with_ring<T>(&self, look: impl FnOnce(&Ring) -> T) -> T {
        look(&lock(&self.hub.ring))
    }

    /// The viewer has a picture now: nothing needs to be asked for it.
    pub fn got_picture(&self) {
        self.slot.has_picture.store(true, Ordering::Relaxed);
    }

    /// Lets the hub write to the socket. A viewer that lends wants to be woken: call
    /// [`register`](Self::register) and look for news before.
    pub fn lend(&self, lane: Lane) {
        *lock(&self.slot.lane) = Some(lane);
    }

    /// Ends that. Waits for a write that is going on.
    #[must_use]
    pub fn take_back(&self) -> Option<Lane> {
        lock(&self.slot.lane).take()
    }

    /// Metrics of the whole edge.
    #[must_use]
    pub fn edge_metrics(&self) -> &EdgeMetrics {
        &self.shared.metrics
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        drop(self.take_back());
        let mut slots = lock(&self.hub.slots);
        slots.remove(self.key);
        if slots.is_empty() {
            slots.shrink_to_fit();
        }
        drop(slots);
        self.hub.metrics.viewers.dec();
        self.hub.viewers.fetch_sub(1, Ordering::AcqRel);
        self.hub.crowd.notify_one();
    }
}
