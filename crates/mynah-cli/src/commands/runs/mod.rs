//! `mynah runs`: look at what was recorded, compare it, keep it honest, serve it.

mod audit;
mod bundle;
mod change;
mod compare;
mod drift;
mod export;
mod facts;
mod judge;
mod list;
mod plot;
mod promote;
mod scheduled;
mod serve;
mod show;
mod tell;
mod terminal_chart;
mod upkeep;
mod watch;

use clap::{Args, Subcommand};
use mynah_ledger::{Ledger, OpenOptions, RunRecord, SearchExperiments, SearchRuns, View};

use crate::failure::{Failure, Result};
use crate::recording;

#[derive(Subcommand)]
pub enum Command {
    /// Runs as a table: filter, sort, choose columns
    List(list::List),
    /// Everything recorded about a run
    Show(show::Show),
    /// Follow a run while it goes
    Watch(watch::Watch),
    /// Draw a metric of some runs, in the terminal or as SVG
    Plot(plot::Plot),
    /// Runs against a baseline: what is better, what is worse, which settings differ
    Compare(compare::Compare),
    /// Regression gates, with an exit code for CI
    Gate(judge::AskGates),
    /// Whether the runs of today look like those of before
    Drift(drift::ShowDrift),
    /// Make the next version of a registered model out of a run
    Register(promote::Register),
    /// Move a model version to a stage, if its run passes
    Promote(promote::Promote),
    /// Write runs and their points as JSON Lines or CSV
    Export(export::Export),
    /// Set or remove tags of a run
    Tag(change::TagRun),
    /// Delete runs (they can be restored)
    Delete(change::Delete),
    /// Bring deleted runs back
    Restore(change::Restore),
    /// Take out for good what was deleted
    Gc(upkeep::CollectGarbage),
    /// Take over what MLflow has recorded
    Import(upkeep::Import),
    /// Keep a run apart: hidden from comparison, serving and promotion, nothing lost
    Quarantine(change::Quarantine),
    /// Rules over what was recorded
    Validate(judge::Validate),
    /// Put right what can be repaired; tickets for what cannot
    Repair(judge::Repair),
    /// A compliance report whose every statement is proven by the audit log
    Report(judge::MakeReport),
    /// Pack a run, signed, so that somebody else can repeat it
    Bundle(bundle::MakeBundle),
    /// Run a bundle again and say where it first differs
    Reproduce(bundle::Reproduce),
    /// The log of every change: verify, prove, sign
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Serve the page and MLflow's API
    Serve(serve::Serve),
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::List(arguments) => list::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Plot(arguments) => plot::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Gate(arguments) => judge::gate(arguments),
        Command::Validate(arguments) => judge::validate(arguments),
        Command::Repair(arguments) => judge::repair(arguments),
        Command::Report(arguments) => judge::make_report(arguments),
        Command::Bundle(arguments) => bundle::bundle(arguments),
        Command::Reproduce(arguments) => bundle::run_again(arguments),
        Command::Drift(arguments) => drift::run(arguments),
        Command::Register(arguments) => promote::register(arguments),
        Command::Promote(arguments) => promote::run(arguments),
        Command::Gc(arguments) => upkeep::collect_garbage(arguments),
        Command::Import(arguments) => upkeep::import(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Tag(arguments) => change::tag(arguments),
        Command::Delete(arguments) => change::delete(arguments),
        Command::Restore(arguments) => change::restore(arguments),
        Command::Quarantine(arguments) => change::quarantine(arguments),
        Command::Audit(command) => audit::run(command),
        Command::Serve(arguments) => serve::run(arguments),
    }
}

/// Which ledger.
#[derive(Args, Clone, Debug, Default)]
pub struct Store {
    /// The run ledger: a file, or postgresql://… (default: MYNAH_STORE, or ledger.db in MYNAH_HOME)
    #[arg(long, value_name = "FILE_OR_URL", display_order = 900)]
    store: Option<String>,
}

impl Store {
    /// As the user named it.
    pub fn named(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Opens the ledger to look at it.
    ///
    /// # Errors
    /// When there is none yet, or it cannot be read.
    pub fn look(&self) -> Result<Ledger> {
        self.open(OpenOptions { read_only: true, create: false, ..recording::open_options() })
    }

    /// Opens the ledger to change it.
    ///
    /// # Errors
    /// When there is none yet, or it cannot be written.
    pub fn change(&self) -> Result<Ledger> {
        self.open(OpenOptions { create: false, ..recording::open_options() })
    }

    fn open(&self, options: OpenOptions) -> Result<Ledger> {
        let location = recording::location(self.store.as_deref())?;
        if let Some(file) = location.file().filter(|file| !file.exists()) {
            return Err(Failure::new("there is no run ledger yet")
                .at_path(file)
                .advice("run `mynah speedrun` or `mynah train`, or name one with --store"));
        }
        Ok(Ledger::open(&location, options)?)
    }
}

/// Characters of an id that are shown, and the fewest that name a run.
const ID_SHOWN: usize = 8;
const ID_LEAST: usize = 4;

/// All experiments as (id, name).
///
/// # Errors
/// When the ledger cannot be read.
fn experiments(ledger: &Ledger) -> Result<Vec<(String, String)>> {
    let search = SearchExperiments { view: View::All, max_results: 50_000, ..SearchExperiments::default() };
    let page = ledger.search_experiments(&search)?;
    Ok(page.items.into_iter().map(|experiment| (experiment.id, experiment.name)).collect())
}

/// The run that a user means by its id, the first characters of it, or its name.
///
/// # Errors
/// When there is none, or more than one.
fn find(ledger: &Ledger, named: &str) -> Result<RunRecord> {
    let hexadecimal = named.len() >= ID_LEAST && named.bytes().all(|b| b.is_ascii_hexdigit());
    if hexadecimal && named.len() == 32 {
        return Ok(ledger.run(named)?);
    }
    if named.contains('\'') {
        return Err(Failure::new(format!("no run is called {named}")).advice("`mynah runs list` shows them"));
    }
    let mut filters = vec![format!("attributes.run_name = '{named}'")];
    if hexadecimal {
        filters.insert(0, format!("attributes.run_id LIKE '{}%'", named.to_ascii_lowercase()));
    }
    let experiment_ids: Vec<String> = experiments(ledger)?.into_iter().map(|(id, _)| id).collect();
    for filter in filters {
        let search = SearchRuns {
            experiment_ids: experiment_ids.clone(),
            filter,
            view: View::All,
            max_results: 5,
            ..SearchRuns::default()
        };
        let mut found = ledger.search_runs(&search)?.items;
        match found.len() {
            0 => continue,
            1 => return Ok(found.remove(0)),
            _ => {
                let ids: Vec<&str> = found.iter().map(|record| &record.run.id[..12]).collect();
                return Err(Failure::new(format!("more than one run is called {named}"))
                    .at(ids.join(", "))
                    .advice("give more of the id"));
            }
        }
    }
    Err(Failure::new(format!("no run is called {named}")).advice("`mynah runs list` shows them"))
}
