//! Folders signed here and by the Python package, as they are and falsified in every way we know.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::dsse::Envelope;
use crate::statement::Statement;
use crate::{Digest, ErrorKind, encoding};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/signed").join(name)
}

fn golden_key() -> EcVerifyingKey {
    EcVerifyingKey::load(&golden("key.pub")).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the golden folder that a test may falsify.
fn copied_model() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    copy_folder(&golden("model"), &model);
    (dir, model)
}

fn strict() -> VerifyOptions {
    VerifyOptions::default()
}

fn check(result: Result<Manifest>, kind: ErrorKind, says: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn what_python_signed_verifies() {
    // model.sig came into the folder later than the other signatures, so those do not know it.
    let (_dir, model) = copied_model();
    let verify = |folder: &Path, name: &str| verify_folder(folder, &golden(name), &golden_key(), &strict());
    let own = verify_folder(&model, &model.join("model.sig"), &golden_key(), &strict()).unwrap();
    assert_eq!(own.model_name, "model");
    let paths: Vec<&str> = own.resources.iter().map(|r| r.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "config.json", "empty", "with space/weights.bin"], "\"a\" was ignored");

    fs::remove_file(model.join("model.sig")).unwrap();
    let whole = verify(&model, "sha256.sig").unwrap();
    let paths: Vec<&str> = whole.resources.iter().map(|r| r.path.as_str()).collect();
    assert_eq!(paths, ["a/b", "a.txt", "config.json", "empty", "with space/weights.bin"]);
    assert_eq!(verify(&model, "blake3.sig").unwrap().algorithm, Algorithm::Blake3);
    let shards = verify(&model, "shards.sig").unwrap();
    assert_eq!(shards.method, Method::Shards { shard_bytes: 1000 });
    assert_eq!(shards.resources.len(), 6, "three files and one in three parts");
    verify(&model.join("config.json"), "one-file.sig").unwrap();
    check(verify(&model, "blake2.sig"), ErrorKind::Unsupported, "blake2b");
    check(verify(&model.join("a.txt"), "one-file.sig"), ErrorKind::Mismatch, "1 changed (\".\")");

    for name in ["sha256.sig", "blake3.sig", "shards.sig"] {
        fs::write(model.join("with space/weights.bin"), [1; 2500]).unwrap();
        check(verify(&model, name), ErrorKind::Mismatch, "1 changed (\"with space/weights.bin\")");
        fs::write(model.join("with space/weights.bin"), [1; 2501]).unwrap();
        check(verify(&model, name), ErrorKind::Mismatch, "1 changed (\"with space/weights.bin\")");
    }
}

#[test]
fn we_make_the_manifest_that_python_makes() {
    let (_dir, model) = copied_model();
    fs::remove_file(model.join("model.sig")).unwrap();
    for (name, algorithm) in [("sha256.sig", Algorithm::Sha256), ("blake3.sig", Algorithm::Blake3)] {
        let options = SignOptions { algorithm, ..SignOptions::default() };
        let ours = Manifest::of_folder(&model, None, &options).unwrap();
        let mut theirs = verify_bundle(&fs::read(golden(name)).unwrap(), &golden_key()).unwrap();
        theirs.ignore_paths.sort();
        assert_eq!(ours, theirs);
        assert_eq!(Manifest::from_statement(&ours.to_statement()).unwrap(), ours);
    }
}

fn payload_of(bundle: &[u8]) -> Vec<u8> {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    encoding::bytes_of_base64(bundle["dsseEnvelope"]["payload"].as_str().unwrap(), "payload").unwrap()
}

