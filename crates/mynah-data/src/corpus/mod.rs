//! Corpora: documents out of text, JSON Lines and Parquet files, one after the other, within bounded memory.
//!
//! A [`Corpus`] is a sorted list of files and how to read them. It holds no text: [`Corpus::documents`] opens one file
//! at a time and keeps about one document (or one page of a Parquet column) of it. Every document has a place
//! (file, number in the file), and reading can begin at any place, which is what exact resume needs.

mod files;
mod jsonl;
mod parquet_file;
mod text;

pub(crate) use files::{extension, find};
pub(crate) use jsonl::Lines;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::split::{self, Split};

/// How files are read.
#[derive(Clone, Debug, PartialEq)]
pub struct CorpusOptions {
    /// The JSON field and Parquet column that holds the text.
    pub text_field: String,
    /// Refuse bytes that are not UTF-8 and bad records, with file and place; otherwise replace, skip and count them.
    pub strict: bool,
    /// Longer documents are cut into documents of at most so many bytes (counted).
    pub document_bytes_max: usize,
    /// A JSON line longer than this is refused: it has to be held in memory as a whole.
    pub line_bytes_max: usize,
    /// Plain text files larger than this are cut at blank lines into documents of about this size.
    pub piece_bytes: usize,
    /// Share of documents for validation, in [0, 1).
    pub validation_fraction: f64,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        CorpusOptions {
            text_field: "text".to_string(),
            strict: false,
            document_bytes_max: 1 << 20,
            line_bytes_max: 64 << 20,
            piece_bytes: 8 << 10,
            validation_fraction: split::VALIDATION_FRACTION,
        }
    }
}

/// What reading came across.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Documents given out.
    pub documents: u64,
    /// Bytes of text given out.
    pub text_bytes: u64,
    /// Invalid UTF-8 sequences replaced by U+FFFD.
    pub replaced: u64,
    /// Records without usable text that were skipped.
    pub skipped: u64,
    /// Documents that were cut because they were too long.
    pub cut: u64,
}

/// Where a document stands: the file's number in the corpus and the document's number in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Number of the file, in the sorted list.
    pub file: usize,
    /// Number of the document in the file.
    pub document: u64,
}

/// A document with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it stands.
    pub place: Place,
    /// Its text; never empty.
    pub text: String,
}

/// Files of documents.
#[derive(Clone, Debug)]
pub struct Corpus {
    files: Arc<[PathBuf]>,
    /// Texts held in memory instead of files: the one file of a corpus without a path.
    memory: Option<Arc<[String]>>,
    options: Arc<CorpusOptions>,
    /// Where validation ends when the fraction alone would leave a part empty; see [`Corpus::split_of`].
    border: Option<f64>,
}

/// So many documents are looked at to see whether both parts have one; beyond, chance does not leave a part empty.
const LOOK_DOCUMENTS: usize = 2_000;

impl Corpus {
    /// Opens paths: files, folders (all text files in them, at any depth, hidden ones skipped, sorted) and globs
    /// (`data/*.jsonl`, where the shell has not expanded them). The format goes by the name: `.jsonl`/`.ndjson`,
    /// `.parquet`, anything else named as a file is plain text; in folders only `.txt`, `.md` and these are read.
    ///
    /// # Errors
    /// No path given, no such file, a folder or glob without text files, a Parquet file without the column, a
    /// corpus without a document: each names the path and what to do.
    pub fn open(paths: &[impl AsRef<Path>], options: CorpusOptions) -> Result<Corpus> {
        if !(0.0..1.0).contains(&options.validation_fraction) {
            let message = format!(
                "the validation fraction is {}, but it must be at least 0 and below 1",
                options.validation_fraction
            );
            return Err(Error::new(ErrorKind::Setting, message));
        }
        let files = files::find(paths, &files::TEXT_ENDINGS)?;
        let mut corpus =
            Corpus { files: files.into(), memory: None, options: Arc::new(options), border: None };
        for path in corpus.files.iter() {
            if is_parquet(path) {
                parquet_file::check(path, &corpus.options)?;
            }
        }
        corpus.border = corpus.look()?;
        Ok(corpus)
    }

