//! Runs a Python file with everything allowed; for development and benchmarks.

#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

fn main() {
    let mut words = std::env::args().skip(1);
    let Some(file) = words.next() else { return eprintln!("usage: run FILE [ARGS]") };
    let seconds = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let mut limits = pyc_driver::Limits::default();
    limits.time = seconds("MAX_TIME").map(std::time::Duration::from_secs_f64);
    limits.memory_bytes = seconds("MAX_MEMORY").map(|b| b as u64);
    limits.steps = seconds("MAX_STEPS").map(|b| b as u64);
    let tier = std::env::var("TIER").ok().and_then(|t| t.parse().ok()).unwrap_or_default();
    let capabilities = pyc_driver::Capabilities::trusted();
    let options = pyc_driver::Options { capabilities, limits, arguments: words.collect(), tier };
    match pyc_driver::run(&pyc_driver::Source::File(file.into()), options) {
        Ok(code) => std::process::exit(i32::from(code)),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(2);
        }
    }
}