#[test]
fn what_we_sign_verifies_until_anything_changes() {
    let (_dir, model) = copied_model();
    let signature = model.join(SIGNATURE_FILE);
    let key = EcSigningKey::generate();
    let signed = sign_folder(&model, &signature, &key, &SignOptions::default()).unwrap();
    let verify = || verify_folder(&model, &signature, &key.verifying_key(), &strict());
    assert_eq!(verify().unwrap(), signed);
    assert_eq!(signed.resources.len(), 5);
    // Git's own files and the signature are not the model.
    fs::write(model.join(".gitattributes"), "changed").unwrap();
    verify().unwrap();

    fs::write(model.join("a/extra"), "x").unwrap();
    fs::write(model.join("unsigned"), "").unwrap();
    check(verify(), ErrorKind::Mismatch, "2 not signed (\"a/extra\", \"unsigned\")");
    let lenient = VerifyOptions { ignore_unsigned_files: true };
    verify_folder(&model, &signature, &key.verifying_key(), &lenient).unwrap();
    fs::remove_file(model.join("a/extra")).unwrap();
    fs::remove_file(model.join("unsigned")).unwrap();
    verify().unwrap();

    fs::rename(model.join("config.json"), model.join("config.jso")).unwrap();
    check(verify(), ErrorKind::Mismatch, "1 missing (\"config.json\"); 1 not signed (\"config.jso\")");
    fs::rename(model.join("config.jso"), model.join("config.json")).unwrap();

    fs::remove_dir_all(model.join("a")).unwrap();
    fs::create_dir_all(model.join("a/b")).unwrap();
    check(verify(), ErrorKind::Mismatch, "1 missing (\"a/b\")");
    fs::remove_dir_all(model.join("a")).unwrap();
    fs::write(model.join("a"), "second\n").unwrap();
    check(verify(), ErrorKind::Mismatch, "1 missing (\"a/b\"); 1 not signed (\"a\")");

    let stranger = EcSigningKey::generate().verifying_key();
    let result = verify_folder(&model, &signature, &stranger, &strict());
    check(result, ErrorKind::Signature, "signed by another key");
    let other = EcVerifyingKey::load(&golden("other.pub")).unwrap();
    check(
        verify_folder(&model, &golden("sha256.sig"), &other, &strict()),
        ErrorKind::Signature,
        "another key",
    );
}

#[test]
fn many_changed_files_are_counted_and_some_named() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("naïve modèle");
    fs::create_dir(&model).unwrap();
    for i in 0..9 {
        fs::write(model.join(format!("ü{i}")), [i]).unwrap();
    }
    let signature = dir.path().join("elsewhere.sig");
    let key = EcSigningKey::generate();
    sign_folder(&model, &signature, &key, &SignOptions::default()).unwrap();
    let verify = || verify_folder(&model, &signature, &key.verifying_key(), &strict());
    assert_eq!(verify().unwrap().model_name, "naïve modèle");
    for i in 0..9 {
        fs::write(model.join(format!("ü{i}")), [i + 1]).unwrap();
    }
    check(verify(), ErrorKind::Mismatch, "9 changed (\"ü0\", \"ü1\", \"ü2\", \"ü3\", \"ü4\", …)");
}

#[test]
fn what_cannot_be_signed() {
    let dir = tempfile::tempdir().unwrap();
    let key = EcSigningKey::generate();
    let signature = dir.path().join(SIGNATURE_FILE);
    let sign = || sign_folder(dir.path(), &signature, &key, &SignOptions::default());
    check(sign(), ErrorKind::Argument, "no files to sign");
    assert!(!signature.exists());
    fs::write(dir.path().join("file"), "x").unwrap();
    sign().unwrap();
    // Signing again leaves the old signature out.
    assert_eq!(sign().unwrap().resources.len(), 1);
    check(
        sign_folder(&dir.path().join("none"), &signature, &key, &SignOptions::default()),
        ErrorKind::Io,
        "none",
    );
}

