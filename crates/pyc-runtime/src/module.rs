//! Modules and imports.

use crate::args::Method;
use crate::containers::DictData;
use crate::host::ModuleBody;
use crate::object::{Kind, Payload, Value, new_object};
use crate::str::Str;
use crate::vm::{Args, PyResult, Vm};

/// The payload of modules.
pub struct ModuleData {
    /// `__dict__`
    pub dict: Value,
}
impl Payload for ModuleData {
    const KIND: Kind = Kind::Module;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.dict);
    }
}

impl Vm {
    /// A module with the usual names.
    pub fn new_module(&self, name: &str) -> Value {
        let dict = self.dict();
        let n = &self.names;
        self.dict_set_name(&dict, &n.__name__, self.str(name));
        for key in [&n.__doc__, &n.__package__, &n.__loader__, &n.__spec__] {
            self.dict_set_name(&dict, key, Value::NONE);
        }
        new_object(&self.types.module, ModuleData { dict })
    }

    /// A native module with these functions.
    pub fn native_module_object(&self, name: &'static str, functions: &[Method]) -> Value {
        let module = self.new_module(name);
        let owner = self.intern(name);
        for (function, params, code) in functions {
            let value = self.native_function(&owner, function, params, *code);
            self.module_set(&module, function, value);
        }
        self.module_set(&module, "__package__", self.str(""));
        module
    }

    /// Sets a name of a module.
    pub fn module_set(&self, module: &Value, name: &str, value: Value) {
        if let Some(data) = module.get::<ModuleData>() {
            self.dict_set_str(&data.dict, name, value);
        }
    }

    /// Makes a name builtin.
    pub fn set_builtin(&self, name: &str, value: Value) {
        self.dict_set_str(&self.builtins, name, value);
    }

    /// A builtin.
    pub fn get_builtin(&self, name: &str) -> Value {
        let name = self.intern(name);
        self.dict_get_name(&self.builtins, &name).unwrap_or(Value::NONE)
    }

    /// A loaded module.
    pub fn loaded_module(&self, name: &str) -> Option<Value> {
        let name = self.str(name);
        self.modules.get::<DictData>()?.get(self, &name).ok().flatten()
    }

    /// Imports a module by its full name and gives it.
    ///
    /// # Errors
    /// ModuleNotFoundError, and what running it raises.
    pub fn import(&self, name: &str) -> PyResult {
        if let Some(found) = self.loaded_module(name) {
            if found.is_none() {
                return Err(self.import_failed(
                    &self.exc.module_not_found_error,
                    name,
                    &format!("import of {name} halted; None in sys.modules"),
                ));
            }
            return Ok(found);
        }
        self.check_stack()?;
        let mut parent_module = None;
        let mut path: Option<Vec<String>> = None;
        if let Some((parent, _)) = name.rsplit_once('.') {
            let module = self.import(parent)?;
            if let Some(found) = self.loaded_module(name) {
                return Ok(found);
            }
            match self.find_attr(&module, &self.names.__path__)? {
                Some(list) => {
                    path = Some(self.to_vec(&list)?.iter().map(|p| self.text(p).to_string()).collect());
                }
                None => {
                    let message = format!("No module named '{name}'; '{parent}' is not a package");
                    return Err(self.import_failed(&self.exc.module_not_found_error, name, &message));
                }
            }
            parent_module = Some(module);
        }
        let module = self.load(name, path.as_deref())?;
        if let (Some(parent), Some((_, last))) = (parent_module, name.rsplit_once('.')) {
            let last = self.intern(last);
            self.set_attr(&parent, &last, module.clone())?;
        }
        Ok(module)
    }

    fn import_failed(&self, ty: &Value, name: &str, message: &str) -> crate::vm::Raised {
        let raised = self.raise(ty, message);
        self.set_attr_raw(&raised.0, &self.names.name, self.str(name));
        self.set_attr_raw(&raised.0, &self.names.msg, self.str(message));
        raised
    }

