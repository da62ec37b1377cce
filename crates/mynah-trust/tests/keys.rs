//! Key files: those of OpenSSL are read, ours are whole, private and never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use mynah_trust::keys::{EcSigningKey, EcVerifyingKey, Ed25519SigningKey, Ed25519VerifyingKey, Sign, Verify};
use mynah_trust::{ErrorKind, Result};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/keys").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(golden(name)).unwrap()
}

fn check<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, says: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn openssl_keys_and_signatures_are_ours() {
    let message = fs::read(golden("message")).unwrap();
    let public = EcVerifyingKey::load(&golden("p256.pub")).unwrap();
    public.verify(&message, &fs::read(golden("p256.sig")).unwrap()).unwrap();
    assert_eq!(public.to_pem().unwrap(), text("p256.pub"));
    for name in ["p256.pem", "p256-sec1.pem", "p256-parameters.pem"] {
        let key = EcSigningKey::from_pem(&text(name)).unwrap();
        assert_eq!(key.verifying_key(), public, "{name}");
        assert_eq!(*key.to_pem().unwrap(), text("p256.pem"), "{name}");
        public.verify(&message, &key.sign(&message)).unwrap();
    }

    let public = Ed25519VerifyingKey::load(&golden("ed25519.pub")).unwrap();
    assert_eq!(public.to_pem().unwrap(), text("ed25519.pub"));
    let key = Ed25519SigningKey::from_pem(&text("ed25519.pem")).unwrap();
    assert_eq!(key.verifying_key(), public);
    assert_eq!(*key.to_pem().unwrap(), text("ed25519.pem"));
    // Ed25519 signs the same way each time, so the signatures are equal too.
    assert_eq!(key.sign(&message), fs::read(golden("ed25519.sig")).unwrap());
    public.verify(&message, &key.sign(&message)).unwrap();
    assert_eq!(Ed25519VerifyingKey::from_bytes(&public.to_bytes()).unwrap(), public);
}

#[test]
fn other_messages_keys_and_encodings_are_refused() {
    let key = EcSigningKey::generate();
    refuses(&key, &key.verifying_key(), &EcSigningKey::generate().verifying_key());
    let key = Ed25519SigningKey::generate().unwrap();
    refuses(&key, &key.verifying_key(), &Ed25519SigningKey::generate().unwrap().verifying_key());
}

fn refuses(key: &dyn Sign, own: &dyn Verify, other: &dyn Verify) {
    let good = key.sign(b"message");
    own.verify(b"message", &good).unwrap();
    check(own.verify(b"massage", &good), ErrorKind::Signature, "not a signature");
    check(other.verify(b"message", &good), ErrorKind::Signature, "not a signature");
    check(own.verify(b"message", &[]), ErrorKind::Signature, "not a signature");
    check(own.verify(b"message", &[0; 64]), ErrorKind::Signature, "not a signature");
    check(own.verify(b"message", &good[1..]), ErrorKind::Signature, "not a signature");
    check(own.verify(b"message", &[&good[..], &[0]].concat()), ErrorKind::Signature, "not a signature");
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(own.verify(b"message", &bad).is_err(), "bit {bit}");
    }
}

#[test]
fn an_ed25519_key_of_small_order_signs_nothing() {
    // The neutral element: R = neutral, S = 0 would "sign" every message under a lax check.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let key = Ed25519VerifyingKey::from_bytes(&neutral).unwrap();
    let mut signature = [0; 64];
    signature[0] = 1;
    check(key.verify(b"anything", &signature), ErrorKind::Signature, "not a signature");
}

#[test]
fn other_kinds_of_keys_are_named() {
    let secret = |name: &str| EcSigningKey::from_pem(&text(name));
    check(secret("p256-encrypted.pem"), ErrorKind::Unsupported, "openssl pkcs8");
    check(secret("p384.pem"), ErrorKind::Key, "not an EC P-256 secret key");
    check(secret("ed25519.pem"), ErrorKind::Key, "not an EC P-256 secret key");
    check(secret("p256.pub"), ErrorKind::Key, "\"PUBLIC KEY\"");
    check(secret("message"), ErrorKind::Key, "no PEM");
    check(Ed25519SigningKey::from_pem(&text("p256.pem")), ErrorKind::Key, "not an Ed25519 secret key");
    check(EcVerifyingKey::from_pem(&text("p384.pub")), ErrorKind::Key, "not an EC P-256 public key");
    check(EcVerifyingKey::from_pem(&text("p256.pem")), ErrorKind::Key, "\"PRIVATE KEY\"");
    check(Ed25519VerifyingKey::from_pem(&text("p256.pub")), ErrorKind::Key, "not an Ed25519 public key");
    check(Ed25519VerifyingKey::from_pem(""), ErrorKind::Key, "no PEM");
    check(Ed25519VerifyingKey::from_bytes(&[2; 32]), ErrorKind::Key, "no Ed25519 public key");
    let cut = &text("p256.pem")[..100];
    check(EcSigningKey::from_pem(cut), ErrorKind::Key, "not an EC P-256 secret key");
}

