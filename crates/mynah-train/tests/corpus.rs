//! The loop over the real loaders: the built-in corpus always, other text where MYNAH_DATA points to it.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mynah_data::builtin::{MakeSize, make};
use mynah_data::{Corpus, CorpusOptions, LoaderOptions, SftLoader, Split};
use mynah_nn::GptConfig;
use mynah_tokenizer::{Tokenizer, TrainOptions, Trainer};
use mynah_train::{
    BatchSource, Data, End, FileSink, Hooks, NoObserver, Observer, Outcome, PackedSource, Progress, Start,
    TrainConfig, WatchConfig, train, validation_batches,
};

const COLS: usize = 64;
const VOCAB: usize = 400;

fn tokenizer(corpus: &Corpus) -> Arc<Tokenizer> {
    let mut trainer = Trainer::new(TrainOptions { vocab_size: VOCAB, ..TrainOptions::default() }).unwrap();
    for document in corpus.split(Split::Train, Default::default()).take(300) {
        trainer.feed(&document.unwrap().text);
    }
    Arc::new(trainer.finish().unwrap().0)
}

fn config(tokenizer: &Tokenizer, steps: u64) -> TrainConfig {
    let small = common::config(steps);
    TrainConfig {
        model: GptConfig {
            sequence_len: COLS,
            vocab_size: tokenizer.vocab_size(),
            n_layer: 2,
            n_head: 2,
            n_kv_head: 2,
            n_embd: 64,
            ..GptConfig::default()
        },
        batch_rows: 4,
        row_tokens: COLS,
        accumulation_steps: 1,
        tokenizer_digest: tokenizer.digest(),
        ..small
    }
}

struct StopAt<'a>(u64, &'a AtomicBool);

impl Observer for StopAt<'_> {
    fn step(&mut self, progress: &Progress) {
        self.1.store(progress.row.step == self.0, Ordering::Relaxed);
    }
}

struct Text {
    corpus: Corpus,
    tokenizer: Arc<Tokenizer>,
}

impl Text {
    fn open(paths: &[PathBuf]) -> Self {
        let corpus = Corpus::open(paths, CorpusOptions::default()).unwrap();
        Self { tokenizer: tokenizer(&corpus), corpus }
    }

    fn source(&self) -> PackedSource {
        let options = LoaderOptions { window_tokens: 4000, ..LoaderOptions::training(4, COLS, 3) };
        PackedSource::new(self.corpus.clone(), self.tokenizer.clone(), options).unwrap()
    }

    /// Trains in `dir` until `stop_at`, and from there on at the next call.
    fn run(
        &self,
        dir: &Path,
        config: &TrainConfig,
        start: Start,
        source: &mut dyn BatchSource,
        stop_at: u64,
    ) -> Outcome {
        let validation =
            validation_batches(&self.corpus, Some(Split::Validation), &self.tokenizer, 4, COLS, 2000)
                .unwrap();
        let watch = WatchConfig { validate_every: 1000, ..WatchConfig::default() };
        let (flag, mut sink) = (AtomicBool::new(false), FileSink::new(dir).unwrap());
        let mut observer = StopAt(stop_at, &flag);
        let data =
            Data { train: source, validation: &validation, token_bytes: &self.tokenizer.token_bytes() };
        let hooks = Hooks { observer: &mut observer, sink: &mut sink, interrupt: &flag, weights: None };
        train(config, &watch, dir, start, data, hooks).unwrap()
    }
}

