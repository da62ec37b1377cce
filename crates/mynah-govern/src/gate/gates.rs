//! Gates and what they decide. Pure.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::compare::{Direction, Goal, json_number};
use crate::error::{Error, Result};
use crate::stats::{bootstrap_above, mean_variance, welch_above};

/// Every gate that counts was passed.
pub const EXIT_PASSED: u8 = 0;
/// At least one gate that counts was failed. (1 is an error of the program, 2 wrong usage.)
pub const EXIT_REGRESSED: u8 = 3;
/// None was failed, and at least one that counts could not be decided: a metric or baseline is missing, or
/// there are too few seeds.
pub const EXIT_UNDECIDED: u8 = 4;

/// Draws of the bootstrap: enough for rates down to one in a thousand.
const BOOTSTRAP_ROUNDS: usize = 9_999;
const BOOTSTRAP_SEED: u64 = 1;
/// With fewer values a draw from them says little; below, the bootstrap cannot keep its rate.
const BOOTSTRAP_VALUES_MIN: usize = 5;

/// How a gate tells noise from a regression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Welch's t test: from two seeds a side, for about normal noise.
    Welch,
    /// Studentised bootstrap: from five seeds a side, for any noise.
    Bootstrap,
}

/// How much worse is too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Worse than this value, whatever the baseline.
    Absolute(f64),
    /// Worse than the baseline by more than this, in the metric's unit.
    Difference(f64),
    /// Worse than the baseline by more than this part of it.
    Percent(f64),
    /// Worse than the baseline beyond noise: called so wrongly at this rate.
    Noise {
        /// The false-positive rate.
        rate: f64,
        /// How it is tested.
        method: Method,
    },
}

/// What a failed gate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Fails the whole.
    Fail,
    /// Is told.
    Warn,
}

/// One gate. As text: `METRIC:DIRECTION LIMIT [warn]`, where LIMIT is `at-least X`/`at-most X`,
/// `within X`, `within X%`, `noise RATE [welch|bootstrap]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// Metric and direction.
    pub goal: Goal,
    /// How much worse is too much.
    pub limit: Limit,
    /// What a failure does.
    pub weight: Weight,
}

impl FromStr for Gate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Gate> {
        let bad = |why: &str| {
            Error::argument(format!(
                "'{text}' is no gate: {why}; write METRIC:min at-most X, METRIC:max at-least X, METRIC:DIR within X, \
                 METRIC:DIR within X%, or METRIC:DIR noise RATE [welch|bootstrap], each with an optional warn"
            ))
        };
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let weight = match words.last() {
            Some(&"warn") => Weight::Warn,
            _ => Weight::Fail,
        };
        if weight == Weight::Warn {
            words.pop();
        }
        let [goal, kind, rest @ ..] = words.as_slice() else { return Err(bad("it names no limit")) };
        let goal: Goal = goal.parse()?;
        let number = |text: &str| {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| bad(&format!("'{text}' is no number")))
        };
        let not_negative = |text: &str| {
            number(text).and_then(|n| if n >= 0.0 { Ok(n) } else { Err(bad("the limit is negative")) })
        };
        let limit = match (*kind, goal.direction, rest) {
            ("at-most", Direction::Min, [x]) | ("at-least", Direction::Max, [x]) => {
                Limit::Absolute(number(x)?)
            }
            ("at-most" | "at-least", ..) => {
                return Err(bad("a metric to be small is held at-most, one to be large at-least"));
            }
            ("within", _, [x]) => match x.strip_suffix('%') {
                Some(percent) => Limit::Percent(not_negative(percent)?),
                None => Limit::Difference(not_negative(x)?),
            },
            ("noise", _, [rate, method @ ..]) => {
                let method = match method {
                    [] | ["welch"] => Method::Welch,
                    ["bootstrap"] => Method::Bootstrap,
                    _ => return Err(bad("noise is tested by welch or bootstrap")),
                };
                let rate = number(rate)?;
                // Below that the bootstrap's draws cannot resolve it.
                if !(0.001..=0.5).contains(&rate) {
                    return Err(bad("the false-positive rate lies between 0.001 and 0.5"));
                }
                Limit::Noise { rate, method }
            }
            _ => return Err(bad("its limit is none")),
        };
        Ok(Gate { goal, limit, weight })
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.goal)?;
        match (self.limit, self.goal.direction) {
            (Limit::Absolute(x), Direction::Min) => write!(f, "at-most {x}")?,
            (Limit::Absolute(x), Direction::Max) => write!(f, "at-least {x}")?,
            (Limit::Difference(x), _) => write!(f, "within {x}")?,
            (Limit::Percent(x), _) => write!(f, "within {x}%")?,
            (Limit::Noise { rate, method: Method::Welch }, _) => write!(f, "noise {rate} welch")?,
            (Limit::Noise { rate, method: Method::Bootstrap }, _) => write!(f, "noise {rate} bootstrap")?,
        }
        if self.weight == Weight::Warn { f.write_str(" warn") } else { Ok(()) }
    }
}

