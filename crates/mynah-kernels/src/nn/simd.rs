//! The small SIMD layer: vector code is written once over [`Simd`] and compiled for each instruction set.
//!
//! A value of [`Avx512`] or [`Avx2`] is a witness that the processor has those instructions: only
//! [`kernel!`] makes one, after asking [`crate::cpu::isa`]. That is what makes the arithmetic methods safe.
//! All methods are `inline(always)` so that they end up inside the `#[target_feature]` function that the
//! macro writes; called from anywhere else they would be function calls and slow, but not wrong.

use half::{bf16, f16};

/// Vector operations on `LANES` floats.
///
/// `min` and `max` give the second operand when either is NaN, as the x86 instructions do.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector.
    type F: Copy;
    /// The outcome of a comparison.
    type M: Copy;
    /// Floats in a vector.
    const LANES: usize;
    /// Rows and vectors of the largest matrix tile whose sums fit in the registers.
    const TILE: (usize, usize);

    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// `LANES` floats are readable at `x`.
    unsafe fn load(self, x: *const f32) -> Self::F;
    /// # Safety
    /// `n` ≤ `LANES` floats are readable at `x`; the other lanes become 0.
    unsafe fn load_part(self, x: *const f32, n: usize) -> Self::F;
    /// # Safety
    /// `LANES` halves are readable at `x`.
    unsafe fn load_f16(self, x: *const f16) -> Self::F;
    /// # Safety
    /// `LANES` values are readable at `x`.
    unsafe fn load_bf16(self, x: *const bf16) -> Self::F;
    /// # Safety
    /// `LANES` bytes are readable at `x`.
    unsafe fn load_i8(self, x: *const i8) -> Self::F;
    /// # Safety
    /// `LANES` floats are writable at `y`.
    unsafe fn store(self, y: *mut f32, v: Self::F);
    /// # Safety
    /// `n` ≤ `LANES` floats are writable at `y`.
    unsafe fn store_part(self, y: *mut f32, n: usize, v: Self::F);
    /// Lanes, rounded to the nearest integers (ties to even), as bytes; |v| ≤ 127 or the byte is unspecified.
    ///
    /// # Safety
    /// `LANES` bytes are writable at `y`.
    unsafe fn store_i8(self, y: *mut i8, v: Self::F);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a·b + c, in one rounding where the processor can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// c − a·b, likewise.
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    fn abs(self, a: Self::F) -> Self::F;
    /// |a| with the sign of b.
    fn copy_sign(self, a: Self::F, b: Self::F) -> Self::F;
    /// To the nearest integer, ties to even; |a| < 2²².
    fn round(self, a: Self::F) -> Self::F;
    /// a·2ⁿ for an integer n, |n| ≤ 252, rounded once into the subnormal range for |a| in [½, 2].
    fn scale(self, a: Self::F, n: Self::F) -> Self::F;
    /// (m, e) with a = m·2ᵉ and m in [1, 2), for normal a > 0.
    fn split(self, a: Self::F) -> (Self::F, Self::F);
    fn less(self, a: Self::F, b: Self::F) -> Self::M;
    /// a where the mask holds, else b.
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F;
    /// Sum of all lanes.
    fn sum(self, a: Self::F) -> f32;
    /// Greatest of all lanes; unspecified with a NaN among them.
    fn greatest(self, a: Self::F) -> f32;

    /// Writes the transpose of a block of LANES × LANES floats, rows `from_row` and `to_row` apart.
    ///
    /// # Safety
    /// All rows of both blocks are inside their buffers.
    unsafe fn transpose(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize);

    /// Lanes from `x[i..]`, zeros beyond its end.
    #[inline(always)]
    fn load_at(self, x: &[f32], i: usize) -> Self::F {
        let left = x.len().saturating_sub(i);
        if left >= Self::LANES {
            // SAFETY: LANES values from i on are inside the slice.
            unsafe { self.load(x.as_ptr().add(i)) }
        } else {
            // SAFETY: `left` values from i on are inside the slice; an i beyond the end reads nothing.
            unsafe { self.load_part(x.as_ptr().wrapping_add(i), left) }
        }
    }

    /// Lanes into `y[i..]`, those beyond its end dropped.
    #[inline(always)]
    fn store_at(self, y: &mut [f32], i: usize, v: Self::F) {
        let left = y.len().saturating_sub(i);
        if left >= Self::LANES {
            // SAFETY: LANES values from i on are inside the slice.
            unsafe { self.store(y.as_mut_ptr().add(i), v) }
        } else {
            // SAFETY: `left` values from i on are inside the slice; an i beyond the end writes nothing.
            unsafe { self.store_part(y.as_mut_ptr().wrapping_add(i), left, v) }
        }
    }
}