/// Trains with and without a stop in the middle; gives the bits per byte at the end.
fn check_resume(text: &Text, steps: u64) -> f64 {
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = config(&text.tokenizer, steps);
    let outcome = text.run(whole.path(), &config, Start::Fresh, &mut text.source(), u64::MAX);
    let first = text.run(stopped.path(), &config, Start::Fresh, &mut text.source(), steps / 2);
    assert_eq!((first.end, first.state.step), (End::Interrupted, steps / 2));
    let second = text.run(stopped.path(), &config, Start::Resume(None), &mut text.source(), u64::MAX);
    assert_eq!(second.end, End::Completed);
    for file in ["model.safetensors", "facts.json"] {
        let read = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
        assert!(read(whole.path()) == read(stopped.path()), "{file} differs after a stop");
    }
    let bpb = outcome.state.validation_bpb.unwrap();
    assert_eq!(second.state.validation_bpb, Some(bpb));
    bpb
}

#[test]
fn the_built_in_corpus_trains_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let size = MakeSize { text_bytes: 200_000, conversations: 200, held_out: 5 };
    let made = make(dir.path(), 1, size).unwrap();
    assert!(!made.files.is_empty());
    let text = Text::open(&[dir.path().join("text")]);
    // A byte told by nothing costs 8 bits; a model of the letters' frequencies more than 4.
    let bpb = check_resume(&text, 60);
    assert!(bpb < 3.0, "{bpb} bits per byte");
}

#[test]
fn conversations_train_and_resume() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), 1, MakeSize { text_bytes: 100_000, conversations: 300, held_out: 5 }).unwrap();
    let text = Text::open(&[dir.path().join("text")]);
    let loaded = mynah_data::chat::load(&[dir.path().join("chat/train.jsonl")], &Default::default()).unwrap();
    let source = || {
        SftLoader::new(&loaded.conversations, &text.tokenizer, LoaderOptions::training(4, COLS, 3)).unwrap()
    };
    let config = TrainConfig::finetune(&config(&text.tokenizer, 1), 30, 1.0);
    let losses = |stop_at: u64| {
        let dir = tempfile::tempdir().unwrap();
        let first = text.run(dir.path(), &config, Start::Fresh, &mut source(), stop_at);
        if first.end == End::Interrupted {
            text.run(dir.path(), &config, Start::Resume(None), &mut source(), u64::MAX);
        }
        let rows = mynah_train::metrics::read_rows(&dir.path().join("metrics.jsonl")).unwrap();
        rows.iter().filter_map(|row| row.loss).collect::<Vec<f64>>()
    };
    let whole = losses(u64::MAX);
    assert_eq!(whole, losses(11));
    assert!(whole[29] < 0.75 * whole[0], "{whole:?}");
}

#[test]
fn text_of_the_user_trains_and_resumes() {
    let Some(data) = std::env::var_os("MYNAH_DATA") else {
        println!("MYNAH_DATA does not name a folder with text/tinyshakespeare.txt: skipped");
        return;
    };
    let text = Text::open(&[Path::new(&data).join("text/tinyshakespeare.txt")]);
    let bpb = check_resume(&text, 80);
    assert!(bpb < 3.5, "{bpb} bits per byte");
}

#[test]
fn data_that_is_not_that_of_the_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let texts =
        |word: &str| (0..2000).map(|n| format!("{word} number {n} of the many small texts.")).collect();
    let corpus = |word| Corpus::from_texts(texts(word), CorpusOptions::default()).unwrap();
    let one = corpus("Bird");
    let text = Text { tokenizer: tokenizer(&one), corpus: one };
    let config = config(&text.tokenizer, 4);
    text.run(dir.path(), &config, Start::Fresh, &mut text.source(), 2);
    let other = Text { tokenizer: text.tokenizer.clone(), corpus: corpus("Stone, another") };
    let mut sink = FileSink::new(dir.path()).unwrap();
    let mut source = other.source();
    let data = Data { train: &mut source, validation: &[], token_bytes: &[] };
    let interrupt = AtomicBool::new(false);
    let hooks = Hooks { observer: &mut NoObserver, sink: &mut sink, interrupt: &interrupt, weights: None };
    let error =
        train(&config, &WatchConfig::default(), dir.path(), Start::Resume(None), data, hooks).err().unwrap();
    assert!(error.to_string().contains("not that of the checkpoint"), "{error}");
}
