//! The block formats as types, so that a kernel is compiled for each.

use super::blocks::Kind;
use super::format::Format;
use super::layout::Layout;

/// A block format as a type, so that its kernel is compiled for it alone.
pub(super) trait Codes {
    const FORMAT: Format;
    const KIND: Kind = Kind::of(Self::FORMAT);
    const LAYOUT: Layout = Layout::of(Self::FORMAT);
}

macro_rules! formats {
    ($($name:ident)*) => {
        $(
            pub(super) struct $name;
            impl Codes for $name {
                const FORMAT: Format = Format::$name;
            }
        )*
    };
}
formats!(Q8_0 Q4_0 Q4K Q5K Q6K);

/// `$body` with `$C` the type of the format.
macro_rules! with_format {
    ($format:expr, $C:ident => $body:expr) => {
        match $format {
            $crate::quant::Format::Q8_0 => {
                type $C = $crate::quant::codes::Q8_0;
                $body
            }
            $crate::quant::Format::Q4_0 => {
                type $C = $crate::quant::codes::Q4_0;
                $body
            }
            $crate::quant::Format::Q4K => {
                type $C = $crate::quant::codes::Q4K;
                $body
            }
            $crate::quant::Format::Q5K => {
                type $C = $crate::quant::codes::Q5K;
                $body
            }
            $crate::quant::Format::Q6K => {
                type $C = $crate::quant::codes::Q6K;
                $body
            }
            _ => unreachable!("float formats have no groups"),
        }
    };
}
pub(super) use with_format;
