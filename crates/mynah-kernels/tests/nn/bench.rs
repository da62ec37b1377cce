//! Runs the benchmark worker on tiny sizes, so that it cannot rot.

#[path = "../../examples/bench_nn.rs"]
#[allow(dead_code)]
mod bench_nn;

fn answers(input: &str) -> String {
    let mut output = Vec::new();
    bench_nn::run(&["--small".to_string()], input.as_bytes(), &mut output);
    String::from_utf8(output).expect("text")
}

#[test]
fn every_case_is_answered() {
    let ready = answers("");
    let cases = ready.split("\"cases\":[").nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
    let cases: Vec<&str> = cases.split(',').map(|name| name.trim_matches('"')).collect();
    assert!(cases.len() > 40, "{ready}");
    let answers = answers(&cases.join("\n"));
    let lines: Vec<&str> = answers.lines().collect();
    assert_eq!(lines.len(), cases.len() + 2, "ready, an answer each, the end");
    for (line, case) in lines[1..].iter().zip(&cases) {
        assert!(line.starts_with(&format!("{{\"case\":\"{case}\",\"seconds\":")), "{line}");
    }
    assert!(lines[lines.len() - 1].starts_with("{\"peak_rss_bytes\":"));
}
