//! [`Demuxer`]: follows the tables and the video stream of one transport stream, packet by packet.
//!
//! It keeps no packets. [`crate::Chunker`] asks it for the role of each packet, decides where to
//! cut, then lets it apply the packet.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::codec::{PictureType, UnitScanner, VideoFormat, read_format};
use crate::continuity::{Continuity, Step};
use crate::event::{ErrorCounts, TsErrorKind};
use crate::packet::{Packet, Pid};
use crate::pes::{PesHeader, PesParse};
use crate::psi::{Pat, Pmt, Program, PsiError, Section, SectionAssembler, Stream};
use crate::stream_type::Codec;

#[derive(Debug, Default)]
pub(crate) struct Demuxer {
    continuity: Continuity,
    pat: PatState,
    /// By PID of the PMT.
    programs: BTreeMap<Pid, ProgramState>,
    video: Option<VideoState>,
    unit: Option<UnitState>,
    scanner: UnitScanner,
    errors: ErrorCounts,
    pictures: u64,
}

#[derive(Debug, Default)]
struct PatState {
    assembler: SectionAssembler,
    /// Sections of the version in force, by number.
    sections: BTreeMap<u8, Pat>,
}

#[derive(Debug)]
struct ProgramState {
    number: u16,
    assembler: SectionAssembler,
    pmt: Option<Pmt>,
}

/// The video stream that is followed.
#[derive(Debug)]
struct VideoState {
    pmt: Pid,
    pid: Pid,
    codec: Codec,
    /// The format and the bytes it was read from.
    format: Option<VideoFormat>,
    format_source: (Vec<u8>, Option<Vec<u8>>),
}

#[derive(Debug)]
struct UnitState {
    pes: PesState,
    received: usize,
    complete: Complete,
    too_long: bool,
}

#[derive(Debug)]
enum PesState {
    /// Bytes of a header that spans packets.
    Header(Vec<u8>),
    Body(PesHeader),
    Unreadable,
}

/// Whether an access unit is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complete {
    No,
    /// Its length is not known, its last packet was stuffed.
    Likely,
    Yes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Table,
    /// The first packet of a video PES.
    UnitStart,
    Video,
    Other,
}

/// What [`Demuxer::inspect`] found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inspected {
    pub(crate) role: Role,
    pub(crate) damaged: bool,
    step: Step,
}

/// Tables completed by a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) pat: bool,
    /// The PMT of the program whose video is followed.
    pub(crate) pmt: bool,
}

/// The current access unit as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) picture: PictureType,
    pub(crate) parameter_sets: bool,
    pub(crate) pts: Option<Timestamp>,
    pub(crate) dts: Option<Timestamp>,
    pub(crate) complete: Complete,
}

// === impl Tables ===

impl Tables {
    pub(crate) fn both(self) -> bool {
        self.pat && self.pmt
    }

    pub(crate) fn merge(&mut self, other: Tables) {
        self.pat |= other.pat;
        self.pmt |= other.pmt;
    }
}

// === impl Demuxer ===

impl Demuxer {
    pub(crate) fn errors(&self) -> &ErrorCounts {
        &self.errors
    }

    pub(crate) fn count(&mut self, kind: TsErrorKind) {
        self.errors.count(kind);
    }

    pub(crate) fn pictures(&self) -> u64 {
        self.pictures
    }

    pub(crate) fn format(&self) -> Option<&VideoFormat> {
        self.video.as_ref()?.format.as_ref()
    }

    pub(crate) fn codec(&self) -> Option<Codec> {
        self.video.as_ref().map(|video| video.codec)
    }

