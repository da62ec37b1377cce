//! Compiles the Python part of the standard library into the pack that the product carries: `pyc-pack OUT`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(out) = std::env::args_os().nth(1) else {
        eprintln!("usage: pyc-pack OUT");
        return ExitCode::from(2);
    };
    let packed = pyc_driver::pack_library().map_err(|e| e.to_string()).and_then(|(bytes, left_out)| {
        for module in &left_out {
            eprintln!("not compiled: {module}");
        }
        std::fs::write(&out, bytes).map_err(|e| e.to_string())
    });
    match packed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
