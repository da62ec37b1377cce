//! `time`, over the host's clock.

use std::time::Duration;

use pyc_runtime::{Method, PyResult, Value, Vm};

fn now(vm: &Vm) -> PyResult<i64> {
    vm.host.time_ns().map_err(|e| vm.host_error(e, None))
}

fn steady(vm: &Vm) -> PyResult<i64> {
    vm.host.monotonic_ns().map_err(|e| vm.host_error(e, None))
}

const FUNCTIONS: &[Method] = &[
    ("time", "", |vm, _| Ok(vm.float(now(vm)? as f64 / 1e9))),
    ("time_ns", "", |vm, _| Ok(vm.int(now(vm)?))),
    ("monotonic", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
    ("monotonic_ns", "", |vm, _| Ok(vm.int(steady(vm)?))),
    ("perf_counter", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
    ("perf_counter_ns", "", |vm, _| Ok(vm.int(steady(vm)?))),
    ("process_time", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
    ("process_time_ns", "", |vm, _| Ok(vm.int(steady(vm)?))),
    ("thread_time", "", |vm, _| Ok(vm.float(steady(vm)? as f64 / 1e9))),
    ("sleep", "seconds /", |vm, args| {
        let seconds = vm.to_f64(&args[0])?;
        if seconds < 0.0 || seconds.is_nan() {
            return Err(vm.value_error("sleep length must be non-negative"));
        }
        // In slices, so that the time limit is seen.
        let mut left = seconds.min(1e9);
        while left > 0.0 {
            let slice = left.min(0.05);
            vm.host.sleep(Duration::from_secs_f64(slice)).map_err(|e| vm.host_error(e, None))?;
            left -= slice;
            vm.check_limits()?;
        }
        Ok(Value::NONE)
    }),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("time", FUNCTIONS);
    vm.module_set(&module, "timezone", Value::from_i32(0));
    vm.module_set(&module, "altzone", Value::from_i32(0));
    vm.module_set(&module, "daylight", Value::from_i32(0));
    let zones = vm.tuple(vec![vm.str("UTC"), vm.str("UTC")]);
    vm.module_set(&module, "tzname", zones);
    Ok(module)
}
