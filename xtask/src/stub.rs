//! `cargo xtask stub`: what `mynah py build` needs where mynah was not built in release mode.

use std::path::Path;
use std::process::{Command, ExitCode};

#[path = "../../crates/pyc-stub/nested.rs"]
mod nested;

/// Builds the stubs and the packed library into `target/stub`.
pub fn run(arguments: &[String]) -> Result<ExitCode, String> {
    let quick = match arguments {
        [] => false,
        [option] if option == "--quick" => true,
        _ => return Err("usage: cargo xtask stub [--quick]".to_string()),
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("-vV").output().map_err(|e| format!("cannot run rustc: {e}"))?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not say its host")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(workspace.join("target"), Into::into);
    let out = target.join("stub");
    nested::build(workspace, &target.join("nested"), &out, host, quick)?;
    for name in nested::FILES {
        let size = std::fs::metadata(out.join(name)).map_or(0, |m| m.len());
        println!("{} {size} bytes", out.join(name).display());
    }
    Ok(ExitCode::SUCCESS)
}
