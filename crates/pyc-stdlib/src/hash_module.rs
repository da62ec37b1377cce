//! `_md5`, `_sha1`, `_sha2`, `_sha3`, `_blake2`: digests, on published crates.

use std::cell::RefCell;

use pyc_runtime::types::flag;
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};
use sha3::digest::{DynDigest, ExtendableOutput as _, Update as _, XofReader as _};

/// A digest under way.
enum Running {
    Fixed(Box<dyn DynDigest>),
    Shake128(sha3::Shake128),
    Shake256(sha3::Shake256),
}

impl Running {
    fn copy(&self) -> Running {
        match self {
            Running::Fixed(d) => Running::Fixed(d.box_clone()),
            Running::Shake128(d) => Running::Shake128(d.clone()),
            Running::Shake256(d) => Running::Shake256(d.clone()),
        }
    }
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Running::Fixed(d) => d.update(bytes),
            Running::Shake128(d) => d.update(bytes),
            Running::Shake256(d) => d.update(bytes),
        }
    }
}

struct Hash {
    running: RefCell<Running>,
    name: &'static str,
    block_bytes: usize,
}
impl Payload for Hash {}

fn own(value: &Value) -> &Hash {
    value.get::<Hash>().expect("the descriptor checked the type")
}

fn start(name: &str) -> Option<(Running, usize)> {
    fn fixed(digest: impl DynDigest + 'static) -> Running {
        Running::Fixed(Box::new(digest))
    }
    Some(match name {
        "md5" => (fixed(md5::Md5::default()), 64),
        "sha1" => (fixed(sha1::Sha1::default()), 64),
        "sha224" => (fixed(sha2::Sha224::default()), 64),
        "sha256" => (fixed(sha2::Sha256::default()), 64),
        "sha384" => (fixed(sha2::Sha384::default()), 128),
        "sha512" => (fixed(sha2::Sha512::default()), 128),
        "sha3_224" => (fixed(sha3::Sha3_224::default()), 144),
        "sha3_256" => (fixed(sha3::Sha3_256::default()), 136),
        "sha3_384" => (fixed(sha3::Sha3_384::default()), 104),
        "sha3_512" => (fixed(sha3::Sha3_512::default()), 72),
        "shake_128" => (Running::Shake128(sha3::Shake128::default()), 168),
        "shake_256" => (Running::Shake256(sha3::Shake256::default()), 136),
        _ => return None,
    })
}

fn digest(vm: &Vm, args: Args) -> PyResult<Vec<u8>> {
    let running = own(&args[0]).running.borrow().copy();
    let length = |vm: &Vm| -> PyResult<usize> {
        let Some(length) = args.opt(1) else {
            return Err(vm.type_error("digest() missing required argument 'length' (pos 1)"));
        };
        let n = vm.index(length)?;
        let n = usize::try_from(n).map_err(|_| vm.value_error("value must be positive"))?;
        vm.check_alloc(n, 1)?;
        Ok(n)
    };
    Ok(match running {
        Running::Fixed(d) if args.opt(1).is_some() => {
            let _ = d;
            return Err(vm.type_error("digest() takes no arguments (1 given)"));
        }
        Running::Fixed(d) => d.finalize().into_vec(),
        Running::Shake128(d) => {
            let mut out = vec![0; length(vm)?];
            d.finalize_xof().read(&mut out);
            out
        }
        Running::Shake256(d) => {
            let mut out = vec![0; length(vm)?];
            d.finalize_xof().read(&mut out);
            out
        }
    })
}