/// What a gate decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Not too much worse.
    Passed,
    /// Too much worse.
    Failed,
    /// It cannot be said.
    Undecided {
        /// Why.
        why: String,
    },
}

/// A gate and what it decided.
#[derive(Clone, Debug, PartialEq)]
pub struct GateResult {
    /// The gate.
    pub gate: Gate,
    /// The decision.
    pub outcome: Outcome,
    /// Mean of the candidate's values.
    pub candidate: Option<f64>,
    /// Mean of the baseline's values.
    pub baseline: Option<f64>,
    /// How much worse the candidate's mean is; negative when it is better.
    pub worse_by: Option<f64>,
    /// Of a noise gate.
    pub p_value: Option<f64>,
}

impl GateResult {
    /// What happened, in one line.
    pub fn message(&self) -> String {
        let word = match &self.outcome {
            Outcome::Passed => "passed".to_string(),
            Outcome::Failed => "failed".to_string(),
            Outcome::Undecided { why } => format!("undecided ({why})"),
        };
        let number =
            |name: &str, value: Option<f64>| value.map(|v| format!(", {name} {v}")).unwrap_or_default();
        format!(
            "{}: {word}{}{}{}",
            self.gate,
            number("candidate", self.candidate),
            number("baseline", self.baseline),
            number("p", self.p_value)
        )
    }
}

/// All gates together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateReport {
    /// In the order of the gates.
    pub results: Vec<GateResult>,
}

impl GateReport {
    /// [`EXIT_PASSED`], [`EXIT_REGRESSED`] or [`EXIT_UNDECIDED`]; gates that only warn do not count.
    pub fn exit_code(&self) -> u8 {
        let counts = || self.results.iter().filter(|result| result.gate.weight == Weight::Fail);
        if counts().any(|result| result.outcome == Outcome::Failed) {
            EXIT_REGRESSED
        } else if counts().any(|result| matches!(result.outcome, Outcome::Undecided { .. })) {
            EXIT_UNDECIDED
        } else {
            EXIT_PASSED
        }
    }

    /// Every gate that counts was passed.
    pub fn is_passed(&self) -> bool {
        self.exit_code() == EXIT_PASSED
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        let result = |r: &GateResult| {
            let (outcome, why) = match &r.outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed => ("failed", None),
                Outcome::Undecided { why } => ("undecided", Some(why)),
            };
            json!({
                "gate": r.gate.to_string(), "outcome": outcome, "why": why,
                "counts": r.gate.weight == Weight::Fail,
                "candidate": r.candidate.map(json_number), "baseline": r.baseline.map(json_number),
                "worse_by": r.worse_by.map(json_number), "p_value": r.p_value,
            })
        };
        let word = match self.exit_code() {
            EXIT_PASSED => "passed",
            EXIT_REGRESSED => "regressed",
            _ => "undecided",
        };
        json!({
            "result": word, "exit_code": self.exit_code(),
            "gates": self.results.iter().map(result).collect::<Vec<_>>(),
        })
    }
}

/// Asks the gates. `candidate` and `baseline` give the values of a metric, one for each repeated seed; empty
/// where there are none.
pub fn evaluate(
    gates: &[Gate],
    candidate: impl Fn(&str) -> Vec<f64>,
    baseline: impl Fn(&str) -> Vec<f64>,
) -> GateReport {
    let ask = |gate: &Gate| one(gate, &candidate(&gate.goal.metric), &baseline(&gate.goal.metric));
    GateReport { results: gates.iter().map(ask).collect() }
}

