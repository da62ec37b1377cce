//! Weights from elsewhere, between two steps.

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{Counting, config, run, run_with, watch};
use mynah_base::Rng;
use mynah_nn::{Gpt, GptConfig, StatePolicy, checkpoint};
use mynah_train::{Incoming, NoObserver, Observer, Start, WatchConfig, WeightSource};

const STEPS: u64 = 8;

/// Offers a model at one step.
struct Offer {
    at: u64,
    model: Option<Gpt>,
    optimizer: StatePolicy,
    begun: Vec<Option<String>>,
}

impl Offer {
    fn new(at: u64, model: Gpt, optimizer: StatePolicy) -> Offer {
        Offer { at, model: Some(model), optimizer, begun: Vec::new() }
    }
}

impl WeightSource for Offer {
    fn begin(&mut self, taken: Option<&str>) {
        self.begun.push(taken.map(str::to_string));
    }

    fn poll(&mut self, step: u64) -> Result<Option<Incoming>, String> {
        if step != self.at {
            return Ok(None);
        }
        let Some(model) = self.model.take() else { return Err("damaged on the way".to_string()) };
        Ok(Some(Incoming { model, optimizer: self.optimizer, name: "b".to_string(), epoch: 3 }))
    }
}

#[derive(Default)]
struct Told {
    taken: Vec<(u64, String)>,
    warnings: Vec<String>,
}

impl Observer for Told {
    fn taken(&mut self, step: u64, name: &str) {
        self.taken.push((step, name.to_string()));
    }

    fn warning(&mut self, message: &str) {
        self.warnings.push(message.to_string());
    }
}

fn quiet() -> WatchConfig {
    WatchConfig { validate_every: 0, sample_every: 0, save_every: 4, ..watch() }
}

fn go(dir: &Path, offer: Option<&mut dyn WeightSource>) -> (Vec<u8>, Told) {
    let (mut told, no) = (Told::default(), AtomicBool::new(false));
    let (config, watch) = (config(STEPS), quiet());
    let mut source = Counting::new(5);
    run_with(dir, (&config, &watch), Start::Fresh, &mut source, &mut told, &no, offer).unwrap();
    (std::fs::read(dir.join("model.safetensors")).unwrap(), told)
}

/// The run's own weights after so many steps.
fn own(steps: u64) -> Gpt {
    let dir = tempfile::tempdir().unwrap();
    let (config, watch) = (config(STEPS), WatchConfig { save_every: 1, checkpoints_kept: 20, ..quiet() });
    let mut source = Counting::new(5);
    let no = AtomicBool::new(false);
    run(dir.path(), &config, &watch, Start::Fresh, &mut source, &mut NoObserver, &no).unwrap();
    let store = mynah_train::checkpoint::CheckpointStore::open(dir.path(), 20).unwrap();
    checkpoint::load_model(&store.checked(Some(steps)).unwrap().path).unwrap()
}

#[test]
fn its_own_weights_change_nothing_but_by_the_optimizer() {
    let dir = || tempfile::tempdir().unwrap();
    let (plain, _) = go(dir().path(), None);
    let with = |policy| {
        let (bytes, told) = go(dir().path(), Some(&mut Offer::new(4, own(4), policy)));
        assert_eq!(told.taken, [(4, "b".to_string())]);
        bytes
    };
    assert_eq!(with(StatePolicy::Preserve), plain);
    assert_eq!(with(StatePolicy::Attenuate(1.0)), plain);
    let (half, none, reset) =
        (with(StatePolicy::Attenuate(0.5)), with(StatePolicy::Attenuate(0.0)), with(StatePolicy::Reset));
    let all = [&plain, &half, &none, &reset];
    for (number, one) in all.iter().enumerate() {
        assert!(all[..number].iter().all(|other| other != one), "policy {number} does what another does");
    }
}

#[test]
fn weights_taken_before_the_first_step_are_where_the_run_begins() {
    let other = || Gpt::new(config(STEPS).model, &mut Rng::new(77)).unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (taken, _) = go(first.path(), Some(&mut Offer::new(0, other(), StatePolicy::Reset)));
    let start = Start::Pretrained { model: other(), optimizer_dir: None };
    let no = AtomicBool::new(false);
    run(second.path(), &config(STEPS), &quiet(), start, &mut Counting::new(5), &mut NoObserver, &no).unwrap();
    assert_eq!(taken, std::fs::read(second.path().join("model.safetensors")).unwrap());
}

#[test]
fn what_cannot_be_taken_is_told_and_changes_nothing() {
    let (plain, _) = go(tempfile::tempdir().unwrap().path(), None);
    let wide = GptConfig { n_embd: 64, ..config(STEPS).model };
    let mut offer = Offer::new(2, Gpt::new(wide, &mut Rng::new(1)).unwrap(), StatePolicy::Reset);
    let (bytes, told) = go(tempfile::tempdir().unwrap().path(), Some(&mut offer));
    assert_eq!((bytes == plain, told.warnings.len(), told.taken.len()), (true, 1, 0));
    assert!(told.warnings[0].contains("another configuration"), "{:?}", told.warnings);

    let mut damaged = Offer { model: None, ..offer };
    let (bytes, told) = go(tempfile::tempdir().unwrap().path(), Some(&mut damaged));
    assert_eq!((bytes == plain, told.taken.len()), (true, 0));
    assert!(told.warnings[0].contains("damaged on the way"), "{:?}", told.warnings);
}

#[test]
fn a_resumed_run_knows_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let other = Gpt::new(config(STEPS).model, &mut Rng::new(77)).unwrap();
    let mut offer = Offer::new(4, other, StatePolicy::Reset);
    go(dir.path(), Some(&mut offer));
    assert_eq!(offer.begun, [None]);
    // From the checkpoint of step 8, and from that of step 4, which was saved before they came.
    for (step, knows) in [(8, Some("b".to_string())), (4, None)] {
        let mut source = Counting::new(5);
        let mut offer = Offer { begun: Vec::new(), ..Offer::new(9, own(1), StatePolicy::Reset) };
        let no = AtomicBool::new(true);
        let (config, watch) = (config(STEPS), quiet());
        let start = Start::Resume(Some(step));
        run_with(dir.path(), (&config, &watch), start, &mut source, &mut NoObserver, &no, Some(&mut offer))
            .unwrap();
        assert_eq!(offer.begun, [knows]);
    }
}
