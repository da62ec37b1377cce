//! `mynah tok`: learn a tokenizer, use it, measure it.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use mynah_base::units;
use mynah_data::{Corpus, CorpusOptions, Place};
use mynah_tokenizer::{
    Compression, DEFAULT_VOCABULARY_SIZE, Pattern, Tokenizer, TrainOptions, Trainer, pattern,
};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// Plain text is read in pieces of this size at most; smaller files are one document, exactly as they are.
const PIECE_BYTES: usize = 64 << 20;
/// Documents are measured in groups of about this size.
const GROUP_BYTES: usize = 16 << 20;
/// The largest file that encode and decode read at once.
const FILE_BYTES_MAX: u64 = 2 << 30;

#[derive(Subcommand)]
pub enum Command {
    /// Learn a tokenizer from text
    Train(Train),
    /// Turn a file into token ids
    Encode(Encode),
    /// Turn token ids back into text
    Decode(Decode),
    /// Measure how many bytes a token stands for
    Eval(Eval),
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah tok train notes/ 'books/*.txt' --vocab-size 4096 --out my-tokenizer\n\nWrites tokenizer.json (Hugging Face) and tokenizer.tiktoken (base64 token, space, rank, a line each)."
)]
pub struct Train {
    /// Text, JSON Lines or Parquet: files, folders, globs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Number of tokens, the nine special ones included
    #[arg(long, value_name = "N", default_value_t = DEFAULT_VOCABULARY_SIZE)]
    vocab_size: usize,
    /// Folder for the tokenizer
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How text is split before merging: gpt4-2, gpt4, gpt2, or a regular expression of your own
    #[arg(long, value_name = "NAME|REGEX")]
    pattern: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah tok encode --tokenizer my-tokenizer letter.txt --json\n\nBytes that are not UTF-8 get the tokens of their bytes, so that decoding gives the same file back."
)]
pub struct Encode {
    /// The file to encode; `-` reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder with tokenizer.json
    #[arg(long, value_name = "DIR")]
    tokenizer: PathBuf,
    /// Begin with <|bos|>
    #[arg(long)]
    bos: bool,
    /// Refuse bytes that are not UTF-8
    #[arg(long)]
    strict: bool,
    /// Print one JSON array instead of ids between spaces
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  mynah tok encode --tokenizer my-tokenizer letter.txt --json | mynah tok decode --tokenizer my-tokenizer -"
)]
pub struct Decode {
    /// A file with ids, as a JSON array or between spaces; `-` reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder with tokenizer.json
    #[arg(long, value_name = "DIR")]
    tokenizer: PathBuf,
    /// Print {"text":"…"} instead of the bytes themselves
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  mynah tok eval --tokenizer my-tokenizer held-out.txt --json")]
pub struct Eval {
    /// Text, JSON Lines or Parquet: files, folders, globs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder with tokenizer.json
    #[arg(long, value_name = "DIR")]
    tokenizer: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// How a corpus is read.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The JSON field or Parquet column that holds the text
    #[arg(long, value_name = "NAME", default_value = TEXT_FIELD)]
    pub text_field: String,
    /// Refuse bytes that are not UTF-8 and bad records instead of replacing, skipping and counting them
    #[arg(long)]
    pub strict: bool,
}

const TEXT_FIELD: &str = "text";

impl Default for Reading {
    /// What an empty command line gives.
    fn default() -> Reading {
        Reading { text_field: TEXT_FIELD.to_string(), strict: false }
    }
}

impl Reading {
    /// The corpus reader's options.
    pub fn options(&self) -> CorpusOptions {
        CorpusOptions { text_field: self.text_field.clone(), strict: self.strict, ..CorpusOptions::default() }
    }

    /// For tokenizers: plain text as it is, not cut into documents for a model.
    fn whole_files(&self) -> CorpusOptions {
        CorpusOptions { piece_bytes: PIECE_BYTES, document_bytes_max: PIECE_BYTES, ..self.options() }
    }
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Train(arguments) => train(arguments),
        Command::Encode(arguments) => encode(arguments),
        Command::Decode(arguments) => decode(arguments),
        Command::Eval(arguments) => eval(arguments),
    }
}

fn train(arguments: &Train) -> Result<()> {
    let start = Instant::now();
    let options = TrainOptions {
        vocab_size: arguments.vocab_size,
        pattern: match &arguments.pattern {
            Some(name) => named_pattern(name)?,
            None => Pattern::default(),
        },
        ..TrainOptions::default()
    };
    // Before any work: is the size possible, can the folder be made?
    let mut trainer = Trainer::new(options)?;
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| Failure::io("cannot create the folder", &arguments.out, &error))?;
    let corpus = Corpus::open(&arguments.files, arguments.reading.whole_files())?;
    let mut documents = corpus.documents(Place::default());
    for document in documents.by_ref() {
        trainer.feed(&document?.text);
    }
    warn(documents.counts().replaced, documents.counts().skipped);
    let (tokenizer, report) = trainer.finish()?;
    tokenizer.save(&arguments.out)?;
    if arguments.json {
        let json = serde_json::json!({
            "out": arguments.out, "vocab_size": tokenizer.vocab_size(), "merges": report.merges,
            "documents": report.documents, "bytes": report.bytes, "unique_chunks": report.unique_chunks,
            "chunks_dropped": report.chunks_dropped, "digest": tokenizer.digest(),
            "seconds": start.elapsed().as_secs_f64(),
        });
        println!("{json}");
    } else {
        println!(
            "{} tokens from {} in {} ({})",
            tokenizer.vocab_size(),
            units::bytes(report.bytes),
            arguments.out.display(),
            units::duration(start.elapsed().as_secs_f64())
        );
    }
    if tokenizer.vocab_size() < arguments.vocab_size {
        eprintln!(
            "note: the text has no more pairs to merge; {} tokens instead of {}",
            tokenizer.vocab_size(),
            arguments.vocab_size
        );
    }
    Ok(())
}

