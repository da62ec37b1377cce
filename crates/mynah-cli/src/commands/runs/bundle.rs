//! `mynah runs bundle | reproduce`: a run packed so that somebody else can repeat it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use mynah_flow::bundle::{
    CommandRunner, PackOptions, Tolerance, is_machine_dependent, open_unverified, pack, reproduce, verify,
};
use mynah_trust::keys::{EcSigningKey, EcVerifyingKey};

use super::{Store, find};
use crate::failure::{Failure, Result};
use crate::{home, interrupt};

#[derive(Args)]
#[command(after_help = "Example:
  mynah runs bundle 3f2a91c0 --out run.tar
  python -m model_signing verify key --public_key KEY.pub.pem …   others verify the folder with their own tool

Signed in the OpenSSF Model Signing format with an EC P-256 key.")]
pub struct MakeBundle {
    /// Id, the first characters of it, or name
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    store: Store,
    /// A folder, or a file that ends in .tar
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Put checkpoints in, not only their digests
    #[arg(long)]
    checkpoints: bool,
    /// Signing key (default: MYNAH_HOME/keys/bundle.pem, made when it is absent)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn bundle(arguments: &MakeBundle) -> Result<()> {
    let ledger = arguments.store.look()?;
    let run = find(&ledger, &arguments.run)?.run;
    let (key, public) = signing_key(arguments.key.as_deref())?;
    let options = PackOptions { include_checkpoints: arguments.checkpoints, ..PackOptions::default() };
    let (bundle, manifest) = pack(&ledger, &run.id, &arguments.out, &key, &options)?;
    let files = manifest.resources.len();
    if arguments.json {
        let json = serde_json::json!({
            "out": arguments.out, "run_id": run.id, "files": files, "public_key": public,
            "command": bundle.command.map(|command| command.arguments),
        });
        println!("{json}");
    } else {
        println!(
            "{} with {files} signed files; its public key is {}",
            arguments.out.display(),
            public.display()
        );
    }
    Ok(())
}

/// The signing key, and the file with its public half.
fn signing_key(named: Option<&Path>) -> Result<(EcSigningKey, PathBuf)> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => home::home()?.join("keys/bundle.pem"),
    };
    if named.is_some() {
        return Ok((EcSigningKey::load(&path)?, path.with_extension("pub.pem")));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::io("cannot create the folder", folder, &error))?;
    }
    let key = EcSigningKey::load_or_create(&path)?;
    let public = path.with_extension("pub.pem");
    if !public.exists() {
        key.verifying_key().save(&public)?;
    }
    Ok((key, public))
}

#[derive(Args)]
#[command(after_help = "Example:
  mynah runs reproduce run.tar --out again
  mynah runs reproduce run.tar --out again --relative 1e-5

Runs the recorded command again and compares every metric step by step, bit by bit unless a tolerance is
given; says at which step and in which metric the two first differ. Exit code 1 when they do.")]
pub struct Reproduce {
    /// A bundle: a folder or a .tar
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// An empty folder for everything that the run makes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Public key of who packed it (default: MYNAH_HOME/keys/bundle.pub.pem)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not ask who signed it: what it says is then only a claim
    #[arg(long, conflicts_with = "key")]
    unverified: bool,
    /// Values may differ by this share of the recorded one
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    relative: f64,
    /// Values may differ by this much
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    absolute: f64,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub fn run_again(arguments: &Reproduce) -> Result<()> {
    let unpacked = arguments.out.join("bundle");
    if arguments.out.exists() {
        return Err(Failure::new("the folder exists")
            .at_path(&arguments.out)
            .advice("name one that does not"));
    }
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| Failure::io("cannot create the folder", &arguments.out, &error))?;
    let opened = if arguments.unverified {
        open_unverified(&arguments.bundle, &unpacked)?
    } else {
        let path = match &arguments.key {
            Some(path) => path.clone(),
            None => home::home()?.join("keys/bundle.pub.pem"),
        };
        verify(&arguments.bundle, &EcVerifyingKey::load(&path)?, &unpacked)?
    };
    let tolerance = match (arguments.absolute, arguments.relative) {
        (0.0, 0.0) => Tolerance::Exact,
        (absolute, relative) if absolute >= 0.0 && relative >= 0.0 => {
            Tolerance::Within { absolute, relative }
        }
        _ => return Err(Failure::new("a tolerance below 0").at("--absolute, --relative")),
    };
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let mut runner =
        CommandRunner { program, working_folder: None, environment, timeout: None, stop: interrupt::flag()? };
    let found =
        reproduce(&opened, &arguments.out.join("again"), &mut runner, tolerance, &is_machine_dependent)?;
    let comparison = &found.comparison;
    if arguments.json {
        let json = serde_json::json!({
            "same": comparison.is_same(), "comparison": comparison, "environment": found.environment,
        });
        println!("{json}");
    } else {
        for (name, then, now) in &found.environment {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_string());
            println!("{name}: {} then, {} now", text(then), text(now));
        }
        match &comparison.first {
            None => println!("{} points, all the same", comparison.same),
            Some(first) => println!(
                "first difference at step {} in {}: {:?} ({} points differ, {} are the same)",
                first.step, first.key, first.kind, comparison.different, comparison.same
            ),
        }
    }
    if comparison.is_same() { Ok(()) } else { Err(Failure::new("the run was not reproduced")) }
}
