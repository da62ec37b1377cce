//! Element types: the closed list, and what generic code may ask of one.

use std::fmt;

use half::{bf16, f16};

use crate::memory::{Buffer, FreeLists, Recycled};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit IEEE float: parameters and activations.
    F32,
    /// 64-bit IEEE float: gradient checks and references.
    F64,
    /// 16-bit float with the exponent of f32. Stored in 16 bits, computed in f32.
    BF16,
    /// 16-bit IEEE float. Stored in 16 bits, computed in f32.
    F16,
    /// 64-bit signed integer: token ids and indices.
    I64,
    /// 8-bit unsigned integer: bytes and quantised data.
    U8,
    /// True or false: masks.
    Bool,
}

impl DType {
    /// Every element type, in a fixed order.
    pub const ALL: [DType; 7] =
        [DType::F32, DType::F64, DType::BF16, DType::F16, DType::I64, DType::U8, DType::Bool];
    /// The types with fractions, which alone can carry gradients.
    pub const FLOATS: [DType; 4] = [DType::F32, DType::F64, DType::BF16, DType::F16];

    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::F64 | DType::I64 => 8,
            DType::BF16 | DType::F16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }

    /// Whether the type has fractions and so can carry a gradient.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::BF16 | DType::F16)
    }

    /// Whether values are stored in 16 bits and computed in f32.
    pub const fn is_half(self) -> bool {
        matches!(self, DType::BF16 | DType::F16)
    }

    /// The lower-case name, as in safetensors headers and PyTorch (`f32`, `bf16`, …).
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::I64 => "i64",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// The type with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that tensors can hold. The list is closed: f32, f64, bf16, f16, i64, u8, bool.
pub trait Element:
    Copy + Default + PartialEq + PartialOrd + fmt::Debug + Send + Sync + sealed::Sealed + 'static
{
    /// The matching element type.
    const DTYPE: DType;
    /// What debug builds write into buffers nobody has filled yet: a NaN, or an implausible integer.
    #[doc(hidden)]
    const POISON: Self;

    /// The nearest value (integers: truncated towards zero and saturated; bool: non-zero).
    fn from_double(value: f64) -> Self;
    /// The value as f64; integers beyond 2^53 are rounded.
    fn to_double(self) -> f64;
    /// The value as i64 (truncated), exact for integers.
    fn to_int(self) -> i64;
    /// The nearest value to an integer.
    fn from_int(value: i64) -> Self;

    /// target += other.
    #[doc(hidden)]
    fn add_assign(target: &mut [Self], other: &[Self]) {
        for (target, other) in target.iter_mut().zip(other) {
            *target = Self::from_double(target.to_double() + other.to_double());
        }
    }

    #[doc(hidden)]
    fn wrap(buffer: Recycled<Self>) -> Buffer;
    #[doc(hidden)]
    fn unwrap_ref(buffer: &Buffer) -> Option<&[Self]>;
    #[doc(hidden)]
    fn unwrap_mut(buffer: &mut Buffer) -> Option<&mut [Self]>;
    #[doc(hidden)]
    fn free_lists() -> &'static FreeLists<Self>;
}

macro_rules! element {
    (@fast) => {
        fn add_assign(target: &mut [Self], other: &[Self]) {
            crate::kernels::update(target, other, |a, b| a + b);
        }
    };
    (@plain) => {};
    ($speed:tt $type:ty, $variant:ident, poison: $poison:expr, from_f64: $from:expr, to_f64: $to:expr, from_i64: $from_int:expr, to_i64: $to_int:expr) => {
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$variant;
            const POISON: Self = $poison;
            #[inline(always)]
            fn from_double(value: f64) -> Self {
                $from(value)
            }
            #[inline(always)]
            fn to_double(self) -> f64 {
                $to(self)
            }
            #[inline(always)]
            fn from_int(value: i64) -> Self {
                $from_int(value)
            }
            #[inline(always)]
            fn to_int(self) -> i64 {
                $to_int(self)
            }
            element!(@$speed);
            fn wrap(buffer: Recycled<Self>) -> Buffer {
                Buffer::$variant(buffer)
            }
            fn unwrap_ref(buffer: &Buffer) -> Option<&[Self]> {
                if let Buffer::$variant(data) = buffer { Some(data) } else { None }
            }
            fn unwrap_mut(buffer: &mut Buffer) -> Option<&mut [Self]> {
                if let Buffer::$variant(data) = buffer { Some(data) } else { None }
            }
            fn free_lists() -> &'static FreeLists<Self> {
                static LISTS: FreeLists<$type> = FreeLists::new();
                &LISTS
            }
        }
    };
}

element!(fast f32, F32, poison: f32::NAN, from_f64: |v: f64| v as f32, to_f64: f64::from,
    from_i64: |v: i64| v as f32, to_i64: |v: f32| v as i64);
element!(fast f64, F64, poison: f64::NAN, from_f64: |v: f64| v, to_f64: |v: f64| v,
    from_i64: |v: i64| v as f64, to_i64: |v: f64| v as i64);
element!(plain bf16, BF16, poison: bf16::NAN, from_f64: bf16::from_f64, to_f64: bf16::to_f64,
    from_i64: |v: i64| bf16::from_f64(v as f64), to_i64: |v: bf16| v.to_f64() as i64);
element!(plain f16, F16, poison: f16::NAN, from_f64: f16::from_f64, to_f64: f16::to_f64,
    from_i64: |v: i64| f16::from_f64(v as f64), to_i64: |v: f16| v.to_f64() as i64);
element!(plain i64, I64, poison: i64::MIN + 0x5A5A, from_f64: |v: f64| v as i64, to_f64: |v: i64| v as f64,
    from_i64: |v: i64| v, to_i64: |v: i64| v);
element!(plain u8, U8, poison: 0xA5, from_f64: |v: f64| v as u8, to_f64: f64::from,
    from_i64: |v: i64| v.clamp(0, 255) as u8, to_i64: i64::from);
element!(plain bool, Bool, poison: true, from_f64: |v: f64| v != 0.0, to_f64: |v: bool| f64::from(u8::from(v)),
    from_i64: |v: i64| v != 0, to_i64: i64::from);

/// Runs a body with the type parameter `$T` bound to the element type of a [`DType`] value.
macro_rules! dispatch {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            $crate::DType::F16 => {
                type $T = half::f16;
                $body
            }
            $crate::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::DType::Bool => {
                type $T = bool;
                $body
            }
        }
    };
}
pub(crate) use dispatch;
