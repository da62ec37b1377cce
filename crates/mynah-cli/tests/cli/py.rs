//! `mynah py`: running, checking, testing and building programs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{arg, mynah, ok, refused, text};

fn file(folder: &Path, name: &str, content: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_program_runs_with_what_it_is_granted() {
    let folder = tempfile::tempdir().unwrap();
    let data = file(folder.path(), "data.txt", "seven\n");
    let program = file(folder.path(), "app.py", "import sys\nprint(open(sys.argv[1]).read().strip())\n");
    let denied = mynah(&["py", "run", arg(&program), arg(&data)]).output().unwrap();
    assert_eq!(denied.status.code(), Some(1));
    assert!(text(&denied.stderr).contains("PermissionError") && text(&denied.stderr).contains("fs.read="));
    let allow = format!("fs.read={}", folder.path().display());
    assert_eq!(ok(&["py", "run", "--allow", &allow, arg(&program), arg(&data)]), "seven\n");
}

#[test]
fn a_worker_runs_a_program_from_a_pipe() {
    if !pyc_driver::CAN_CONFINE {
        return println!("workers need Linux on x86-64 or aarch64: skipped");
    }
    let run = |program: &str| {
        let mut child =
            mynah(&["py", "run", "--worker", "--max-time", "20", "--max-memory", "200000000", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run("import json\nprint(json.dumps({'a': 2 ** 70}))\n");
    if text(&output.stderr).contains("it needs seccomp") {
        return println!("this kernel has no seccomp: skipped");
    }
    assert_eq!(text(&output.stdout), "{\"a\": 1180591620717411303424}\n", "{}", text(&output.stderr));
    assert_eq!(run("a = []\nwhile True: a.append('x' * 1000)\n").status.code(), Some(124));
}

#[test]
fn a_session_reads_statements_from_a_pipe() {
    let mut child = mynah(&["py"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = "x = 20\nx + 1\ndef f(n):\n    return n * 2\n\nf(x)\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "21\n40\n");
    assert!(output.status.success());
}

#[test]
fn check_shows_where() {
    let folder = tempfile::tempdir().unwrap();
    let bad = file(folder.path(), "bad.py", "x = (1 +\n");
    let output = mynah(&["py", "check", arg(&bad)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(
        told.contains("bad.py:1:5: SyntaxError: '(' was never closed\n    x = (1 +\n        ^"),
        "{told}"
    );
    let other = file(folder.path(), "other.py", "import numpy\nimport json\n");
    let output = mynah(&["py", "check", "--json", arg(&other)]).output().unwrap();
    let finding: Value = serde_json::from_str(text(&output.stdout).trim()).unwrap();
    assert_eq!((finding["kind"].as_str(), finding["line"].as_u64()), (Some("import"), Some(1)));
    let good = file(folder.path(), "good.py", "import os.path, good2\n");
    file(folder.path(), "good2.py", "");
    assert_eq!(ok(&["py", "check", arg(&good)]), "");
}

#[test]
fn tests_are_run_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let tests = "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_n(n):\n    assert n < 2\n";
    let path = file(folder.path(), "test_n.py", tests);
    let report = folder.path().join("report.xml");
    let output = mynah(&["py", "test", arg(&path), "--json", "--junit", arg(&report)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let lines: Vec<Value> = text(&output.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let told: Vec<(&str, &str)> =
        lines.iter().map(|l| (l["test"].as_str().unwrap(), l["outcome"].as_str().unwrap())).collect();
    assert_eq!(told, [("test_n[1]", "passed"), ("test_n[2]", "failed")]);
    assert!(lines[1]["message"].as_str().unwrap().contains("assert 2 < 2"));
    let xml = std::fs::read_to_string(report).unwrap();
    assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
    let told = ok(&["py", "test", arg(&path), "-k", "[1]"]);
    assert!(told.ends_with("1 passed\n"), "{told}");
    refused(&["py", "test", arg(&folder.path().join("nowhere"))], &["nowhere"]);
}

#[test]
fn the_library_is_listed() {
    let lines = ok(&["py", "stdlib", "--json"]);
    let listed: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for (module, kind) in [("math", "native"), ("json", "python")] {
        assert!(listed.contains(&serde_json::json!({"module": module, "kind": kind})), "{module}: {lines}");
    }
}

#[test]
fn programs_are_built_and_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let program = file(
        folder.path(),
        "app.py",
        "import sys, helper\nprint(helper.double(21), sys.argv[1:])\nopen('/x')\n",
    );
    file(folder.path(), "helper.py", "def double(n):\n    return 2 * n\n");
    let out = folder.path().join("app");
    let build = [
        "py",
        "build",
        arg(&program),
        "-o",
        arg(&out),
        "--allow",
        "clock",
        "--max-steps",
        "100000",
        "--json",
    ];
    let output = mynah(&build).output().unwrap();
    if text(&output.stderr).contains("carries no stubs") {
        return println!("no stubs (cargo xtask stub, MYNAH_PY_STUBS): skipped");
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told: Value = serde_json::from_str(text(&output.stdout).trim()).unwrap();
    assert_eq!(told["full_runtime_because"], Value::Null);
    let ran = Command::new(&out).args(["a", "--help"]).env_clear().output().unwrap();
    assert_eq!(text(&ran.stdout), "42 ['a', '--help']\n");
    assert_eq!(ran.status.code(), Some(1));
    let errors = text(&ran.stderr);
    assert!(errors.contains("File \"app.py\", line 3") && errors.contains("open('/x')"), "{errors}");
    assert!(errors.contains("fs.read=/x"), "{errors}");
    let seen: Value = serde_json::from_str(ok(&["py", "inspect", arg(&out), "--json"]).trim()).unwrap();
    assert_eq!((seen["allow"][0].as_str(), seen["limits"]["steps"].as_u64()), (Some("clock"), Some(100_000)));
    assert_eq!(
        (&seen["source_hash"], seen["runtime_unchanged"].as_bool()),
        (&told["source_hash"], Some(true))
    );
    // From another folder: the same bytes.
    let other = tempfile::tempdir().unwrap();
    let again = other.path().join("app");
    for name in ["app.py", "helper.py"] {
        std::fs::copy(folder.path().join(name), other.path().join(name)).unwrap();
    }
    let elsewhere = other.path().join("app.py");
    ok(&["py", "build", arg(&elsewhere), "-o", arg(&again), "--allow", "clock", "--max-steps", "100000"]);
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&again).unwrap());
}

#[test]
fn what_is_no_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plain = file(folder.path(), "plain", "no program at all, only text");
    refused(&["py", "inspect", arg(&plain)], &["carries no Python program"]);
    refused(&["py", "bench", arg(&folder.path().join("nowhere.py"))], &["no such program"]);
}

#[test]
fn humaneval_grades_the_data_itself() {
    let folder = tempfile::tempdir().unwrap();
    let task = |id: &str, solution: &str| {
        serde_json::json!({
            "task_id": id, "prompt": "def f(n):\n", "canonical_solution": solution,
            "test": "def check(g):\n    assert g(2) == 4\n", "entry_point": "f",
        })
    };
    let lines = format!("{}\n{}\n", task("A/0", "    return 2 * n\n"), task("A/1", "    return n\n"));
    let data = file(folder.path(), "tasks.jsonl", &lines);
    let told = ok(&["eval", "humaneval", "--data", arg(&data), "--canonical", "--json"]);
    let lines: Vec<Value> = told.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((lines[0]["passed"].as_u64(), lines[1]["passed"].as_u64()), (Some(1), Some(0)));
    assert_eq!(lines[1]["errors"][0], "AssertionError");
    assert_eq!(lines[2]["pass_at_1"].as_f64(), Some(0.5));
}
