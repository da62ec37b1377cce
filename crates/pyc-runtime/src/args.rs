//! Native functions: how they are declared and how their arguments are bound.
//!
//! A native function is a row `(name, parameters, function)`. The parameter text lists names apart from `self`:
//! `x` required, `x?` optional (empty when absent), `/` ends the positional-only ones, `*` begins the
//! keyword-only ones; `...` passes the arguments through as they came.

use crate::descriptors::{GetSetData, Getter, Setter};
use crate::function::{Flavor, NativeData};
use crate::object::{Value, new_object};
use crate::types::Type;
use crate::vm::{Args, PyResult, Vm};

/// A native function.
pub type NativeFn = fn(&Vm, Args) -> PyResult;

/// Name, parameters, function.
pub type Method = (&'static str, &'static str, NativeFn);

/// No keyword names.
pub const NO: &[Value] = &[];

/// The parameters of a native function, counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// The text.
    pub text: &'static str,
    /// Required by position.
    pub min: u8,
    /// Slots in all.
    pub max: u8,
    /// The first of them that can be given by position.
    pub positional: u8,
    /// The arguments pass through.
    pub raw: bool,
}

impl Params {
    /// Counts a parameter text.
    pub fn parse(text: &'static str) -> Params {
        let mut p = Params { text, min: 0, max: 0, positional: 0, raw: text == "..." };
        if p.raw {
            return p;
        }
        let mut keyword_only = false;
        for word in text.split_whitespace() {
            match word {
                "/" => {}
                "*" => keyword_only = true,
                word => {
                    p.max += 1;
                    if !keyword_only {
                        p.positional += 1;
                        if !word.ends_with('?') {
                            p.min += 1;
                        }
                    }
                }
            }
        }
        p
    }
}

const SLOTS: usize = 14;

/// Calls a native function with `skip` leading values (self) that the parameters do not count.
#[inline]
pub fn call_native(vm: &Vm, native: &NativeData, args: Args, skip: usize) -> PyResult {
    let p = &native.params;
    if p.raw {
        return (native.function)(vm, args);
    }
    let given = args.all.len().wrapping_sub(skip);
    if args.names.is_empty() && given == usize::from(p.max) && p.max == p.positional {
        return (native.function)(vm, args);
    }
    bind(vm, native, args, skip)
}

#[cold]
fn missing_self(vm: &Vm, native: &NativeData) -> crate::vm::Raised {
    vm.type_error(format!("unbound method {}.{}() needs an argument", native.owner_name(vm), native.name))
}

/// Whether keywords of a builtin constructor are another method's business: a subclass that has its own `__init__` may
/// take keywords that the builtin `__new__` does not know, and the other way round.
fn ignores_keywords(vm: &Vm, native: &NativeData, args: Args) -> bool {
    if args.names.is_empty() || !native.params.text.ends_with('/') {
        return false;
    }
    let python = |ty: &Value, name: &Value| {
        ty.get::<Type>().is_some_and(Type::is_heap)
            && vm.lookup(ty, name).is_some_and(|m| m.get::<NativeData>().is_none())
    };
    match native.name {
        "__new__" => python(&args.all[0], &vm.names.__init__),
        "__init__" => python(vm.type_of(&args.all[0]), &vm.names.__new__),
        _ => false,
    }
}

fn bind(vm: &Vm, native: &NativeData, args: Args, skip: usize) -> PyResult {
    let p = &native.params;
    if args.all.len() - args.names.len() < skip {
        return Err(missing_self(vm, native));
    }
    let args = if ignores_keywords(vm, native, args) { Args::pos(args.positional()) } else { args };
    let positional = args.positional();
    let given = positional.len() - skip;
    if given > usize::from(p.positional) || (args.names.is_empty() && given < usize::from(p.min)) {
        return Err(arity_error(vm, native, given));
    }
    let total = skip + usize::from(p.max);
    let mut slots = [const { Value::UNBOUND }; SLOTS];
    if total > SLOTS {
        return Err(vm.runtime_error("a native function has too many parameters"));
    }
    for (slot, value) in slots.iter_mut().zip(positional) {
        *slot = value.clone();
    }
    for (name, value) in args.keywords() {
        let text = vm.text(name);
        let mut positional_only = p.text.contains('/');
        let mut index = skip;
        let mut found = None;
        for word in p.text.split_whitespace() {
            match word {
                "/" => positional_only = false,
                "*" => {}
                word => {
                    if !positional_only && word.trim_end_matches('?') == &*text {
                        found = Some(index);
                    }
                    index += 1;
                }
            }
        }
        let Some(index) = found else {
            if p.max == 0 || !p.text.contains('*') && p.text.trim_end().ends_with('/') {
                return Err(vm.type_error(format!("{}() takes no keyword arguments", native.qualified(vm))));
            }
            return Err(
                vm.type_error(format!("{}() got an unexpected keyword argument '{text}'", native.name))
            );
        };
        if !slots[index].is_unbound() {
            return Err(vm.type_error(format!(
                "argument for {}() given by name ('{text}') and position ({})",
                native.name,
                index - skip + 1
            )));
        }
        slots[index] = value.clone();
    }
    let words = p.text.split_whitespace().filter(|w| !matches!(*w, "/" | "*"));
    for (index, word) in (skip..).zip(words) {
        if !word.ends_with('?') && slots[index].is_unbound() {
            return Err(vm.type_error(format!(
                "{}() missing required argument '{word}' (pos {})",
                native.name,
                index - skip + 1
            )));
        }
    }
    (native.function)(vm, Args::pos(&slots[..total]))
}

