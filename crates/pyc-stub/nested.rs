//! The nested build of the stubs and the packed library; part of mynah-cli's build script and of `cargo xtask stub`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Files that [`build`] writes into its folder.
pub const FILES: [&str; 4] = ["pyc-stub-mini", "pyc-stub-small", "pyc-stub-full", "pyc-library.pack"];

/// Builds in `target` (kept between calls) and writes [`FILES`] into `out`. `triple` is rustc's name of the machine.
/// `quick` trades size and speed for build time.
pub fn build(workspace: &Path, target: &Path, out: &Path, triple: &str, quick: bool) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = |arguments: &[&str], folder: &str| -> Result<PathBuf, String> {
        let target = target.join(folder);
        let mut command = Command::new(&cargo);
        command.arg("build").args(arguments).args([
            "--package",
            "pyc-stub",
            "--profile",
            "stub",
            "--target",
            triple,
        ]);
        command.current_dir(workspace).arg("--target-dir").arg(&target);
        let mut config = vec![
            "profile.stub.inherits='release'".to_string(),
            "profile.stub.panic='abort'".into(),
            "profile.stub.strip=true".into(),
            "profile.stub.debug=false".into(),
            format!("profile.stub.lto={}", if quick { "false" } else { "'fat'" }),
            format!("profile.stub.codegen-units={}", if quick { 16 } else { 1 }),
            // What runs programs is optimised for speed, what surrounds it for size.
            "profile.stub.opt-level=2".into(),
            "profile.stub.package.pyc-interp.opt-level=3".into(),
            "profile.stub.package.pyc-host.opt-level='s'".into(),
            "profile.stub.package.pyc-stdlib.opt-level='s'".into(),
        ];
        if triple.contains("-linux-") {
            // No shared library and no relocation: the program starts at once, on any distribution.
            // Rust's own linker for x86-64 folds functions with the same code.
            let fold = if triple.starts_with("x86_64-") { ",'-Clink-arg=-Wl,--icf=all'" } else { "" };
            config.push(format!(
                "target.{triple}.rustflags=['-Ctarget-feature=+crt-static','-Crelocation-model=static'{fold}]"
            ));
        }
        for item in config {
            command.arg("--config").arg(item);
        }
        // The outer build's own settings are not those of this one.
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_BUILD_RUSTFLAGS",
            "RUSTC_WRAPPER",
        ] {
            command.env_remove(name);
        }
        let status = command.status().map_err(|e| format!("cannot run cargo: {e}"))?;
        if !status.success() {
            return Err(format!("the nested build of pyc-stub failed ({status})"));
        }
        Ok(target.join(triple).join("stub"))
    };
    let copy = |from: PathBuf, name: &str| {
        let to = out.join(name);
        std::fs::copy(&from, &to)
            .map(drop)
            .map_err(|e| format!("cannot copy {} to {}: {e}", from.display(), to.display()))
    };
    std::fs::create_dir_all(out).map_err(|e| format!("cannot make {}: {e}", out.display()))?;
    let full = run(&["--features", "full"], "full")?;
    copy(full.join("pyc-stub"), FILES[2])?;
    let packed = Command::new(full.join("pyc-pack")).arg(out.join(FILES[3])).status();
    match packed {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("pyc-pack failed ({status})")),
        Err(e) => return Err(format!("cannot run pyc-pack: {e}")),
    }
    let small = run(&["--bin", "pyc-stub", "--features", "library"], "small")?;
    copy(small.join("pyc-stub"), FILES[1])?;
    let mini = run(&["--bin", "pyc-stub"], "small")?;
    copy(mini.join("pyc-stub"), FILES[0])
}
