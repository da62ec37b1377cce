//! The embedding API: programs compiled once, instances that share nothing, functions of the host.

use std::time::Duration;

use pyc_driver::{Capabilities, HostFunction, Instance, Limits, Program};

fn compile(text: &str) -> Program {
    Program::compile(text, "tool.py").unwrap()
}

fn instance(program: &Program) -> Instance {
    Instance::new(program, Capabilities::default(), Limits::default(), &[]).unwrap()
}

#[test]
fn a_function_is_called_many_times() {
    let program = compile("def score(texts):\n    return [len(t) / 2 for t in texts]\n");
    let one = instance(&program);
    for _ in 0..100 {
        assert_eq!(one.call_texts("score", &["ab", "äöü", ""]).unwrap(), [1.0, 1.5, 0.0]);
    }
    assert_eq!(one.call_texts("score", &[]).unwrap(), [] as [f64; 0]);
}

#[test]
fn instances_share_nothing() {
    let program = compile(
        "import sys\nseen = []\ndef add(texts):\n    seen.extend(texts)\n    sys.extra = 1\n    list_count = len(seen)\n    return [list_count]\ndef has(texts):\n    return [hasattr(sys, 'extra')]\n",
    );
    let (first, second) = (instance(&program), instance(&program));
    assert_eq!(first.call_texts("add", &["a", "b"]).unwrap(), [2.0]);
    assert_eq!(second.call_texts("add", &["c"]).unwrap(), [1.0]);
    let third = instance(&program);
    assert_eq!(third.call_texts("has", &[]).unwrap(), [0.0]);
    assert_eq!(first.call_texts("has", &[]).unwrap(), [1.0]);
}

#[test]
fn functions_of_the_host_are_builtins() {
    const FUNCTIONS: &[HostFunction] =
        &[("double", "number /", |vm, args| Ok(vm.float(vm.to_f64(&args[0])? * 2.0)))];
    let program = compile("def f(texts):\n    return [double(float(t)) for t in texts]\n");
    let one = Instance::new(&program, Capabilities::default(), Limits::default(), FUNCTIONS).unwrap();
    assert_eq!(one.call_texts("f", &["1.5", "-2"]).unwrap(), [3.0, -4.0]);
    let error = one.call_texts("f", &["x"]).unwrap_err().to_string();
    assert!(error.contains("ValueError") && error.contains("tool.py"), "{error}");
}

#[test]
fn what_is_wrong_is_an_error() {
    assert!(Program::compile("def f(:\n", "bad.py").unwrap_err().to_string().contains("bad.py"));
    let one = instance(&compile("def f(texts):\n    return 'no numbers'\n"));
    assert!(one.call_texts("f", &[]).is_err());
    assert!(one.call_texts("g", &[]).unwrap_err().to_string().contains("'g'"));
    let denied = instance(&compile("def f(texts):\n    open('/etc/passwd')\n"));
    let error = denied.call_texts("f", &[]).unwrap_err().to_string();
    assert!(error.contains("PermissionError") && error.contains("fs.read=/etc/passwd"), "{error}");
}

#[test]
fn a_limit_ends_a_call() {
    let program = compile(
        "def f(texts):\n    try:\n        while True: pass\n    except BaseException:\n        return [1.0]\n",
    );
    let mut limits = Limits::default();
    limits.steps = Some(100_000);
    limits.time = Some(Duration::from_secs(60));
    let one = Instance::new(&program, Capabilities::default(), limits, &[]).unwrap();
    let error = one.call_texts("f", &[]).unwrap_err().to_string();
    assert!(error.contains("step limit of 100000"), "{error}");
}

#[test]
fn output_is_captured() {
    let one = instance(&compile("print('start')\ndef f(texts):\n    print(*texts)\n    return []\n"));
    assert_eq!(one.take_output(), "start\n");
    one.call_texts("f", &["a", "b"]).unwrap();
    assert_eq!(one.take_output(), "a b\n");
}
