//! `mynah weights simulate`.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mynah_swap::protocol::Mutation;
use mynah_swap::simulate::{SECONDS_A_SEED, SimulateOptions, SimulationStats, run_watched};

use crate::failure::{Failure, Result};

/// Plain lines come at most this often.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// More would take years.
const SEEDS_MAX: u64 = 1_000_000_000;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah weights simulate --seeds 10000               1.1 million simulated seconds
  mynah weights simulate --seed 545 --seeds 1 --broken lease-from-arrival

Every seed is a world of its own with coordinators and replicas, in which messages are lost, late, doubled and out of
order, the network is cut, processes stop at any log write and clocks jump. After every event it is checked that the
promises hold. The same seed shows the same world. Exit code 1 when a promise is broken: always with --broken, which
builds a mistake into the protocol to see it caught.")]
pub struct Simulate {
    /// Worlds to try
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Build a mistake into the protocol
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Mutation::ALL.map(Mutation::name)))]
    broken: Option<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Simulate) -> Result<()> {
    let Some(end) = arguments.seed.checked_add(arguments.seeds) else {
        return Err(Failure::new("the last seed is larger than any number").at("--seed"));
    };
    let mutation = arguments.broken.as_deref().and_then(Mutation::named).unwrap_or(Mutation::None);
    let options =
        SimulateOptions { seeds: arguments.seed..end, threads: mynah_kernels::pool::threads(), mutation };
    let started = Instant::now();
    let display = Display::new(arguments.seeds);
    let report = run_watched(&options, &|seeds, stats| display.show(seeds, stats));
    display.end();
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        let mut json = report.to_json();
        json["first_seed"] = arguments.seed.into();
        json["seconds"] = seconds.into();
        println!("{json}");
    } else {
        print!("{}", report.to_text());
        println!(
            "{} seeds of {SECONDS_A_SEED} simulated seconds in {seconds:.1} s with {} threads",
            report.seeds, options.threads
        );
    }
    match (&report.failure, &arguments.broken) {
        (Some(failure), _) => Err(Failure::new(format!("a promise is broken: {}", failure.what))
            .at(format!("seed {}, {} ms", failure.seed, failure.at_ms))),
        (None, Some(name)) => Err(Failure::new(format!("the mistake {name} was not caught"))
            .at(format!("{} seeds", report.seeds))
            .advice("try more: --seeds 4000")),
        (None, None) => Ok(()),
    }
}

/// A bar in a terminal, a line now and then elsewhere, both on stderr.
struct Display {
    bar: Option<ProgressBar>,
    seeds: u64,
    last: std::sync::Mutex<Instant>,
}

impl Display {
    fn new(seeds: u64) -> Display {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} seeds, {msg}, {eta} left");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Display { bar, seeds, last: std::sync::Mutex::new(Instant::now()) }
    }

    fn show(&self, done: u64, stats: &SimulationStats) {
        let text = || {
            format!(
                "{} simulated seconds, {} crashes, {} commits",
                stats.simulated_seconds, stats.crashes, stats.commits
            )
        };
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(text());
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.elapsed() >= PLAIN_EVERY {
            *last = Instant::now();
            eprintln!("{done} of {} seeds: {}", self.seeds, text());
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
