//! Batches: exact resume, coverage, too little data, conversations.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use mynah_data::builtin::Builtin;
use mynah_data::{
    Batch, Corpus, CorpusOptions, ErrorKind, LoaderOptions, LoaderState, PackedLoader, SftLoader, SftState,
    Split,
};
use mynah_tokenizer::chat::Conversation;
use mynah_tokenizer::{Special, Tokenizer, TrainOptions, Trainer};

fn tokenizer() -> Arc<Tokenizer> {
    static TOKENIZER: OnceLock<Arc<Tokenizer>> = OnceLock::new();
    let train = || {
        let mut trainer = Trainer::new(TrainOptions { vocab_size: 600, ..TrainOptions::default() }).unwrap();
        Builtin::new(1).documents(200_000).for_each(|text| trainer.feed(&text));
        Arc::new(trainer.finish().unwrap().0)
    };
    TOKENIZER.get_or_init(train).clone()
}

fn corpus(size_bytes: u64) -> Corpus {
    Corpus::from_texts(Builtin::new(2).documents(size_bytes).collect(), CorpusOptions::default()).unwrap()
}

fn loader(options: LoaderOptions) -> PackedLoader {
    PackedLoader::new(corpus(300_000), tokenizer(), Split::Train, options).unwrap()
}

fn batches(loader: &mut PackedLoader, count: usize) -> Vec<Batch> {
    (0..count).map(|_| loader.next_batch().unwrap().unwrap()).collect()
}

#[test]
fn resuming_gives_the_same_batches() {
    let options = LoaderOptions { window_tokens: 10_000, ..LoaderOptions::training(3, 32, 5) };
    let mut whole = loader(options);
    let mut states = Vec::new();
    let mut expect = Vec::new();
    // More than two epochs, so that windows and epochs end in between.
    while whole.epoch() < 2 || expect.len() % 7 != 0 {
        states.push(whole.state());
        expect.push(whole.next_batch().unwrap().unwrap());
    }
    let last = batches(&mut whole, 5);
    expect.extend(last);
    assert!(states.len() > 300);
    for at in (0..states.len()).step_by(61).chain([states.len() - 1]) {
        let json = serde_json::to_string(&states[at]).unwrap();
        assert!(json.len() < 2_000, "{}", json.len());
        let state: LoaderState = serde_json::from_str(&json).unwrap();
        let mut resumed =
            PackedLoader::resume(corpus(300_000), tokenizer(), Split::Train, options, &state).unwrap();
        assert_eq!(batches(&mut resumed, 5), expect[at..at + 5], "at {at}");
        assert_eq!(resumed.state(), states.get(at + 5).cloned().unwrap_or_else(|| resumed.state()));
    }
}

#[test]
fn a_position_of_other_data_is_refused() {
    let options = LoaderOptions::training(2, 32, 5);
    let state = loader(options).state();
    let resume = |corpus, options| {
        PackedLoader::resume(corpus, tokenizer(), Split::Train, options, &state).map(|_| ())
    };
    assert!(resume(corpus(300_000), options).is_ok());
    assert_eq!(resume(corpus(310_000), options).unwrap_err().kind(), ErrorKind::Resume);
    let other = LoaderOptions { seed: 6, ..options };
    assert_eq!(resume(corpus(300_000), other).unwrap_err().kind(), ErrorKind::Resume);
}

#[test]
fn an_epoch_holds_every_document_once() {
    let bos = i64::from(tokenizer().special(Special::Bos));
    let mut loader = loader(LoaderOptions { repeat: false, ..LoaderOptions::training(1, 64, 1) });
    let mut ids = 0;
    let mut found = Vec::new();
    while let Some(batch) = loader.next_batch().unwrap() {
        assert_eq!(batch.inputs[0], bos);
        assert_eq!(batch.inputs[1..], batch.targets[..63]);
        ids += batch.inputs.iter().chain(batch.targets.last()).filter(|&&id| id != bos).count();
        found.push(batch.inputs);
    }
    assert_eq!(loader.next_batch().unwrap(), None, "the end stays the end");
    let corpus = corpus(300_000);
    let documents = corpus.split(Split::Train, mynah_data::Place::default());
    let expect: usize = documents.map(|d| tokenizer().encode_ordinary(&d.unwrap().text).len()).sum();
    assert!(expect - ids < 65, "{expect} ids in documents, {ids} in rows");
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len());
    let stats = loader.stats();
    assert!(stats.cuts > 0 && stats.rows == found.len() as u64);
}

