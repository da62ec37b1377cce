//! The finder on `sys.meta_path`: `importlib` finds modules where the import statement does.

use pyc_runtime::host::ModuleBody;
use pyc_runtime::registry::Plain;
use pyc_runtime::{Args, Method, PyResult, Value, Vm, new_object};

fn find_spec(vm: &Vm, args: Args) -> PyResult {
    let name = vm.expect_str(&args[1], "find_spec() argument 1")?.to_lossy();
    let path = match args.opt(2).filter(|p| !p.is_none()) {
        Some(path) => {
            let mut folders = Vec::new();
            for folder in vm.to_vec(path)? {
                folders.push(vm.str_text(&folder)?);
            }
            Some(folders)
        }
        None => None,
    };
    let machinery = vm.import("importlib._bootstrap")?;
    let make = vm.get_attr_str(&machinery, "ModuleSpec")?;
    let origin = vm.intern("origin");
    if vm.native_module(&name).is_some() {
        let all = [args[1].clone(), args[0].clone(), vm.str("built-in")];
        return vm.call(&make, Args { all: &all, names: &[origin] });
    }
    let Some(source) = vm.host.module_source(&name, path.as_deref()) else { return Ok(Value::NONE) };
    let all = [args[1].clone(), args[0].clone(), vm.str(&source.filename)];
    let spec = vm.call(&make, Args { all: &all, names: &[origin] })?;
    if let Some(folder) = source.package {
        let folders = vm.list(vec![vm.str(&folder)]);
        vm.set_attr(&spec, &vm.intern("submodule_search_locations"), folders)?;
    }
    vm.set_attr(&spec, &vm.intern("has_location"), Value::TRUE)?;
    Ok(spec)
}

const METHODS: &[Method] = &[
    ("find_spec", "name path? target?", find_spec),
    ("create_module", "spec", |vm, args| {
        let name = vm.get_attr(&args[1], &vm.names.name)?;
        vm.import(&vm.str_text(&name)?)
    }),
    // `create_module` has run it.
    ("exec_module", "module", |_, _| Ok(Value::NONE)),
    ("get_source", "name", |vm, args| {
        let name = vm.str_text(&args[1])?;
        let path =
            name.rsplit_once('.').map(|(parent, _)| vec![format!("<library>/{}", parent.replace('.', "/"))]);
        let text = vm.host.module_source(&name, path.as_deref()).and_then(|s| match s.body {
            ModuleBody::Text(text) => Some(text),
            _ => vm.host.source_text(&s.filename),
        });
        Ok(text.map_or(Value::NONE, |text| vm.str(&text)))
    }),
    ("invalidate_caches", "", |_, _| Ok(Value::NONE)),
    ("__repr__", "", |vm, _| Ok(vm.str("<finder of modules>"))),
];

pub(crate) fn make(vm: &Vm) -> Value {
    let ty = vm.state("module_finder", || {
        let ty = vm.new_type::<Plain>("sys", "ModuleFinder", None, 0);
        vm.add_methods(&ty, METHODS);
        ty
    });
    new_object(&ty, Plain)
}