#[cfg(unix)]
#[test]
fn links_and_special_files_are_refused() {
    use std::os::unix::fs::symlink;
    let (_dir, model) = copied_model();
    let signature = model.join(SIGNATURE_FILE);
    let key = EcSigningKey::generate();
    let sign = || sign_folder(&model, &signature, &key, &SignOptions::default());
    let verify = || verify_folder(&model, &signature, &key.verifying_key(), &strict());
    sign().unwrap();

    // The same content through a link is still refused: it may change after the check.
    let outside = model.parent().unwrap().join("outside");
    fs::rename(model.join("config.json"), &outside).unwrap();
    symlink(&outside, model.join("config.json")).unwrap();
    check(verify(), ErrorKind::Unsupported, "a symbolic link cannot be verified");
    check(sign(), ErrorKind::Unsupported, "a symbolic link cannot be signed");
    fs::remove_file(model.join("config.json")).unwrap();
    fs::rename(&outside, model.join("config.json")).unwrap();

    fs::rename(model.join("a"), &outside).unwrap();
    symlink(&outside, model.join("a")).unwrap();
    check(verify(), ErrorKind::Mismatch, "1 missing (\"a/b\"); 1 not signed (\"a\")");
    check(sign(), ErrorKind::Unsupported, "a symbolic link");
    fs::remove_file(model.join("a")).unwrap();
    fs::rename(&outside, model.join("a")).unwrap();
    verify().unwrap();

    let _listener = std::os::unix::net::UnixListener::bind(model.join("socket")).unwrap();
    check(verify(), ErrorKind::Mismatch, "1 not signed (\"socket\")");
    check(sign(), ErrorKind::Unsupported, "a special file cannot be signed");
}

/// A bundle over any predicate, properly signed: what a hostile but trusted tool might write.
fn bundle_over(statement: &Statement, key: &EcSigningKey) -> Vec<u8> {
    let mut envelope = statement.to_envelope();
    envelope.sign(key, "");
    bundle_around(&envelope).to_string().into_bytes()
}

fn bundle_around(envelope: &Envelope) -> Value {
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": {} },
        "dsseEnvelope": envelope.to_json(),
    })
}

/// A statement over the named resources, with a digest of the subject that fits.
fn statement_over(names: &[&str], serialization: Value) -> Statement {
    let digest = Digest::sha256(b"x");
    let all: Vec<u8> = names.iter().flat_map(|_| *digest.as_bytes()).collect();
    let resource = |name: &&str| json!({ "name": name, "algorithm": "sha256", "digest": digest.to_hex() });
    let subject = json!([{ "name": "m", "digest": { "sha256": Digest::sha256(&all).to_hex() } }]);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": serialization,
            "resources": names.iter().map(resource).collect::<Vec<_>>(),
        },
    });
    Statement::parse(statement.to_string().as_bytes()).unwrap()
}

