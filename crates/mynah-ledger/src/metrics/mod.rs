//! Metric points: how they are stored, read back, and thinned out for a chart.

pub mod chunk;
pub mod curve;
pub mod history;
pub mod store;

/// One point of one metric of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Any whole number.
    pub step: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Any value, NaN and ±∞ too.
    pub value: f64,
}

impl Sample {
    /// What says whether two points are the same: also the bits of a NaN.
    pub fn identity(&self) -> (i64, i64, i64) {
        (self.step, self.timestamp_ms, ordered_bits(self.value))
    }

    /// The order of "latest": step, then time, then value, where NaN counts as 0 (as MLflow stores it).
    pub fn is_later_than(&self, other: &Sample) -> bool {
        let number = |value: f64| if value.is_nan() { 0.0 } else { value };
        (self.step, self.timestamp_ms).cmp(&(other.step, other.timestamp_ms)).then_with(|| {
            number(self.value).partial_cmp(&number(other.value)).unwrap_or(std::cmp::Ordering::Equal)
        }) == std::cmp::Ordering::Greater
    }
}

/// The bits of a number as an integer of the same order (for numbers; NaN beyond ∞). Its own inverse is
/// [`from_ordered_bits`].
pub fn ordered_bits(value: f64) -> i64 {
    flip(value.to_bits().cast_signed())
}

/// The number of [`ordered_bits`].
pub fn from_ordered_bits(bits: i64) -> f64 {
    f64::from_bits(flip(bits).cast_unsigned())
}

fn flip(bits: i64) -> i64 {
    // Negative numbers count down in their lower 63 bits.
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_keep_the_order_and_come_back() {
        let values = [f64::NEG_INFINITY, -1e300, -1.0, -0.0, 0.0, 1e-300, 1.0, 2.5, f64::INFINITY];
        for pair in values.windows(2) {
            assert!(ordered_bits(pair[0]) < ordered_bits(pair[1]), "{pair:?}");
        }
        for value in values {
            assert_eq!(from_ordered_bits(ordered_bits(value)).to_bits(), value.to_bits());
        }
        assert!(from_ordered_bits(ordered_bits(f64::NAN)).is_nan());
        assert!(ordered_bits(f64::NAN) > ordered_bits(f64::INFINITY));
    }

    #[test]
    fn the_latest_has_the_highest_step_then_time_then_value() {
        let at = |step, timestamp_ms, value| Sample { step, timestamp_ms, value };
        assert!(at(2, 0, 0.0).is_later_than(&at(1, 9, 9.0)));
        assert!(at(1, 2, 0.0).is_later_than(&at(1, 1, 9.0)));
        assert!(at(1, 1, 2.0).is_later_than(&at(1, 1, 1.0)));
        assert!(!at(1, 1, 1.0).is_later_than(&at(1, 1, 1.0)));
        assert!(at(1, 1, f64::NAN).is_later_than(&at(1, 1, -1.0)));
        assert!(!at(1, 1, f64::NAN).is_later_than(&at(1, 1, 1.0)));
    }
}