fn hash_type(vm: &Vm) -> Value {
    (*vm.state("hash_type", || {
        let ty = vm.new_type::<Hash>("_hashlib", "HASH", None, flag::NO_NEW);
        vm.add_methods(
            &ty,
            &[
                ("update", "obj /", |vm, args| {
                    let bytes = data(vm, &args[1])?;
                    own(&args[0]).running.borrow_mut().update(&bytes);
                    Ok(Value::NONE)
                }),
                ("digest", "length?", |vm, args| Ok(vm.bytes(&digest(vm, args)?))),
                ("hexdigest", "length?", |vm, args| {
                    let text: String = digest(vm, args)?.iter().map(|b| format!("{b:02x}")).collect();
                    Ok(vm.str(&text))
                }),
                ("copy", "", |vm, args| {
                    let h = own(&args[0]);
                    let running = RefCell::new(h.running.borrow().copy());
                    Ok(new_object(vm.type_of(&args[0]), Hash { running, ..*h }))
                }),
                ("__repr__", "", |vm, args| {
                    Ok(vm.str(&format!("<{} {} object>", own(&args[0]).name, vm.type_name(&args[0]))))
                }),
            ],
        );
        vm.add_getset(&ty, "name", |vm, this| Ok(vm.str(own(this).name)), None);
        vm.add_getset(&ty, "block_size", |_, this| Ok(Value::from_len(own(this).block_bytes)), None);
        vm.add_getset(
            &ty,
            "digest_size",
            |_, this| {
                Ok(Value::from_len(match &*own(this).running.borrow() {
                    Running::Fixed(d) => d.output_size(),
                    _ => 0,
                }))
            },
            None,
        );
        ty
    }))
    .clone()
}

/// What can be hashed: bytes, and no text.
fn data(vm: &Vm, value: &Value) -> PyResult<Vec<u8>> {
    if value.kind() == pyc_runtime::Kind::Str {
        return Err(vm.type_error("Strings must be encoded before hashing"));
    }
    if !vm.is_bytes_like(value) {
        return Err(vm.type_error("object supporting the buffer API required"));
    }
    vm.bytes_of(value)
}

fn make(vm: &Vm, args: Args, name: &'static str) -> PyResult {
    let Some((mut running, block_bytes)) = start(name) else {
        return Err(vm.value_error(format!("unsupported hash type {name}")));
    };
    for given in [args.opt(0), args.opt(2)].into_iter().flatten() {
        running.update(&data(vm, given)?);
    }
    Ok(new_object(&hash_type(vm), Hash { running: RefCell::new(running), name, block_bytes }))
}

const PARAMETERS: &str = "data? / * usedforsecurity? string?";

macro_rules! hash_modules {
    ($($function:ident $module:literal: $($name:literal)*;)*) => {
        $(pub(crate) fn $function(vm: &Vm) -> PyResult {
            let module = vm.native_module_object(
                $module,
                &[$(($name, PARAMETERS, |vm, args| make(vm, args, $name))),*],
            );
            vm.module_set(&module, "_GIL_MINSIZE", Value::from_i32(2048));
            Ok(module)
        })*
    };
}

hash_modules! {
    md5_module "_md5": "md5";
    sha1_module "_sha1": "sha1";
    sha2_module "_sha2": "sha224" "sha256" "sha384" "sha512";
    sha3_module "_sha3": "sha3_224" "sha3_256" "sha3_384" "sha3_512" "shake_128" "shake_256";
}

/// `blake2b` and `blake2s` with full-size digests; keys, salts, trees and other sizes are refused.
fn blake(vm: &Vm, args: Args, name: &'static str) -> PyResult {
    let most = if name == "blake2b" { 64 } else { 32 };
    let mut bytes = match args.positional().first() {
        Some(given) => data(vm, given)?,
        None => Vec::new(),
    };
    for (keyword, value) in args.keywords() {
        match &*vm.text(keyword) {
            "data" | "string" => bytes = data(vm, value)?,
            "digest_size" if vm.index(value)? == most => {}
            "usedforsecurity" => {}
            other => {
                return Err(vm.raise(
                    &vm.exc.not_implemented_error,
                    &format!("{name}: the parameter '{other}' is not supported"),
                ));
            }
        }
    }
    let (mut running, block_bytes) = if name == "blake2b" {
        (Running::Fixed(Box::new(blake2::Blake2b512::default())), 128)
    } else {
        (Running::Fixed(Box::new(blake2::Blake2s256::default())), 64)
    };
    running.update(&bytes);
    Ok(new_object(&hash_type(vm), Hash { running: RefCell::new(running), name, block_bytes }))
}

pub(crate) fn blake2_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "_blake2",
        &[
            ("blake2b", "...", |vm, args| blake(vm, args, "blake2b")),
            ("blake2s", "...", |vm, args| blake(vm, args, "blake2s")),
        ],
    ))
}
