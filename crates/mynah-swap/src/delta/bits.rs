//! Bits in a row, least significant first, and Rice codes in them.

/// A unary part this long says that the value follows in full: one far value costs little, and a hostile one
/// cannot make the reader walk.
const ESCAPE: u32 = 20;

/// Appends bits to bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    used: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, word: 0, used: 0 }
    }

    /// At most 32 bits; the rest of `value` is zero.
    #[inline]
    fn bits(&mut self, value: u64, count: u32) {
        self.word |= value << self.used;
        self.used += count;
        if self.used >= 32 {
            self.out.extend((self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.used -= 32;
        }
    }

    /// `value` with parameter `k` (at most 31), of `width` bits when it is far.
    #[inline]
    pub(super) fn rice(&mut self, value: u64, k: u32, width: u32) {
        let quotient = value >> k;
        if quotient < u64::from(ESCAPE) {
            let quotient = quotient as u32;
            self.bits((1 << quotient) - 1, quotient + 1);
            self.bits(value & ((1 << k) - 1), k);
        } else {
            self.bits((1 << ESCAPE) - 1, ESCAPE);
            self.bits(value & 0xffff_ffff, width.min(32));
            if width > 32 {
                self.bits(value >> 32, width - 32);
            }
        }
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) {
        let bytes = self.used.div_ceil(8) as usize;
        self.out.extend(&self.word.to_le_bytes()[..bytes]);
    }
}

/// The bits that [`BitWriter::rice`] takes for a value.
#[inline]
pub(super) fn rice_bits(value: u64, k: u32, width: u32) -> u64 {
    let quotient = value >> k;
    if quotient < u64::from(ESCAPE) { quotient + 1 + u64::from(k) } else { u64::from(ESCAPE + width) }
}

/// Values that are looked at to choose a parameter.
const SAMPLE: usize = 128;

/// The parameter that takes the fewest bits, as far as a sample tells, and the bits that all values take with it.
pub(super) fn best_rice(values: &[u64], width: u32) -> (u32, u64) {
    let step = (values.len() / SAMPLE).max(1);
    let sample = || values.iter().step_by(step).copied();
    // From the mean down: far values are escaped, and draw the mean up but not the best parameter.
    let mean = sample().map(u128::from).sum::<u128>() / sample().count().max(1) as u128;
    let near = 127 - (mean + 1).leading_zeros();
    let cost = |k: u32| sample().map(|value| rice_bits(value, k, width)).sum::<u64>();
    let from = near.saturating_sub(4).min(width - 1).min(31);
    let to = (near + 1).min(width - 1).min(31);
    let k = (from..=to).min_by_key(|&k| (cost(k), k)).unwrap_or(0);
    (k, values.iter().map(|&value| rice_bits(value, k, width)).sum())
}

/// Reads bits out of bytes; behind their end come zeros, which the caller notices at the latest when it asks
/// [`BitReader::bytes_used`].
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next byte to be loaded.
    at: usize,
    word: u64,
    held: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, word: 0, held: 0 }
    }

    #[inline]
    fn fill(&mut self) {
        // At least 32 bits afterwards.
        if self.held <= 32 {
            let next = match self.bytes.get(self.at..self.at + 4) {
                Some(four) => u32::from_le_bytes([four[0], four[1], four[2], four[3]]),
                None => {
                    let mut four = [0; 4];
                    let rest = self.bytes.get(self.at..).unwrap_or(&[]);
                    four[..rest.len()].copy_from_slice(rest);
                    u32::from_le_bytes(four)
                }
            };
            self.word |= u64::from(next) << self.held;
            self.at += 4;
            self.held += 32;
        }
    }

    /// At most 32 bits.
    #[inline]
    fn bits(&mut self, count: u32) -> u64 {
        self.fill();
        let value = self.word & ((1u64 << count) - 1);
        self.word >>= count;
        self.held -= count;
        value
    }

    #[inline]
    pub(super) fn rice(&mut self, k: u32, width: u32) -> u64 {
        self.fill();
        let quotient = self.word.trailing_ones();
        if quotient < ESCAPE {
            self.word >>= quotient + 1;
            self.held -= quotient + 1;
            u64::from(quotient) << k | self.bits(k)
        } else {
            self.bits(ESCAPE);
            let low = self.bits(width.min(32));
            if width > 32 { low | self.bits(width - 32) << 32 } else { low }
        }
    }

    /// Bytes from the start up to the last bit that was read; more than there are when it was too many.
    pub(super) fn bytes_used(&self) -> usize {
        (self.at * 8 - self.held as usize).div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use mynah_base::Rng;

    use super::*;

    #[test]
    fn every_value_survives() {
        let mut rng = Rng::new(1);
        for width in [8, 16, 17, 32, 64] {
            for _ in 0..200 {
                let k = rng.below(u64::from(width).min(32)) as u32;
                let mask = u64::MAX >> (64 - width);
                let values: Vec<u64> = (0..rng.index(50))
                    .map(|_| (rng.next_u64() & mask) >> rng.below(u64::from(width)))
                    .collect();
                let mut bytes = Vec::new();
                let mut writer = BitWriter::new(&mut bytes);
                values.iter().for_each(|&value| writer.rice(value, k, width));
                writer.finish();
                let bits: u64 = values.iter().map(|&value| rice_bits(value, k, width)).sum();
                assert_eq!(bytes.len() as u64, bits.div_ceil(8));
                bytes.extend([0xff; 3]);
                let mut reader = BitReader::new(&bytes);
                for &value in &values {
                    assert_eq!(reader.rice(k, width), value, "k {k} width {width}");
                }
                assert_eq!(reader.bytes_used(), bytes.len() - 3);
            }
        }
    }
}
