//! Bit reader with Exp-Golomb codes (H.264 9.1).

use super::ParameterSetError;

type Result<T> = std::result::Result<T, ParameterSetError>;

pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Bits ===

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        let byte = self
            .bytes
            .get(self.at / 8)
            .ok_or(ParameterSetError::Truncated)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// The next `count` bits, at most 32.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<()> {
        if self.at + count > self.bytes.len() * 8 {
            return Err(ParameterSetError::Truncated);
        }
        self.at += count;
        Ok(())
    }

    pub(super) fn ue(&mut self) -> Result<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(ParameterSetError::Invalid("exp-golomb code"));
            }
        }
        Ok((1_u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// An unsigned code that the standard limits to `max`; `name` goes into the error.
    pub(super) fn ue_max(&mut self, max: u32, name: &'static str) -> Result<u32> {
        let value = self.ue()?;
        if value > max {
            Err(ParameterSetError::Invalid(name))
        } else {
            Ok(value)
        }
    }

    pub(super) fn se(&mut self) -> Result<i64> {
        let code = i64::from(self.ue()?);
        Ok(if code % 2 == 0 {
            -code / 2
        } else {
            (code + 1) / 2
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_the_standard() {
        // 1 010 011 00100 00101 00110 00111 0001000
        let bytes = [
            0b1010_0110,
            0b0100_0010,
            0b1001_1000,
            0b1110_0010,
            0b0000_0000,
        ];
        let mut bits = Bits::new(&bytes);
        let values: Vec<_> = (0..8).map(|_| bits.ue().unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 4, 5, 6, 7]);
        let mut bits = Bits::new(&bytes);
        let values: Vec<_> = (0..8).map(|_| bits.se().unwrap()).collect();
        assert_eq!(values, [0, 1, -1, 2, -2, 3, -3, 4]);
    }

    #[test]
    fn ends_are_errors() {
        assert_eq!(Bits::new(&[0]).ue(), Err(ParameterSetError::Truncated));
        assert_eq!(
            Bits::new(&[0; 9]).ue(),
            Err(ParameterSetError::Invalid("exp-golomb code"))
        );
        assert_eq!(
            Bits::new(&[0xff]).bits(9),
            Err(ParameterSetError::Truncated)
        );
        assert_eq!(
            Bits::new(&[0xff]).skip(9),
            Err(ParameterSetError::Truncated)
        );
    }
}
