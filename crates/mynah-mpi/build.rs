//! Builds the C shim with MPI's own compiler wrapper, when the feature `mpi` asks for it.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=shim/shim.c");
    println!("cargo::rerun-if-env-changed=MPICC");
    if std::env::var_os("CARGO_FEATURE_MPI").is_none() {
        return;
    }
    if let Err(message) = build() {
        println!("cargo::error={message}");
    }
}

fn build() -> Result<(), String> {
    let mpicc = std::env::var("MPICC").unwrap_or_else(|_| "mpicc".to_string());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    let object = out.join("shim.o");
    let compiled = Command::new(&mpicc)
        .args(["-c", "-O2", "-fPIC", "-Wall", "-Werror", "shim/shim.c", "-o"])
        .arg(&object)
        .output()
        .map_err(|error| {
            format!(
                "the feature `mpi` needs MPI's compiler wrapper, and {mpicc} cannot be run ({error}); install Open MPI \
                 or MPICH, name the wrapper in MPICC, or build without the feature"
            )
        })?;
    if !compiled.status.success() {
        return Err(format!("{mpicc} cannot compile the shim: {}", one_line(&compiled.stderr)));
    }
    let archive = out.join("libmynah_mpi_shim.a");
    let _ = std::fs::remove_file(&archive);
    let archived = Command::new("ar").arg("rcs").arg(&archive).arg(&object).output();
    if !archived.map_err(|error| format!("ar cannot be run: {error}"))?.status.success() {
        return Err("ar cannot make the shim's archive".to_string());
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=mynah_mpi_shim");
    for flag in link_flags(&mpicc)? {
        if let Some(folder) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={folder}");
        } else if let Some(library) = flag.strip_prefix("-l") {
            println!("cargo::rustc-link-lib={library}");
        }
    }
    Ok(())
}

/// What the wrapper would link: Open MPI says it with `--showme:link`, MPICH and its relatives with `-show`.
fn link_flags(mpicc: &str) -> Result<Vec<String>, String> {
    for question in ["--showme:link", "-show"] {
        let Ok(output) = Command::new(mpicc).arg(question).output() else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && text.contains("-l") {
            return Ok(text.split_whitespace().map(str::to_string).collect());
        }
    }
    Err(format!("{mpicc} does not say what it links; is it an MPI compiler wrapper?"))
}

fn one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or("it says nothing").to_string()
}
