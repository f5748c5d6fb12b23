//! The short way to a viewer's socket: while a viewer stands at the head and its socket takes
//! everything, the hub writes new frames to it without waking its task.
//!
//! A lane has one owner at a time. The task lends it when it has nothing to do and takes it back
//! before it does anything; who fans out hands it back with what it could not write, and wakes.

use std::io::{self, IoSlice};
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Frame;

/// Where a viewer stands, and the socket to go on with.
#[derive(Debug)]
pub struct Lane {
    /// A plain TCP connection between two WebSocket frames, unless `begun` says otherwise.
    pub socket: Arc<TcpStream>,
    /// Position of the frame that comes next.
    pub next: u64,
    /// The last frame written was not the end of its picture.
    pub mid_picture: bool,
    /// From here on the task has something to say before the next frame. `None`: never, whatever
    /// comes.
    pub until: Option<Instant>,
    /// A frame that the socket took a part of, which ends before `next`.
    pub begun: Option<Begun>,
}

/// See [`Lane::begun`].
#[derive(Debug)]
pub struct Begun {
    /// The frame.
    pub frame: Arc<Frame>,
    /// Bytes of it that are written; less than all.
    pub written: usize,
}

/// New frames, in order and without a hole between them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) frames: Vec<Arc<Frame>>,
    /// Position of the first one.
    first: u64,
    /// They continue the frame before them and start nothing.
    steady: bool,
    now: Instant,
}

/// Most bytes that lanes are given at once: what is more takes the task's way, which is bounded.
const MAX_BATCH: usize = 96 << 10;

/// Most frames at once.
const MAX_FRAMES: usize = 16;

impl Batch {
    /// Frames that begin at `first`, all that came since. `None` if they are not for lanes.
    pub(super) fn new(first: u64, frames: Vec<Arc<Frame>>, steady: bool) -> Option<Self> {
        let bytes: usize = frames.iter().map(|frame| frame.wire().len()).sum();
        let small = bytes <= MAX_BATCH && frames.len() <= MAX_FRAMES;
        let traced = frames.iter().any(|frame| frame.trace.is_some());
        let fit = (small || frames.len() == 1) && !traced && frames.first()?.pos == first;
        fit.then(|| Self {
            frames,
            first,
            steady,
            now: Instant::now(),
        })
    }

    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn suits(&self, lane: &Lane) -> bool {
        lane.begun.is_none()
            && lane.next == self.first
            && lane
                .until
                .is_none_or(|until| self.steady && self.now < until)
    }
}

impl Lane {
    /// Writes the batch. Returns how many of its frames are written now, and whether the lane
    /// can go on; if not its task has to see to it.
    pub(super) fn write(&mut self, batch: &Batch) -> (usize, bool) {
        if self.begun.is_none() && self.next >= batch.end() {
            return (0, true);
        }
        if !batch.suits(self) {
            return (0, false);
        }
        let socket = SockRef::from(&*self.socket);
        let result = match batch.frames.as_slice() {
            [frame] => socket.send(frame.wire()),
            frames => {
                let mut slices = [IoSlice::new(&[]); MAX_FRAMES];
                for (slot, frame) in slices.iter_mut().zip(frames) {
                    *slot = IoSlice::new(frame.wire());
                }
                socket.send_vectored(&slices[..frames.len()])
            }
        };
        self.wrote(batch, &result)
    }

