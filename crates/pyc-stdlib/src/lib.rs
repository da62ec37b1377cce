//! The native modules of the standard library.
//!
//! **Key decision: a module is a file with a function `module(&Vm) -> PyResult` and a row in [`MODULES`].** It makes the
//! module object on first import, with functions as rows `(name, parameters, function)` and types by `Vm::new_type`.
//! Nothing here opens a file or reads a clock: that goes through `Vm::host`, where capabilities are checked.
//!
//! Only what pure Python cannot do, or not quickly enough, is native; the rest of the library is Python and comes
//! from a published crate (see pyc-driver).
//!
//! **Three sizes.** Without features there is what a program needs that prints a line; `library` adds the modules
//! without big tables, `full` all. Built programs carry the least that answers their imports.
//!
//! Rejected: one module per crate (thirty crates that change together).

#![cfg_attr(not(feature = "library"), allow(dead_code, reason = "what the modules share has fewer users"))]

#[cfg(feature = "library")]
mod array_module;
#[cfg(feature = "library")]
mod ast_module;
#[cfg(feature = "library")]
mod binascii_module;
#[cfg(feature = "library")]
mod cmath_module;
mod codecs_module;
#[cfg(feature = "library")]
mod collections_module;
mod contextvars_module;
#[cfg(feature = "library")]
mod csv_module;
mod finder;
#[cfg(feature = "library")]
mod functools_cache;
#[cfg(feature = "library")]
mod functools_module;
#[cfg(feature = "library")]
mod functools_partial;
#[cfg(feature = "full")]
mod hash_module;
#[cfg(feature = "library")]
mod heapq_module;
mod io;
#[cfg(feature = "library")]
mod itertools_module;
#[cfg(feature = "library")]
mod json_module;
mod math_module;
#[cfg_attr(not(feature = "full"), allow(dead_code))]
mod net_module;
#[cfg(feature = "library")]
mod opcode_module;
mod operator_module;
mod posix_module;
#[cfg_attr(not(feature = "full"), allow(dead_code))]
mod process_module;
#[cfg(feature = "library")]
mod random_module;
mod small;
#[cfg(feature = "library")]
mod sre_engine;
#[cfg(feature = "library")]
mod sre_module;
#[cfg(feature = "library")]
mod statistics_module;
mod streams;
#[cfg(feature = "library")]
mod struct_module;
mod support;
mod sys_hooks;
mod sys_late;
mod sys_module;
mod thread_module;
mod time_module;
#[cfg(feature = "library")]
mod typing_module;
#[cfg(feature = "full")]
mod unicode_module;
#[cfg(feature = "library")]
mod zlib_module;

use pyc_runtime::{PyResult, Vm};

/// Makes a module object.
pub type Maker = fn(&Vm) -> PyResult;

/// Name and maker of every native module.
pub const MODULES: &[(&str, Maker)] = &[
    #[cfg(feature = "library")]
    ("_bisect", heapq_module::bisect_module),
    #[cfg(feature = "library")]
    ("_heapq", heapq_module::heapq_module),
    #[cfg(feature = "library")]
    ("_json", json_module::module),
    #[cfg(feature = "library")]
    ("_statistics", statistics_module::module),
    ("_abc", small::abc_module),
    #[cfg(feature = "library")]
    ("_ast", ast_module::module),
    ("_codecs", codecs_module::module),
    #[cfg(feature = "library")]
    ("_collections", collections_module::module),
    ("_contextvars", contextvars_module::module),
    #[cfg(feature = "library")]
    ("_functools", functools_module::module),
    #[cfg(feature = "full")]
    ("_blake2", hash_module::blake2_module),
    #[cfg(feature = "library")]
    ("_csv", csv_module::module),
    #[cfg(feature = "full")]
    ("_md5", hash_module::md5_module),
    #[cfg(feature = "full")]
    ("_sha1", hash_module::sha1_module),
    #[cfg(feature = "full")]
    ("_sha2", hash_module::sha2_module),
    #[cfg(feature = "full")]
    ("_sha3", hash_module::sha3_module),
    #[cfg(feature = "library")]
    ("_tokenize", opcode_module::tokenize_module),
    ("_warnings", small::warnings_module),
    #[cfg(feature = "library")]
    ("zlib", zlib_module::module),
    #[cfg(feature = "library")]
    ("array", array_module::module),
    #[cfg(feature = "library")]
    ("cmath", cmath_module::module),
    #[cfg(feature = "library")]
    ("_imp", opcode_module::imp_module),
    ("_io", io::module),
    #[cfg(feature = "full")]
    ("_net", net_module::module),
    #[cfg(feature = "library")]
    ("_opcode", opcode_module::opcode_module),
    #[cfg(feature = "full")]
    ("_posixsubprocess", process_module::module),
    #[cfg(feature = "library")]
    ("_random", random_module::module),
    #[cfg(feature = "library")]
    ("_struct", struct_module::module),
    #[cfg(feature = "library")]
    ("_typing", typing_module::module),
    #[cfg(feature = "library")]
    ("binascii", binascii_module::module),
    ("posix", posix_module::module),
    #[cfg(feature = "full")]
    ("unicodedata", unicode_module::module),
    ("_operator", operator_module::module),
    ("_weakref", small::weakref_module),
    #[cfg(feature = "library")]
    ("_sre", sre_module::module),
    ("_thread", thread_module::module),
    ("_string", small::string_module),
    ("_signal", small::signal_module),
    ("atexit", small::atexit_module),
    ("errno", small::errno_module),
    ("gc", small::gc_module),
    #[cfg(feature = "library")]
    ("itertools", itertools_module::module),
    ("marshal", small::marshal_module),
    ("math", math_module::module),
    ("sys", sys_module::module),
    ("time", time_module::module),
];

/// Native modules that exist with the feature `library` (or `full`) only: those that a short program does without.
pub const LIBRARY_MODULES: &[&str] = &[
    "_ast",
    "_bisect",
    "_collections",
    "_csv",
    "_functools",
    "_heapq",
    "_imp",
    "_json",
    "_opcode",
    "_random",
    "_sre",
    "_statistics",
    "_struct",
    "_tokenize",
    "_typing",
    "array",
    "binascii",
    "cmath",
    "itertools",
    "zlib",
];

/// Native modules that work only with the feature `full`: those with big tables or much of the system behind them.
pub const FULL_MODULES: &[&str] =
    &["_blake2", "_md5", "_net", "_posixsubprocess", "_sha1", "_sha2", "_sha3", "unicodedata"];

pub use streams::flush_standard;
pub use sys_module::set_arguments;

/// The characters of a Unicode name; without the table of names, none.
fn character_by_name(name: &str) -> Option<Vec<u32>> {
    #[cfg(feature = "full")]
    return unicode_module::by_name(name);
    #[cfg(not(feature = "full"))]
    {
        let _ = name;
        None
    }
}

/// Makes all native modules known to an instance.
pub fn install(vm: &Vm) {
    for (name, make) in MODULES {
        vm.register_module(name, *make);
    }
    io::install_open(vm);
}
