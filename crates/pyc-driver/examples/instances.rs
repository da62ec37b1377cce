//! How many fresh instances a core makes: each runs a program's top level and one call. `instances [SECONDS]`.

use std::time::{Duration, Instant};

use pyc_driver::{Capabilities, Limits, Program};

#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

const PROGRAM: &str = "def score(texts):\n    return [float(len(t)) for t in texts]\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(2.0);
    let program = Program::compile(PROGRAM, "score.py")?;
    let once = || -> Result<(), pyc_driver::Error> {
        let one = pyc_driver::Instance::new(&program, Capabilities::default(), Limits::default(), &[])?;
        one.call_texts("score", &["a", "bc"]).map(drop)
    };
    for _ in 0..100 {
        once()?;
    }
    let before = pyc_runtime::object::used_bytes();
    let (started, mut count) = (Instant::now(), 0u32);
    while started.elapsed() < Duration::from_secs_f64(seconds) {
        once()?;
        count += 1;
    }
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    let left = (pyc_runtime::object::used_bytes() - before) as f64 / f64::from(count);
    println!("{rate:.0} instances/s, {left:.1} bytes left behind by each");
    Ok(())
}
