//! The native modules of the standard library.
//!
//! **Key decision: a module is a file with a function `module(&Vm) -> PyResult` and a row in [`MODULES`].** It makes the
//! module object on first import, with functions as rows `(name, parameters, function)` and types by `Vm::new_type`.
//! Nothing here opens a file or reads a clock: that goes through `Vm::host`, where capabilities are checked.
//!
//! Only what pure Python cannot do, or not quickly enough, is native; the rest of the library is Python and comes
//! from a published crate (see pyc-driver).
//!
//! Rejected: one module per crate (thirty crates that change together).

mod array_module;
mod ast_module;
mod binascii_module;
mod cmath_module;
mod codecs_module;
mod collections_module;
mod contextvars_module;
mod csv_module;
mod finder;
mod functools_cache;
mod functools_module;
mod functools_partial;
#[cfg(feature = "full")]
mod hash_module;
mod heapq_module;
mod io;
mod itertools_module;
mod json_module;
mod math_module;
#[cfg_attr(not(feature = "full"), allow(dead_code))]
mod net_module;
mod opcode_module;
mod operator_module;
mod posix_module;
#[cfg_attr(not(feature = "full"), allow(dead_code))]
mod process_module;
mod random_module;
mod small;
mod sre_engine;
mod sre_module;
mod statistics_module;
mod streams;
mod struct_module;
mod support;
mod sys_hooks;
mod sys_module;
mod thread_module;
mod time_module;
mod typing_module;
#[cfg(feature = "full")]
mod unicode_module;
mod zlib_module;

use pyc_runtime::{PyResult, Vm};

/// Makes a module object.
pub type Maker = fn(&Vm) -> PyResult;

/// Name and maker of every native module.
pub const MODULES: &[(&str, Maker)] = &[
    ("_bisect", heapq_module::bisect_module),
    ("_heapq", heapq_module::heapq_module),
    ("_json", json_module::module),
    ("_statistics", statistics_module::module),
    ("_abc", small::abc_module),
    ("_ast", ast_module::module),
    ("_codecs", codecs_module::module),
    ("_collections", collections_module::module),
    ("_contextvars", contextvars_module::module),
    ("_functools", functools_module::module),
    #[cfg(feature = "full")]
    ("_blake2", hash_module::blake2_module),
    ("_csv", csv_module::module),
    #[cfg(feature = "full")]
    ("_md5", hash_module::md5_module),
    #[cfg(feature = "full")]
    ("_sha1", hash_module::sha1_module),
    #[cfg(feature = "full")]
    ("_sha2", hash_module::sha2_module),
    #[cfg(feature = "full")]
    ("_sha3", hash_module::sha3_module),
    ("_tokenize", opcode_module::tokenize_module),
    ("_warnings", small::warnings_module),
    ("zlib", zlib_module::module),
    ("array", array_module::module),
    ("cmath", cmath_module::module),
    ("_imp", opcode_module::imp_module),
    ("_io", io::module),
    #[cfg(feature = "full")]
    ("_net", net_module::module),
    ("_opcode", opcode_module::opcode_module),
    #[cfg(feature = "full")]
    ("_posixsubprocess", process_module::module),
    ("_random", random_module::module),
    ("_struct", struct_module::module),
    ("_typing", typing_module::module),
    ("binascii", binascii_module::module),
    ("posix", posix_module::module),
    #[cfg(feature = "full")]
    ("unicodedata", unicode_module::module),
    ("_operator", operator_module::module),
    ("_weakref", small::weakref_module),
    ("_sre", sre_module::module),
    ("_thread", thread_module::module),
    ("_string", small::string_module),
    ("_signal", small::signal_module),
    ("atexit", small::atexit_module),
    ("errno", small::errno_module),
    ("gc", small::gc_module),
    ("itertools", itertools_module::module),
    ("marshal", small::marshal_module),
    ("math", math_module::module),
    ("sys", sys_module::module),
    ("time", time_module::module),
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
