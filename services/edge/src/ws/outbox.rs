//! What waits for one viewer's socket: shared media frames and own control frames, in order.
//!
//! Costs a pointer a frame. A write may stop anywhere; the outbox remembers where, so dropping
//! the future that writes loses nothing.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Buf;

use crate::hub::Frame;

/// Slices handed to one `writev`.
pub const MAX_SLICES: usize = 64;

/// Items kept allocated while empty.
const KEPT: usize = 8;

/// What a control frame is about, which says what becomes of it in a skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Describes the media frame behind it (`hello`, `mark`): goes with it.
    Place,
    /// Answers a client's ping; only the newest counts (RFC 6455 section 5.5.3).
    Pong,
    /// Stands alone.
    Free,
}

#[derive(Debug)]
enum Item {
    Media(Arc<Frame>),
    Control(Control, Arc<[u8]>),
}

impl Item {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Media(frame) => frame.wire(),
            Self::Control(_, bytes) => bytes,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    items: VecDeque<Item>,
    /// Bytes of the first item that are written.
    written: usize,
    /// Bytes that wait.
    waiting: usize,
    /// The last media frame written was not the end of its picture.
    mid_picture: bool,
}

impl Outbox {
    /// Queues a media frame.
    pub fn media(&mut self, frame: Arc<Frame>) {
        self.waiting += frame.wire().len();
        self.items.push_back(Item::Media(frame));
    }

    /// Queues a control frame (a whole WebSocket frame).
    pub fn control(&mut self, kind: Control, frame: impl Into<Arc<[u8]>>) {
        let frame = frame.into();
        if kind == Control::Pong {
            // The first item may be half written.
            let keep = usize::from(self.written > 0);
            let old = self
                .items
                .iter()
                .skip(keep)
                .position(|i| matches!(i, Item::Control(Control::Pong, _)));
            if let Some(index) = old
                && let Some(item) = self.items.remove(index + keep)
            {
                self.waiting -= item.bytes().len();
            }
        }
        self.waiting += frame.len();
        self.items.push_back(Item::Control(kind, frame));
    }

    /// Takes note that media was written past it, and whether that left a picture open; the
    /// frame `begun` and how much of it is written, if the last write stopped inside one.
    ///
    /// # Panics
    /// Something waits.
    pub fn resume(&mut self, begun: Option<(Arc<Frame>, usize)>, mid_picture: bool) {
        assert!(self.items.is_empty(), "written past what waits");
        self.mid_picture = mid_picture;
        if let Some((frame, written)) = begun {
            self.waiting = frame.wire().len() - written;
            self.written = written;
            self.items.push_back(Item::Media(frame));
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Frames that wait, media and control.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The first media frame that was not begun.
    #[must_use]
    pub fn first_unsent(&self) -> Option<&Arc<Frame>> {
        let begun = usize::from(self.written > 0);
        self.items.iter().skip(begun).find_map(|item| match item {
            Item::Media(frame) => Some(frame),
            Item::Control(..) => None,
        })
    }

    /// Leaves out all media that waits, except what is needed to end the picture that was
    /// begun. Control frames stay, but for those that describe what is left out. Returns the
    /// ring position of the first frame left out.
    pub fn skip(&mut self) -> Option<u64> {
        let mut open = self.mid_picture;
        let mut begun = self.written > 0;
        let mut first = None;
        let mut waiting = 0;
        let written = self.written;
        self.items.retain(|item| {
            let keep = match item {
                Item::Media(frame) if begun || open => {
                    open = !frame.ends_picture;
                    true
                }
                Item::Media(frame) => {
                    first.get_or_insert(frame.pos);
                    false
                }
                Item::Control(Control::Place, _) => begun || open,
                Item::Control(..) => true,
            };
            begun = false;
            waiting += if keep { item.bytes().len() } else { 0 };
            keep
        });
        self.waiting = waiting - written.min(waiting);
        first
    }

    /// Drops everything but the frame that was begun, for a close frame that must get out.
    pub fn clear_unsent(&mut self) {
        let begun = usize::from(self.written > 0);
        self.items.truncate(begun);
        self.waiting = self
            .items
            .front()
            .map_or(0, |i| i.bytes().len() - self.written);
    }

    /// Fills `slices` with what waits; returns how many are used.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut used = 0;
        for (item, slot) in self.items.iter().zip(slices.iter_mut()) {
            let skip = if used == 0 { self.written } else { 0 };
            *slot = IoSlice::new(&item.bytes()[skip..]);
            used += 1;
        }
        used
    }

    /// Takes note of `n` written bytes and calls `done` for each media frame they complete.
    ///
    /// # Panics
    /// `n` is more than waits.
    pub fn written(&mut self, n: usize, mut done: impl FnMut(&Frame)) {
        assert!(n <= self.waiting, "wrote {n} of {} bytes", self.waiting);
        self.waiting -= n;
        self.written += n;
        while let Some(item) = self.items.front() {
            let len = item.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            if let Item::Media(frame) = item {
                self.mid_picture = !frame.ends_picture;
                done(frame);
            }
            self.items.pop_front();
        }
        if self.items.is_empty() && self.items.capacity() > KEPT {
            self.items.shrink_to(KEPT);
        }
    }
}

impl Buf for Outbox {
    fn remaining(&self) -> usize {
        self.waiting
    }

    fn chunk(&self) -> &[u8] {
        self.items
            .front()
            .map_or(&[], |item| &item.bytes()[self.written..])
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.slices(slices)
    }

    fn advance(&mut self, n: usize) {
        self.written(n, |_| {});
    }
}
