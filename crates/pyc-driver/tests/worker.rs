//! A confined run of hostile code: this test program starts itself, as mynah does.

use std::process::Command;

use pyc_driver::{CAN_CONFINE, Capabilities, Limits, Options, Source, confine, run};

/// What the copy of this program does: confines itself and runs a text.
const CHILD: &str = "PYC_WORKER_TEXT";

#[test]
fn a_worker_runs_code_and_cannot_reach_out() {
    if let Ok(text) = std::env::var(CHILD) {
        let mut limits = Limits::default();
        limits.time = Some(std::time::Duration::from_secs(20));
        limits.memory_bytes = Some(256 << 20);
        let options = Options { capabilities: Capabilities::default(), limits, ..Options::default() };
        confine(&options).unwrap();
        // From outside the interpreter, so that only the system is in the way.
        println!("file {}", std::fs::read("/etc/passwd").is_err());
        println!("socket {}", std::net::TcpListener::bind("127.0.0.1:0").is_err());
        println!("process {}", Command::new("true").status().is_err());
        let code = run(&Source::Text(text), options).unwrap();
        println!("exit {code}");
        return;
    }
    if !CAN_CONFINE {
        return println!("workers need Linux on x86-64 or aarch64: skipped");
    }
    let run = |text: &str| {
        let name = "a_worker_runs_code_and_cannot_reach_out";
        let program = std::env::current_exe().unwrap();
        let output =
            Command::new(program).args([name, "--exact", "--nocapture"]).env(CHILD, text).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let told = run("import json\nprint(json.dumps([1, 2 ** 70]))\n");
    if told.contains("it needs seccomp") {
        return println!("this kernel has no seccomp: skipped");
    }
    for line in ["file true", "socket true", "process true", "[1, 1180591620717411303424]", "exit 0"] {
        assert!(told.contains(line), "'{line}' is missing in:\n{told}");
    }
    let told = run("open('/etc/passwd')\n");
    assert!(told.contains("PermissionError") && told.contains("exit 1"), "{told}");
    let told = run("a = [0] * 10 ** 12\n");
    assert!(told.contains("exit 124") || told.contains("MemoryError"), "{told}");
}
