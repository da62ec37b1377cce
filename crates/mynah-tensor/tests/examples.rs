//! The benchmark example runs, in small, so that it cannot rot.

use std::process::Command;

#[test]
fn bench_ops_runs_in_small() {
    // Examples lie beside the folder of the test binaries; `--test` alone does not build them.
    let tests = std::env::current_exe().unwrap();
    let example = tests.ancestors().nth(2).unwrap().join("examples").join("bench_ops");
    if !example.exists() {
        println!("{} is not built (run cargo test without --test): skipped", example.display());
        return;
    }
    let output = Command::new(&example).args(["--small", "--threads", "1"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("overhead of an add"));
    for op in mynah_tensor::table::ops().filter(|op| op.dtypes.contains(&mynah_tensor::DType::F32)) {
        assert!(
            text.lines().any(|line| line.starts_with(&format!("{} ", op.name))),
            "{} is missing",
            op.name
        );
    }
    let refused = Command::new(&example).arg("--nonsense").output().unwrap();
    assert!(!refused.status.success());
}
