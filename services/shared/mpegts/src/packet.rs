//! A read-only view of one 188-byte transport packet (ISO 13818-1 2.4.3).
//!
//! Nothing here keeps state; malformed fields read as absent.

use std::fmt;

/// Length of a transport packet in bytes.
pub const PACKET_SIZE: usize = 188;
/// First byte of every transport packet.
pub const SYNC_BYTE: u8 = 0x47;

/// A 13-bit packet identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(u16);

/// One aligned transport packet.
#[derive(Clone, Copy)]
pub struct Packet<'a> {
    bytes: &'a [u8; PACKET_SIZE],
}

/// The adaptation field of a packet, without its length byte.
#[derive(Clone, Copy)]
pub struct AdaptationField<'a> {
    bytes: &'a [u8],
}

/// Program clock reference in units of 27 MHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pcr(pub u64);

// === impl Pid ===

impl Pid {
    /// Program association table.
    pub const PAT: Pid = Pid(0);
    /// Service description table (EN 300 468); ffmpeg opens every run with it.
    pub const SDT: Pid = Pid(17);
    /// Null packets.
    pub const NULL: Pid = Pid(0x1fff);

    /// The identifier in the low 13 bits of `value`.
    pub const fn new(value: u16) -> Pid {
        Pid(value & 0x1fff)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// True for 0..=0x1f, which ISO 13818-1 and EN 300 468 keep for tables.
    pub const fn is_reserved_table(self) -> bool {
        self.0 <= 0x1f
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pid({:#06x})", self.0)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

// === impl Packet ===

impl<'a> Packet<'a> {
    /// A view of `bytes`; `None` unless these are 188 bytes that start with the sync byte.
    pub fn new(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let bytes: &[u8; PACKET_SIZE] = bytes.try_into().ok()?;
        (bytes[0] == SYNC_BYTE).then_some(Packet { bytes })
    }

    /// All 188 bytes.
    pub fn as_bytes(&self) -> &'a [u8; PACKET_SIZE] {
        self.bytes
    }

    /// transport_error_indicator: a demodulator found a bit error it could not mend.
    pub fn transport_error(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// payload_unit_start_indicator: a PES packet starts here, or a section (after a pointer).
    pub fn unit_start(&self) -> bool {
        self.bytes[1] & 0x40 != 0
    }

    /// The packet identifier.
    pub fn pid(&self) -> Pid {
        Pid::new(u16::from_be_bytes([self.bytes[1], self.bytes[2]]))
    }

    /// True where transport_scrambling_control is not 0: the payload cannot be read.
    pub fn scrambled(&self) -> bool {
        self.bytes[3] & 0xc0 != 0
    }

    /// continuity_counter, 0..=15.
    pub fn continuity_counter(&self) -> u8 {
        self.bytes[3] & 0x0f
    }

    /// True where adaptation_field_control announces a payload.
    pub fn has_payload(&self) -> bool {
        self.bytes[3] & 0x10 != 0
    }

    fn has_adaptation(&self) -> bool {
        self.bytes[3] & 0x20 != 0
    }

    /// True where adaptation_field_control is the reserved 0 or the adaptation field does not fit.
    pub fn malformed(&self) -> bool {
        match (self.has_adaptation(), self.has_payload()) {
            (false, false) => true,
            (false, true) => false,
            (true, true) => self.bytes[4] > 182,
            (true, false) => self.bytes[4] != 183,
        }
    }

    /// The adaptation field, if there is a well-formed one.
    pub fn adaptation(&self) -> Option<AdaptationField<'a>> {
        if !self.has_adaptation() || self.malformed() {
            return None;
        }
        let length = usize::from(self.bytes[4]);
        Some(AdaptationField {
            bytes: &self.bytes[5..5 + length],
        })
    }

    /// The payload, if there is one and the adaptation field before it is well formed.
    pub fn payload(&self) -> Option<&'a [u8]> {
        if !self.has_payload() || self.malformed() {
            return None;
        }
        let start = if self.has_adaptation() {
            5 + usize::from(self.bytes[4])
        } else {
            4
        };
        Some(&self.bytes[start..])
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet")
            .field("pid", &self.pid())
            .field("unit_start", &self.unit_start())
            .field("continuity_counter", &self.continuity_counter())
            .field("payload", &self.payload().map(<[u8]>::len))
            .finish()
    }
}

// === impl AdaptationField ===

impl AdaptationField<'_> {
    fn flag(&self, mask: u8) -> bool {
        self.bytes.first().is_some_and(|flags| flags & mask != 0)
    }

    /// discontinuity_indicator: the continuity counter or the clock may jump here.
    pub fn discontinuity(&self) -> bool {
        self.flag(0x80)
    }

    /// random_access_indicator: a hint only, see [`crate::PictureType`].
    pub fn random_access(&self) -> bool {
        self.flag(0x40)
    }

    /// The program clock reference, if the packet carries one.
    pub fn pcr(&self) -> Option<Pcr> {
        if !self.flag(0x10) {
            return None;
        }
        let b = self.bytes.get(1..7)?;
        let base =
            u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])) << 1 | u64::from(b[4] >> 7);
        let extension = u64::from(b[4] & 1) << 8 | u64::from(b[5]);
        Some(Pcr(base * 300 + extension))
    }

    /// True where the field holds stuffing.
    ///
    /// In a packet of a PES this says that the PES had too little data left to fill it
    /// (ISO 13818-1 2.4.3.5), so it is the last packet of that PES.
    pub fn has_stuffing(&self) -> bool {
        // A length of 0 is the one-byte form of stuffing.
        let Some(&flags) = self.bytes.first() else {
            return true;
        };
        let mut used = 1;
        if flags & 0x10 != 0 {
            used += 6;
        }
        if flags & 0x08 != 0 {
            used += 6;
        }
        if flags & 0x04 != 0 {
            used += 1;
        }
        for mask in [0x02, 0x01] {
            // transport_private_data, then adaptation_field_extension: a length byte each.
            if flags & mask != 0 {
                used += 1 + self
                    .bytes
                    .get(used)
                    .map_or(0, |length| usize::from(*length));
            }
        }
        self.bytes.len() > used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(head: &[u8]) -> [u8; PACKET_SIZE] {
        let mut bytes = [0xff; PACKET_SIZE];
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    #[test]
    fn reads_header_fields() {
        let bytes = packet(&[0x47, 0x41, 0x00, 0x1a]);
        let packet = Packet::new(&bytes).unwrap();
        assert_eq!(packet.pid(), Pid::new(0x100));
        assert!(packet.unit_start());
        assert!(!packet.transport_error());
        assert!(!packet.scrambled());
        assert_eq!(packet.continuity_counter(), 10);
        assert_eq!(packet.payload().unwrap().len(), 184);
        assert!(packet.adaptation().is_none());
    }

    #[test]
    fn refuses_what_is_not_a_packet() {
        assert!(Packet::new(&[0x47; 187]).is_none());
        assert!(Packet::new(&[0x48; 188]).is_none());
    }

    #[test]
    fn reads_pcr_and_flags() {
        // base 90_000 (1 s), extension 150
        let base: u64 = 90_000;
        let b = ((base >> 1) as u32).to_be_bytes();
        let bytes = packet(&[
            0x47,
            1,
            0,
            0x30,
            7,
            0xd0,
            b[0],
            b[1],
            b[2],
            b[3],
            (base as u8 & 1) << 7,
            150,
        ]);
        let packet = Packet::new(&bytes).unwrap();
        let field = packet.adaptation().unwrap();
        assert!(field.discontinuity());
        assert!(field.random_access());
        assert_eq!(field.pcr(), Some(Pcr(27_000_000 + 150)));
        assert!(!field.has_stuffing());
        assert_eq!(packet.payload().unwrap().len(), 176);
    }

    #[test]
    fn knows_stuffing_from_content() {
        let cases: [(&[u8], bool); 5] = [
            (&[0x47, 1, 0, 0x30, 0], true),
            (&[0x47, 1, 0, 0x30, 1, 0x40], false),
            (&[0x47, 1, 0, 0x30, 2, 0x40, 0xff], true),
            (&[0x47, 1, 0, 0x30, 4, 0x02, 2, 1, 1], false),
            (&[0x47, 1, 0, 0x30, 5, 0x02, 2, 1, 1, 0xff], true),
        ];
        for (head, stuffed) in cases {
            let bytes = packet(head);
            let field = Packet::new(&bytes).unwrap().adaptation().unwrap();
            assert_eq!(field.has_stuffing(), stuffed, "{head:02x?}");
        }
    }

    #[test]
    fn an_adaptation_field_that_does_not_fit_reads_as_absent() {
        for head in [
            [0x47, 1, 0, 0x30, 183],
            [0x47, 1, 0, 0x20, 182],
            [0x47, 1, 0, 0x00, 0],
        ] {
            let bytes = packet(&head);
            let packet = Packet::new(&bytes).unwrap();
            assert!(packet.malformed(), "{head:02x?}");
            assert!(packet.payload().is_none());
            assert!(packet.adaptation().is_none());
        }
    }
}
