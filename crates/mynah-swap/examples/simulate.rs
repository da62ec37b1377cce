//! The protocol in many worlds: `cargo run --release -p mynah-swap --example simulate -- SEEDS [FIRST] [MISTAKE]`.

use mynah_swap::protocol::Mutation;
use mynah_swap::simulate::{SimulateOptions, run};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Some(default), |text| text.parse::<u64>().ok());
    let (Some(count), Some(first)) = (number(10_000), number(0)) else {
        eprintln!("usage: simulate [SEEDS [FIRST [MISTAKE]]]");
        std::process::exit(2);
    };
    let name = arguments.next().unwrap_or_else(|| "None".to_string());
    let mut mistakes = std::iter::once(Mutation::None).chain(Mutation::ALL);
    let Some(mutation) = mistakes.find(|mutation| format!("{mutation:?}") == name) else {
        eprintln!("mistakes are {:?}", Mutation::ALL);
        std::process::exit(2);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = std::time::Instant::now();
    let report = run(&SimulateOptions { seeds: first..first + count, threads, mutation });
    print!("{}", report.to_text());
    println!("{:.1} s", start.elapsed().as_secs_f64());
    std::process::exit(i32::from(report.failure.is_some()));
}