fn arity_error(vm: &Vm, native: &NativeData, given: usize) -> crate::vm::Raised {
    let p = &native.params;
    let (min, max) = (usize::from(p.min), usize::from(p.positional));
    let full = native.qualified(vm);
    let maker = matches!(native.name, "__new__" | "__init__") && native.owner.get::<Type>().is_some();
    let name = if maker { native.owner_name(vm) } else { native.name.to_string() };
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    vm.type_error(match (min, max) {
        (0, 0) => format!("{full}() takes no arguments ({given} given)"),
        (1, 1) if p.text.contains("/ *") => format!("{name} expected 1 argument, got {given}"),
        (1, 1) => format!("{full}() takes exactly one argument ({given} given)"),
        (a, b) if a == b && !maker && native.name.starts_with("__") => {
            format!("expected {a} argument{}, got {given}", plural(a))
        }
        (a, b) if a == b => format!("{} expected {a} argument{}, got {given}", name, plural(a)),
        (a, _) if given < a && p.text.contains('/') => {
            format!("{} expected at least {a} argument{}, got {given}", name, plural(a))
        }
        (a, _) if given < a => {
            let word = p.text.split_whitespace().filter(|w| *w != "/").nth(given).unwrap_or("");
            format!("{name}() missing required argument '{word}' (pos {})", given + 1)
        }
        (_, b) if p.text.contains('/') => {
            format!("{} expected at most {b} argument{}, got {given}", name, plural(b))
        }
        (a, b) if a == 0 || usize::from(p.max) > b => {
            format!(
                "{}() takes at most {b} {}argument{} ({given} given)",
                native.name,
                if usize::from(p.max) > b { "positional " } else { "" },
                plural(b)
            )
        }
        (_, b) => format!("{}() takes at most {b} argument{} ({given} given)", name, plural(b)),
    })
}

impl Vm {
    /// Adds methods to a type. `__new__` becomes a static method; names with underscores on both sides become
    /// slot wrappers.
    pub fn add_methods(&self, ty: &Value, methods: &[Method]) {
        for (name, params, function) in methods {
            let special = name.starts_with("__") && name.ends_with("__");
            let flavor = if *name == "__new__" {
                Flavor::New
            } else if special
                && !matches!(
                    *name,
                    "__reduce__"
                        | "__reduce_ex__"
                        | "__getstate__"
                        | "__setstate__"
                        | "__sizeof__"
                        | "__format__"
                        | "__dir__"
                        | "__reversed__"
                        | "__copy__"
                        | "__deepcopy__"
                        | "__enter__"
                        | "__exit__"
                        | "__length_hint__"
                        | "__getnewargs__"
                        | "__round__"
                        | "__trunc__"
                        | "__floor__"
                        | "__ceil__"
                        | "__complex__"
                        | "__instancecheck__"
                        | "__subclasscheck__"
                        | "__subclasses__"
                        | "__prepare__"
                        | "__getformat__"
                )
            {
                Flavor::Wrapper
            } else {
                Flavor::Method
            };
            let value = self.native(name, params, *function, flavor, ty.clone());
            self.set_type_attr(ty, name, value);
        }
    }

    /// Adds class methods (the class is the first argument) to a type.
    pub fn add_class_methods(&self, ty: &Value, methods: &[Method]) {
        for (name, params, function) in methods {
            let value = self.native(name, params, *function, Flavor::Class, ty.clone());
            self.set_type_attr(ty, name, value);
        }
    }

    /// Adds static methods to a type.
    pub fn add_static_methods(&self, ty: &Value, methods: &[Method]) {
        for (name, params, function) in methods {
            let value = self.native(name, params, *function, Flavor::Function, Value::NONE);
            let wrapped = self.static_method(value);
            self.set_type_attr(ty, name, wrapped);
        }
    }

    /// A computed attribute of a type.
    pub fn add_getset(&self, ty: &Value, name: &'static str, get: Getter, set: Option<Setter>) {
        let value = new_object(&self.types.getset, GetSetData { name, owner: ty.clone(), get, set });
        self.set_type_attr(ty, name, value);
    }

    /// A native function object.
    pub fn native(
        &self,
        name: &'static str,
        params: &'static str,
        function: NativeFn,
        flavor: Flavor,
        owner: Value,
    ) -> Value {
        let ty = match flavor {
            Flavor::Function | Flavor::New => &self.types.builtin,
            Flavor::Method => &self.types.method_descriptor,
            Flavor::Wrapper => &self.types.wrapper_descriptor,
            Flavor::Class => &self.types.classmethod_descriptor,
        };
        new_object(ty, NativeData { name, params: Params::parse(params), function, flavor, owner })
    }

    /// A native function of a module; `module` is its `__module__`.
    pub fn native_function(
        &self,
        module: &Value,
        name: &'static str,
        params: &'static str,
        function: NativeFn,
    ) -> Value {
        self.native(name, params, function, Flavor::Function, module.clone())
    }
}

impl NativeData {
    fn owner_name(&self, vm: &Vm) -> String {
        match self.owner.get::<Type>() {
            Some(class) => class.name().to_string(),
            None => vm.type_name(&self.owner).to_string(),
        }
    }

    fn qualified(&self, vm: &Vm) -> String {
        match self.owner.get::<Type>() {
            Some(class) if self.flavor != Flavor::New => format!("{}.{}", class.name(), self.name),
            Some(class) => class.name().to_string(),
            None => {
                let module = vm.text(&self.owner);
                if self.owner.kind() == crate::object::Kind::Str && &*module != "builtins" {
                    format!("{module}.{}", self.name)
                } else {
                    self.name.to_string()
                }
            }
        }
    }
}
