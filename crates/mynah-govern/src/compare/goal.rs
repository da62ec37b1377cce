//! Which way is better, as somebody declared it.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Less is better.
    Min,
    /// More is better.
    Max,
}

impl Direction {
    /// `min` or `max`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Min => "min",
            Direction::Max => "max",
        }
    }

    /// How much worse `value` is than `reference`; negative when it is better.
    pub fn worse_by(self, value: f64, reference: f64) -> f64 {
        match self {
            Direction::Min => value - reference,
            Direction::Max => reference - value,
        }
    }
}

/// A metric and which way it is better: `val_bpb:min`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Goal {
    /// The metric's key.
    pub metric: String,
    /// Declared, never guessed.
    pub direction: Direction,
}

impl FromStr for Goal {
    type Err = Error;

    /// `METRIC:min` or `METRIC:max`. The metric's key may itself have colons; the last one counts.
    fn from_str(text: &str) -> Result<Goal> {
        let (metric, direction) = text.trim().rsplit_once(':').unwrap_or((text, ""));
        let direction = match direction {
            "min" => Direction::Min,
            "max" => Direction::Max,
            _ => {
                return Err(Error::argument(format!(
                    "'{text}' does not say which way is better; write METRIC:min or METRIC:max"
                )));
            }
        };
        if metric.is_empty() {
            return Err(Error::argument(format!("'{text}' names no metric; write METRIC:min or METRIC:max")));
        }
        Ok(Goal { metric: metric.to_string(), direction })
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.metric, self.direction.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_declared_or_refused() {
        for (text, expect) in [
            ("val_bpb:min", Some(("val_bpb", Direction::Min))),
            (" core:max ", Some(("core", Direction::Max))),
            ("a:b:max", Some(("a:b", Direction::Max))),
            ("val_loss", None),
            ("accuracy:", None),
            ("accuracy:up", None),
            (":min", None),
            ("", None),
        ] {
            let found = text.parse::<Goal>().ok();
            let expect = expect.map(|(metric, direction)| Goal { metric: metric.to_string(), direction });
            assert_eq!(found, expect, "{text:?}");
        }
        assert_eq!("a:b:max".parse::<Goal>().unwrap().to_string(), "a:b:max");
    }
}