/// Eight floats that the compiler turns into whatever vectors the target's baseline has.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn zip(a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Portable {
    type F = [f32; 8];
    type M = [bool; 8];
    const LANES: usize = 8;
    const TILE: (usize, usize) = (4, 1);

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(self, x: *const f32) -> Self::F {
        // SAFETY: eight floats are readable at x (the caller's promise).
        unsafe { x.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_part(self, x: *const f32, n: usize) -> Self::F {
        let mut lanes = [0.0; 8];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: i < n, and n floats are readable at x (the caller's promise).
            *lane = unsafe { *x.add(i) };
        }
        lanes
    }
    #[inline(always)]
    unsafe fn load_f16(self, x: *const f16) -> Self::F {
        // SAFETY: eight halves are readable at x (the caller's promise).
        unsafe { x.cast::<[f16; 8]>().read_unaligned() }.map(f16::to_f32)
    }
    #[inline(always)]
    unsafe fn load_bf16(self, x: *const bf16) -> Self::F {
        // SAFETY: eight values are readable at x (the caller's promise).
        unsafe { x.cast::<[bf16; 8]>().read_unaligned() }.map(bf16::to_f32)
    }
    #[inline(always)]
    unsafe fn load_i8(self, x: *const i8) -> Self::F {
        // SAFETY: eight bytes are readable at x (the caller's promise).
        unsafe { x.cast::<[i8; 8]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn store(self, y: *mut f32, v: Self::F) {
        // SAFETY: eight floats are writable at y (the caller's promise).
        unsafe { y.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_part(self, y: *mut f32, n: usize, v: Self::F) {
        for (i, &lane) in v.iter().enumerate().take(n) {
            // SAFETY: i < n, and n floats are writable at y (the caller's promise).
            unsafe { *y.add(i) = lane };
        }
    }
    #[inline(always)]
    unsafe fn store_i8(self, y: *mut i8, v: Self::F) {
        let bytes = self.round(v).map(|v| v as i8);
        // SAFETY: eight bytes are writable at y (the caller's promise).
        unsafe { y.cast::<[i8; 8]>().write_unaligned(bytes) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        self.sub(c, self.mul(a, b))
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        a.map(f32::abs)
    }
    #[inline(always)]
    fn copy_sign(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, f32::copysign)
    }
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        // Adding 1.5·2²³ leaves no room for a fraction; the processor's own rounding does the rest.
        const MAGIC: f32 = 12_582_912.0;
        a.map(|a| (a + MAGIC) - MAGIC)
    }
    #[inline(always)]
    fn scale(self, a: Self::F, n: Self::F) -> Self::F {
        zip(a, n, |a, n| {
            let n = n as i32;
            let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
            a * power(n >> 1) * power(n - (n >> 1))
        })
    }
    #[inline(always)]
    fn split(self, a: Self::F) -> (Self::F, Self::F) {
        let mantissa = a.map(|a| f32::from_bits(a.to_bits() & 0x007f_ffff | 0x3f80_0000));
        let exponent = a.map(|a| (a.to_bits() >> 23) as i32 as f32 - 127.0);
        (mantissa, exponent)
    }
    #[inline(always)]
    fn less(self, a: Self::F, b: Self::F) -> Self::M {
        std::array::from_fn(|i| a[i] < b[i])
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| if mask[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    fn greatest(self, a: Self::F) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    unsafe fn transpose(self, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        for i in 0..8 {
            for j in 0..8 {
                // SAFETY: row i of `from` and row j of `to` have 8 floats (the caller's promise).
                unsafe { *to.add(j * to_row + i) = *from.add(i * from_row + j) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86;

/// Writes `fn name(args)`, which runs `body(simd, args)` compiled for [`crate::cpu::isa`].
///
/// `body` must be `#[inline(always)]` and generic over [`Simd`].
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body($crate::nn::simd::Avx512::new(), $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body($crate::nn::simd::Avx2::new(), $($arg),*)
            }
            match $crate::cpu::isa() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `isa` never names more than the processor has.
                $crate::cpu::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::cpu::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body($crate::nn::simd::Portable, $($arg),*),
            }
        }
    };
}
pub(crate) use kernel;