/// A pattern by its name, or the user's own expression when it is no name.
pub fn named_pattern(text: &str) -> Result<Pattern> {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    Ok(if is_name { pattern::by_name(text)? } else { pattern::custom(text)? })
}

fn encode(arguments: &Encode) -> Result<()> {
    let tokenizer = Tokenizer::load(&arguments.tokenizer)?;
    let bytes = read(&arguments.file)?;
    let mut ids = Vec::new();
    if arguments.bos {
        ids.push(tokenizer.special(mynah_tokenizer::Special::Bos));
    }
    match std::str::from_utf8(&bytes) {
        // Large files are cut at safe places and encoded by all threads.
        Ok(text) => ids.extend(tokenizer.encode_batch(&[text]).concat()),
        Err(error) if arguments.strict => {
            return Err(Failure::new(format!("byte {} is not UTF-8", error.valid_up_to()))
                .at_path(&arguments.file)
                .advice("convert the file, or encode without --strict"));
        }
        Err(_) => {
            let invalid = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
            eprintln!("note: {invalid} places are not UTF-8; their bytes are kept as they are");
            ids.extend(tokenizer.encode_bytes(&bytes));
        }
    }
    let mut text = String::with_capacity(ids.len() * 6);
    let separator = if arguments.json { "," } else { " " };
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(&id.to_string());
    }
    let text = if arguments.json { format!("[{text}]\n") } else { format!("{text}\n") };
    print_bytes(text.as_bytes())
}

fn decode(arguments: &Decode) -> Result<()> {
    let tokenizer = Tokenizer::load(&arguments.tokenizer)?;
    let text = String::from_utf8_lossy(&read(&arguments.file)?).into_owned();
    let ids = parse_ids(&text).map_err(|failure| failure.at_path(&arguments.file))?;
    let bytes = tokenizer.try_decode(&ids)?;
    if arguments.json {
        let line = serde_json::json!({ "text": String::from_utf8_lossy(&bytes) });
        print_bytes(format!("{line}\n").as_bytes())
    } else {
        print_bytes(&bytes)
    }
}

fn parse_ids(text: &str) -> Result<Vec<u32>> {
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| Failure::new(format!("not an array of ids: {error}")));
    }
    text.split_whitespace()
        .map(|word| word.parse().map_err(|_| Failure::new(format!("'{word}' is not an id"))))
        .collect()
}

fn eval(arguments: &Eval) -> Result<()> {
    let tokenizer = Tokenizer::load(&arguments.tokenizer)?;
    let corpus = Corpus::open(&arguments.files, arguments.reading.whole_files())?;
    let mut total = Compression::default();
    let mut group: Vec<String> = Vec::new();
    let mut group_bytes = 0;
    let mut documents = corpus.documents(Place::default());
    let add = |group: &mut Vec<String>, total: &mut Compression| {
        for one in mynah_tokenizer::compression(&tokenizer, group) {
            *total = total.plus(one);
        }
        group.clear();
    };
    for document in documents.by_ref() {
        let text = document?.text;
        group_bytes += text.len();
        group.push(text);
        if group_bytes >= GROUP_BYTES {
            add(&mut group, &mut total);
            group_bytes = 0;
        }
    }
    add(&mut group, &mut total);
    warn(documents.counts().replaced, documents.counts().skipped);
    if arguments.json {
        let json = serde_json::json!({
            "documents": total.texts, "bytes": total.bytes, "tokens": total.tokens,
            "bytes_per_token": total.bytes_per_token(), "vocab_size": tokenizer.vocab_size(),
        });
        println!("{json}");
    } else {
        println!(
            "{:.3} bytes a token: {} in {} tokens, {} documents, vocabulary {}",
            total.bytes_per_token(),
            units::bytes(total.bytes),
            total.tokens,
            total.texts,
            tokenizer.vocab_size()
        );
    }
    Ok(())
}

/// Says on stderr what reading had to mend.
pub fn warn(replaced: u64, skipped: u64) {
    if replaced > 0 {
        eprintln!("note: {replaced} places were not UTF-8 and became U+FFFD (--strict refuses them)");
    }
    if skipped > 0 {
        eprintln!("note: {skipped} records without text were skipped (--strict refuses them)");
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        let stdin = std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        stdin.map_err(|error| Failure::io("cannot read", Path::new("stdin"), &error))?;
    } else {
        let file = std::fs::File::open(path).map_err(|error| Failure::io("cannot read", path, &error))?;
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::io("cannot read", path, &error))?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::new("larger than 2 GiB").at_path(path).advice("split the file"));
    }
    Ok(bytes)
}

/// Writes to stdout; a reader who has gone away is no failure.
fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("cannot write", Path::new("stdout"), &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_both_forms() {
        assert_eq!(parse_ids("[1, 2,3]\n").unwrap(), [1, 2, 3]);
        assert_eq!(parse_ids(" 1 2\n3 ").unwrap(), [1, 2, 3]);
        assert!(parse_ids("[1, -2]").is_err());
        assert!(parse_ids("one").is_err());
        assert!(parse_ids("").unwrap().is_empty());
    }

    #[test]
    fn patterns_by_name_or_expression() {
        assert!(named_pattern("gpt2").is_ok());
        assert!(named_pattern("gpt9").is_err());
        assert!(named_pattern(r"\w+|\W+").is_ok());
        assert!(named_pattern(r"(\w+").is_err());
    }
}
