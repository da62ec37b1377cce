//! Built programs with machine code: what they print, and that damage is told instead of run.

use std::path::Path;

use pyc_driver::{BuildOptions, Built, Pack, Stubs, Tier, build, inspect, run_pack};

const PROGRAM: &str = "\
import helper

class Counter:
    def __init__(self, step):
        self.step = step
        self.total = 0.5
    def add(self, times):
        for i in range(times):
            self.total += self.step * i
        return self.total

def outer(n):
    def inner(x):
        return x + n
    return [inner(i) for i in range(3)]

def fails(items, at):
    try:
        return items[at]
    finally:
        print('left', at)

def down(n):
    if n:
        yield n
        yield from down(n - 1)

total = 0.5
for i in range(10):
    total += i * len('ab')
print(total, list(down(n=4)))
print(helper.fib(15), Counter(2).add(1000), outer(5))
try:
    fails([1], 3)
except IndexError as error:
    print('caught', error)
fails((), 'a')
";
const HELPER: &str = "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n";

fn made(tier: Tier, folder: &Path) -> Built {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("app.py"), PROGRAM).unwrap();
    std::fs::write(folder.join("helper.py"), HELPER).unwrap();
    let stubs = Stubs { mini: b"stub1"[..].into(), small: b"stub2"[..].into(), full: b"stub3"[..].into() };
    build(&folder.join("app.py"), &BuildOptions { tier, ..BuildOptions::default() }, &stubs).unwrap()
}

/// The pack alone: without the stub in front and the trailer behind.
fn pack(built: &Built) -> &[u8] {
    &built.bytes[5..built.bytes.len() - 16]
}

fn native() -> bool {
    cfg!(all(target_arch = "x86_64", unix))
}

#[test]
fn machine_code_prints_what_the_interpreter_prints() {
    let folder = tempfile::tempdir().unwrap();
    let run = |tier| {
        let built = made(tier, folder.path());
        run_pack(Pack::from_bytes(pack(&built).to_vec()).unwrap(), None).unwrap()
    };
    let expected = run(Tier::Interp);
    assert!(expected.1.starts_with("90.5 [4, 3, 2, 1]\n610 999000.5 [5, 6, 7]\nleft 3\ncaught list"));
    assert!(expected.2.contains("in fails\n    return items[at]\n") && expected.0 == 1, "{}", expected.2);
    if !native() {
        return println!("no machine code for this processor: skipped");
    }
    assert_eq!(run(Tier::Native), expected);
    assert_eq!(run(Tier::Auto), expected);
}

#[test]
fn equal_programs_give_equal_bytes_and_inspect_shows_the_code() {
    if !native() {
        return println!("no machine code for this processor: skipped");
    }
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let built = made(Tier::Native, one.path());
    assert_eq!(built.bytes, made(Tier::Native, &other.path().join("deeper")).bytes);
    assert_eq!(built.manifest.tier, "native");
    let file = one.path().join("app");
    std::fs::write(&file, &built.bytes).unwrap();
    let found = inspect(&file).unwrap();
    assert_eq!(found.native["helper"].0, 1);
    assert!(found.native["__main__"].0 >= 7 && found.native["__main__"].1 > 1000);
    assert!(!found.native.contains_key("warnings"));
    let auto = made(Tier::Auto, one.path());
    assert!(auto.native_bytes > 0 && auto.native_bytes < built.native_bytes);
    assert_eq!(made(Tier::Interp, one.path()).native_bytes, 0);
}

#[test]
fn damaged_programs_are_refused_or_run_right() {
    let folder = tempfile::tempdir().unwrap();
    let built = made(if native() { Tier::Native } else { Tier::Interp }, folder.path());
    let bytes = pack(&built);
    let expected = run_pack(Pack::from_bytes(bytes.to_vec()).unwrap(), None).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let (mut refused, mut right, mut told) = (0, 0, 0);
    for round in 0..300 {
        let mut changed = bytes.to_vec();
        if round % 5 == 0 {
            changed.truncate(random(changed.len()));
        } else {
            for _ in 0..=random(3) {
                let at = random(changed.len());
                changed[at] ^= 1 << random(8);
            }
        }
        match Pack::from_bytes(changed).and_then(|pack| run_pack(pack, None)) {
            Err(_) => refused += 1,
            Ok(outcome) if outcome.0 == 1 && outcome.2.contains("ImportError") => told += 1,
            // A text that is only shown in a traceback has no checksum of its own.
            Ok(outcome) => {
                assert_eq!((outcome.0, &outcome.1), (expected.0, &expected.1), "round {round}");
                right += 1;
            }
        }
    }
    assert!(refused > 50 && right > 10 && told > 0, "{refused} refused, {told} told, {right} right");
    // The whole file, cut off at any place.
    let file = folder.path().join("cut");
    for _ in 0..50 {
        std::fs::write(&file, &built.bytes[..random(built.bytes.len())]).unwrap();
        assert!(inspect(&file).is_err());
    }
}