    /// A corpus of texts in memory.
    ///
    /// # Errors
    /// When there is no text.
    pub fn from_texts(texts: Vec<String>, options: CorpusOptions) -> Result<Corpus> {
        let files = vec![PathBuf::from("(memory)")].into();
        let memory = Some(texts.into());
        let mut corpus = Corpus { files, memory, options: Arc::new(options), border: None };
        corpus.border = corpus.look()?;
        Ok(corpus)
    }

    /// The same files in another order; places are then numbers in that order.
    ///
    /// # Panics
    /// When `order` names a file that there is not.
    pub fn reordered(&self, order: &[usize]) -> Corpus {
        let files = order.iter().map(|&file| self.files[file].clone()).collect();
        Corpus { files, ..self.clone() }
    }

    /// The files, sorted within each path that was given.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// How the files are read.
    pub fn options(&self) -> &CorpusOptions {
        &self.options
    }

    /// A digest of the list of files with their sizes and of the options that decide where documents begin: a
    /// saved place makes sense only in a corpus with the same one.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for path in self.files.iter() {
            let size = std::fs::metadata(path).map_or(0, |meta| meta.len());
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            hasher.update(format!("{name}\n{size}\n").as_bytes());
        }
        let o = &self.options;
        let cut = (&o.text_field, o.strict, o.document_bytes_max, o.piece_bytes, o.validation_fraction);
        hasher.update(format!("{cut:?}").as_bytes());
        if let Some(texts) = &self.memory {
            for text in texts.iter() {
                hasher.update(blake3::hash(text.as_bytes()).as_bytes());
            }
        }
        hasher.finalize().to_hex()[..32].to_string()
    }

    /// Bytes of all files, packed ones as they lie on the disk.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|path| std::fs::metadata(path).map_or(0, |meta| meta.len())).sum()
    }

    /// BLAKE3 of the files' content in their order, or of the texts of a corpus in memory: what was trained on,
    /// wherever it lay. Reads everything.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn content_digest(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for path in self.files.iter() {
            let mut of_file = blake3::Hasher::new();
            let read = std::fs::File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut of_file));
            read.map_err(|error| Error::io("cannot read", path, &error))?;
            hasher.update(of_file.finalize().as_bytes());
        }
        for text in self.memory.iter().flat_map(|texts| texts.iter()) {
            hasher.update(blake3::hash(text.as_bytes()).as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// All documents from a place on.
    pub fn documents(&self, from: Place) -> Documents {
        Documents {
            corpus: self.clone(),
            file: from.file,
            skip: from.document,
            open: None,
            counts: Counts::default(),
            done: false,
        }
    }

    /// The documents of one part from a place on.
    pub fn split(&self, split: Split, from: Place) -> SplitDocuments {
        SplitDocuments { documents: self.documents(from), split }
    }

    /// The part that a document belongs to: by the digest of its text alone, except that a corpus of two or more
    /// documents, small enough for chance to leave a part empty, gets at least one in each.
    pub fn split_of(&self, text: &str) -> Split {
        let fraction = self.options.validation_fraction;
        let position = split::position(text);
        let validation = self.border.map_or(position < fraction, |border| position <= border);
        if validation { Split::Validation } else { Split::Train }
    }

    /// Reads the beginning: is there any text, and does the fraction leave a part empty? Then the answer is the
    /// position of the lowest document, which makes up validation alone.
    fn look(&self) -> Result<Option<f64>> {
        let fraction = self.options.validation_fraction;
        let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut documents = self.documents(Place::default());
        for document in documents.by_ref().take(LOOK_DOCUMENTS) {
            let position = split::position(&document?.text);
            lowest = lowest.min(position);
            highest = highest.max(position);
            if fraction == 0.0 || (lowest < fraction && highest >= fraction) {
                return Ok(None);
            }
        }
        if lowest > highest {
            let names: Vec<String> =
                self.files.iter().take(3).map(|path| path.display().to_string()).collect();
            let message = match documents.counts().skipped {
                0 => format!(
                    "no text in {} ({} file(s)): give files that have some",
                    names.join(", "),
                    self.files.len()
                ),
                skipped => format!(
                    "no text in {}: none of {skipped} record(s) has a string in the field \"{}\"; name another field",
                    names.join(", "),
                    self.options.text_field
                ),
            };
            return Err(Error::new(ErrorKind::Empty, message));
        }
        // One document alone is there to be learned from: no position is below zero.
        Ok(Some(if lowest == highest { -1.0 } else { lowest }))
    }
}

fn is_parquet(path: &Path) -> bool {
    files::extension(path) == "parquet"
}

/// A reader of one file's documents. A trait object: three formats behind one loop.
trait FileReader: Send {
    /// The next document's text, `None` at the end. Counts what it replaces, skips and cuts.
    fn next(&mut self, counts: &mut Counts) -> Result<Option<String>>;

    /// Passes over documents. The plain way reads them; a format may know a shorter one.
    fn skip(&mut self, n: u64) -> Result<()> {
        let mut unseen = Counts::default();
        for _ in 0..n {
            if self.next(&mut unseen)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

fn open_file(path: &Path, options: &CorpusOptions) -> Result<Box<dyn FileReader>> {
    Ok(match files::extension(path).as_str() {
        "parquet" => Box::new(parquet_file::ParquetReader::open(path, options)?),
        "jsonl" | "ndjson" => Box::new(jsonl::JsonLinesReader::open(path, options)?),
        _ => Box::new(text::TextReader::open(path, options)?),
    })
}

struct MemoryReader {
    texts: Arc<[String]>,
    next: usize,
}

impl FileReader for MemoryReader {
    fn next(&mut self, counts: &mut Counts) -> Result<Option<String>> {
        while let Some(text) = self.texts.get(self.next) {
            self.next += 1;
            if !text.trim().is_empty() {
                return Ok(Some(text.clone()));
            }
            counts.skipped += 1;
        }
        Ok(None)
    }
}

/// Documents of a corpus, in order. After an error it ends.
pub struct Documents {
    corpus: Corpus,
    file: usize,
    /// Documents to pass over in the file that is opened next.
    skip: u64,
    open: Option<(Box<dyn FileReader>, u64)>,
    counts: Counts,
    done: bool,
}

impl Documents {
    /// What reading came across so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The place of the document that comes next.
    pub fn place(&self) -> Place {
        match &self.open {
            Some((_, document)) => Place { file: self.file, document: *document },
            None => Place { file: self.file, document: self.skip },
        }
    }

    fn advance(&mut self) -> Result<Option<Document>> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.corpus.files.get(self.file) else { return Ok(None) };
                let mut reader: Box<dyn FileReader> = match &self.corpus.memory {
                    Some(texts) => Box::new(MemoryReader { texts: texts.clone(), next: 0 }),
                    None => open_file(path, &self.corpus.options)?,
                };
                reader.skip(self.skip)?;
                self.open = Some((reader, std::mem::take(&mut self.skip)));
            }
            let Some((reader, number)) = &mut self.open else { return Ok(None) };
            if let Some(text) = reader.next(&mut self.counts)? {
                let place = Place { file: self.file, document: *number };
                *number += 1;
                self.counts.documents += 1;
                self.counts.text_bytes += text.len() as u64;
                return Ok(Some(Document { place, text }));
            }
            self.open = None;
            self.file += 1;
        }
    }
}

impl Iterator for Documents {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Documents of one part of a corpus.
pub struct SplitDocuments {
    documents: Documents,
    split: Split,
}

impl SplitDocuments {
    /// What reading came across so far, in both parts.
    pub fn counts(&self) -> &Counts {
        self.documents.counts()
    }

    /// The place from which reading goes on.
    pub fn place(&self) -> Place {
        self.documents.place()
    }
}

impl Iterator for SplitDocuments {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.documents.next()? {
                Ok(document) if self.documents.corpus.split_of(&document.text) != self.split => {}
                other => return Some(other),
            }
        }
    }
}

/// Cuts text that is longer than `max` bytes, at a blank line, a line end or a space where there is one in the second
/// half, and always between characters.
fn cut_long(text: String, max: usize, counts: &mut Counts) -> Vec<String> {
    if text.len() <= max {
        return vec![text];
    }
    counts.cut += 1;
    let mut pieces = Vec::new();
    let mut rest = text.as_str();
    while rest.len() > max {
        let mut end = max.max(4);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let window = &rest[..end];
        let good = ["\n\n", "\n", " "]
            .iter()
            .find_map(|mark| window.rfind(mark).filter(|&at| at >= end / 2).map(|at| at + mark.len()));
        let (piece, after) = rest.split_at(good.unwrap_or(end));
        pieces.push(piece.to_string());
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(rest.to_string());
    }
    pieces
}
