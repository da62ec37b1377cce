//! `mynah runs serve`.

use std::path::PathBuf;

use clap::Args;
use mynah_base::time::utc;
use mynah_govern::validate::{Policy, Validation};
use mynah_ledger::{Ledger, OpenOptions};
use mynah_serve::{Server, ServerConfig};

use super::judge::policy_file;
use super::scheduled;
use crate::failure::{Failure, Result};
use crate::recording;

#[derive(Args)]
#[command(after_help = "Examples:
  mynah runs serve                                   the page at http://127.0.0.1:5000
  mynah runs serve --store team.db --port 8080
  MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py    an MLflow client records here
  mynah runs serve --policy policy.toml              its schedule validates, its gates guard production
  MYNAH_TOKEN=$(openssl rand -hex 16) mynah runs serve --host 0.0.0.0

Other machines are served only with a token: clients give it as MLFLOW_TRACKING_TOKEN, a browser as the password.")]
pub struct Serve {
    /// The run ledger (default: MYNAH_STORE, or ledger.db in MYNAH_HOME; made when it is absent)
    #[arg(long, value_name = "FILE_OR_URL")]
    store: Option<String>,
    /// Address to listen on
    #[arg(long, value_name = "H", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on (0: any free one)
    #[arg(long, value_name = "N", default_value_t = 5000)]
    port: u16,
    /// Rules, gates, hooks and the schedule of validation, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Change nothing
    #[arg(long)]
    read_only: bool,
}

/// The token's variable: a secret has no place on a command line that everybody can list.
const TOKEN: &str = "MYNAH_TOKEN";

pub fn run(arguments: &Serve) -> Result<()> {
    let location = recording::location(arguments.store.as_deref())?;
    if !arguments.read_only {
        recording::make_folder(&location)?;
    }
    let options = OpenOptions {
        read_only: arguments.read_only,
        create: !arguments.read_only,
        ..recording::open_options()
    };
    let policy = policy_file(arguments.policy.as_deref())?;
    if policy.schedule.is_some() && arguments.read_only {
        return Err(Failure::new("a schedule records what it finds, --read-only changes nothing")
            .at("--policy")
            .advice("leave one of them out"));
    }
    let ledger = Ledger::open(&location, options)?;
    let config = ServerConfig {
        policy: policy.clone(),
        host: arguments.host.clone(),
        port: arguments.port,
        token: std::env::var(TOKEN).ok().filter(|token| !token.is_empty()),
        ..ServerConfig::default()
    };
    let server = Server::bind(config, ledger.clone())?;
    println!("serving {location} at http://{}", server.address());
    println!("MLflow clients: MLFLOW_TRACKING_URI=http://{}; Ctrl-C ends", server.address());
    if let Some(cron) = policy.schedule.clone() {
        println!("validation at {cron} (UTC)");
        std::thread::spawn(move || keep_validating(&ledger, &policy, &cron));
    }
    server.run()?;
    Ok(())
}

fn keep_validating(ledger: &Ledger, policy: &Policy, cron: &str) {
    let mut told = |slot: i64, found: &Validation| {
        println!("{}: {} finding(s) in {} run(s)", utc(slot), found.findings.len(), found.runs.len());
    };
    if let Err(error) = scheduled::keep(ledger, policy, cron, true, &mut told) {
        eprintln!("note: nothing is validated by itself any more: {error}");
    }
}
