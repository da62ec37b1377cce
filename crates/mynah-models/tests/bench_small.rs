//! The benchmark's worker, run small: it must not rot between measurements.

#[path = "../examples/bench_engine.rs"]
#[allow(dead_code)]
mod bench_engine;

#[test]
fn the_worker_answers_every_case() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--small", "--models", folder.path().to_str().unwrap()].map(String::from);
    let cases = ["q8_0-decode", "q8_0-prefill-512", "q8_0-streams-8", "q4_0-decode", "q4_0-streams-8"];
    let mut output = Vec::new();
    bench_engine::run(&arguments, cases.join("\n").as_bytes(), &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    for case in cases {
        assert!(output.contains(&format!("{{\"case\":\"{case}\",\"seconds\":")), "{output}");
    }
    assert!(bench_engine::run(&arguments, b"q8_0-nothing".as_slice(), Vec::new()).is_err());
}
