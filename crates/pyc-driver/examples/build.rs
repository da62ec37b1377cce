//! Builds a program with the stubs of a folder: `build FILE OUT STUBS`; for development, without the rest of mynah.
//! `TIER=native` adds machine code.

use pyc_driver::{BuildOptions, Stubs, build};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [file, out, stubs] = &words[..] else { return Err("usage: build FILE OUT STUBS".into()) };
    let tier = std::env::var("TIER").ok().map_or(Ok(Default::default()), |t| t.parse())?;
    let native_library = std::env::var_os("NATIVE_LIBRARY").is_some();
    let built = build(
        file.as_ref(),
        &BuildOptions { trusted: true, tier, native_library, ..BuildOptions::default() },
        &Stubs::read(stubs.as_ref())?,
    )?;
    std::fs::write(out, &built.bytes)?;
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(out, std::fs::Permissions::from_mode(0o755))?;
    let (size, native, modules) = (built.bytes.len(), built.native_bytes, built.modules.len());
    println!("{size} bytes ({native} of machine code), {modules} modules, {:?}", built.full_because);
    Ok(())
}