    fn wrote(&mut self, batch: &Batch, result: &io::Result<usize>) -> (usize, bool) {
        // Full or gone: the task tries again and sees which.
        let mut left = *result.as_ref().unwrap_or(&0);
        for (whole, frame) in batch.frames.iter().enumerate() {
            let len = frame.wire().len();
            if left < len {
                if left > 0 {
                    let frame = Arc::clone(frame);
                    self.next += 1;
                    self.begun = Some(Begun {
                        frame,
                        written: left,
                    });
                }
                return (whole, false);
            }
            left -= len;
            self.next += 1;
            self.mid_picture = !frame.ends_picture;
        }
        (batch.frames.len(), true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::super::testing::{frame, part};
    use super::*;

    /// A lane that stands at 5, and the other end of its connection.
    async fn lane() -> (Lane, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let lane = Lane {
            socket: Arc::new(server.unwrap().0),
            next: 5,
            mid_picture: false,
            until: None,
            begun: None,
        };
        (lane, client.unwrap())
    }

    fn batch(frames: impl IntoIterator<Item = Frame>, steady: bool) -> Batch {
        let frames: Vec<_> = frames.into_iter().map(Arc::new).collect();
        Batch::new(frames[0].pos, frames, steady).unwrap()
    }

    async fn read(client: &mut TcpStream, batch: &Batch) {
        for frame in &batch.frames {
            let mut got = vec![0; frame.wire().len()];
            client.read_exact(&mut got).await.unwrap();
            assert_eq!(got, frame.wire());
        }
    }

    #[tokio::test]
    async fn one_frame_or_several_go_out_in_order() {
        let (mut lane, mut client) = lane().await;
        let one = batch([part(5, 1, 2)], true);
        assert_eq!(lane.write(&one), (1, true));
        assert!((lane.next, lane.mid_picture) == (6, true));
        read(&mut client, &one).await;
        let more = batch([part(6, 2, 2), frame(7, true), frame(8, false)], false);
        assert_eq!(lane.write(&more), (3, true));
        assert!((lane.next, lane.mid_picture) == (9, false));
        read(&mut client, &more).await;
        assert_eq!(lane.write(&more), (0, true), "it has them already");
    }

    #[tokio::test]
    async fn who_stands_elsewhere_or_has_something_to_say_is_left_to_its_task() {
        let (mut lane, client) = lane().await;
        assert_eq!(lane.write(&batch([frame(6, false)], true)), (0, false));
        lane.until = Some(Instant::now() + Duration::from_secs(60));
        assert_eq!(lane.write(&batch([frame(5, false)], false)), (0, false));
        lane.until = Some(Instant::now());
        assert_eq!(lane.write(&batch([frame(5, false)], true)), (0, false));
        assert_eq!(lane.next, 5);
        drop(lane);
        let mut rest = Vec::new();
        let mut client = client;
        assert_eq!(client.read_to_end(&mut rest).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_the_socket_does_not_take_is_handed_back() {
        let (mut lane, mut client) = lane().await;
        SockRef::from(&*lane.socket)
            .set_send_buffer_size(4 << 10)
            .unwrap();
        let mut sent = Vec::new();
        let mut pos = 5;
        loop {
            let next = batch([frame(pos, false), frame(pos + 1, false)], true);
            let (whole, goes_on) = lane.write(&next);
            pos += 2;
            sent.extend(next.frames.iter().cloned());
            if !goes_on {
                assert!(whole < 2);
                break;
            }
        }
        // Then it keeps its hands off until somebody has seen to it.
        let later = batch([frame(lane.next, false)], true);
        let stuck = lane.begun.is_some() || lane.next < pos;
        assert!(stuck && (lane.begun.is_none() || lane.write(&later) == (0, false)));

        let begun = lane.begun.take();
        let whole = lane.next - 5 - u64::from(begun.is_some());
        let mut expected: Vec<u8> = Vec::new();
        for frame in &sent[..usize::try_from(whole).unwrap()] {
            expected.extend(frame.wire());
        }
        if let Some(Begun { frame, written }) = begun {
            assert_eq!(frame.pos + 1, lane.next);
            expected.extend(&frame.wire()[..written]);
        }
        drop(lane);
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    }

    #[tokio::test]
    async fn a_batch_is_small_and_begins_where_it_says() {
        let frames = |n| {
            (0..n)
                .map(|i| Arc::new(frame(i, false)))
                .collect::<Vec<_>>()
        };
        assert!(Batch::new(0, frames(3), true).is_some());
        assert!(Batch::new(1, frames(3), true).is_none(), "evicted before");
        assert!(Batch::new(0, frames(MAX_FRAMES as u64 + 1), true).is_none());
        assert!(Batch::new(0, Vec::new(), true).is_none());
    }
}
