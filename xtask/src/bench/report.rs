//! Tables for people, one JSON line for scripts.

use serde_json::{Map, Value, json};

use super::catalogue::{Bench, Kind};
use super::{Options, Samples, Side, machine};

/// Ours against the peer's peak memory; each element is one case, run in processes of its own.
pub fn memory(bench: &Bench, cases: &[Vec<Side>], options: &Options, rounds: usize) -> String {
    let peaks = |index: usize| -> Option<f64> {
        let all: Option<Vec<f64>> =
            cases.iter().map(|sides| sides.get(index)?.peak_rss_bytes.map(|bytes| bytes as f64)).collect();
        all.filter(|all| !all.is_empty()).map(|all| geometric(all.into_iter()))
    };
    for sides in cases {
        let cells = sides.iter().map(|side| {
            let peak =
                side.peak_rss_bytes.map_or("unknown".to_string(), |bytes| amount(bytes as f64, "byte"));
            format!("{} {peak}", side.label)
        });
        println!("  {}: {}", sides[0].cases[0].case, cells.collect::<Vec<_>>().join(", "));
    }
    let (ours, peer) = (peaks(0), peaks(1));
    let line = start(bench, &cases[0], rounds);
    finish(bench, options, line, [ours, peer, ours.zip(peer).map(|(a, b)| a / b)], "byte")
}

/// Ours against the peer's rate, or ours alone.
pub fn compare(bench: &Bench, sides: &[Side], options: &Options, rounds: usize) -> String {
    let (ours, peer) = (&sides[0], sides.get(1));
    let named = |side: &Side| {
        format!("{} {}", side.label, side.version.trim_start_matches(&format!("{} ", side.label)))
    };
    println!("{}", sides.iter().map(named).collect::<Vec<_>>().join(" · "));
    table(sides);
    let mut line = start(bench, sides, rounds);
    // What the processor itself was busy: fair where other work takes time away from both.
    let cpu = peer.and_then(|peer| {
        let pairs = ours.cases.iter().zip(&peer.cases);
        let all = pairs.map(|(a, b)| Some((a.work / cpu(a)?) / (b.work / cpu(b)?)));
        Some(geometric(all.collect::<Option<Vec<f64>>>()?.into_iter()))
    });
    if let Some(cpu) = cpu {
        println!("  ratio by processor seconds {cpu:.2}");
        line.insert("ratio_cpu".into(), json!(cpu));
    }
    if let Some(share) = peak_share(ours) {
        println!("  mynah reaches {:.0}% of the measured peak (mean of the cases)", 100.0 * share);
        line.insert("share_of_peak".into(), json!(share));
    }
    if let Some(depth) = options.depth {
        line.insert("depth".into(), json!(depth));
    }
    if options.compile {
        line.insert("peer_compiled".into(), json!(true));
    }
    let unit = ours.cases.first().map(|case| case.unit.clone()).unwrap_or_default();
    let (ours_value, peer_value) = (Some(mean_rate(ours)), peer.map(mean_rate));
    // Of the cases' ratios, so that no case counts for more than another.
    let ratios = |peer: &Side| geometric(ours.cases.iter().zip(&peer.cases).map(|(a, b)| rate(a) / rate(b)));
    let (ratio, unit) = (peer.map(ratios), format!("{unit}/s"));
    finish(bench, options, line, [ours_value, peer_value, ratio], &unit)
}

/// Our rate with many threads over one; `sides` are ours with 1, ours with many, and the peer's two.
pub fn scaling(bench: &Bench, sides: &[Side], options: &Options, threads: usize, rounds: usize) -> String {
    table(sides);
    let speedup = |one: &Side, many: &Side| {
        geometric(many.cases.iter().zip(&one.cases).map(|(a, b)| rate(a) / rate(b)))
    };
    let ours = speedup(&sides[0], &sides[1]);
    let peer = (sides.len() == 4).then(|| speedup(&sides[2], &sides[3]));
    println!(
        "  speed with {threads} threads over 1: mynah {ours:.2}×{}",
        match peer {
            Some(peer) => format!(", {} {peer:.2}×", bench.peer),
            None => String::new(),
        }
    );
    let mut line = start(bench, sides, rounds);
    line.insert("threads".into(), json!(threads));
    // The ratio that has a target is our own scaling.
    finish(bench, options, line, [Some(ours), peer, Some(ours)], "×")
}

fn start(bench: &Bench, sides: &[Side], rounds: usize) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("name".into(), json!(bench.name));
    line.insert("rounds".into(), json!(rounds));
    line.insert("machine".into(), json!(machine::describe()));
    line.insert(
        "versions".into(),
        sides.iter().map(|s| json!({"label": s.label, "version": s.version})).collect(),
    );
    let cases = sides[0].cases.iter().enumerate().map(|(index, case)| {
        let rates: Vec<f64> = sides.iter().map(|side| rate(&side.cases[index])).collect();
        json!({"case": case.case, "rates": rates, "unit": format!("{}/s", case.unit)})
    });
    line.insert("cases".into(), cases.collect());
    line
}

fn finish(
    bench: &Bench,
    options: &Options,
    mut line: Map<String, Value>,
    [ours, peer, ratio]: [Option<f64>; 3],
    unit: &str,
) -> String {
    line.insert("ours".into(), json!(ours));
    line.insert("peer".into(), json!(peer));
    line.insert("ratio".into(), json!(ratio));
    line.insert("unit".into(), json!(unit));
    line.insert("target".into(), json!(bench.target_text(options)));
    line.insert("better".into(), json!(if bench.kind == Kind::Memory { "lower" } else { "higher" }));
    match ratio {
        Some(ratio) => {
            let met = bench.met(ratio, options);
            line.insert("met".into(), json!(met));
            let verdict = if options.small {
                line.insert("small".into(), json!(true));
                "not judged (--small)".to_string()
            } else if met {
                "met".to_string()
            } else {
                format!("missed by {:.0}%", 100.0 * (ratio / bench.target(options) - 1.0).abs())
            };
            println!("  ratio {ratio:.2}, target {}: {verdict}", bench.target_text(options));
        }
        None => println!("  no ratio without the peer"),
    }
    Value::Object(line).to_string()
}

