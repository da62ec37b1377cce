//! Pieces of JSON that both APIs write.

use serde::ser::{Serialize, SerializeSeq, Serializer};

/// A float as protocol buffers write it in JSON.
#[derive(Clone, Copy)]
pub(crate) struct Float(pub(crate) f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str("NaN"),
            number if number > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

/// A list written item by item through a conversion, without collecting it first.
pub(crate) struct List<'a, T, W>(pub(crate) &'a [T], pub(crate) fn(&'a T) -> W);

impl<T, W> List<'_, T, W> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, T, W: Serialize> Serialize for List<'a, T, W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            sequence.serialize_element(&(self.1)(item))?;
        }
        sequence.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_outside_json_become_words() {
        let cases = [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
            (-0.0, "-0.0"),
            (1e300, "1e+300"),
        ];
        for (number, expect) in cases {
            assert_eq!(serde_json::to_string(&Float(number)).expect("a float is JSON"), expect);
        }
    }

    #[test]
    fn lists_are_written_item_by_item() {
        let numbers = [1.5, f64::NAN];
        let json = serde_json::to_string(&List(&numbers, |number| Float(*number))).expect("a list is JSON");
        assert_eq!(json, "[1.5,\"NaN\"]");
    }
}