#[test]
fn shuffling_follows_the_seed_and_validation_does_not_shuffle() {
    let first = |options| batches(&mut loader(options), 4);
    assert_eq!(first(LoaderOptions::training(2, 32, 1)), first(LoaderOptions::training(2, 32, 1)));
    assert_ne!(first(LoaderOptions::training(2, 32, 1)), first(LoaderOptions::training(2, 32, 2)));
    let validation = || {
        PackedLoader::new(corpus(300_000), tokenizer(), Split::Validation, LoaderOptions::validation(2, 32))
            .unwrap()
    };
    assert_eq!(batches(&mut validation(), 4), batches(&mut validation(), 4));
}

#[test]
fn too_little_data_is_said() {
    let small = || {
        Corpus::from_texts(
            vec!["A few words.".to_string(), "And more.".to_string()],
            CorpusOptions::default(),
        )
        .unwrap()
    };
    let error = PackedLoader::new(small(), tokenizer(), Split::Train, LoaderOptions::training(4, 128, 1))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::TooSmall);
    assert!(error.to_string().contains("516 (4 rows of 129)"), "{error}");
    let error = PackedLoader::new(small(), tokenizer(), Split::Train, LoaderOptions::training(0, 128, 1))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Setting);
    // Enough for one batch, but only by going around again and again: fine for training.
    let mut loader =
        PackedLoader::new(small(), tokenizer(), Split::Train, LoaderOptions::training(1, 3, 1)).unwrap();
    assert_eq!(batches(&mut loader, 50).len(), 50);
}

fn conversations(count: u64) -> Vec<Conversation> {
    (0..count).map(|index| Builtin::new(3).conversation(Split::Train, index)).collect()
}

#[test]
fn conversations_are_whole_and_trained_only_where_the_model_speaks() {
    let tokenizer = tokenizer();
    let conversations = conversations(300);
    let options = LoaderOptions { repeat: false, ..LoaderOptions::training(1, 512, 1) };
    let mut loader = SftLoader::new(&conversations, &tokenizer, options).unwrap();
    assert_eq!(loader.skipped(), 0);
    let (bos, end) = (tokenizer.special(Special::Bos), tokenizer.special(Special::AssistantEnd));
    let output = tokenizer.special(Special::OutputStart);
    let (mut begun, mut ended) = (0, 0);
    while let Some(batch) = loader.next_batch() {
        assert_eq!(batch.inputs[0], i64::from(bos));
        for (at, &target) in batch.targets.iter().enumerate() {
            assert!(target == -1 || target != i64::from(bos), "a new conversation is not to be predicted");
            assert_ne!(target, i64::from(output), "the tool's output is not to be predicted");
            if target != -1 && at + 1 < batch.cols {
                assert_eq!(target, batch.inputs[at + 1]);
            }
            ended += usize::from(target == i64::from(end));
        }
        begun +=
            batch.inputs.windows(2).filter(|pair| pair[0] == i64::from(bos) && pair[1] != pair[0]).count();
    }
    let answers: usize = conversations.iter().map(|c| c.messages.len() / 2).sum();
    assert_eq!(begun, conversations.len());
    // A few long ones lose their end to the row.
    assert!(ended <= answers && ended * 100 > answers * 95, "{ended} of {answers}");
    let stats = loader.stats();
    assert!(stats.padding * 20 < stats.tokens, "{stats:?}");
}

#[test]
fn conversations_resume_exactly() {
    let conversations = conversations(1_500);
    let options = LoaderOptions::training(4, 128, 9);
    let new = || SftLoader::new(&conversations, &tokenizer(), options).unwrap();
    let mut whole = new();
    let (mut states, mut expect) = (Vec::new(), Vec::new());
    while whole.state().epoch < 2 {
        states.push(serde_json::to_string(&whole.state()).unwrap());
        expect.push(whole.next_batch().unwrap());
    }
    for at in (0..states.len() - 3).step_by(37) {
        let state: SftState = serde_json::from_str(&states[at]).unwrap();
        let mut resumed = new();
        resumed.seek(&state).unwrap();
        let found: Vec<Batch> = (0..3).map(|_| resumed.next_batch().unwrap()).collect();
        assert_eq!(found, expect[at..at + 3]);
    }
    let state: SftState = serde_json::from_str(&states[0]).unwrap();
    let mut other = SftLoader::new(&conversations[1..], &tokenizer(), options).unwrap();
    assert_eq!(other.seek(&state).unwrap_err().kind(), ErrorKind::Resume);
    let none = SftLoader::new(&[], &tokenizer(), options).err().unwrap();
    assert_eq!(none.kind(), ErrorKind::Empty);
}
