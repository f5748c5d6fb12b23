//! [`Assembly`]: the packets of the chunk that is open, copied only where it spans runs.

use bytes::{Bytes, BytesMut};

use crate::packet::PACKET_SIZE;

#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// Accepted packets of earlier runs.
    held: Held,
    run: Bytes,
    /// Where the open chunk starts in `run`.
    start: usize,
    /// The next packet in `run`.
    next: usize,
}

#[derive(Debug, Default)]
enum Held {
    #[default]
    Nothing,
    Slice(Bytes),
    Copy(BytesMut),
}

// === impl Assembly ===

impl Assembly {
    /// Goes on with the next run, after all packets of the last one were accepted.
    pub(crate) fn load(&mut self, run: Bytes) {
        let rest = self.run.slice(self.start..self.next);
        self.held.append(rest);
        self.run = run;
        self.start = 0;
        self.next = 0;
    }

    /// The next packet of the run.
    pub(crate) fn peek(&self) -> Option<&[u8; PACKET_SIZE]> {
        self.run[self.next..].first_chunk()
    }

    /// Puts the packet that was peeked at into the open chunk.
    pub(crate) fn accept(&mut self) {
        self.next += PACKET_SIZE;
    }

    /// Length of the open chunk in bytes.
    pub(crate) fn len(&self) -> usize {
        self.held.len() + self.next - self.start
    }

    /// Cuts off the first `length` bytes of the open chunk.
    pub(crate) fn cut(&mut self, length: usize) -> Bytes {
        if let Some(missing) = length.checked_sub(self.held.len()) {
            let part = self.run.slice(self.start..self.start + missing);
            self.start += missing;
            self.held.append(part);
            self.held.take()
        } else {
            self.held.split_to(length)
        }
    }
}

// === impl Held ===

impl Held {
    fn len(&self) -> usize {
        match self {
            Held::Nothing => 0,
            Held::Slice(bytes) => bytes.len(),
            Held::Copy(bytes) => bytes.len(),
        }
    }

    fn append(&mut self, more: Bytes) {
        if more.is_empty() {
            return;
        }
        match self {
            Held::Nothing => *self = Held::Slice(more),
            Held::Slice(first) => {
                let mut copy = BytesMut::with_capacity(2 * (first.len() + more.len()));
                copy.extend_from_slice(first);
                copy.extend_from_slice(&more);
                *self = Held::Copy(copy);
            }
            Held::Copy(bytes) => bytes.extend_from_slice(&more),
        }
    }

    fn take(&mut self) -> Bytes {
        match std::mem::take(self) {
            Held::Nothing => Bytes::new(),
            Held::Slice(bytes) => bytes,
            Held::Copy(bytes) => bytes.freeze(),
        }
    }

    fn split_to(&mut self, length: usize) -> Bytes {
        let mut all = self.take();
        let first = all.split_to(length);
        self.append(all);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_within_one_run_is_a_slice_of_it() {
        let run = Bytes::from(vec![7; 4 * PACKET_SIZE]);
        let mut assembly = Assembly::default();
        assembly.load(run.clone());
        for _ in 0..4 {
            assert!(assembly.peek().is_some());
            assembly.accept();
        }
        assert!(assembly.peek().is_none());
        let first = assembly.cut(PACKET_SIZE);
        let second = assembly.cut(3 * PACKET_SIZE);
        assert_eq!(first.as_ptr(), run.as_ptr());
        assert_eq!(second.as_ptr(), run[PACKET_SIZE..].as_ptr());
        assert_eq!(assembly.len(), 0);
    }

    #[test]
    fn runs_are_joined_and_cut_anywhere() {
        let data: Vec<u8> = (0..6 * PACKET_SIZE)
            .map(|i| (i / PACKET_SIZE) as u8)
            .collect();
        for cut in 1..6 {
            let mut assembly = Assembly::default();
            for run in data.chunks(2 * PACKET_SIZE) {
                assembly.load(Bytes::copy_from_slice(run));
                assembly.accept();
                assembly.accept();
            }
            assert_eq!(assembly.len(), data.len());
            assert_eq!(assembly.cut(cut * PACKET_SIZE), data[..cut * PACKET_SIZE]);
            assert_eq!(assembly.cut(assembly.len()), data[cut * PACKET_SIZE..]);
        }
    }
}
