//! Runs the benchmark worker on tiny sizes, so that it cannot rot.

#[path = "../examples/bench_matmul.rs"]
#[allow(dead_code)]
mod bench_matmul;

#[test]
fn every_case_is_answered() {
    let mut ready = Vec::new();
    bench_matmul::run(&["--small".to_string()], std::io::empty(), &mut ready);
    let ready = String::from_utf8(ready).expect("text");
    let cases = ready.split("\"cases\":[").nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
    let cases: Vec<&str> = cases.split(',').map(|name| name.trim_matches('"')).collect();
    assert!(cases.len() > 20, "{ready}");

    let mut answers = Vec::new();
    bench_matmul::run(&["--small".to_string()], cases.join("\n").as_bytes(), &mut answers);
    let answers = String::from_utf8(answers).expect("text");
    let lines: Vec<&str> = answers.lines().collect();
    assert_eq!(lines.len(), cases.len() + 2, "ready, an answer each, the end");
    for (line, case) in lines[1..].iter().zip(&cases) {
        assert!(line.starts_with(&format!("{{\"case\":\"{case}\",\"seconds\":")), "{line}");
        assert!(line.contains("\"unit\":\"flop\""), "{line}");
    }
    assert!(lines[lines.len() - 1].starts_with("{\"peak_rss_bytes\":"));
}
