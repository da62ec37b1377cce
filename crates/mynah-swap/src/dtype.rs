//! Element types, as far as moving them asks for: names and sizes. No arithmetic is done on weights here.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The type of a tensor's elements: the names of safetensors and, for a server's live weights, the block types
/// of GGUF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DType(u8);

struct Row {
    name: &'static str,
    /// Elements in one unit.
    elements: u64,
    /// Bytes of one unit, the smallest thing that a delta replaces.
    bytes: u64,
}

const fn row(name: &'static str, elements: u64, bytes: u64) -> Row {
    Row { name, elements, bytes }
}

/// The index of a row is its byte in the canonical form: append only.
/// Block sizes: ggml's `ggml-common.h`, where 32 or 256 weights share their scales.
const TABLE: &[Row] = &[
    row("BOOL", 1, 1),
    row("U8", 1, 1),
    row("I8", 1, 1),
    row("F8_E4M3", 1, 1),
    row("F8_E5M2", 1, 1),
    row("F8_E8M0", 1, 1),
    row("U16", 1, 2),
    row("I16", 1, 2),
    row("F16", 1, 2),
    row("BF16", 1, 2),
    row("U32", 1, 4),
    row("I32", 1, 4),
    row("F32", 1, 4),
    row("U64", 1, 8),
    row("I64", 1, 8),
    row("F64", 1, 8),
    row("F4", 2, 1),
    row("Q4_0", 32, 18),
    row("Q4_1", 32, 20),
    row("Q5_0", 32, 22),
    row("Q5_1", 32, 24),
    row("Q8_0", 32, 34),
    row("Q2_K", 256, 84),
    row("Q3_K", 256, 110),
    row("Q4_K", 256, 144),
    row("Q5_K", 256, 176),
    row("Q6_K", 256, 210),
];

impl DType {
    /// The name, as in a safetensors header.
    pub fn name(self) -> &'static str {
        TABLE[usize::from(self.0)].name
    }

    /// Bytes of one unit: an element, or a block of elements with its scales. A delta replaces whole units.
    pub fn unit_bytes(self) -> usize {
        TABLE[usize::from(self.0)].bytes as usize
    }

    /// Elements in one unit.
    pub fn unit_elements(self) -> u64 {
        TABLE[usize::from(self.0)].elements
    }

    /// Bytes of a dense tensor of this shape; nothing when they are too many to count, or when the last
    /// dimension is not whole units.
    pub fn size_bytes(self, shape: &[u64]) -> Option<u64> {
        let row = &TABLE[usize::from(self.0)];
        let elements = shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent))?;
        if row.elements > 1 && !shape.last()?.is_multiple_of(row.elements) {
            return None;
        }
        (elements / row.elements).checked_mul(row.bytes)
    }

    pub(crate) fn code(self) -> u8 {
        self.0
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        (usize::from(code) < TABLE.len()).then_some(Self(code))
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        // Our own engine and torch write some of the names in small letters.
        let found = TABLE.iter().position(|row| row.name.eq_ignore_ascii_case(name));
        found.map(|index| Self(index as u8)).ok_or_else(|| {
            let known: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
            Error::unsupported(format!("the element type {name:?}; known are {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_shapes() {
        for (name, shape, expect) in [
            ("BF16", &[3u64, 5][..], Some(30)),
            ("F32", &[], Some(4)),
            ("F32", &[7, 0], Some(0)),
            ("F4", &[3, 4], Some(6)),
            ("F4", &[3, 5], None),
            ("Q4_0", &[2, 64], Some(72)),
            ("Q4_0", &[64, 2], None),
            ("F64", &[u64::MAX, 2], None),
            ("F64", &[u64::MAX], None),
        ] {
            assert_eq!(name.parse::<DType>().unwrap().size_bytes(shape), expect, "{name} {shape:?}");
        }
        assert_eq!("bf16".parse::<DType>().unwrap().name(), "BF16");
        assert!("F7".parse::<DType>().unwrap_err().to_string().contains("BF16"));
    }
}