fn table(sides: &[Side]) {
    let width = sides[0].cases.iter().map(|case| case.case.chars().count()).max().unwrap_or(4).max(4);
    print!("  {:width$}", "case");
    for side in sides {
        print!("  {:>32}", side.label);
    }
    println!("{}", if sides.len() == 2 { "   ratio" } else { "" });
    for index in 0..sides[0].cases.len() {
        print!("  {:width$}", sides[0].cases[index].case);
        for side in sides {
            let case = &side.cases[index];
            let (low, high) = spread(case);
            let cell = format!("{} ({low:.0}–{high:.0}%)", amount(rate(case), &format!("{}/s", case.unit)));
            print!("  {cell:>32}");
        }
        match sides {
            [ours, peer] => println!("   {:5.2}", rate(&ours.cases[index]) / rate(&peer.cases[index])),
            _ => println!(),
        }
    }
    println!("  medians; in brackets the slowest and fastest round, in percent of the median");
}

/// Median processor seconds, when every round has them.
fn cpu(samples: &Samples) -> Option<f64> {
    (!samples.cpu_seconds.is_empty() && samples.cpu_seconds.len() == samples.seconds.len())
        .then(|| median(&samples.cpu_seconds))
}

/// Mean share of the measured peak over the cases that measured it.
fn peak_share(side: &Side) -> Option<f64> {
    let measured: Vec<&Samples> = side.cases.iter().filter(|case| !case.peaks.is_empty()).collect();
    let share = |case: &&Samples| rate(case) / median(&case.peaks);
    (!measured.is_empty()).then(|| geometric(measured.iter().map(share)))
}

/// Work per second at the median time.
pub fn rate(samples: &Samples) -> f64 {
    samples.work / median(&samples.seconds)
}

fn mean_rate(side: &Side) -> f64 {
    geometric(side.cases.iter().map(rate))
}

/// Slowest and fastest round in percent of the median rate.
pub fn spread(samples: &Samples) -> (f64, f64) {
    let middle = median(&samples.seconds);
    let slowest = samples.seconds.iter().copied().fold(0.0, f64::max);
    let fastest = samples.seconds.iter().copied().fold(f64::INFINITY, f64::min);
    (100.0 * middle / slowest, 100.0 * middle / fastest)
}

/// The middle value, or the mean of the two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

fn geometric(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value.ln();
        count += 1.0;
    }
    f64::exp(sum / count)
}

/// `1.24e11, "flop/s"` → `124.0 Gflop/s`.
pub fn amount(value: f64, unit: &str) -> String {
    for (scale, prefix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= scale {
            return format!("{:.1} {prefix}{unit}", value / scale);
        }
    }
    format!("{value:.2} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::catalogue::BENCHES;

    fn side(label: &str, seconds: &[f64], peak: u64) -> Side {
        let case = Samples {
            case: "a".into(),
            work: 10.0,
            unit: "token".into(),
            seconds: seconds.to_vec(),
            cpu_seconds: seconds.iter().map(|s| s / 2.0).collect(),
            peaks: vec![20.0],
        };
        Side { label: label.into(), version: "1".into(), cases: vec![case], peak_rss_bytes: Some(peak) }
    }

    fn bench(name: &str) -> &'static Bench {
        BENCHES.iter().find(|bench| bench.name == name).unwrap()
    }

    #[test]
    fn the_last_line_has_what_scripts_read() {
        let sides = [side("mynah", &[1.0, 2.0, 9.0], 100), side("torch", &[5.0, 6.0, 7.0], 400)];
        let line: Value =
            serde_json::from_str(&compare(bench("train-step"), &sides, &Options::default(), 3)).unwrap();
        assert_eq!(line["name"], "train-step");
        assert!((line["ours"].as_f64().unwrap() - 5.0).abs() < 1e-9);
        assert_eq!(line["unit"], "token/s");
        assert!((line["ratio_cpu"].as_f64().unwrap() - 3.0).abs() < 1e-9);
        assert!((line["share_of_peak"].as_f64().unwrap() - 0.25).abs() < 1e-9);
        assert!((line["ratio"].as_f64().unwrap() - 3.0).abs() < 1e-9);
        assert_eq!(line["met"], true);
        let line = memory(bench("train-memory"), &[sides.to_vec()], &Options::default(), 3);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!((line["ratio"].as_f64().unwrap() - 0.25).abs() < 1e-9 && line["met"] == true);
        let line: Value =
            serde_json::from_str(&compare(bench("matmul"), &sides[..1], &Options::default(), 3)).unwrap();
        assert!(line["peer"].is_null() && line["ratio"].is_null() && line["ours"].is_number());
    }

    #[test]
    fn scaling_is_many_over_one() {
        let sides = [side("1", &[4.0], 1), side("2", &[2.5], 1)];
        let line: Value =
            serde_json::from_str(&scaling(bench("train-scaling"), &sides, &Options::default(), 2, 1))
                .unwrap();
        assert!((line["ratio"].as_f64().unwrap() - 1.6).abs() < 1e-9);
        assert_eq!(line["met"], false);
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let case = Samples { seconds: vec![1.0, 2.0, 4.0], ..Samples::default() };
        assert_eq!(spread(&case), (50.0, 200.0));
        assert_eq!(amount(1.24e11, "flop/s"), "124.0 Gflop/s");
    }
}