#[test]
fn key_files_are_created_once() {
    let dir = tempfile::tempdir().unwrap();
    let (ec, ed) = (dir.path().join("ec.pem"), dir.path().join("ed.pem"));
    let (ec_key, ed_key) = (EcSigningKey::generate(), Ed25519SigningKey::generate().unwrap());
    ec_key.save(&ec).unwrap();
    ed_key.save(&ed).unwrap();
    assert_eq!(EcSigningKey::load(&ec).unwrap().verifying_key(), ec_key.verifying_key());
    assert_eq!(Ed25519SigningKey::load(&ed).unwrap().verifying_key(), ed_key.verifying_key());
    check(EcSigningKey::generate().save(&ec), ErrorKind::Key, "never overwritten");
    check(ec_key.verifying_key().save(&ec), ErrorKind::Key, "never overwritten");
    // The public half of the same key may be written once more, that of another may not.
    let public = dir.path().join("again.pub.pem");
    ec_key.verifying_key().save(&public).unwrap();
    ec_key.verifying_key().save(&public).unwrap();
    check(EcSigningKey::generate().verifying_key().save(&public), ErrorKind::Key, "never overwritten");
    assert_eq!(EcSigningKey::load(&ec).unwrap().verifying_key(), ec_key.verifying_key());
    let public = dir.path().join("ec.pub");
    ec_key.verifying_key().save(&public).unwrap();
    assert_eq!(EcVerifyingKey::load(&public).unwrap(), ec_key.verifying_key());

    check(EcSigningKey::load(&dir.path().join("none")), ErrorKind::Io, "none");
    check(EcVerifyingKey::load(dir.path()), ErrorKind::Key, "a key is a file");
    let large = dir.path().join("large");
    fs::write(&large, vec![b'x'; 20_000]).unwrap();
    check(EcVerifyingKey::load(&large), ErrorKind::Key, "larger than");
    fs::write(&large, [0xff; 10]).unwrap();
    check(EcVerifyingKey::load(&large), ErrorKind::Key, "not a PEM text");
}

#[test]
fn threads_that_make_one_key_file_get_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let (ec, ed) = (dir.path().join("ec.pem"), dir.path().join("ed.pem"));
    let publics: Vec<_> = std::thread::scope(|scope| {
        let both = || {
            let ec = EcSigningKey::load_or_create(&ec).unwrap();
            (ec.verifying_key(), Ed25519SigningKey::load_or_create(&ed).unwrap().verifying_key())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(both)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(publics.iter().all(|public| *public == publics[0]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing but the two keys is left");
    fs::write(&ec, "damaged").unwrap();
    check(EcSigningKey::load_or_create(&ec), ErrorKind::Key, "no PEM");
    check(EcSigningKey::load_or_create(&dir.path().join("none/key")), ErrorKind::Io, "write the key");
    check(EcSigningKey::generate().save(Path::new("/")), ErrorKind::Key, "names no file");
}

#[cfg(unix)]
#[test]
fn secret_files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    EcSigningKey::generate().save(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        check(EcSigningKey::load(&path), ErrorKind::Key, "chmod 600");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    EcSigningKey::load(&path).unwrap();
}

#[test]
fn secrets_are_not_shown() {
    let ed = Ed25519SigningKey::from_bytes(&[7; 32]);
    let shown = format!("{ed:?}");
    assert!(!shown.contains(&"07".repeat(4)) && shown.contains("ed25519:"), "{shown}");
    let ec = EcSigningKey::generate();
    let (shown, pem) = (format!("{ec:?}"), ec.to_pem().unwrap());
    assert!(shown.contains("p256:"), "{shown}");
    assert!(!pem.lines().any(|line| shown.contains(line)), "{shown}");
}
