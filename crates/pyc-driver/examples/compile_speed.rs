//! How quickly text becomes code: `compile_speed FOLDER` compiles every Python file below it, one after the other.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pyc_driver::Program;

#[global_allocator]
static ALLOCATOR: pyc_runtime::object::Counting = pyc_runtime::object::Counting;

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "py") {
            files.push(path);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: compile_speed FOLDER")?;
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files)?;
    files.sort();
    // The parser recurses as deep as the text nests.
    let told = pyc_driver::on_stack(move || {
        let (mut lines, mut refused, mut spent) = (0, 0, Duration::ZERO);
        let mut slowest = (Duration::ZERO, String::new());
        for path in &files {
            let Ok(text) = std::fs::read_to_string(path) else { continue };
            let started = Instant::now();
            let compiled = Program::compile(&text, "module.py");
            let took = started.elapsed();
            spent += took;
            lines += text.lines().count();
            refused += usize::from(compiled.is_err());
            slowest = slowest.max((took, path.display().to_string()));
        }
        let rate = lines as f64 / spent.as_secs_f64();
        format!(
            "{} files, {lines} lines in {:.2} s: {:.1} million lines/min; {refused} refused; slowest {:.3} s {}",
            files.len(),
            spent.as_secs_f64(),
            rate * 60.0 / 1e6,
            slowest.0.as_secs_f64(),
            slowest.1
        )
    })?;
    println!("{told}");
    Ok(())
}