    fn load(&self, name: &str, path: Option<&[String]>) -> PyResult {
        if let Some(init) = self.native_module(name) {
            let module = init(self)?;
            self.dict_set(&self.modules, self.intern(name), module.clone())?;
            self.add_spec(&module, name, "built-in", None)?;
            return Ok(module);
        }
        let Some(source) = self.host.module_source(name, path) else {
            return Err(self.import_failed(
                &self.exc.module_not_found_error,
                name,
                &format!("No module named '{name}'"),
            ));
        };
        let code = match source.body {
            ModuleBody::Text(text) => {
                self.remember_source(&source.filename, &text);
                self.compile(&text, &source.filename, "exec", 0)?
            }
            ModuleBody::Code(code) => self.code(code),
            ModuleBody::Machine { code, of, section } => {
                if let Err(error) = self.load_machine_code(&code, of, &section) {
                    let message = format!("module '{name}': {error}");
                    return Err(self.import_failed(&self.exc.import_error, name, &message));
                }
                self.code(code)
            }
            ModuleBody::Broken(message) => {
                return Err(self.import_failed(&self.exc.import_error, name, &message));
            }
        };
        let module = self.new_module(name);
        self.module_set(&module, "__file__", self.str(&source.filename));
        let package = match &source.package {
            Some(folder) => {
                let list = self.list(vec![self.str(folder)]);
                self.module_set(&module, "__path__", list);
                name
            }
            None => name.rsplit_once('.').map_or("", |(p, _)| p),
        };
        self.module_set(&module, "__package__", self.str(package));
        self.add_spec(&module, name, &source.filename, source.package.as_deref())?;
        self.dict_set(&self.modules, self.intern(name), module.clone())?;
        let Some(data) = module.get::<ModuleData>() else { return Ok(module) };
        self.module_set(
            &module,
            "__builtins__",
            self.loaded_module("builtins").unwrap_or_else(|| self.builtins.clone()),
        );
        let globals = data.dict.clone();
        if let Err(error) = (self.engine().run)(self, &code, &globals, &globals, &[]) {
            if let Some(modules) = self.modules.get::<DictData>() {
                let _ = modules.remove(self, &self.str(name));
            }
            return Err(error);
        }
        // A module may have replaced itself.
        Ok(self.loaded_module(name).unwrap_or(module))
    }

    fn add_spec(&self, module: &Value, name: &str, origin: &str, package: Option<&str>) -> PyResult<()> {
        let spec = new_object(&self.types.namespace, crate::registry::Plain);
        let set = |key: &str, value: Value| {
            let key = self.intern(key);
            self.set_attr_raw(&spec, &key, value);
        };
        set("name", self.str(name));
        set("origin", self.str(origin));
        set("loader", Value::NONE);
        set("_initializing", Value::FALSE);
        set("_uninitialized_submodules", self.list(vec![]));
        set("has_location", Value::from_bool(origin != "built-in"));
        set("cached", Value::NONE);
        set(
            "parent",
            self.str(if package.is_some() { name } else { name.rsplit_once('.').map_or("", |(p, _)| p) }),
        );
        set(
            "submodule_search_locations",
            match package {
                Some(folder) => self.list(vec![self.str(folder)]),
                None => Value::NONE,
            },
        );
        self.module_set(module, "__spec__", spec);
        Ok(())
    }

    /// `__import__` as the import statement uses it.
    ///
    /// # Errors
    /// As [`Vm::import`]; ImportError for wrong relative imports.
    pub fn import_statement(&self, name: &str, globals: &Value, from: &Value, level: usize) -> PyResult {
        let full = if level == 0 { name.to_string() } else { self.resolve_relative(name, globals, level)? };
        let module = self.import(&full)?;
        if !self.truth(from)? {
            if level > 0 {
                return Ok(module);
            }
            return match full.split_once('.') {
                Some((top, _)) => self.import(top),
                None => Ok(module),
            };
        }
        // `from package import submodule` loads the submodule.
        if self.find_attr(&module, &self.names.__path__)?.is_some() {
            for item in self.to_vec(from)? {
                let text = self.text(&item).to_string();
                if text == "*" {
                    if let Some(all) = self.find_attr(&module, &self.names.__all__)? {
                        self.import_members(&module, &full, &all)?;
                    }
                    continue;
                }
                let one = self.list(vec![item]);
                self.import_members(&module, &full, &one)?;
            }
        }
        Ok(module)
    }

