use super::*;

fn write_files(text: &str) -> impl Fn(&Path) -> Result<()> + '_ {
    move |dir| {
        for name in ["model.safetensors", "config.json", "state.json"] {
            fs::write(dir.join(name), format!("{name} {text}")).unwrap();
        }
        mynah_nn::checkpoint::record_files(dir, &["model.safetensors", "config.json", "state.json"]).unwrap();
        Ok(())
    }
}

fn store(keep: usize, steps: &[u64]) -> (tempfile::TempDir, CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::create(dir.path(), keep).unwrap();
    for step in steps {
        store.save(*step, write_files(&step.to_string())).unwrap();
    }
    (dir, store)
}

fn top(dir: &Path) -> String {
    fs::read_to_string(dir.join("model.safetensors")).unwrap()
}

#[test]
fn keeps_the_newest_and_a_model_at_the_top() {
    let (dir, store) = store(2, &[5, 10, 15]);
    assert_eq!(store.steps().unwrap(), [10, 15]);
    assert_eq!(store.latest().unwrap(), 15);
    assert_eq!(top(dir.path()), "model.safetensors 15");
    assert!(!dir.path().join("state.json").exists(), "only the model belongs at the top");
    assert_eq!(store.checked(None).unwrap().step, 15);
    assert_ne!(store.checked(Some(10)).unwrap().digest, store.checked(None).unwrap().digest);
}

#[test]
fn damage_is_named_with_what_to_do() {
    let (dir, store) = store(3, &[5, 10, 15]);
    let check = |path: &str, damage: &dyn Fn(&Path), expect: &[&str]| {
        let path = dir.path().join(path);
        let before = fs::read(&path).unwrap();
        damage(&path);
        let error = store.checked(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        for words in expect {
            assert!(error.to_string().contains(words), "{error} should say {words:?}");
        }
        fs::write(&path, before).unwrap();
        store.checked(None).unwrap();
    };
    let truncate: &dyn Fn(&Path) = &|path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 3]).unwrap();
    };
    let flip: &dyn Fn(&Path) = &|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[2] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let model = "checkpoints/step-00000015/model.safetensors";
    check(model, truncate, &["step-00000015/model.safetensors", "17 bytes", "says 20", "--resume 10"]);
    check(model, flip, &["model.safetensors", "damaged", "steps 10, 5"]);
    check("checkpoints/step-00000015/manifest.json", truncate, &["manifest.json", "--resume 10"]);
    check("checkpoints/LATEST", truncate, &["LATEST names no checkpoint", "--resume 15"]);
    let gone: &dyn Fn(&Path) = &|path| fs::remove_file(path).unwrap();
    check(model, gone, &["model.safetensors", "--resume 10"]);
    let error = store.checked(Some(7)).unwrap_err().to_string();
    assert!(error.contains("no checkpoint of step 7"), "{error}");
}

#[test]
fn a_failed_save_leaves_the_old_checkpoint() {
    let (dir, store) = store(1, &[5]);
    let error = store
        .save(10, |partial| {
            fs::write(partial.join("model.safetensors"), "half").unwrap();
            Err(Error::new(ErrorKind::Io, "No space left on device"))
        })
        .unwrap_err()
        .to_string();
    assert!(error.contains("step 10") && error.contains("step 5 is untouched"), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(store.steps().unwrap(), [5]);
    assert_eq!(store.checked(None).unwrap().step, 5);
    assert_eq!(top(dir.path()), "model.safetensors 5");
    assert_eq!(fs::read_dir(dir.path().join("checkpoints")).unwrap().count(), 2, "nothing half stays");
}

#[test]
fn going_back_rewrites_later_checkpoints() {
    let (dir, store) = store(3, &[5, 10, 15]);
    store.set_latest(5).unwrap();
    assert_eq!(store.checked(None).unwrap().step, 5);
    store.save(10, write_files("again")).unwrap();
    assert_eq!(store.latest().unwrap(), 10);
    assert_eq!(store.checked(Some(10)).unwrap().step, 10);
    assert_eq!(top(dir.path()), "model.safetensors again");
}

#[test]
fn a_new_run_does_not_overwrite() {
    let (dir, _) = store(1, &[5]);
    let error = CheckpointStore::create(dir.path(), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("step 5") && error.to_string().contains("--resume"), "{error}");
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("config.json"), "{}").unwrap();
    let error = CheckpointStore::create(other.path(), 1).unwrap_err().to_string();
    assert!(error.contains("already holds a model (config.json)"), "{error}");
    let error = CheckpointStore::open(other.path(), 1).unwrap_err().to_string();
    assert!(error.contains("no checkpoints to resume from"), "{error}");
}

#[test]
fn what_a_kill_left_is_tidied_up() {
    let (dir, store) = store(2, &[5, 10]);
    let folder = dir.path().join("checkpoints");
    // Killed while writing step 15.
    fs::create_dir(folder.join("step-00000015.partial")).unwrap();
    fs::write(folder.join("step-00000015.partial/model.safetensors"), "half").unwrap();
    // Killed between the renames that replace step 10.
    fs::rename(folder.join("step-00000010"), folder.join("step-00000010.replaced")).unwrap();
    // Killed while replacing LATEST.
    fs::write(folder.join("LATEST.tmp"), "step-").unwrap();
    let opened = CheckpointStore::open(dir.path(), 2).unwrap();
    assert_eq!(opened.steps().unwrap(), [5, 10]);
    assert_eq!(opened.checked(None).unwrap().step, 10);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    // Killed right after the second rename.
    fs::create_dir(folder.join("step-00000010.replaced")).unwrap();
    CheckpointStore::open(dir.path(), 2).unwrap();
    assert_eq!(store.steps().unwrap(), [5, 10]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
}

#[test]
fn the_first_checkpoint_counts_before_latest_names_it() {
    let (dir, store) = store(2, &[5]);
    fs::remove_file(dir.path().join("checkpoints/LATEST")).unwrap();
    assert!(store.latest().is_err());
    assert_eq!(CheckpointStore::open(dir.path(), 2).unwrap().checked(None).unwrap().step, 5);
}
