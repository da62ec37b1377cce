//! `mynah data`: make, fetch and look at training data.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mynah_base::units;
use mynah_data::builtin::{self, MakeSize};
use mynah_data::fetch::{self, FetchOptions, SETS};
use mynah_data::{Corpus, Place, Split};

use super::tok::{Reading, warn};
use crate::failure::{Failure, Result};

#[derive(Subcommand)]
pub enum Command {
    /// Write the built-in corpus as files
    Make(Make),
    /// Download a public data set
    Fetch(Fetch),
    /// Count documents and bytes, and show the beginning of a few
    Info(Info),
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah data make --out corpus\n\nWrites text/, chat/ and heldout/ as JSON Lines; same seed and size, same bytes."
)]
pub struct Make {
    /// Folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of the generators
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Megabytes of training text
    #[arg(long, value_name = "MB", default_value_t = MakeSize::default().text_bytes / 1_000_000)]
    megabytes: u64,
    /// Training conversations
    #[arg(long, value_name = "N", default_value_t = MakeSize::default().conversations)]
    conversations: u64,
    /// Held-out documents, conversations and questions of each task
    #[arg(long, value_name = "N", default_value_t = MakeSize::default().held_out)]
    held_out: u64,
    /// Write into a folder that is not empty
    #[arg(long)]
    force: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  mynah data fetch --list\n  mynah data fetch tinyshakespeare --out corpus\n\nAn interrupted download goes on where it stopped; a file that is there and whole is not fetched again."
)]
pub struct Fetch {
    /// Which data set (see --list)
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<String>,
    /// Folder for the files
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// How many shards of a set that has many
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: usize,
    /// List the data sets
    #[arg(long)]
    list: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah data info notes/ 'books/*.txt'")]
pub struct Info {
    /// Text, JSON Lines or Parquet: files, folders, globs
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How many documents to show
    #[arg(long, value_name = "N", default_value_t = 3)]
    show: usize,
    #[command(flatten)]
    reading: Reading,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Make(arguments) => make(arguments),
        Command::Fetch(arguments) => fetch(arguments),
        Command::Info(arguments) => info(arguments),
    }
}

fn make(arguments: &Make) -> Result<()> {
    let occupied = std::fs::read_dir(&arguments.out).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !arguments.force {
        return Err(Failure::new("the folder is not empty")
            .at_path(&arguments.out)
            .advice("choose another, or write into it with --force"));
    }
    let text_bytes = arguments.megabytes.checked_mul(1_000_000).filter(|bytes| *bytes <= 1 << 40);
    let size = MakeSize {
        text_bytes: text_bytes.ok_or_else(|| {
            Failure::new(format!("{} megabytes", arguments.megabytes))
                .at("--megabytes")
                .advice("give at most a million")
        })?,
        conversations: arguments.conversations,
        held_out: arguments.held_out,
    };
    let made = builtin::make(&arguments.out, arguments.seed, size)?;
    if arguments.json {
        let files: Vec<_> = made
            .files
            .iter()
            .map(|(path, bytes)| serde_json::json!({"path": path, "bytes": bytes}))
            .collect();
        let json = serde_json::json!({
            "out": arguments.out, "documents": made.documents, "conversations": made.conversations, "files": files,
        });
        println!("{json}");
    } else {
        for (path, bytes) in &made.files {
            println!("{:>10}  {}", units::bytes(*bytes), path.display());
        }
        println!("{} documents, {} conversations", made.documents, made.conversations);
    }
    Ok(())
}

fn fetch(arguments: &Fetch) -> Result<()> {
    let (Some(name), Some(out), false) = (&arguments.name, &arguments.out, arguments.list) else {
        for set in SETS {
            println!("{:18} {:>9}  {} ({})", set.name, set.size, set.about, set.licence);
        }
        return Ok(());
    };
    let bar = ProgressBar::hidden();
    if std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    let style =
        ProgressStyle::with_template("{prefix} {bar:28.cyan/dim} {bytes}/{total_bytes}  {bytes_per_sec}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("━━─"));
    }
    let paths =
        fetch::fetch(name, out, arguments.shards, &FetchOptions::default(), &mut |file, done, size| {
            bar.set_prefix(file.to_string());
            bar.set_length(size.unwrap_or(done));
            bar.set_position(done);
        })?;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::json!({ "name": name, "files": paths }));
    } else {
        for path in paths {
            println!("{}", path.display());
        }
    }
    Ok(())
}

fn info(arguments: &Info) -> Result<()> {
    let corpus = Corpus::open(&arguments.paths, arguments.reading.options())?;
    let mut validation = 0u64;
    let mut longest = 0;
    let mut shown = Vec::new();
    let mut documents = corpus.documents(Place::default());
    for document in documents.by_ref() {
        let text = document?.text;
        validation += u64::from(corpus.split_of(&text) == Split::Validation);
        longest = longest.max(text.len());
        if shown.len() < arguments.show {
            shown.push(beginning(&text));
        }
    }
    let counts = documents.counts().clone();
    warn(counts.replaced, counts.skipped);
    if arguments.json {
        let json = serde_json::json!({
            "files": corpus.files(), "documents": counts.documents, "bytes": counts.text_bytes,
            "validation_documents": validation, "longest_bytes": longest, "replaced": counts.replaced,
            "skipped": counts.skipped, "cut": counts.cut,
        });
        println!("{json}");
        return Ok(());
    }
    println!(
        "{} files, {} documents, {} of text; {validation} documents for validation; the longest has {}",
        corpus.files().len(),
        counts.documents,
        units::bytes(counts.text_bytes),
        units::bytes(longest as u64)
    );
    for text in shown {
        println!("  {text}");
    }
    Ok(())
}

/// The first words of a text on one line.
fn beginning(text: &str) -> String {
    let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = words.chars().take(96).collect();
    if short.len() < words.len() { format!("{short}…") } else { short }
}
