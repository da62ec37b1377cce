//! Weights in blocks with shared scales, as GGUF and GPT-OSS store them, widened to f32.
//!
//! Layouts after ggml's `ggml-common.h` and the reference `dequantize_row_*` formulas; values are exact:
//! the tests compare bit for bit with the `gguf` package. MXFP4 after the OCP Microscaling specification
//! v1.0, section 5.2.

use half::f16;
use mynah_kernels::quant::Format;

/// The block formats of GGUF that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 32 signed bytes and a scale.
    Q8_0,
    /// 32 four-bit values less 8 and a scale.
    Q4_0,
    /// 256 four-bit values in 8 groups with six-bit scales and minima.
    Q4K,
    /// As Q4K with five bits.
    Q5K,
    /// 256 six-bit values less 32 in 16 groups with eight-bit scales.
    Q6K,
}

/// Values in a block of MXFP4.
pub(crate) const MXFP4_VALUES: usize = 32;

impl Kind {
    /// Values in a block.
    pub(crate) fn values(self) -> usize {
        match self {
            Self::Q8_0 | Self::Q4_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub(crate) fn size_bytes(self) -> usize {
        match self {
            Self::Q8_0 => 2 + 32,
            Self::Q4_0 => 2 + 16,
            Self::Q4K => 4 + 12 + 128,
            Self::Q5K => 4 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// The same format of the kernels.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Q8_0 => Format::Q8_0,
            Self::Q4_0 => Format::Q4_0,
            Self::Q4K => Format::Q4K,
            Self::Q5K => Format::Q5K,
            Self::Q6K => Format::Q6K,
        }
    }

    /// The name GGUF has for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Widens whole blocks.
    pub(crate) fn read(self, bytes: &[u8], out: &mut [f32]) {
        let blocks = bytes.chunks_exact(self.size_bytes()).zip(out.chunks_exact_mut(self.values()));
        for (block, out) in blocks {
            match self {
                Self::Q8_0 => read_q8_0(block, out),
                Self::Q4_0 => read_q4_0(block, out),
                Self::Q4K => read_q4_k(block, out),
                Self::Q5K => read_q5_k(block, out),
                Self::Q6K => read_q6_k(block, out),
            }
        }
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn read_q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    out.iter_mut().zip(&block[2..]).for_each(|(out, &q)| *out = scale * f32::from(q as i8));
}

/// The low halves of the bytes are the first 16 values.
fn read_q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &q) in low.iter_mut().zip(high).zip(&block[2..]) {
        *low = scale * (f32::from(q & 15) - 8.0);
        *high = scale * (f32::from(q >> 4) - 8.0);
    }
}

/// The six-bit scale and minimum of group `group` of 8, packed into 12 bytes.
fn scale_and_min(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let low = packed[group + 4];
        (low & 15 | (packed[group - 4] >> 6) << 4, low >> 4 | (packed[group] >> 6) << 4)
    }
}

fn read_q4_k(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    let (packed, values) = (&block[4..16], &block[16..]);
    // Each 32 bytes hold group 2i in their low halves and group 2i + 1 in their high halves.
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, m) = scale_and_min(packed, group);
        let (s, m) = (scale * f32::from(s), min * f32::from(m));
        let shift = 4 * (group % 2);
        for (out, &q) in out.iter_mut().zip(&values[group / 2 * 32..]) {
            *out = s * f32::from(q >> shift & 15) - m;
        }
    }
}

fn read_q5_k(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    let (packed, high, values) = (&block[4..16], &block[16..48], &block[48..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (s, m) = scale_and_min(packed, group);
        let (s, m) = (scale * f32::from(s), min * f32::from(m));
        let shift = 4 * (group % 2);
        for ((out, &q), &h) in out.iter_mut().zip(&values[group / 2 * 32..]).zip(high) {
            *out = s * f32::from(q >> shift & 15 | (h >> group & 1) << 4) - m;
        }
    }
}

fn read_q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half_at(block, 208);
    // Two halves of 128 values; in each, four runs of 32 share 64 low bytes and 32 high bytes.
    for (half, out) in out.chunks_exact_mut(128).enumerate() {
        let (low, high, scales) = (&low[half * 64..], &high[half * 32..], &scales[half * 8..]);
        for (run, out) in out.chunks_exact_mut(32).enumerate() {
            for (i, out) in out.iter_mut().enumerate() {
                let four = low[run % 2 * 32 + i] >> (run / 2 * 4) & 15;
                let two = high[i] >> (2 * run) & 3;
                let q = (four | two << 4) as i8 - 32;
                *out = scale * f32::from(scales[run * 2 + i / 16] as i8) * f32::from(q);
            }
        }
    }
}

/// The values of E2M1.
const FP4: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// Blocks of 16 bytes, low half first, each with a power of two in `scales` (E8M0, bias 127).
pub(crate) fn read_mxfp4(bytes: &[u8], scales: &[u8], out: &mut [f32]) {
    for ((block, &scale), out) in bytes.chunks_exact(16).zip(scales).zip(out.chunks_exact_mut(MXFP4_VALUES)) {
        let scale = 2f32.powi(i32::from(scale) - 127);
        for (out, &q) in out.as_chunks_mut::<2>().0.iter_mut().zip(block) {
            *out = [scale * FP4[usize::from(q & 15)], scale * FP4[usize::from(q >> 4)]];
        }
    }
}
