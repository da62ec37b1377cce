//! Runs the benchmark on tiny sizes, so that it cannot rot.

#[path = "../../examples/bench_quant.rs"]
#[allow(dead_code)]
mod bench_quant;

#[test]
fn every_format_and_cache_is_measured() {
    let mut output = Vec::new();
    bench_quant::run(&["--small".to_string()], &mut output);
    let output = String::from_utf8(output).expect("text");
    assert_eq!(output.lines().count(), 8 + 4, "{output}");
    let mut output = Vec::new();
    bench_quant::run(&["--small".to_string(), "Q4_0".to_string()], &mut output);
    let output = String::from_utf8(output).expect("text");
    assert!(output.starts_with("{\"format\":\"Q4_0\"") && output.lines().count() == 1, "{output}");
}
