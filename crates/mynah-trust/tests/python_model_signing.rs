//! The Python package `model-signing` against us, both ways. Needs `MYNAH_PYTHON`, the path of a Python that
//! has it: `pip install model-signing pyOpenSSL`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mynah_trust::Algorithm;
use mynah_trust::keys::{EcSigningKey, Ed25519SigningKey, Ed25519VerifyingKey};
use mynah_trust::model_signing::{SignOptions, VerifyOptions, sign_folder, verify_folder};

/// The interpreter, when it has what a test needs.
fn python(module: &str) -> Option<String> {
    let Ok(python) = std::env::var("MYNAH_PYTHON") else {
        println!("skipped: MYNAH_PYTHON names no Python with the package {module}");
        return None;
    };
    let has = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if has.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("skipped: {python} has no package {module}");
    None
}

fn run(python: &str, arguments: &[&OsStr]) -> Output {
    Command::new(python).args(arguments).output().unwrap()
}

fn model_signing(python: &str, verb: &str, folder: &Path, key: &Path, signature: &Path) -> Output {
    let key_option = if verb == "sign" { "--private_key" } else { "--public_key" };
    let arguments: [&OsStr; 9] = [
        "-m".as_ref(),
        "model_signing".as_ref(),
        verb.as_ref(),
        "key".as_ref(),
        folder.as_ref(),
        key_option.as_ref(),
        key.as_ref(),
        "--signature".as_ref(),
        signature.as_ref(),
    ];
    run(python, &arguments)
}

fn succeeded(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}

fn write_model(model: &Path) {
    for (name, data) in [
        ("weights/part 1.bin", vec![1; 100_000]),
        ("weights.index", b"index".to_vec()),
        ("tokenizer/merges.txt", "ä ö\n".into()),
        ("naïve-é.json", b"{}".to_vec()),
        (".hidden", b"x".to_vec()),
        ("empty", Vec::new()),
        (".gitignore", b"*.tmp".to_vec()),
    ] {
        let path = model.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
}

#[test]
fn python_verifies_what_we_sign_and_the_other_way_round() {
    let Some(python) = python("model_signing") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (secret, public) = (dir.path().join("key.pem"), dir.path().join("key.pub"));
    let key = EcSigningKey::generate();
    key.save(&secret).unwrap();
    key.verifying_key().save(&public).unwrap();
    let model = dir.path().join("model");
    write_model(&model);

    let signature = model.join("model.sig");
    sign_folder(&model, &signature, &key, &SignOptions::default()).unwrap();
    succeeded(&model_signing(&python, "verify", &model, &public, &signature));
    fs::write(model.join("empty"), "not").unwrap();
    let refused = model_signing(&python, "verify", &model, &public, &signature);
    let text = String::from_utf8_lossy(&refused.stderr) + String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && text.contains("Hash mismatch"), "{text}");
    fs::write(model.join("empty"), "").unwrap();

    // The command line of the package hashes with SHA-256 whatever was signed; its library asks the signature.
    let apart = dir.path().join("apart.sig");
    let ignore_paths = vec!["model.sig".to_string()];
    let blake3 = SignOptions { algorithm: Algorithm::Blake3, ignore_paths, ..SignOptions::default() };
    sign_folder(&model, &apart, &key, &blake3).unwrap();
    let script = "import sys, model_signing\n\
        config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=sys.argv[1])\n\
        config.verify(sys.argv[2], sys.argv[3])\n";
    let arguments: [&OsStr; 5] =
        ["-c".as_ref(), script.as_ref(), public.as_ref(), model.as_ref(), apart.as_ref()];
    succeeded(&run(&python, &arguments));

    let single = dir.path().join("single.sig");
    sign_folder(&model.join("weights.index"), &single, &key, &SignOptions::default()).unwrap();
    succeeded(&model_signing(&python, "verify", &model.join("weights.index"), &public, &single));

    let theirs = model.join("model.sig");
    succeeded(&model_signing(&python, "sign", &model, &secret, &theirs));
    let verify = || verify_folder(&model, &theirs, &key.verifying_key(), &VerifyOptions::default());
    assert_eq!(verify().unwrap().resources.len(), 6);
    fs::write(model.join("empty"), "not").unwrap();
    assert!(verify().unwrap_err().to_string().contains("1 changed (\"empty\")"));
}

#[test]
fn python_reads_our_ed25519_keys() {
    let Some(python) = python("cryptography") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (secret, public) = (dir.path().join("key.pem"), dir.path().join("key.pub"));
    Ed25519SigningKey::generate().unwrap().save(&secret).unwrap();
    let script = "import sys\n\
        from cryptography.hazmat.primitives import serialization as s\n\
        key = s.load_pem_private_key(open(sys.argv[1], 'rb').read(), None).public_key()\n\
        pem = key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)\n\
        open(sys.argv[2], 'wb').write(pem)\n";
    succeeded(&run(&python, &["-c".as_ref(), script.as_ref(), secret.as_ref(), public.as_ref()]));
    let ours = Ed25519SigningKey::load(&secret).unwrap().verifying_key();
    assert_eq!(Ed25519VerifyingKey::load(&public).unwrap(), ours);
}