fn one(gate: &Gate, candidate: &[f64], baseline: &[f64]) -> GateResult {
    let direction = gate.goal.direction;
    let mean = |values: &[f64]| (!values.is_empty()).then(|| mean_variance(values).0);
    let (own, theirs) = (mean(candidate), mean(baseline));
    let mut result = GateResult {
        gate: gate.clone(),
        outcome: Outcome::Passed,
        candidate: own,
        baseline: theirs,
        worse_by: own.zip(theirs).map(|(own, theirs)| direction.worse_by(own, theirs)),
        p_value: None,
    };
    let undecided = |why: String| Outcome::Undecided { why };
    let verdict = |is_too_bad: bool| if is_too_bad { Outcome::Failed } else { Outcome::Passed };
    let Some(own) = own else {
        result.outcome = undecided(format!("the candidate has no metric '{}'", gate.goal.metric));
        return result;
    };
    // NaN is no result that could pass, and infinity is one that only fails the wrong way.
    if own.is_nan() {
        result.outcome = Outcome::Failed;
        return result;
    }
    if let Limit::Absolute(limit) = gate.limit {
        result.outcome = verdict(direction.worse_by(own, limit) > 0.0);
        return result;
    }
    let Some(theirs) = theirs else {
        result.outcome = undecided(format!("the baseline has no metric '{}'", gate.goal.metric));
        return result;
    };
    if !theirs.is_finite() {
        result.outcome = undecided(format!("the baseline's value is {theirs}"));
        return result;
    }
    let worse_by = direction.worse_by(own, theirs);
    result.outcome = match gate.limit {
        Limit::Absolute(_) => unreachable!("answered above"),
        Limit::Difference(limit) => verdict(worse_by > limit),
        Limit::Percent(_) if theirs == 0.0 && worse_by > 0.0 => {
            undecided("the baseline is 0, of which no part can be taken".to_string())
        }
        Limit::Percent(limit) => verdict(worse_by > limit / 100.0 * theirs.abs()),
        Limit::Noise { rate, method } => {
            let values_min = if method == Method::Welch { 2 } else { BOOTSTRAP_VALUES_MIN };
            let (count_own, count_theirs) = (candidate.len(), baseline.len());
            if count_own < values_min || count_theirs < values_min {
                undecided(format!(
                    "{count_own} and {count_theirs} seeds; {values_min} of each are needed to know the noise"
                ))
            } else if !own.is_finite() {
                verdict(worse_by > 0.0)
            } else {
                // "Above" means worse: turn the sign for metrics that are to be large.
                let sign = if direction == Direction::Min { 1.0 } else { -1.0 };
                let turned = |values: &[f64]| values.iter().map(|value| sign * value).collect::<Vec<_>>();
                let (own, theirs) = (turned(candidate), turned(baseline));
                let test = match method {
                    Method::Welch => welch_above(&own, &theirs, 0.0),
                    Method::Bootstrap => {
                        bootstrap_above(&own, &theirs, 0.0, BOOTSTRAP_ROUNDS, BOOTSTRAP_SEED)
                    }
                };
                result.p_value = test.map(|test| test.p_value);
                verdict(test.is_some_and(|test| test.p_value < rate))
            }
        }
    };
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_and_written() {
        for text in [
            "val_bpb:min at-most 1.2",
            "core:max at-least 0.3 warn",
            "val_bpb:min within 0.01",
            "val_bpb:min within 1%",
            "val_bpb:min noise 0.01 welch",
            "core:max noise 0.05 bootstrap warn",
        ] {
            assert_eq!(text.parse::<Gate>().unwrap().to_string(), text);
        }
        assert_eq!("x:min noise 0.05".parse::<Gate>().unwrap().to_string(), "x:min noise 0.05 welch");
        for text in [
            "",
            "x:min",
            "x within 1",
            "x:min at-least 1",
            "x:max at-most 1",
            "x:min within -1",
            "x:min within x",
            "x:min within nan",
            "x:min noise 0",
            "x:min noise 0.9",
            "x:min noise 0.05 magic",
            "x:min below 3",
            "x:min at-most 1 2",
            "x:min warn",
        ] {
            assert!(text.parse::<Gate>().is_err(), "{text}");
        }
    }

    #[test]
    fn decisions() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let cases: &[(&str, &[f64], &[f64], u8)] = &[
            ("x:min at-most 1.2", &[1.2], &[], 0),
            ("x:min at-most 1.2", &[1.3], &[], 3),
            ("x:min at-most 1.2 warn", &[1.3], &[], 0),
            ("x:max at-least 1.2", &[1.1, 1.2], &[], 3),
            ("x:max at-least 1.2", &[inf], &[], 0),
            ("x:min at-most 1.2", &[], &[], 4),
            ("x:min at-most 1.2", &[nan], &[], 3),
            ("x:min within 0.1", &[1.05], &[1.0], 0),
            ("x:min within 0.1", &[1.2], &[1.0], 3),
            ("x:max within 0.1", &[1.2], &[1.0], 0),
            ("x:max within 0.1", &[0.8], &[1.0], 3),
            ("x:max within 0.1", &[0.8], &[], 4),
            ("x:max within 0.1", &[0.8], &[nan], 4),
            ("x:min within 5%", &[-1.0], &[-1.04], 0),
            ("x:min within 5%", &[-0.9], &[-1.0], 3),
            ("x:min within 5%", &[0.0], &[0.0], 0),
            ("x:min within 5%", &[0.1], &[0.0], 4),
            ("x:min noise 0.05", &[1.0], &[1.0, 1.1], 4),
            ("x:min noise 0.05", &[1.31, 1.30, 1.32], &[1.0, 1.02, 1.01], 3),
            ("x:max noise 0.05", &[1.31, 1.30, 1.32], &[1.0, 1.02, 1.01], 0),
            ("x:min noise 0.05", &[1.0, 1.2, 1.1], &[1.05, 1.15, 1.08], 0),
            ("x:min noise 0.05", &[inf, 1.0], &[1.0, 1.1], 3),
            ("x:min noise 0.05 bootstrap", &[1.0, 1.1, 1.2], &[1.0, 1.1, 1.2], 4),
            (
                "x:max noise 0.01 bootstrap",
                &[0.50, 0.51, 0.49, 0.50, 0.52],
                &[0.60, 0.61, 0.62, 0.60, 0.59],
                3,
            ),
        ];
        for (gate, candidate, baseline, expect) in cases {
            let report = evaluate(&[gate.parse().unwrap()], |_| candidate.to_vec(), |_| baseline.to_vec());
            assert_eq!(report.exit_code(), *expect, "{}", report.results[0].message());
        }
    }

    #[test]
    fn the_worst_decides_and_all_are_told() {
        let gates: Vec<Gate> = ["x:min at-most 1", "y:min at-most 1", "z:min at-most 1"]
            .iter()
            .map(|g| g.parse().unwrap())
            .collect();
        let report = evaluate(&gates, |key| if key == "y" { vec![2.0] } else { Vec::new() }, |_| Vec::new());
        assert_eq!((report.exit_code(), report.is_passed()), (EXIT_REGRESSED, false));
        let json = report.to_json();
        assert_eq!(
            (json["result"].as_str(), json["gates"][0]["outcome"].as_str()),
            (Some("regressed"), Some("undecided"))
        );
    }

    /// The promise of a noise gate: two groups of seeds of one model are called a regression at most as
    /// often as it says, and a real one of three deviations is found.
    #[test]
    fn noise_gates_keep_their_rate() {
        const TRIALS: usize = 2_000;
        for (text, rate) in [("x:max noise 0.05", 0.05), ("x:min noise 0.01", 0.01)] {
            let gate: Gate = text.parse().unwrap();
            let run = |shift: f64, stream: u64| {
                let count = (0..TRIALS).filter(|trial| {
                    let mut rng = mynah_base::Rng::for_item(stream, *trial as u64);
                    let mut seeds =
                        |mean: f64| (0..5).map(|_| mean + 0.02 * rng.normal()).collect::<Vec<_>>();
                    let (candidate, baseline) = (seeds(1.0 + shift), seeds(1.0));
                    one(&gate, &candidate, &baseline).outcome == Outcome::Failed
                });
                count.count() as f64 / TRIALS as f64
            };
            let allowed = rate + 2.0 * (rate * (1.0 - rate) / TRIALS as f64).sqrt();
            let wrong = run(0.0, 7);
            assert!(wrong <= allowed, "{text}: {wrong}");
            let sign = if gate.goal.direction == Direction::Min { 1.0 } else { -1.0 };
            let found = run(sign * 0.06, 8);
            assert!(found > 0.8, "{text}: {found}");
        }
    }
}
