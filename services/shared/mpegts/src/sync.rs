//! [`Aligner`]: arbitrary bytes in, runs of whole packets out.
//!
//! Every decision depends on the bytes alone, never on how they were split into pushes.
//! While locked, runs are slices of what was pushed; only a packet that spans two pushes and
//! the few bytes needed to find sync are copied.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::packet::{PACKET_SIZE, SYNC_BYTE};

/// Sync bytes, one packet apart, that must be seen before a boundary is believed.
/// A lone 0x47 is as likely payload as boundary.
const CONFIRMATIONS: usize = 3;

/// Finds packet boundaries.
#[derive(Debug, Default)]
pub struct Aligner {
    queue: VecDeque<Bytes>,
    input: Bytes,
    /// Start of a packet (locked) or bytes not yet judged (searching).
    carry: Vec<u8>,
    locked: bool,
    /// Inside a stretch of skipped bytes, which is counted once.
    losing: bool,
    ended: bool,
    losses: u64,
    skipped_bytes: u64,
    truncated: u64,
    packets: u64,
    unsynced: u64,
}

enum Search {
    Found(usize),
    /// Everything before this offset is no boundary; the rest needs more bytes.
    NeedMore(usize),
}

// === impl Aligner ===

impl Aligner {
    /// An aligner that has seen nothing.
    pub fn new() -> Aligner {
        Aligner::default()
    }

    /// Adds input. Fetch what it completes with [`Aligner::next_run`].
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queue.push_back(bytes);
        }
    }

    /// The next run of one or more whole packets, or `None` if more input is needed.
    pub fn next_run(&mut self) -> Option<Bytes> {
        loop {
            if self.input.is_empty() {
                match self.queue.pop_front() {
                    Some(next) => self.input = next,
                    None if self.ended => return self.tail(),
                    None => return None,
                }
            }
            let run = if self.locked {
                self.take_locked()
            } else {
                self.search()
            };
            if let Some(run) = run {
                return Some(self.counted(run));
            }
        }
    }

    /// Says that no more input comes: [`Aligner::next_run`] then also gives what is left over.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// True while packets follow each other without a hole.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// True while the input ended inside a packet, so the writer is not done with its write.
    pub fn is_mid_packet(&self) -> bool {
        self.locked && !self.carry.is_empty()
    }

    /// How often sync was lost, garbage at the very start included.
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// Bytes that belonged to no packet.
    pub fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }

    /// 1 if the input ended inside a packet.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    /// Whole packets handed out.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes received since the last whole packet; large where the input is no transport stream.
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced + self.carry.len() as u64
    }

    fn counted(&mut self, run: Bytes) -> Bytes {
        self.packets += (run.len() / PACKET_SIZE) as u64;
        self.unsynced = 0;
        run
    }

    fn skip(&mut self, bytes: usize) {
        if bytes > 0 && !self.losing {
            self.losing = true;
            self.losses += 1;
        }
        self.skipped_bytes += bytes as u64;
        self.unsynced += bytes as u64;
    }

    fn take_locked(&mut self) -> Option<Bytes> {
        if !self.carry.is_empty() {
            let missing = PACKET_SIZE - self.carry.len();
            let part = self.input.split_to(missing.min(self.input.len()));
            self.carry.extend_from_slice(&part);
            let whole = self.carry.len() == PACKET_SIZE;
            return whole.then(|| Bytes::from(std::mem::take(&mut self.carry)));
        }
        let whole = self.input.chunks_exact(PACKET_SIZE);
        let packets = whole.take_while(|packet| packet[0] == SYNC_BYTE).count();
        if packets > 0 {
            return Some(self.input.split_to(packets * PACKET_SIZE));
        }
        if self.input[0] == SYNC_BYTE {
            self.carry.extend_from_slice(&self.input);
            self.input.clear();
        } else {
            self.locked = false;
            self.losing = false;
        }
        None
    }

    fn search(&mut self) -> Option<Bytes> {
        if !self.carry.is_empty() {
            self.carry.extend_from_slice(&self.input);
            self.input = Bytes::from(std::mem::take(&mut self.carry));
        }
        match find_boundary(&self.input) {
            Search::Found(offset) => {
                self.skip(offset);
                self.input.advance(offset);
                self.locked = true;
                self.losing = false;
            }
            Search::NeedMore(offset) => {
                self.skip(offset);
                self.carry.extend_from_slice(&self.input[offset..]);
                self.input.clear();
            }
        }
        None
    }

    /// After the end there is nothing left to confirm a boundary with: it is believed if each
    /// following one up to the end fits.
    fn tail(&mut self) -> Option<Bytes> {
        let mut rest = Bytes::from(std::mem::take(&mut self.carry));
        if !self.locked {
            let Some(offset) = (0..rest.len()).find(|offset| fits_to_the_end(&rest[*offset..]))
            else {
                self.skip(rest.len());
                return None;
            };
            self.skip(offset);
            rest.advance(offset);
            self.locked = true;
            let whole = rest.len() / PACKET_SIZE * PACKET_SIZE;
            self.carry.extend_from_slice(&rest[whole..]);
            return Some(self.counted(rest.slice(..whole)));
        }
        if !rest.is_empty() {
            self.truncated += 1;
            self.skipped_bytes += rest.len() as u64;
            self.unsynced += rest.len() as u64;
        }
        None
    }
}

