//! Program tables: section assembly, PAT and PMT (ISO 13818-1 2.4.4).

use crate::packet::Pid;
use crate::stream_type::StreamType;

/// Longest section ISO 13818-1 allows (private sections; PAT and PMT stop at 1024).
const MAX_SECTION: usize = 4096;

/// Collects the sections of one PID from packet payloads.
#[derive(Debug, Default)]
pub struct SectionAssembler {
    buffer: Vec<u8>,
    collecting: bool,
}

/// Why a section was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PsiError {
    /// The checksum over the section is wrong.
    #[error("section checksum is wrong")]
    Crc,
    /// Lengths or pointers contradict each other.
    #[error("section is malformed")]
    Syntax,
}

/// The header of a checked long-form section, and its body.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    /// 0 for PAT, 2 for PMT.
    pub table_id: u8,
    /// transport_stream_id of a PAT, program_number of a PMT.
    pub extension: u16,
    /// 0..=31, changes with the content.
    pub version: u8,
    /// False for a table that is announced but not in force yet.
    pub current: bool,
    /// Number of this section within the table.
    pub number: u8,
    /// Number of the last section of the table.
    pub last_number: u8,
    /// What stands between header and checksum.
    pub body: &'a [u8],
}

/// A program association: where the PMT of a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// program_number; never 0, which names the network table.
    pub number: u16,
    /// PID of the program's PMT.
    pub pmt: Pid,
}

/// One section of a program association table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pat {
    /// Table version.
    pub version: u8,
    /// Programs of this section, in order.
    pub programs: Vec<Program>,
}

/// A program map table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pmt {
    /// program_number.
    pub program: u16,
    /// Table version.
    pub version: u8,
    /// PID that carries the clock.
    pub pcr: Pid,
    /// The program's streams, in order.
    pub streams: Vec<Stream>,
}

/// One elementary stream of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its PID.
    pub pid: Pid,
    /// What it carries.
    pub stream_type: StreamType,
}

// === impl SectionAssembler ===

impl SectionAssembler {
    /// Forgets a section in progress: packets of it are missing.
    pub fn reset(&mut self) {
        self.collecting = false;
        self.buffer.clear();
    }

    /// Adds the payload of a packet and calls `each` for every section it completes.
    ///
    /// # Errors
    /// [`PsiError::Syntax`] if pointer or length are impossible, or a section was cut off by the
    /// start of the next one. The assembler then waits for the next start.
    pub fn push(
        &mut self,
        payload: &[u8],
        unit_start: bool,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), PsiError> {
        if !unit_start {
            if self.collecting {
                self.buffer.extend_from_slice(payload);
                return self.drain(&mut each);
            }
            return Ok(());
        }
        let Some((before, after)) = payload
            .split_first()
            .and_then(|(pointer, rest)| rest.split_at_checked(usize::from(*pointer)))
        else {
            self.reset();
            return Err(PsiError::Syntax);
        };
        let mut result = Ok(());
        if self.collecting {
            self.buffer.extend_from_slice(before);
            result = self.drain(&mut each);
            if self.collecting {
                result = Err(PsiError::Syntax);
            }
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(after);
        self.collecting = true;
        result.and(self.drain(&mut each))
    }

    /// Hands out whole sections from the buffer; stops collecting where only stuffing follows.
    fn drain(&mut self, each: &mut impl FnMut(&[u8])) -> Result<(), PsiError> {
        let mut at = 0;
        let mut result = Ok(());
        loop {
            let rest = &self.buffer[at..];
            if rest.first().is_none_or(|table_id| *table_id == 0xff) {
                self.collecting = false;
                break;
            }
            if rest.len() < 3 {
                break;
            }
            let length = 3 + (usize::from(rest[1] & 0x0f) << 8 | usize::from(rest[2]));
            if length > MAX_SECTION {
                self.collecting = false;
                result = Err(PsiError::Syntax);
                break;
            }
            let Some(section) = rest.get(..length) else {
                break;
            };
            each(section);
            at += length;
        }
        if self.collecting {
            self.buffer.drain(..at);
        } else {
            self.buffer.clear();
        }
        result
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Checks length and CRC of a long-form section.
    ///
    /// # Errors
    /// [`PsiError`] if it is too short, of the short form, or its CRC is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Section<'a>, PsiError> {
        if bytes.len() < 12 || bytes[1] & 0x80 == 0 {
            return Err(PsiError::Syntax);
        }
        let length = 3 + (usize::from(bytes[1] & 0x0f) << 8 | usize::from(bytes[2]));
        if length != bytes.len() {
            return Err(PsiError::Syntax);
        }
        if crc32(bytes) != 0 {
            return Err(PsiError::Crc);
        }
        Ok(Section {
            table_id: bytes[0],
            extension: u16::from_be_bytes([bytes[3], bytes[4]]),
            version: bytes[5] >> 1 & 0x1f,
            current: bytes[5] & 1 != 0,
            number: bytes[6],
            last_number: bytes[7],
            body: &bytes[8..bytes.len() - 4],
        })
    }
}

// === impl Pat ===

impl Pat {
    /// table_id of a PAT.
    pub const TABLE_ID: u8 = 0;

