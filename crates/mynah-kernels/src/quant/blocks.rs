//! What the bytes of a row mean: groups of 32 codes with their scales. The layouts are those of ggml's
//! `block_q8_0`, `block_q4_0`, `block_q4_K`, `block_q5_K` and `block_q6_K`.

use super::format::Format;
use half::f16;

/// Columns of a group: the unit that has scales of its own, in the weights and in the rows of a step.
pub(super) const GROUP: usize = 32;

/// How the scales of a group make values of its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// scale · (code − offset); a product with group x is scale·x_scale · (Σ code·x − offset·Σx).
    Plain { offset: i32 },
    /// scale · code − min; a product is scale·x_scale · Σ code·x, less min · (x_scale·Σx).
    Min,
    /// scales[half] · (code − 32), two halves of 16 columns that are added one after the other.
    Halves,
}

impl Kind {
    pub(super) const fn of(format: Format) -> Kind {
        match format {
            Format::Q8_0 => Kind::Plain { offset: 128 },
            Format::Q4_0 => Kind::Plain { offset: 8 },
            Format::Q4K | Format::Q5K => Kind::Min,
            Format::Q6K => Kind::Halves,
            Format::F32 | Format::Bf16 | Format::F16 => panic!("float formats have no groups"),
        }
    }
}

/// A group of a row: codes, and the scales as stored.
///
/// With the values x of the same columns quantised to integers times `x_scale`, its part of the dot product is
/// what [`Kind`] says; all sums of integers are exact.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub codes: [u8; GROUP],
    pub scales: Scales,
}

/// The scales of a group as the file has them, so that a layout can keep them in as few bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scales {
    /// One scale.
    One(f16),
    /// d · scale and dmin · min.
    Min { d: f16, dmin: f16, scale: u8, min: u8 },
    /// d · each.
    Two { d: f16, halves: [i8; 2] },
}

impl Scales {
    /// Scales of the halves of the group, and the minimum; exact in f32, since an f16 has 11 bits and
    /// the other factor at most 8.
    pub(super) fn values(self) -> ([f32; 2], f32) {
        match self {
            Scales::One(d) => ([d.to_f32(); 2], 0.0),
            Scales::Min { d, dmin, scale, min } => {
                ([d.to_f32() * f32::from(scale); 2], dmin.to_f32() * f32::from(min))
            }
            Scales::Two { d, halves } => (halves.map(|half| d.to_f32() * f32::from(half)), 0.0),
        }
    }
}

impl Group {
    /// The numbers that the group stands for.
    pub(super) fn values(&self, kind: Kind) -> [f32; GROUP] {
        let (scales, min) = self.scales.values();
        let offset = kind.offset();
        std::array::from_fn(|i| scales[i / 16] * (i32::from(self.codes[i]) - offset) as f32 - min)
    }
}

impl Kind {
    /// What is taken off a code.
    pub(super) const fn offset(self) -> i32 {
        match self {
            Kind::Plain { offset } => offset,
            Kind::Min => 0,
            Kind::Halves => 32,
        }
    }
}

/// Group `g` of a row in a block format.
#[inline(always)]
pub(super) fn group(format: Format, row: &[u8], g: usize) -> Group {
    let per_block = format.block_len() / GROUP;
    let block = &row[g / per_block * format.block_bytes()..][..format.block_bytes()];
    let part = g % per_block;
    match format {
        Format::Q8_0 => {
            let codes = std::array::from_fn(|i| block[2 + i] ^ 0x80);
            Group { codes, scales: Scales::One(half_at(block, 0)) }
        }
        Format::Q4_0 => Group { codes: nibbles(&block[2..]), scales: Scales::One(half_at(block, 0)) },
        Format::Q4K => {
            let codes = std::array::from_fn(|i| block[16 + part / 2 * 32 + i] >> (part % 2 * 4) & 15);
            Group { codes, scales: min_scales(block, part) }
        }
        Format::Q5K => {
            let codes = std::array::from_fn(|i| {
                let low = block[48 + part / 2 * 32 + i] >> (part % 2 * 4) & 15;
                low | (block[16 + i] >> part & 1) << 4
            });
            Group { codes, scales: min_scales(block, part) }
        }
        Format::Q6K => {
            // Halves of 128 values: 64 bytes of low bits, 32 of high ones, four groups.
            let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
            let (half, part) = (part / 4, part % 4);
            let codes = std::array::from_fn(|i| {
                let low = low[half * 64 + part % 2 * 32 + i] >> (part / 2 * 4) & 15;
                low | (high[half * 32 + i] >> (part * 2) & 3) << 4
            });
            let at = half * 8 + part * 2;
            let halves = [scales[at] as i8, scales[at + 1] as i8];
            Group { codes, scales: Scales::Two { d: half_at(block, 208), halves } }
        }
        Format::F32 | Format::Bf16 | Format::F16 => panic!("float formats have no groups"),
    }
}

/// Sixteen bytes: their low halves, then their high halves.
fn nibbles(bytes: &[u8]) -> [u8; GROUP] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
}

fn half_at(bytes: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The 6-bit scale and minimum of group `part`: the first four in the low bits of bytes 0–7, the others'
/// low halves in bytes 8–11 and their high bits above the first four's.
fn min_scales(block: &[u8], part: usize) -> Scales {
    let packed = &block[4..16];
    let (scale, min) = if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let (scale_high, min_high) = (packed[part - 4] >> 6, packed[part] >> 6);
        (packed[part + 4] & 15 | scale_high << 4, packed[part + 4] >> 4 | min_high << 4)
    };
    Scales::Min { d: half_at(block, 0), dmin: half_at(block, 2), scale, min }
}

/// Element `i` of a row in a float format.
pub(super) fn float_at(format: Format, row: &[u8], i: usize) -> f32 {
    match format {
        Format::F32 => f32::from_le_bytes([row[4 * i], row[4 * i + 1], row[4 * i + 2], row[4 * i + 3]]),
        Format::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes([row[2 * i], row[2 * i + 1]])) << 16),
        Format::F16 => half_at(row, 2 * i).to_f32(),
        _ => panic!("{} is no float format", format.name()),
    }
}

#[inline(always)]
fn widen<const N: usize>(row: &[[u8; N]], out: &mut [f32], wide: impl Fn([u8; N]) -> f32) {
    out.iter_mut().zip(row).for_each(|(out, bytes)| *out = wide(*bytes));
}

/// The values of a row in any format.
#[inline(always)]
pub(super) fn row_values(format: Format, row: &[u8], out: &mut [f32]) {
    if format.is_float() {
        match format {
            Format::F32 => widen(row.as_chunks().0, out, f32::from_le_bytes),
            Format::F16 => widen(row.as_chunks().0, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
            _ => {
                let wide = |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16);
                widen(row.as_chunks().0, out, wide);
            }
        }
        return;
    }
    let kind = Kind::of(format);
    for (g, out) in out.chunks_exact_mut(GROUP).enumerate() {
        out.copy_from_slice(&group(format, row, g).values(kind));
    }
}
