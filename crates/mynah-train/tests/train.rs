//! The loop: it learns, validates, stops, resumes, refuses.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{COLS, Counting, ROWS, VOCAB, config, run, token_bytes, validation, watch};
use mynah_base::Rng;
use mynah_data::Batch;
use mynah_nn::{Gpt, GptConfig};
use mynah_train::checkpoint::CheckpointStore;
use mynah_train::metrics::read_rows;
use mynah_train::{
    BatchSource, End, ErrorKind, ModelFacts, NoObserver, Observer, Progress, Result, Stage, Start,
    TrainConfig, WatchConfig, eval,
};
use serde_json::Value;

#[derive(Default)]
struct Watching {
    steps: Vec<u64>,
    samples: Vec<u64>,
    saved: Vec<u64>,
    warnings: Vec<String>,
    validated: Vec<(u64, f64)>,
    seconds_left: Option<f64>,
}

impl Observer for Watching {
    fn step(&mut self, progress: &Progress) {
        self.steps.push(progress.row.step);
        self.validated.extend(progress.row.validation_bpb.map(|bpb| (progress.row.step, bpb)));
        self.seconds_left = progress.seconds_left;
    }
    fn sample(&mut self, step: u64, model: &Gpt) {
        assert_eq!(model.config().vocab_size, VOCAB);
        self.samples.push(step);
    }
    fn saved(&mut self, step: u64, path: &Path) {
        assert!(path.is_dir());
        self.saved.push(step);
    }
    fn warning(&mut self, message: &str) {
        self.warnings.push(message.to_string());
    }
}

fn go(dir: &Path, config: &TrainConfig, watch: &WatchConfig, start: Start) -> Result<(Watching, End)> {
    let mut watching = Watching::default();
    let never = AtomicBool::new(false);
    let outcome = run(dir, config, watch, start, &mut Counting::new(7), &mut watching, &never)?;
    Ok((watching, outcome.end))
}

#[test]
fn a_tiny_model_learns_to_count() {
    let dir = tempfile::tempdir().unwrap();
    let watch = WatchConfig { validate_every: 50, sample_every: 100, save_every: 0, ..watch() };
    let (watching, end) = go(dir.path(), &config(150), &watch, Start::Fresh).unwrap();
    assert_eq!(end, End::Completed);
    assert_eq!(watching.steps, (0..=150).collect::<Vec<u64>>());
    assert_eq!(watching.samples, [100, 150]);
    assert_eq!(watching.saved, [150]);
    assert_eq!(watching.warnings, Vec::<String>::new());
    assert!(watching.seconds_left.is_some());
    let at: Vec<u64> = watching.validated.iter().map(|&(step, _)| step).collect();
    assert_eq!(at, [0, 50, 100, 150]);
    // Untrained, all 64 tokens are as likely: 6 bits a token of about two bytes.
    let (first, last) = (watching.validated[0].1, watching.validated[3].1);
    assert!((first - 3.0).abs() < 0.2, "{first}");
    assert!(last < 0.3, "{last}");
    let rows = read_rows(&dir.path().join("metrics.jsonl")).unwrap();
    assert_eq!(rows.len(), 151);
    assert_eq!(rows[150].tokens, 150 * (ROWS * COLS * 2) as u64);
    assert!(rows[150].utilisation.unwrap() > 0.0);
    // The folder is a model with its facts.
    let model = mynah_nn::checkpoint::load_model(dir.path()).unwrap();
    let measured = eval::bits_per_byte(&model, &validation(), &token_bytes()).unwrap();
    assert!((measured.bits_per_byte() - last).abs() < 1e-9);
    let facts = ModelFacts::load(dir.path()).unwrap().unwrap();
    assert_eq!((facts.stage, facts.step, facts.validation_bpb), (Stage::Pretrain, 150, Some(last)));
    facts.check_tokenizer("counting", VOCAB).unwrap();
    assert!(facts.check_tokenizer("other", VOCAB).unwrap_err().to_string().contains("digest"));
    assert!(facts.check_tokenizer("counting", 65).unwrap_err().to_string().contains("65 tokens"));
}

