//! Puts into a release build what `mynah py build` appends programs to, and the compiled library, so that mynah stays
//! one file. Other builds carry neither: `cargo xtask stub` makes them beside.

use std::path::{Path, PathBuf};

#[path = "../pyc-stub/nested.rs"]
mod nested;

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let out = PathBuf::from(variable("OUT_DIR"));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("cargo:rerun-if-env-changed=MYNAH_BUILD_STUBS");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../pyc-stub/nested.rs");
    // A folder with stubs that were made before, or `none`.
    let given = variable("MYNAH_BUILD_STUBS");
    let make = given != "none" && (variable("PROFILE") == "release" || !given.is_empty());
    if !make {
        for name in nested::FILES {
            std::fs::write(out.join(name), b"").expect("the build folder can be written");
        }
        return;
    }
    if !given.is_empty() {
        for name in nested::FILES {
            let from = Path::new(&given).join(name);
            println!("cargo:rerun-if-changed={}", from.display());
            std::fs::copy(&from, out.join(name))
                .unwrap_or_else(|e| panic!("MYNAH_BUILD_STUBS: {}: {e}", from.display()));
        }
        return;
    }
    for name in
        ["host", "driver", "front", "interp", "ir", "lower", "native", "opt", "runtime", "stdlib", "stub"]
    {
        let folder = workspace.join(format!("crates/pyc-{name}"));
        if folder.is_dir() {
            println!("cargo:rerun-if-changed={}", folder.display());
        }
    }
    // Kept beside the outer build's folders, so that a later build starts from it: OUT_DIR is target/PROFILE/build/NAME/out.
    let target = out.ancestors().nth(4).map_or_else(|| out.join("nested"), |target| target.join("nested"));
    if let Err(error) = nested::build(&workspace, &target, &out, &variable("TARGET"), false) {
        panic!("{error}; MYNAH_BUILD_STUBS=none builds mynah without them");
    }
}