    /// Reads one section of a PAT.
    ///
    /// # Errors
    /// [`PsiError::Syntax`] if its body is no list of whole entries or it is another table.
    pub fn parse(section: &Section<'_>) -> Result<Pat, PsiError> {
        let entries = section.body.chunks_exact(4);
        if section.table_id != Pat::TABLE_ID || !entries.remainder().is_empty() {
            return Err(PsiError::Syntax);
        }
        let programs = entries
            .map(|entry| Program {
                number: u16::from_be_bytes([entry[0], entry[1]]),
                pmt: Pid::new(u16::from_be_bytes([entry[2], entry[3]])),
            })
            .filter(|program| program.number != 0)
            .collect();
        Ok(Pat {
            version: section.version,
            programs,
        })
    }
}

// === impl Pmt ===

impl Pmt {
    /// table_id of a PMT.
    pub const TABLE_ID: u8 = 2;

    /// Reads a PMT, which is always one section.
    ///
    /// # Errors
    /// [`PsiError::Syntax`] if descriptors or entries do not fit, or it is another table.
    pub fn parse(section: &Section<'_>) -> Result<Pmt, PsiError> {
        let body = section.body;
        if section.table_id != Pmt::TABLE_ID || body.len() < 4 {
            return Err(PsiError::Syntax);
        }
        let info = usize::from(body[2] & 0x0f) << 8 | usize::from(body[3]);
        let mut rest = body.get(4 + info..).ok_or(PsiError::Syntax)?;
        let mut streams = Vec::new();
        while !rest.is_empty() {
            if rest.len() < 5 {
                return Err(PsiError::Syntax);
            }
            let info = usize::from(rest[3] & 0x0f) << 8 | usize::from(rest[4]);
            let descriptors = rest.get(5..5 + info).ok_or(PsiError::Syntax)?;
            streams.push(Stream {
                pid: Pid::new(u16::from_be_bytes([rest[1], rest[2]])),
                stream_type: StreamType::from_entry(rest[0], descriptors),
            });
            rest = &rest[5 + info..];
        }
        Ok(Pmt {
            program: section.extension,
            version: section.version,
            pcr: Pid::new(u16::from_be_bytes([body[0], body[1]])),
            streams,
        })
    }
}

/// CRC-32/MPEG-2 (ISO 13818-1 annex A); 0 over a section with its checksum.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        CRC_TABLE[usize::from((crc >> 24) as u8 ^ byte)] ^ (crc << 8)
    })
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 != 0 {
                crc << 1 ^ 0x04c1_1db7
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests;