#[test]
fn bits_per_byte_is_the_sum_over_counted_tokens() {
    let model = Gpt::new(config(1).model, &mut Rng::new(3)).unwrap();
    let mut batch = Counting::new(5).batch();
    batch.targets[3] = 0; // special: not counted
    let measured = eval::bits_per_byte(&model, std::slice::from_ref(&batch), &token_bytes()).unwrap();
    // The same by hand from the logits.
    let logits = mynah_tensor::no_grad(|| {
        let ids = mynah_tensor::Tensor::from_vec(batch.inputs.clone(), &[ROWS, COLS]).unwrap();
        model.logits(&ids).unwrap().to_vec::<f32>().unwrap()
    });
    let (mut nats, mut bytes) = (0.0, 0);
    for (row, &target) in logits.chunks(VOCAB).zip(&batch.targets) {
        let length = usize::try_from(target).map_or(0, |target| token_bytes()[target]);
        if length > 0 {
            let sum: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
            nats += sum.ln() - f64::from(row[target as usize]);
            bytes += u64::from(length);
        }
    }
    assert_eq!(measured.bytes, bytes);
    assert!((measured.nats - nats).abs() < 1e-3, "{} {nats}", measured.nats);
    let error = eval::bits_per_byte(&model, &[batch], &[1, 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn accumulated_passes_are_one_large_batch() {
    /// Gives the same rows in passes of any number of rows.
    struct Regrouped(Counting, usize);
    impl BatchSource for Regrouped {
        fn next_batch(&mut self) -> Result<Batch> {
            let mut whole = Batch { inputs: vec![], targets: vec![], rows: 0, cols: COLS };
            while whole.rows < self.1 {
                let batch = self.0.batch();
                whole.inputs.extend(batch.inputs);
                whole.targets.extend(batch.targets);
                whole.rows += batch.rows;
            }
            Ok(whole)
        }
        fn state(&self) -> Result<Value> {
            self.0.state()
        }
        fn restore(&mut self, state: &Value) -> Result<()> {
            self.0.restore(state)
        }
    }
    let losses = |rows: usize, accumulation_steps: usize| {
        let dir = tempfile::tempdir().unwrap();
        let config = TrainConfig { batch_rows: rows, accumulation_steps, ..config(6) };
        let mut source = Regrouped(Counting::new(7), rows);
        let never = AtomicBool::new(false);
        run(dir.path(), &config, &WatchConfig::default(), Start::Fresh, &mut source, &mut NoObserver, &never)
            .unwrap();
        let rows = read_rows(&dir.path().join("metrics.jsonl")).unwrap();
        rows.iter().filter_map(|row| row.loss).collect::<Vec<f64>>()
    };
    let (small, large) = (losses(2, 4), losses(8, 1));
    assert_eq!(small.len(), 6);
    for (a, b) in small.iter().zip(&large) {
        assert!((a - b).abs() < 2e-3, "{small:?} {large:?}");
    }
}

#[test]
fn interruption_saves_and_resume_goes_on() {
    struct StopAt<'a>(u64, &'a AtomicBool);
    impl Observer for StopAt<'_> {
        fn step(&mut self, progress: &Progress) {
            if progress.row.step == self.0 {
                self.1.store(true, Ordering::Relaxed);
            }
        }
    }
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let watch = WatchConfig { save_every: 0, ..watch() };
    let config = config(12);
    go(whole.path(), &config, &watch, Start::Fresh).unwrap();
    let flag = AtomicBool::new(false);
    let mut observer = StopAt(5, &flag);
    let outcome =
        run(stopped.path(), &config, &watch, Start::Fresh, &mut Counting::new(7), &mut observer, &flag)
            .unwrap();
    assert_eq!((outcome.end, outcome.state.step), (End::Interrupted, 5));
    let run_file = std::fs::read_to_string(stopped.path().join("run.json")).unwrap();
    assert!(run_file.contains("interrupted"), "{run_file}");
    let (watching, end) = go(stopped.path(), &config, &watch, Start::Resume(None)).unwrap();
    assert_eq!((end, watching.steps[0]), (End::Completed, 6));
    let model = |dir: &Path| std::fs::read(dir.join("model.safetensors")).unwrap();
    assert!(model(whole.path()) == model(stopped.path()), "the weights differ");
    // Going back to the first checkpoint gives the same once more.
    let (watching, _) = go(stopped.path(), &config, &watch, Start::Resume(Some(5))).unwrap();
    assert_eq!(watching.steps[0], 6);
    assert!(model(whole.path()) == model(stopped.path()), "the weights differ after going back");
    assert_eq!(read_rows(&stopped.path().join("metrics.jsonl")).unwrap().len(), 13);
}

#[test]
fn a_finished_run_resumes_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    go(dir.path(), &config(3), &watch(), Start::Fresh).unwrap();
    let (watching, end) = go(dir.path(), &config(3), &watch(), Start::Resume(None)).unwrap();
    assert_eq!((end, watching.steps.len()), (End::Completed, 0));
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fail = |config: &TrainConfig, start: Start| {
        let error = go(dir.path(), config, &watch(), start).err().unwrap();
        (error.kind(), error.to_string())
    };
    let (kind, message) = fail(&config(3), Start::Resume(None));
    assert_eq!(kind, ErrorKind::Checkpoint, "{message}");
    go(dir.path(), &config(3), &watch(), Start::Fresh).unwrap();
    let (kind, message) = fail(&config(3), Start::Fresh);
    assert!(kind == ErrorKind::Config && message.contains("--resume"), "{message}");
    let (kind, message) = fail(&config(4), Start::Resume(None));
    assert!(kind == ErrorKind::Config && message.contains("schedule.steps is 4"), "{message}");
    let other = TrainConfig { tokenizer_digest: "other".into(), ..config(3) };
    let (kind, message) = fail(&other, Start::Resume(None));
    assert!(kind == ErrorKind::Config && message.contains("another tokenizer"), "{message}");
    let wider = TrainConfig { model: GptConfig { n_embd: 64, ..config(3).model }, ..config(3) };
    let (_, message) = fail(&wider, Start::Resume(None));
    assert!(message.contains("model.n_embd is 64") && message.contains("has 32"), "{message}");
    let long = TrainConfig { row_tokens: 99, ..config(3) };
    let (_, message) = fail(&long, Start::Fresh);
    assert!(message.contains("rows of 99 tokens do not fit the model's context of 16"), "{message}");
    let none = TrainConfig { batch_rows: 0, ..config(3) };
    assert!(fail(&none, Start::Fresh).1.contains("batch_rows is 0"));
    // A damaged weight file is named, with what to do.
    let weights = dir.path().join("checkpoints/step-00000003/model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    // Not in place: the file at the top is the same one by a hard link.
    std::fs::remove_file(&weights).unwrap();
    std::fs::write(&weights, bytes).unwrap();
    let (kind, message) = fail(&config(3), Start::Resume(None));
    assert!(
        kind == ErrorKind::Checkpoint && message.contains("step-00000003/model.safetensors"),
        "{message}"
    );
    assert!(message.contains("--resume 2"), "{message}");
    mynah_nn::checkpoint::load_model(dir.path()).unwrap();
    let (watching, _) = go(dir.path(), &config(3), &watch(), Start::Resume(Some(2))).unwrap();
    assert_eq!(watching.saved, [3]);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    /// Breaks a weight of the model at its tenth batch.
    struct Poison(Counting, mynah_tensor::Tensor);
    impl BatchSource for Poison {
        fn next_batch(&mut self) -> Result<Batch> {
            if self.0.given == 10 {
                self.1.with_f32_mut(|values| values[0] = f32::NAN).unwrap();
            }
            self.0.next_batch()
        }
        fn state(&self) -> Result<Value> {
            self.0.state()
        }
        fn restore(&mut self, state: &Value) -> Result<()> {
            self.0.restore(state)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let config = config(20);
    let model = Gpt::new(config.model.clone(), &mut Rng::new(1)).unwrap();
    let weight =
        model.named_parameters().iter().find(|(name, _)| name == "lm_head.weight").unwrap().1.clone();
    let start = Start::Pretrained { model, optimizer_dir: None };
    let mut source = Poison(Counting::new(7), weight);
    let never = AtomicBool::new(false);
    let error =
        run(dir.path(), &config, &watch(), start, &mut source, &mut NoObserver, &never).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    let message = error.to_string();
    assert!(message.contains("step 6") && message.contains("step 5 is the last good one"), "{message}");
    assert_eq!(CheckpointStore::open(dir.path(), 2).unwrap().checked(None).unwrap().step, 5);
    assert!(std::fs::read_to_string(dir.path().join("run.json")).unwrap().contains("failed"));
}

#[test]
fn fine_tuning_starts_from_the_pretrained_model() {
    let (base, tuned) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pretrain = config(60);
    let watch = WatchConfig { save_every: 0, ..watch() };
    let (first, _) = go(base.path(), &pretrain, &watch, Start::Fresh).unwrap();
    let model = mynah_nn::checkpoint::load_model(base.path()).unwrap();
    let store = CheckpointStore::open(base.path(), 2).unwrap();
    let optimizer_dir = Some(store.checked(None).unwrap().path);
    let finetune = TrainConfig::finetune(&pretrain, 20, 0.5);
    let (second, _) =
        go(tuned.path(), &finetune, &watch, Start::Pretrained { model, optimizer_dir }).unwrap();
    assert_eq!(first.validated.last().unwrap().1, second.validated[0].1);
    let facts = ModelFacts::load(tuned.path()).unwrap().unwrap();
    assert_eq!((facts.stage, facts.step), (Stage::Finetune, 20));
    let rows = read_rows(&tuned.path().join("metrics.jsonl")).unwrap();
    assert!(rows.last().unwrap().learning_rate.unwrap() < 0.11);
    // Another shape is refused.
    let other = Gpt::new(GptConfig { n_embd: 64, ..pretrain.model.clone() }, &mut Rng::new(1)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let start = Start::Pretrained { model: other, optimizer_dir: None };
    assert_eq!(go(dir.path(), &finetune, &watch, start).err().unwrap().kind(), ErrorKind::Config);
}

#[test]
fn a_time_limit_sets_the_steps_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { seconds_max: Some(1e-3), ..config(1000) };
    let (watching, end) = go(dir.path(), &config, &watch(), Start::Fresh).unwrap();
    assert_eq!(end, End::Completed);
    assert_eq!(watching.steps.last(), Some(&5));
    assert!(watching.warnings[0].contains("instead of 1000"), "{:?}", watching.warnings);
}