#[test]
fn hostile_manifests_are_refused() {
    let key = EcSigningKey::generate();
    let public = key.verifying_key();
    let files = || json!({ "method": "files", "hash_type": "sha256" });
    let of = |names: &[&str]| verify_bundle(&bundle_over(&statement_over(names, files()), &key), &public);
    assert_eq!(of(&["b", "a", "a:1"]).unwrap().resources[0].path, "a");
    for name in [
        "../x",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        "",
        "..",
        "a/.",
        "a\0b",
        "a/../../../etc/passwd",
    ] {
        check(of(&[name]), ErrorKind::Format, "is not a path inside the model");
    }
    check(of(&["a", "a"]), ErrorKind::Format, "named twice");
    check(of(&[".", "a"]), ErrorKind::Format, "the model is one file and has others");

    let with = |change: &dyn Fn(&mut Statement)| {
        let mut statement = statement_over(&["a"], files());
        change(&mut statement);
        verify_bundle(&bundle_over(&statement, &key), &public)
    };
    with(&|_| {}).unwrap();
    let resource = |field: &'static str, value: Value| {
        with(&move |s| s.predicate["resources"][0][field] = value.clone())
    };
    let serialization = |field: &'static str, value: Value| {
        with(&move |s| s.predicate["serialization"][field] = value.clone())
    };
    check(resource("digest", json!("00".repeat(32))), ErrorKind::Mismatch, "not that of the subject");
    check(resource("digest", json!("00")), ErrorKind::Format, "64 hex digits");
    check(resource("digest", json!(0)), ErrorKind::Format, "no text \"digest\"");
    check(resource("algorithm", json!("md5")), ErrorKind::Unsupported, "md5");
    check(resource("name", json!(["a"])), ErrorKind::Format, "no text \"name\"");
    check(serialization("hash_type", json!("md5")), ErrorKind::Unsupported, "md5");
    check(serialization("method", json!("tensors")), ErrorKind::Unsupported, "tensors");
    check(serialization("method", json!("shards")), ErrorKind::Format, "shard_size");
    check(serialization("ignore_paths", json!("a")), ErrorKind::Format, "ignore_paths");
    check(serialization("ignore_paths", json!([1])), ErrorKind::Format, "ignore_paths");
    let subjects = with(&|s| s.subjects.push(s.subjects[0].clone()));
    check(subjects, ErrorKind::Format, "one subject, not 2");
    let empty = with(&|s| s.predicate = json!({ "serialization": files() }));
    check(empty, ErrorKind::Format, "no \"resources\"");
    let old = with(&|s| s.predicate_type = "https://model_signing/Digests/v0.1".to_string());
    check(old, ErrorKind::Unsupported, "before 1.0");
    let foreign = with(&|s| s.predicate_type = "https://slsa.dev/provenance/v1".to_string());
    check(foreign, ErrorKind::Unsupported, "not a model signature");

    for size in [json!(0), json!(-1), json!(0.5), json!(1e300), json!("1")] {
        let shards = json!({ "method": "shards", "hash_type": "sha256", "shard_size": size });
        let result = verify_bundle(&bundle_over(&statement_over(&["a:0:1"], shards), &key), &public);
        check(result, ErrorKind::Format, "shard_size");
    }
    let shards = || json!({ "method": "shards", "hash_type": "sha256", "shard_size": 1 });
    for name in ["a", "a:1", "a:b:c", "a:1:1", "a:-1:1", "a:2:1", "a:0:99999999999999999999"] {
        let result = verify_bundle(&bundle_over(&statement_over(&[name], shards()), &key), &public);
        check(result, ErrorKind::Format, "PATH:BEGIN:END");
    }
    // A shard of one byte over a file of many would be a long list; it is cut short by what was signed.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), vec![0; 1 << 20]).unwrap();
    let bundle = bundle_over(&statement_over(&["a:0:1"], shards()), &key);
    let manifest = verify_bundle(&bundle, &public).unwrap();
    assert!(manifest.check_folder(dir.path(), None, &strict()).is_err());
}

/// Ignored paths that point out of the folder ignore nothing in it.
#[test]
fn ignored_paths_stay_inside() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "ab"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let key = EcSigningKey::generate();
    let verify = |ignored: &[&str]| {
        let serialization = json!({ "method": "files", "hash_type": "sha256", "ignore_paths": ignored });
        let bundle = bundle_over(&statement_over(&["a"], serialization), &key);
        verify_bundle(&bundle, &key.verifying_key())?.check_folder(dir.path(), None, &strict())
    };
    verify(&["ab"]).unwrap();
    verify(&["./ab/"]).unwrap();
    for outside in ["/ab", "../ab", "x/../ab", "b", "AB"] {
        assert_eq!(verify(&[outside]).unwrap_err().kind(), ErrorKind::Mismatch, "{outside}");
    }
    // Who ignores what is signed has a folder where it is missing.
    assert_eq!(verify(&["a", "ab"]).unwrap_err().kind(), ErrorKind::Mismatch);
    assert_eq!(verify(&["."]).unwrap_err().kind(), ErrorKind::Mismatch);
}

