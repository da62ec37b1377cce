//! How rows lie in memory for the kernels.
//!
//! Block formats: blocks of 16 rows, each a stream that is read from front to back. A block is a row of *spans*: a
//! pair of groups (64 columns), or for the K formats a super-block (256 columns) that begins with a line of
//! 64 bytes for the scales of its scales:
//!
//! ```text
//! span:  [header: d of 16 rows, dmin of 16 rows (f16)]   only K formats
//!        pair of groups, once or four times:
//!          [scales of group 0: 32 bytes][scales of group 1: 32 bytes][codes of 0][codes of 1]
//! scales: 16 × f16, or 16 × u8 scale and 16 × u8 min, or 16 × i8 of the first half and of the second
//! codes:  vectors of 64 bytes: 16 rows × 4 columns (a "quad" of columns) of 8 bits; with fewer bits:
//!   4 bits: vector v < 4 has quad v in its low and quad v + 4 in its high halves
//!   5 bits: the same, then one vector whose bit j is the fifth bit of quad j
//!   6 bits: as 4 bits, then two vectors: vector h has the upper two bits of quads 4h.. at bits 0, 2, 4, 6
//! ```
//!
//! Float formats: blocks of 32 rows, column after column, the 32 values of a column side by side. For BF16 the
//! order in a column is 0, 16, 1, 17, …: 32-bit lane j holds rows j and 16 + j, so that a shift and a mask
//! widen them.

use super::blocks::{GROUP, Group, Scales};
use super::format::Format;
use half::f16;

/// Rows of a block of a block format.
pub(super) const ROWS: usize = 16;
/// Rows of a block of a float format.
pub(super) const FLOAT_ROWS: usize = 32;
/// Bytes of a vector of codes.
pub(super) const VECTOR: usize = 64;

/// The sizes of a block format's spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Bytes before the first pair.
    pub header: usize,
    /// Pairs of groups in a span.
    pub pairs: usize,
    /// Bytes of the codes of one group.
    pub codes: usize,
}

impl Layout {
    pub(super) const fn of(format: Format) -> Layout {
        match format {
            Format::Q8_0 => Layout { header: 0, pairs: 1, codes: 8 * VECTOR },
            Format::Q4_0 => Layout { header: 0, pairs: 1, codes: 4 * VECTOR },
            Format::Q4K => Layout { header: VECTOR, pairs: 4, codes: 4 * VECTOR },
            Format::Q5K => Layout { header: VECTOR, pairs: 4, codes: 5 * VECTOR },
            Format::Q6K => Layout { header: VECTOR, pairs: 4, codes: 6 * VECTOR },
            Format::F32 | Format::Bf16 | Format::F16 => panic!("float formats have no groups"),
        }
    }

    /// Bytes of a pair of groups, a multiple of [`VECTOR`].
    pub(super) const fn pair_bytes(self) -> usize {
        VECTOR + 2 * self.codes
    }

    const fn span_bytes(self) -> usize {
        self.header + self.pairs * self.pair_bytes()
    }

    /// Bytes of a block of rows of `groups` groups.
    pub(super) const fn block_bytes(self, groups: usize) -> usize {
        groups.div_ceil(2 * self.pairs) * self.span_bytes()
    }

    /// Where the span of group `g` begins, with its header if it has one.
    pub(super) const fn span_at(self, g: usize) -> usize {
        g / (2 * self.pairs) * self.span_bytes()
    }

    const fn pair_at(self, g: usize) -> usize {
        self.span_at(g) + self.header + g / 2 % self.pairs * self.pair_bytes()
    }

    /// Where the 32 bytes of scales of group `g` begin.
    pub(super) const fn scales_at(self, g: usize) -> usize {
        self.pair_at(g) + g % 2 * 32
    }

    /// Where the codes of group `g` begin.
    pub(super) const fn codes_at(self, g: usize) -> usize {
        self.pair_at(g) + VECTOR + g % 2 * self.codes
    }
}

/// Writes group `g` of row `r` into a zeroed block.
#[inline(always)]
pub(super) fn put_group(format: Format, block: &mut [u8], r: usize, g: usize, group: &Group) {
    let layout = Layout::of(format);
    let (span, scales) = (layout.span_at(g), layout.scales_at(g));
    let mut put_half = |at: usize, value: f16| block[at..at + 2].copy_from_slice(&value.to_le_bytes());
    match group.scales {
        Scales::One(d) => put_half(scales + 2 * r, d),
        Scales::Min { d, dmin, scale, min } => {
            put_half(span + 2 * r, d);
            put_half(span + 32 + 2 * r, dmin);
            (block[scales + r], block[scales + 16 + r]) = (scale, min);
        }
        Scales::Two { d, halves } => {
            put_half(span + 2 * r, d);
            (block[scales + r], block[scales + 16 + r]) = (halves[0] as u8, halves[1] as u8);
        }
    }
    let codes = &mut block[layout.codes_at(g)..][..layout.codes];
    // The four codes of a quad as one number: bit operations on all four at once.
    let quad = |q: usize| u32::from_le_bytes(std::array::from_fn(|i| group.codes[4 * q + i]));
    let mut put = |vector: usize, word: u32| {
        codes[vector * VECTOR + 4 * r..][..4].copy_from_slice(&word.to_le_bytes());
    };
    if format == Format::Q8_0 {
        (0..8).for_each(|q| put(q, quad(q)));
        return;
    }
    for v in 0..4 {
        put(v, quad(v) & 0x0f0f_0f0f | (quad(v + 4) & 0x0f0f_0f0f) << 4);
    }
    match format {
        Format::Q5K => put(4, (0..8).fold(0, |bits, q| bits | (quad(q) >> 4 & 0x0101_0101) << q)),
        Format::Q6K => {
            for h in 0..2 {
                put(4 + h, (0..4).fold(0, |bits, q| bits | (quad(4 * h + q) >> 4 & 0x0303_0303) << (2 * q)));
            }
        }
        _ => {}
    }
}