fn find_boundary(data: &[u8]) -> Search {
    let mut from = 0;
    while let Some(found) = data[from..].iter().position(|byte| *byte == SYNC_BYTE) {
        let offset = from + found;
        let mut known = true;
        let fits = (1..CONFIRMATIONS).all(|n| match data.get(offset + n * PACKET_SIZE) {
            Some(byte) => *byte == SYNC_BYTE,
            None => {
                known = false;
                true
            }
        });
        match (fits, known) {
            (true, true) => return Search::Found(offset),
            (true, false) => return Search::NeedMore(offset),
            (false, _) => from = offset + 1,
        }
    }
    Search::NeedMore(data.len())
}

fn fits_to_the_end(data: &[u8]) -> bool {
    let boundaries = data.len().div_ceil(PACKET_SIZE);
    data.len() >= PACKET_SIZE
        && data
            .iter()
            .step_by(PACKET_SIZE)
            .all(|byte| *byte == SYNC_BYTE)
        && (boundaries > 1 || data.len() == PACKET_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(n: usize) -> Vec<u8> {
        let packet = |i: usize| {
            let mut packet = vec![i as u8; PACKET_SIZE];
            packet[0] = SYNC_BYTE;
            packet
        };
        (1..=n).flat_map(packet).collect()
    }

    fn run(aligner: &mut Aligner, input: &[u8]) -> Vec<u8> {
        aligner.push(Bytes::copy_from_slice(input));
        std::iter::from_fn(|| aligner.next_run())
            .flatten()
            .collect()
    }

    #[test]
    fn a_locked_run_is_a_slice_of_the_push() {
        let mut aligner = Aligner::new();
        let input = Bytes::from(packets(5));
        aligner.push(input.clone());
        let run = aligner.next_run().unwrap();
        assert_eq!(run.as_ptr(), input.as_ptr());
        assert_eq!(run.len(), 5 * PACKET_SIZE);
        assert!(aligner.next_run().is_none());
    }

    #[test]
    fn a_lone_sync_byte_is_no_boundary() {
        let mut aligner = Aligner::new();
        let mut input = vec![1, 2, SYNC_BYTE, 3];
        input.extend(packets(4));
        assert_eq!(run(&mut aligner, &input), packets(4));
        assert_eq!((aligner.losses(), aligner.skipped_bytes()), (1, 4));
    }

    #[test]
    fn garbage_between_packets_is_skipped_and_counted_once() {
        let mut aligner = Aligner::new();
        let mut input = packets(4);
        input.extend([9; 500]);
        input.extend(packets(4));
        assert_eq!(run(&mut aligner, &input).len(), 8 * PACKET_SIZE);
        assert_eq!((aligner.losses(), aligner.skipped_bytes()), (1, 500));
        assert!(aligner.is_locked());
    }

    #[test]
    fn half_a_packet_at_the_end_is_counted() {
        let mut aligner = Aligner::new();
        let input = packets(4);
        assert_eq!(run(&mut aligner, &input[..700]).len(), 3 * PACKET_SIZE);
        assert!(aligner.is_mid_packet());
        aligner.finish();
        assert!(aligner.next_run().is_none());
        assert_eq!(
            (aligner.truncated(), aligner.skipped_bytes()),
            (1, 700 - 564)
        );
    }

    #[test]
    fn short_inputs_are_believed_at_their_end() {
        for n in 1..3 {
            let mut aligner = Aligner::new();
            assert!(run(&mut aligner, &packets(n)).is_empty());
            aligner.finish();
            assert_eq!(aligner.next_run().unwrap(), packets(n));
            assert!(aligner.next_run().is_none());
            assert_eq!(aligner.skipped_bytes(), 0);
        }
    }

    #[test]
    fn what_is_no_transport_stream_is_never_locked() {
        let mut aligner = Aligner::new();
        let input: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        assert!(run(&mut aligner, &input).is_empty());
        assert_eq!(aligner.unsynced_bytes(), 100_000);
        assert!(!aligner.is_locked());
    }
}