    fn import_members(&self, module: &Value, full: &str, names: &Value) -> PyResult<()> {
        for name in self.to_vec(names)? {
            if name.kind() != Kind::Str {
                continue;
            }
            let interned = self.intern_value(&name);
            if self.find_attr(module, &interned)?.is_none() {
                let wanted = format!("{full}.{}", self.text(&name));
                match self.import(&wanted) {
                    Ok(_) => {}
                    Err(error)
                        if self.is_exception(&error, &self.exc.module_not_found_error)
                            && self.names_module(&error.0, &wanted) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn names_module(&self, exception: &Value, name: &str) -> bool {
        self.own_attr(exception, &self.names.name).is_some_and(|n| &*self.text(&n) == name)
    }

    fn resolve_relative(&self, name: &str, globals: &Value, level: usize) -> PyResult<String> {
        let text = |key: &Value| {
            self.dict_get_name(globals, key).and_then(|v| v.get::<Str>().and_then(Str::to_text))
        };
        let package = match text(&self.names.__package__) {
            Some(package) => package,
            None => match text(&self.names.__name__) {
                Some(own) if self.dict_get_name(globals, &self.names.__path__).is_some() => own,
                Some(own) => own.rsplit_once('.').map_or(String::new(), |(p, _)| p.to_string()),
                None => String::new(),
            },
        };
        if package.is_empty() {
            return Err(
                self.raise(&self.exc.import_error, "attempted relative import with no known parent package")
            );
        }
        let mut base = package.as_str();
        for _ in 1..level {
            match base.rsplit_once('.') {
                Some((parent, _)) => base = parent,
                None => {
                    return Err(self.raise(
                        &self.exc.import_error,
                        "attempted relative import beyond top-level package",
                    ));
                }
            }
        }
        Ok(if name.is_empty() { base.to_string() } else { format!("{base}.{name}") })
    }

    /// `from module import name`.
    ///
    /// # Errors
    /// ImportError.
    pub fn import_from(&self, module: &Value, name: &Value) -> PyResult {
        if let Some(found) = self.find_attr(module, name)? {
            return Ok(found);
        }
        let own = self
            .find_attr(module, &self.names.__name__)?
            .map_or("<unknown module name>".into(), |n| self.text(&n));
        let text = self.text(name);
        if let Some(found) = self.loaded_module(&format!("{own}.{text}")) {
            return Ok(found);
        }
        let file = self.find_attr(module, &self.names.__file__)?;
        let place = file.as_ref().map_or("unknown location".into(), |f| self.text(f));
        let message = format!("cannot import name '{text}' from '{own}' ({place})");
        let raised = self.import_failed(&self.exc.import_error, &own, &message);
        self.set_attr_raw(&raised.0, &self.names.path, file.unwrap_or(Value::NONE));
        self.set_attr_raw(&raised.0, &self.names.name_from, name.clone());
        Err(raised)
    }

    /// `from module import *` into a namespace.
    ///
    /// # Errors
    /// What reading the module raises.
    pub fn import_star(&self, module: &Value, namespace: &Value) -> PyResult<()> {
        let names = match self.find_attr(module, &self.names.__all__)? {
            Some(all) => self.to_vec(&all)?,
            None => {
                let dict = self.get_attr(module, &self.names.__dict__)?;
                let keys = dict.get::<DictData>().map(|d| d.items()).unwrap_or_default();
                keys.into_iter().map(|(k, _)| k).filter(|k| !self.text(k).starts_with('_')).collect()
            }
        };
        for name in names {
            let interned = self.intern_value(&name);
            let value = self.get_attr(module, &interned)?;
            self.set_item(namespace, &interned, value)?;
        }
        Ok(())
    }

    /// At the end: namespaces of modules are emptied, so that what they hold is finalized.
    pub(crate) fn clear_modules(&self) {
        let modules = self.modules.get::<DictData>().map(|d| d.items()).unwrap_or_default();
        for (name, module) in modules.iter().rev() {
            if matches!(&*self.text(name), "sys" | "builtins") {
                continue;
            }
            if let Some(data) = module.get::<ModuleData>()
                && let Some(dict) = data.dict.get::<DictData>()
            {
                let items = dict.items();
                for (key, _) in items {
                    if &*self.text(&key) != "__builtins__" {
                        let _ = dict.set(self, key, Value::NONE);
                    }
                }
            }
        }
        drop(modules);
        for holder in [&self.modules, &self.sys.borrow().clone(), &self.builtins] {
            self.dict_clear(holder);
        }
    }
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(
        &t.module,
        &[
            ("__new__", "...", |vm, args: Args| Ok(new_object(&args.all[0], ModuleData { dict: vm.dict() }))),
            ("__init__", "name doc?", |vm, args| {
                let Some(data) = args[0].get::<ModuleData>() else { return Ok(Value::NONE) };
                let n = &vm.names;
                vm.dict_set_name(&data.dict, &n.__name__, args[1].clone());
                vm.dict_set_name(&data.dict, &n.__doc__, args.opt(2).cloned().unwrap_or(Value::NONE));
                for key in [&n.__package__, &n.__loader__, &n.__spec__] {
                    vm.dict_set_name(&data.dict, key, Value::NONE);
                }
                Ok(Value::NONE)
            }),
            ("__repr__", "", |vm, args| {
                let get =
                    |key: &Value| args[0].get::<ModuleData>().and_then(|d| vm.dict_get_name(&d.dict, key));
                let name = get(&vm.names.__name__).map_or("?".into(), |n| vm.text(&n));
                Ok(vm.str(&match get(&vm.names.__file__) {
                    Some(file) if file.kind() == Kind::Str => {
                        format!("<module '{name}' from '{}'>", vm.text(&file))
                    }
                    _ if vm.native_module(&name).is_some() => format!("<module '{name}' (built-in)>"),
                    _ => format!("<module '{name}'>"),
                }))
            }),
            ("__dir__", "", |vm, args| {
                let items = args[0]
                    .get::<ModuleData>()
                    .and_then(|d| d.dict.get::<DictData>().map(|d| d.items()))
                    .unwrap_or_default();
                let hook =
                    args[0].get::<ModuleData>().and_then(|d| vm.dict_get_name(&d.dict, &vm.names.__dir__));
                match hook {
                    Some(hook) => vm.call_pos(&hook, &[]),
                    None => Ok(vm.list(items.into_iter().map(|(k, _)| k).collect())),
                }
            }),
        ],
    );
    vm.add_getset(
        &t.module,
        "__dict__",
        |_, this| Ok(this.get::<ModuleData>().map_or(Value::NONE, |d| d.dict.clone())),
        None,
    );
    vm.add_methods(
        &t.namespace,
        &[
            ("__init__", "...", |vm, args| {
                for (name, value) in args.keywords() {
                    let name = vm.intern_value(name);
                    vm.set_attr(&args.all[0], &name, value.clone())?;
                }
                Ok(Value::NONE)
            }),
            ("__new__", "...", |_, args: Args| Ok(new_object(&args.all[0], crate::registry::Plain))),
            ("__repr__", "", |vm, args| {
                if !vm.repr_enter(&args[0]) {
                    return Ok(vm.str("namespace(...)"));
                }
                let dict = vm.instance_dict(&args[0]).unwrap_or(Value::NONE);
                let items = dict.get::<DictData>().map(|d| d.items()).unwrap_or_default();
                let mut parts = Vec::new();
                for (key, value) in items {
                    parts.push(format!("{}={}", vm.text(&key), vm.repr_text(&value)?));
                }
                vm.repr_leave();
                let name = if args[0].is_exact() { "namespace".into() } else { vm.type_name(&args[0]) };
                Ok(vm.str(&format!("{name}({})", parts.join(", "))))
            }),
            ("__eq__", "value /", |vm, args| {
                if !vm.is_a(&args[1], &vm.types.namespace) {
                    return Ok(Value::NOT_IMPLEMENTED);
                }
                let (a, b) = (vm.instance_dict(&args[0]), vm.instance_dict(&args[1]));
                Ok(Value::from_bool(vm.equal(&a.unwrap_or(Value::NONE), &b.unwrap_or(Value::NONE))?))
            }),
        ],
    );
}