#[test]
fn hostile_bundles_are_refused() {
    let good: Value = serde_json::from_slice(&fs::read(golden("sha256.sig")).unwrap()).unwrap();
    let key = golden_key();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        verify_bundle(bundle.to_string().as_bytes(), &key)
    };
    with(&|_| {}).unwrap();
    with(&|b| b["verificationMaterial"]["publicKey"] = json!({ "hint": null })).unwrap();
    with(&|b| b["dsseEnvelope"]["signatures"][0]["keyid"] = json!("any")).unwrap();
    check(
        with(&|b| b["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.1+json")),
        ErrorKind::Unsupported,
        "v0.1",
    );
    check(with(&|b| b["mediaType"] = json!(null)), ErrorKind::Format, "invalid type: null");
    check(
        with(&|b| b["verificationMaterial"] = json!({ "certificate": { "rawBytes": "" } })),
        ErrorKind::Unsupported,
        "signed with a certificate",
    );
    check(with(&|b| b["verificationMaterial"] = json!({})), ErrorKind::Unsupported, "nothing that is known");
    check(with(&|b| b["verificationMaterial"] = json!(7)), ErrorKind::Format, "invalid type");
    check(
        with(&|b| b["verificationMaterial"]["publicKey"]["hint"] = json!("00")),
        ErrorKind::Signature,
        "another key",
    );
    check(
        with(&|b| b["verificationMaterial"]["publicKey"]["hint"] = json!(7)),
        ErrorKind::Format,
        "expected a string",
    );
    check(with(&|b| drop(b["dsseEnvelope"].take())), ErrorKind::Unsupported, "dsseEnvelope");
    check(with(&|b| b["dsseEnvelope"] = json!({})), ErrorKind::Format, "missing field `payload`");
    check(
        with(&|b| drop(b.as_object_mut().unwrap().remove("dsseEnvelope"))),
        ErrorKind::Unsupported,
        "dsseEnvelope",
    );
    check(
        with(&|b| {
            let line = b["dsseEnvelope"]["signatures"][0].clone();
            b["dsseEnvelope"]["signatures"] = json!([line, line]);
        }),
        ErrorKind::Format,
        "2 signatures",
    );
    check(
        with(&|b| b["dsseEnvelope"]["payloadType"] = json!("text/plain")),
        ErrorKind::Unsupported,
        "text/plain",
    );
    check(with(&|b| b["dsseEnvelope"]["payload"] = json!("a")), ErrorKind::Format, "base64");
    check(with(&|b| b["dsseEnvelope"]["signatures"][0]["sig"] = json!("")), ErrorKind::Signature, "not a");
    let payload = encoding::base64(&[payload_of(good.to_string().as_bytes()), b" ".to_vec()].concat());
    check(with(&|b| b["dsseEnvelope"]["payload"] = json!(payload)), ErrorKind::Signature, "not a signature");

    for text in ["", "{", "[]", "null", "\"x\"", &"[".repeat(1 << 20)] {
        check(verify_bundle(text.as_bytes(), &key), ErrorKind::Format, "the bundle");
    }
    check(verify_bundle(&[0xff; 100], &key), ErrorKind::Format, "cannot be read");
    check(verify_bundle(&vec![b' '; ENVELOPE_BYTES_MAX + 1], &key), ErrorKind::Format, "at most");
}

/// Every bit counts: flip some thousand, in what is signed and in the signature.
#[test]
fn no_flipped_bit_goes_through() {
    let good: Value = serde_json::from_slice(&fs::read(golden("sha256.sig")).unwrap()).unwrap();
    let (payload, key) = (payload_of(good.to_string().as_bytes()), golden_key());
    let line = good["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap();
    let signature = encoding::bytes_of_base64(line, "signature").unwrap();
    let mut rng = mynah_base::Rng::new(1);
    for round in 0..600 {
        let (mut payload, mut signature) = (payload.clone(), signature.clone());
        let target = if round % 3 == 0 { &mut signature } else { &mut payload };
        let bit = rng.next_u64() as usize % (target.len() * 8);
        target[bit / 8] ^= 1 << (bit % 8);
        let mut bundle = good.clone();
        bundle["dsseEnvelope"]["payload"] = json!(encoding::base64(&payload));
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!(encoding::base64(&signature));
        check(verify_bundle(bundle.to_string().as_bytes(), &key), ErrorKind::Signature, "not a signature");
    }
}