    /// Streams of all programs whose PMT is known.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.programs
            .values()
            .filter_map(|program| program.pmt.as_ref())
            .flat_map(|pmt| &pmt.streams)
    }

    /// True once the PMT of every announced program is known.
    pub(crate) fn has_tables(&self) -> bool {
        !self.programs.is_empty() && self.programs.values().all(|program| program.pmt.is_some())
    }

    /// Judges a packet by its header alone.
    pub(crate) fn inspect(&mut self, packet: &Packet<'_>) -> Inspected {
        if packet.transport_error() {
            // No field of it can be believed, its PID included.
            self.errors.count(TsErrorKind::TransportError);
            return Inspected {
                role: Role::Other,
                damaged: true,
                step: Step::Next,
            };
        }
        let step = self.continuity.check(packet);
        let pid = packet.pid();
        let mut damaged = false;
        for (seen, kind) in [
            (step == Step::Gap, TsErrorKind::Continuity),
            (packet.malformed(), TsErrorKind::Malformed),
            (
                packet.scrambled() && pid != Pid::NULL,
                TsErrorKind::Scrambled,
            ),
        ] {
            if seen {
                self.errors.count(kind);
                damaged = true;
            }
        }
        let role = if pid.is_reserved_table() || self.programs.contains_key(&pid) {
            Role::Table
        } else if self.video.as_ref().is_none_or(|video| video.pid != pid)
            || packet.payload().is_none()
        {
            Role::Other
        } else if packet.unit_start() && step != Step::Duplicate {
            Role::UnitStart
        } else {
            Role::Video
        };
        Inspected {
            role,
            damaged,
            step,
        }
    }

    /// Takes in the content of a packet that was inspected just before.
    pub(crate) fn apply(&mut self, packet: &Packet<'_>, inspected: Inspected) -> Tables {
        let payload = packet.payload().unwrap_or_default();
        if inspected.step == Step::Duplicate || packet.scrambled() && inspected.role == Role::Table
        {
            return Tables::default();
        }
        match inspected.role {
            Role::Table => return self.apply_table(packet, payload, inspected.step),
            Role::UnitStart => {
                self.end_unit();
                self.pictures += 1;
                let pes = if packet.scrambled() {
                    PesState::Unreadable
                } else {
                    PesState::Header(Vec::new())
                };
                self.scanner.start();
                self.unit = Some(UnitState {
                    pes,
                    received: 0,
                    complete: Complete::No,
                    too_long: false,
                });
                self.apply_video(packet, payload);
            }
            Role::Video => self.apply_video(packet, payload),
            Role::Other => {}
        }
        Tables::default()
    }

    /// How complete the current access unit is.
    pub(crate) fn complete(&self) -> Complete {
        self.unit
            .as_ref()
            .map_or(Complete::No, |unit| unit.complete)
    }

    /// The current access unit, which is about to be cut off.
    pub(crate) fn unit(&mut self) -> Option<Unit> {
        let codec = self.codec()?;
        if !self.scanner.is_done() {
            self.scanner.finish(codec);
            self.unit_judged(codec);
        }
        let unit = self.unit.as_ref()?;
        let judged = self.scanner.judged(codec);
        let header = match &unit.pes {
            PesState::Body(header) => Some(header),
            _ => None,
        };
        Some(Unit {
            picture: judged.picture,
            parameter_sets: judged.parameter_sets,
            pts: header.and_then(|header| header.pts),
            dts: header.and_then(|header| header.dts),
            complete: unit.complete,
        })
    }

    fn end_unit(&mut self) {
        if let Some(UnitState {
            pes: PesState::Body(header),
            complete: Complete::No,
            ..
        }) = self.unit
            && header.total_len.is_some()
        {
            self.errors.count(TsErrorKind::PesLength);
        }
        self.unit = None;
    }

    fn apply_video(&mut self, packet: &Packet<'_>, payload: &[u8]) {
        let (Some(codec), Some(unit)) = (self.codec(), self.unit.as_mut()) else {
            return;
        };
        unit.received += payload.len();
        match &mut unit.pes {
            PesState::Unreadable => {}
            PesState::Header(bytes) => {
                bytes.extend_from_slice(payload);
                match PesHeader::parse(bytes) {
                    PesParse::Incomplete => {}
                    PesParse::Invalid => {
                        self.errors.count(TsErrorKind::PesHeader);
                        unit.pes = PesState::Unreadable;
                    }
                    PesParse::Header(header) => {
                        self.scanner.push(codec, &bytes[header.header_len..]);
                        unit.pes = PesState::Body(header);
                        if self.scanner.is_done() {
                            self.unit_judged(codec);
                        }
                    }
                }
            }
            PesState::Body(_) => {
                if !self.scanner.is_done() && !packet.scrambled() {
                    self.scanner.push(codec, payload);
                    if self.scanner.is_done() {
                        self.unit_judged(codec);
                    }
                }
            }
        }
        let Some(unit) = self.unit.as_mut() else {
            return;
        };
        let total = match &unit.pes {
            PesState::Body(header) => header.total_len,
            _ => None,
        };
        let stuffed = packet
            .adaptation()
            .is_some_and(|field| field.has_stuffing());
        unit.complete = match total {
            Some(total) if unit.received >= total => Complete::Yes,
            None if stuffed => Complete::Likely,
            _ => Complete::No,
        };
        if total.is_some_and(|total| unit.received > total) && !unit.too_long {
            unit.too_long = true;
            self.errors.count(TsErrorKind::PesLength);
        }
    }

    /// The first slice was seen, or none will come: reads the format if it changed.
    fn unit_judged(&mut self, codec: Codec) {
        let Some(video) = self.video.as_mut() else {
            return;
        };
        let Some((sequence, extension)) = self.scanner.format_key() else {
            return;
        };
        if video.format_source.0 == sequence && video.format_source.1.as_deref() == extension {
            return;
        }
        video.format_source = (sequence.to_vec(), extension.map(<[u8]>::to_vec));
        match read_format(codec, sequence, extension) {
            Ok(format) => video.format = Some(format),
            Err(_) => {
                video.format = None;
                self.errors.count(TsErrorKind::ParameterSet);
            }
        }
    }

    fn apply_table(&mut self, packet: &Packet<'_>, payload: &[u8], step: Step) -> Tables {
        let pid = packet.pid();
        let assembler = if pid == Pid::PAT {
            &mut self.pat.assembler
        } else if let Some(program) = self.programs.get_mut(&pid) {
            &mut program.assembler
        } else {
            return Tables::default();
        };
        if step == Step::Gap {
            assembler.reset();
        }
        let mut sections = Vec::new();
        let result = assembler.push(payload, packet.unit_start(), |section| {
            sections.push(section.to_vec())
        });
        let mut tables = Tables::default();
        let results = sections
            .iter()
            .map(|bytes| self.apply_section(pid, bytes, &mut tables));
        let errors: Vec<_> = results.chain([result]).filter_map(Result::err).collect();
        for error in errors {
            self.errors.count(match error {
                PsiError::Crc => TsErrorKind::PsiCrc,
                PsiError::Syntax => TsErrorKind::PsiSyntax,
            });
        }
        tables
    }

    fn apply_section(
        &mut self,
        pid: Pid,
        bytes: &[u8],
        tables: &mut Tables,
    ) -> Result<(), PsiError> {
        let expected = if pid == Pid::PAT {
            Pat::TABLE_ID
        } else {
            Pmt::TABLE_ID
        };
        // Other tables may share the PID of a PMT.
        if bytes[0] != expected {
            return Ok(());
        }
        let section = Section::parse(bytes)?;
        if !section.current {
            return Ok(());
        }
        if pid == Pid::PAT {
            let pat = Pat::parse(&section)?;
            self.apply_pat(&section, pat);
            tables.pat = true;
        } else {
            let pmt = Pmt::parse(&section)?;
            let Some(program) = self.programs.get_mut(&pid) else {
                return Ok(());
            };
            if program.number == pmt.program {
                program.pmt = Some(pmt);
                self.follow_video();
                tables.pmt |= self.video.as_ref().is_some_and(|video| video.pmt == pid);
            }
        }
        Ok(())
    }

    fn apply_pat(&mut self, section: &Section<'_>, pat: Pat) {
        let sections = &mut self.pat.sections;
        if sections.get(&section.number) == Some(&pat) {
            return;
        }
        sections.retain(|number, old| old.version == pat.version && *number <= section.last_number);
        sections.insert(section.number, pat);
        let programs: Vec<Program> = sections
            .values()
            .flat_map(|pat| pat.programs.iter().copied())
            .collect();
        self.programs.retain(|pid, old| {
            programs
                .iter()
                .any(|p| p.pmt == *pid && p.number == old.number)
        });
        for Program { number, pmt } in programs {
            self.programs.entry(pmt).or_insert_with(|| ProgramState {
                number,
                assembler: SectionAssembler::default(),
                pmt: None,
            });
        }
        self.follow_video();
    }

    /// Keeps the video stream that is followed while a PMT has it; otherwise takes the first one.
    fn follow_video(&mut self) {
        let streams = || {
            self.programs.iter().flat_map(|(pid, program)| {
                let streams = program.pmt.iter().flat_map(|pmt| &pmt.streams);
                streams.filter_map(|s| Some((*pid, s.pid, s.stream_type.codec()?)))
            })
        };
        if let Some(video) = &self.video
            && streams().any(|found| found == (video.pmt, video.pid, video.codec))
        {
            return;
        }
        let found = streams().next();
        self.video = found.map(|(pmt, pid, codec)| VideoState {
            pmt,
            pid,
            codec,
            format: None,
            format_source: Default::default(),
        });
        self.unit = None;
        self.scanner.start();
    }
}
