//! Builds a program with the stubs of a folder: `build FILE OUT STUBS`; for development, without the rest of mynah.

use pyc_driver::{BuildOptions, Stubs, build};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [file, out, stubs] = &words[..] else { return Err("usage: build FILE OUT STUBS".into()) };
    let built = build(
        file.as_ref(),
        &BuildOptions { trusted: true, ..BuildOptions::default() },
        &Stubs::read(stubs.as_ref())?,
    )?;
    std::fs::write(out, &built.bytes)?;
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(out, std::fs::Permissions::from_mode(0o755))?;
    println!("{} bytes, {} modules, {:?}", built.bytes.len(), built.modules.len(), built.full_because);
    Ok(())
}
