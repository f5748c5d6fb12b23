//! Continuity counters, one for each PID (ISO 13818-1 2.4.3.3).

use std::collections::HashMap;

use crate::packet::{Packet, Pid};

/// Checks the continuity counters of a stream.
#[derive(Debug, Default)]
pub struct Continuity {
    pids: HashMap<Pid, Last>,
}

#[derive(Debug)]
struct Last {
    counter: u8,
    duplicated: bool,
    /// The end of the last packet with a payload: a repeat must carry the same.
    fingerprint: [u8; 8],
}

/// What the counter of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The expected packet, or the first of its PID, or an announced discontinuity.
    Next,
    /// The packet before, sent a second time (allowed once); its payload does not count.
    Duplicate,
    /// Packets are missing or out of order.
    Gap,
}

// === impl Continuity ===

impl Continuity {
    /// A checker that has seen no packet.
    pub fn new() -> Continuity {
        Continuity::default()
    }

    /// Judges the next packet of the stream.
    pub fn check(&mut self, packet: &Packet<'_>) -> Step {
        let pid = packet.pid();
        if pid == Pid::NULL {
            return Step::Next;
        }
        let counter = packet.continuity_counter();
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&packet.as_bytes()[180..]);
        let Some(last) = self.pids.get_mut(&pid) else {
            self.pids.insert(
                pid,
                Last {
                    counter,
                    duplicated: false,
                    fingerprint,
                },
            );
            return Step::Next;
        };
        let announced = packet
            .adaptation()
            .is_some_and(|field| field.discontinuity());
        // Packets without payload repeat the counter of the one before.
        let step = if !packet.has_payload() {
            if counter == last.counter || announced {
                Step::Next
            } else {
                Step::Gap
            }
        } else if announced || counter == (last.counter + 1) & 0x0f {
            Step::Next
        } else if counter == last.counter && !last.duplicated && fingerprint == last.fingerprint {
            Step::Duplicate
        } else {
            Step::Gap
        };
        last.counter = counter;
        if packet.has_payload() {
            last.duplicated = step == Step::Duplicate;
            last.fingerprint = fingerprint;
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PACKET_SIZE;

    fn packet(counter: u8, fill: u8) -> [u8; PACKET_SIZE] {
        let mut bytes = [fill; PACKET_SIZE];
        bytes[..4].copy_from_slice(&[0x47, 1, 0, 0x10 | counter]);
        bytes
    }

    fn steps(packets: &[[u8; PACKET_SIZE]]) -> Vec<Step> {
        let mut continuity = Continuity::new();
        packets
            .iter()
            .map(|bytes| continuity.check(&Packet::new(bytes).unwrap()))
            .collect()
    }

    #[test]
    fn counts_modulo_16() {
        let packets: Vec<_> = (14..20).map(|i| packet(i & 15, i)).collect();
        assert!(steps(&packets).iter().all(|step| *step == Step::Next));
    }

    #[test]
    fn a_duplicate_is_allowed_once_and_only_if_it_is_one() {
        use Step::{Duplicate, Gap, Next};
        let a = packet(3, 1);
        assert_eq!(steps(&[a, a, packet(4, 2)]), [Next, Duplicate, Next]);
        assert_eq!(steps(&[a, a, a]), [Next, Duplicate, Gap]);
        // Fifteen packets lost: the same counter, another payload... sixteen later.
        assert_eq!(steps(&[a, packet(3, 9)]), [Next, Gap]);
    }

    #[test]
    fn a_jump_is_a_gap_once() {
        use Step::{Gap, Next};
        assert_eq!(
            steps(&[packet(1, 1), packet(3, 2), packet(4, 3)]),
            [Next, Gap, Next]
        );
    }

    #[test]
    fn an_announced_discontinuity_resets() {
        let mut jump = packet(9, 2);
        jump[3] = 0x39;
        jump[4] = 1;
        jump[5] = 0x80;
        assert_eq!(steps(&[packet(1, 1), jump, packet(10, 3)]), [Step::Next; 3]);
    }

    #[test]
    fn packets_without_payload_do_not_advance() {
        let mut empty = packet(1, 0xff);
        empty[3] = 0x21;
        empty[4] = 183;
        empty[5] = 0;
        assert_eq!(steps(&[packet(1, 1), empty, packet(2, 3)]), [Step::Next; 3]);
    }
}