/// The scales of group `g` of row `r`.
#[inline(always)]
pub(super) fn scales_of(format: Format, block: &[u8], r: usize, g: usize) -> Scales {
    let layout = Layout::of(format);
    let (span, at) = (layout.span_at(g), layout.scales_at(g));
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]);
    match format {
        Format::Q8_0 | Format::Q4_0 => Scales::One(half(at + 2 * r)),
        Format::Q6K => {
            Scales::Two { d: half(span + 2 * r), halves: [block[at + r] as i8, block[at + 16 + r] as i8] }
        }
        _ => Scales::Min {
            d: half(span + 2 * r),
            dmin: half(span + 32 + 2 * r),
            scale: block[at + r],
            min: block[at + 16 + r],
        },
    }
}

/// Reads group `g` of row `r` back: the inverse of [`put_group`].
pub(super) fn get_group(format: Format, block: &[u8], r: usize, g: usize) -> Group {
    let layout = Layout::of(format);
    let scales = scales_of(format, block, r, g);
    let mut codes = [0; GROUP];
    for (q, quad) in codes.chunks_exact_mut(4).enumerate() {
        quad_of(format, &block[layout.codes_at(g)..], r, q, quad);
    }
    Group { codes, scales }
}

/// The codes of quad `q` of row `r`, from the codes of its group.
#[inline(always)]
pub(super) fn quad_of(format: Format, codes: &[u8], r: usize, q: usize, quad: &mut [u8]) {
    for (i, code) in quad.iter_mut().enumerate() {
        let byte = |vector: usize| codes[vector * VECTOR + 4 * r + i];
        let low = |q: usize| byte(q % 4) >> (q / 4 * 4) & 15;
        *code = match format {
            Format::Q8_0 => byte(q),
            Format::Q5K => low(q) | (byte(4) >> q & 1) << 4,
            Format::Q6K => low(q) | (byte(4 + q / 4) >> (q % 4 * 2) & 3) << 4,
            _ => low(q),
        };
    }
}

/// Where value (r, k) of a float block lies in its columns, in values.
#[inline(always)]
pub(super) const fn float_index(format: Format, r: usize, k: usize) -> usize {
    let lane = match format {
        Format::Bf16 => r % 16 * 2 + r / 16,
        _ => r,
    };
    k * FLOAT_ROWS + lane
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every group of every row comes back, and no two share a byte they both change.
    #[test]
    fn groups_lie_apart() {
        for format in [Format::Q8_0, Format::Q4_0, Format::Q4K, Format::Q5K, Format::Q6K] {
            let groups = if format.block_len() == GROUP { 5 } else { 16 };
            let mut block = vec![0; Layout::of(format).block_bytes(groups)];
            let group = |r: usize, g: usize| {
                let top = if format == Format::Q8_0 { 255 } else { (1u32 << bits(format)) - 1 };
                let codes = std::array::from_fn(|i| ((i * 7 + r * 31 + g * 57) as u32 & top) as u8);
                // A super-block has one scale of scales.
                let (d, part) = (f16::from_f32(r as f32 + (g / 8) as f32 / 8.0), (r * 3 + g) as u8 & 63);
                let scales = match format {
                    Format::Q8_0 | Format::Q4_0 => Scales::One(f16::from_f32((r * 10 + g) as f32)),
                    Format::Q6K => Scales::Two { d, halves: [part as i8, -(part as i8)] },
                    _ => Scales::Min { d, dmin: f16::from_f32(0.5), scale: part, min: 63 - part },
                };
                Group { codes, scales }
            };
            let each = || (0..ROWS).flat_map(|r| (0..groups).map(move |g| (r, g)));
            each().for_each(|(r, g)| put_group(format, &mut block, r, g, &group(r, g)));
            each().for_each(|(r, g)| assert_eq!(get_group(format, &block, r, g), group(r, g), "{format:?}"));
        }
    }

    fn bits(format: Format) -> u32 {
        match format {
            Format::Q5K => 5,
            Format::Q6K => 6,
            _ => 4,
        }
    }
}
