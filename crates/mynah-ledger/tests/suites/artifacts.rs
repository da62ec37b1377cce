//! Artifacts: stored once, found by owner and path, never outside; and what is taken out of the store.

use std::fs;
use std::io::{self, Read};

use crate::common::{ledger, point, run};
use mynah_ledger::{
    ArtifactOwner, CheckOptions, ErrorKind, FindingKind, GarbageOptions, Ledger, NewLoggedModel, RunRecord,
};

fn owner(record: &RunRecord) -> ArtifactOwner {
    ArtifactOwner::Run(record.run.id.clone())
}

fn read(ledger: &Ledger, owner: &ArtifactOwner, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    ledger.artifact(owner, path).unwrap().1.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Files under the folder of contents.
fn contents(ledger: &Ledger) -> Vec<std::path::PathBuf> {
    let Ok(folders) = fs::read_dir(ledger.artifact_dir()) else { return Vec::new() };
    let folders = folders.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_same_bytes_are_stored_once_and_come_back() {
    let Some((ledger, _dir)) = ledger() else { return };
    let (one, two) = (owner(&run(&ledger, "a")), owner(&run(&ledger, "b")));
    let bytes = vec![7u8; 600_000];
    let put = ledger.put_artifact(&one, "model/weights.bin", &mut &bytes[..]).unwrap();
    assert_eq!((put.size_bytes, put.digest.clone()), (600_000, blake3::hash(&bytes).to_hex().to_string()));
    ledger.put_artifact(&two, "copy.bin", &mut &bytes[..]).unwrap();
    ledger.put_artifact(&two, "empty", &mut io::empty()).unwrap();
    assert_eq!(contents(&ledger).len(), 2);
    assert_eq!(read(&ledger, &one, "model/weights.bin"), bytes);
    assert_eq!(read(&ledger, &two, "empty"), b"");
    ledger.put_artifact(&two, "copy.bin", &mut &b"other"[..]).unwrap();
    assert_eq!(read(&ledger, &two, "copy.bin"), b"other");
    assert_eq!(ledger.artifact(&one, "absent").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn listings_show_one_folder() {
    let Some((ledger, _dir)) = ledger() else { return };
    let owner = owner(&run(&ledger, "r"));
    for path in ["a/x", "a/y/z", "a-b", "b", "a/y/w"] {
        ledger.put_artifact(&owner, path, &mut &b"1"[..]).unwrap();
    }
    let list = |folder: &str| {
        let entries = ledger.list_artifacts(&owner, folder).unwrap();
        entries
            .iter()
            .map(|entry| format!("{}{}", entry.path, if entry.is_dir { "/" } else { "" }))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(""), ["a/", "a-b", "b"]);
    assert_eq!(list("a"), ["a/x", "a/y/"]);
    assert_eq!(list("a/y/"), ["a/y/w", "a/y/z"]);
    assert_eq!(list("b"), Vec::<String>::new());
    assert_eq!(list("none"), Vec::<String>::new());
    assert_eq!(ledger.walk_artifacts(&owner).unwrap().len(), 5);
    assert_eq!(ledger.delete_artifacts(&owner, "a").unwrap(), 3);
    assert_eq!(list(""), ["a-b", "b"]);
    assert_eq!(ledger.delete_artifacts(&owner, "a").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn paths_that_leave_are_refused() {
    let Some((ledger, dir)) = ledger() else { return };
    let owner = owner(&run(&ledger, "r"));
    for path in ["../x", "a/../../x", "/etc/passwd", "", "a//b", "a\\..\\b", "C:\\x", "a\0b", "./a"] {
        let refused = ledger.put_artifact(&owner, path, &mut &b"1"[..]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{path:?}");
        assert!(ledger.artifact(&owner, path).is_err());
    }
    assert!(ledger.list_artifacts(&owner, "../..").is_err());
    assert!(ledger.locate_artifact("0/../../x").is_err());
    ledger.put_artifact(&owner, "file", &mut &b"1"[..]).unwrap();
    assert!(ledger.put_artifact(&owner, "file/below", &mut &b"1"[..]).is_err());
    ledger.put_artifact(&owner, "folder/file", &mut &b"1"[..]).unwrap();
    assert!(ledger.put_artifact(&owner, "folder", &mut &b"1"[..]).is_err());
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name.to_string_lossy().starts_with("ledger.db")), "{names:?}");
}

#[test]
fn addresses_name_their_owner() {
    let Some((ledger, _dir)) = ledger() else { return };
    let id = run(&ledger, "r").run.id;
    let located = |path: &str| ledger.locate_artifact(path).unwrap();
    assert_eq!(
        located(&format!("0/{id}/artifacts/a/b")),
        (ArtifactOwner::Run(id.clone()), "a/b".to_string())
    );
    assert_eq!(located(&format!("/0/{id}/artifacts")), (ArtifactOwner::Run(id), String::new()));
    let model = ArtifactOwner::Model("m-1".into());
    assert_eq!(located("0/models/m-1/artifacts/MLmodel"), (model, "MLmodel".to_string()));
    assert_eq!(located("other/thing"), (ArtifactOwner::Shared, "other/thing".to_string()));
}

#[test]
fn an_upload_that_breaks_leaves_nothing() {
    struct Breaks(usize);
    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 3 { Err(io::Error::other("the line is dead")) } else { Ok(buffer.len()) }
        }
    }
    let Some((ledger, _dir)) = ledger() else { return };
    let owner = owner(&run(&ledger, "r"));
    assert!(ledger.put_artifact(&owner, "a", &mut Breaks(0)).is_err());
    assert_eq!(contents(&ledger), Vec::<std::path::PathBuf>::new());
    let nobody = ArtifactOwner::Run("0".repeat(32));
    assert_eq!(ledger.put_artifact(&nobody, "a", &mut Breaks(0)).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_check_finds_lost_and_changed_artifacts() {
    let Some((ledger, _dir)) = ledger() else { return };
    let owner = owner(&run(&ledger, "r"));
    for (path, bytes) in [("a", "first"), ("b", "second"), ("c", "third")] {
        ledger.put_artifact(&owner, path, &mut bytes.as_bytes()).unwrap();
    }
    let options = CheckOptions { read_artifacts: true, held: None };
    assert_eq!(ledger.check(&options).unwrap().findings, []);
    let place = |text: &str| {
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        ledger.artifact_dir().join(&digest[..2]).join(&digest[2..])
    };
    fs::remove_file(place("first")).unwrap();
    fs::write(place("second"), "secind").unwrap();
    fs::write(place("third"), "thi").unwrap();
    let kinds: Vec<_> = ledger.check(&options).unwrap().findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(
        kinds,
        [FindingKind::ArtifactMissing, FindingKind::ArtifactChanged, FindingKind::ArtifactChanged]
    );
    // Without reading them, the one of the same length passes.
    assert_eq!(ledger.check(&CheckOptions::default()).unwrap().findings.len(), 2);
    // The same bytes put again mend all three.
    for (path, bytes) in [("a", "first"), ("b", "second"), ("c", "third")] {
        ledger.put_artifact(&owner, path, &mut bytes.as_bytes()).unwrap();
    }
    assert_eq!(ledger.check(&options).unwrap().findings, []);
}

#[test]
fn what_is_deleted_can_be_taken_out_for_good() {
    let Some((ledger, _dir)) = ledger() else { return };
    let (keep, drop_it) = (run(&ledger, "keep"), run(&ledger, "drop"));
    for record in [&keep, &drop_it] {
        (0..30).for_each(|step| point(&ledger, record, "m", 1.0, step));
        ledger.put_artifact(&owner(record), "f", &mut record.run.name.as_bytes()).unwrap();
    }
    let new = NewLoggedModel { experiment_id: "0".into(), ..NewLoggedModel::default() };
    let model = ledger.create_logged_model(new).unwrap();
    ledger.delete_logged_model(&model.id).unwrap();
    ledger.delete_run(&drop_it.run.id).unwrap();
    let young = GarbageOptions { older_than_ms: 3_600_000, dry_run: false };
    assert!(ledger.collect_garbage(&young).unwrap().runs.is_empty());
    let aside = ledger.artifact_dir().join("aside").join("damaged");
    fs::create_dir_all(aside.parent().unwrap()).unwrap();
    fs::write(&aside, b"kept").unwrap();
    // Contents are young too; make them look old.
    for file in contents(&ledger) {
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7_200);
        fs::File::options().append(true).open(file).unwrap().set_modified(old).unwrap();
    }
    let dry = ledger.collect_garbage(&GarbageOptions { older_than_ms: 0, dry_run: true }).unwrap();
    assert_eq!(
        (dry.runs.as_slice(), dry.models.as_slice()),
        (&[drop_it.run.id.clone()][..], &[model.id][..])
    );
    assert_eq!((dry.contents, dry.content_bytes), (1, 4));
    assert!(ledger.run(&drop_it.run.id).is_ok());
    let done = ledger.collect_garbage(&GarbageOptions { older_than_ms: 0, dry_run: false }).unwrap();
    assert_eq!(done, dry);
    assert_eq!(ledger.run(&drop_it.run.id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(read(&ledger, &owner(&keep), "f"), b"keep");
    assert_eq!(ledger.check(&CheckOptions { read_artifacts: true, held: None }).unwrap().findings, []);
    let again = ledger.collect_garbage(&GarbageOptions::default()).unwrap();
    assert_eq!(again, Default::default());
    assert_eq!(fs::read(&aside).unwrap(), b"kept", "what somebody set aside is nobody's garbage");
}
