//! Functions, native functions, bound methods, cells and code objects.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use pyc_ir::{Code, Const};

use crate::annotations::{annotate, annotations, set_annotate, set_annotations};
use crate::args::{Method, NativeFn, Params};
use crate::containers::{DictData, TupleData};
use crate::object::{Kind, Payload, Unowned, Value, new_object};
use crate::str::Str;
use crate::types::Type;
use crate::vm::{Args, PyResult, Vm};

/// How a native function is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavor {
    /// Of a module; owner: the module's name.
    Function,
    /// Of a type; the first argument is the instance.
    Method,
    /// A special method of a type.
    Wrapper,
    /// Of a type; the first argument is the class.
    Class,
    /// `__new__`
    New,
}

/// A native function.
pub struct NativeData {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, without self.
    pub params: Params,
    /// The code.
    pub function: NativeFn,
    /// How it is reached.
    pub flavor: Flavor,
    /// Type or module name.
    pub owner: Value,
}

impl Payload for NativeData {
    const KIND: Kind = Kind::Native;
}

/// A function bound to its first argument.
pub struct MethodData {
    /// What is called.
    pub function: Value,
    /// The first argument.
    pub this: Value,
}

impl Payload for MethodData {
    const KIND: Kind = Kind::Method;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.function);
        visit(&self.this);
    }
}

/// A variable shared between a function and those inside it.
#[derive(Default)]
pub struct CellData(pub RefCell<Option<Value>>);

impl Payload for CellData {
    const KIND: Kind = Kind::Cell;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.0.borrow().iter().for_each(visit);
    }
    fn clear(&self) {
        drop(self.0.take());
    }
}

/// What a piece of code needs at run time: constants as objects, interned names, inline caches.
pub struct CodeData {
    /// The code.
    pub ir: Arc<Code>,
    /// Constants as objects.
    pub consts: Vec<Value>,
    /// Names, interned.
    pub names: Vec<Value>,
    /// Names of locals, interned.
    pub locals: Vec<Value>,
    /// Inline caches.
    pub caches: Vec<Cell<Cache>>,
    /// Machine code, or null.
    pub native: Cell<*const crate::native::Entry>,
    /// Calls until machine code is made; 0: never.
    pub heat: Cell<u32>,
    /// A function whose parameters are all positional, that runs at once when it is called.
    pub plain: bool,
    /// Parameters by position.
    pub argcount: u16,
    /// Registers of a frame.
    pub registers: u16,
    /// The first temporary.
    pub temporaries: u16,
    /// The first cell from outside.
    pub first_free: u16,
}

impl CodeData {
    /// A constant, by an op's operand. The ops were verified to name only what is there.
    #[inline(always)]
    pub fn constant(&self, index: u16) -> &Value {
        &self.consts[usize::from(index)]
    }
    /// A name, by an op's operand.
    #[inline(always)]
    pub fn name(&self, index: u16) -> &Value {
        &self.names[usize::from(index)]
    }
    /// An inline cache, by an op's operand.
    #[inline(always)]
    pub fn cache(&self, index: u16) -> &Cell<Cache> {
        &self.caches[usize::from(index)]
    }
}

/// What the answers of inline caches mean: [`Cache::kind`]. Machine code reads them too.
pub mod answer {
    /// The instance's own value at `index`, as long as type version and shape are the same.
    pub const OWN: u8 = 1;
    /// Found on the type; the instance has no attribute of that name.
    pub const CLASS: u8 = 2;
    /// At `index` of a module's dict.
    pub const MODULE: u8 = 3;
    /// The slot at `index`.
    pub const SLOT: u8 = 4;
    /// A property.
    pub const GETTER: u8 = 5;
    /// A method of a type whose instances have no attributes.
    pub const BARE: u8 = 6;
    /// The attribute of a class itself.
    pub const ON_TYPE: u8 = 7;
    /// Assignment to the instance's attribute at `index`.
    pub const PLAIN: u8 = 8;
    /// Assignment that adds an attribute to an instance of this shape.
    pub const ADD: u8 = 9;
    /// The method after a class in an instance's order: `version` is the instance's type's, `shape` the class's.
    pub const SUPER: u8 = 10;
    /// Of a name: at `index` of the globals.
    pub const GLOBAL: u8 = 1;
    /// Of a name: at `index` of the builtins.
    pub const BUILTIN: u8 = 2;
}

/// An inline cache: what was true last time, and where the answer then was.
#[derive(Clone, Copy)]
pub struct Cache {
    /// Version of the type, or of the namespace's keys.
    pub version: u32,
    /// Shape of the instance, when it matters.
    pub shape: u32,
    /// Place of the value.
    pub index: u32,
    /// What kind of answer (0: none yet).
    pub kind: u8,
    /// Misses in a row.
    pub misses: u8,
    /// What was found on the type, which holds it as long as its version stays.
    pub value: Unowned,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { version: 0, shape: 0, index: 0, kind: 0, misses: 0, value: Unowned::UNBOUND }
    }
}

impl Payload for CodeData {
    const KIND: Kind = Kind::Code;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.consts.iter().for_each(visit);
    }
}

/// A Python function.
pub struct FunctionData {
    /// Its code object.
    pub code: RefCell<Value>,
    /// Its globals, a dict.
    pub globals: Value,
    /// The builtins that its globals name.
    pub builtins: Value,
    /// Cells from outside, a tuple or None.
    pub closure: Value,
    /// Defaults, a tuple or None.
    pub defaults: RefCell<Value>,
    /// Defaults of keyword-only parameters, a dict or None.
    pub kwdefaults: RefCell<Value>,
    /// `__name__`, `__qualname__`, `__doc__`, `__module__`, `__annotations__`, `__type_params__`
    pub extras: RefCell<Extras>,
    /// `__dict__`
    pub dict: OnceCell<Value>,
}

/// What functions are rarely asked for.
pub struct Extras {
    /// `__name__`
    pub name: Value,
    /// `__qualname__`
    pub qualname: Value,
    /// `__doc__`
    pub doc: Value,
    /// `__module__`
    pub module: Value,
    /// `__annotations__`: a dict, a tuple of pairs not yet made into one, or None.
    pub annotations: Value,
    /// `__type_params__`
    pub type_params: Value,
}

impl Payload for FunctionData {
    const KIND: Kind = Kind::Function;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.code.borrow());
        visit(&self.globals);
        visit(&self.builtins);
        visit(&self.closure);
        visit(&self.defaults.borrow());
        visit(&self.kwdefaults.borrow());
        let e = self.extras.borrow();
        for value in [&e.name, &e.qualname, &e.doc, &e.module, &e.annotations, &e.type_params] {
            visit(value);
        }
        self.dict.get().into_iter().for_each(visit);
    }
    fn clear(&self) {
        let (a, b) = (self.defaults.replace(Value::NONE), self.kwdefaults.replace(Value::NONE));
        let c = std::mem::replace(&mut self.extras.borrow_mut().annotations, Value::NONE);
        // The cells of the closure are cleared as objects of their own.
        drop((a, b, c));
    }
}

impl Vm {
    /// A constant as an object.
    pub fn constant(&self, constant: &Const) -> Value {
        match constant {
            Const::None => Value::NONE,
            Const::Ellipsis => Value::ELLIPSIS,
            Const::Bool(b) => Value::from_bool(*b),
            Const::Int(n) => self.int(*n),
            Const::BigInt(digits) => self.parse_int_literal(digits),
            Const::Float(f) => self.float(*f),
            Const::Complex(re, im) => self.complex(*re, *im),
            Const::Str(text) => {
                let name = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if name { self.intern(text) } else { self.str(text) }
            }
            Const::Wide(points) => self.new_str(Str::from_points(points.to_vec())),
            Const::Bytes(bytes) => self.bytes(bytes),
            Const::Tuple(items) => self.tuple(items.iter().map(|c| self.constant(c)).collect()),
            Const::FrozenSet(items) => {
                let items: Vec<Value> = items.iter().map(|c| self.constant(c)).collect();
                self.frozen_set(items).unwrap_or(Value::NONE)
            }
            Const::Code(code) => self.code(code.clone()),
        }
    }

    /// A code object.
    pub fn code(&self, ir: Arc<Code>) -> Value {
        let consts = ir.consts.iter().map(|c| self.constant(c)).collect();
        let names = ir.names.iter().map(|n| self.intern(n)).collect();
        let locals = ir.locals.iter().map(|n| self.intern(n)).collect();
        let caches = vec![Cell::new(Cache::default()); usize::from(ir.caches)];
        let native = self.native.packed(&ir);
        let heat = Cell::new(if native.is_null() { (self.native.heat.get())(&ir) } else { 0 });
        let f = ir.flags;
        let simple = f.function && !f.generator && !f.coroutine && !f.varargs && !f.varkeywords;
        let data = CodeData {
            native: Cell::new(native),
            heat,
            plain: simple && ir.kwonlyargcount == 0,
            argcount: ir.argcount,
            registers: ir.registers,
            temporaries: ir.first_temporary(),
            first_free: (ir.locals.len() + ir.cells.len()) as u16,
            ir,
            consts,
            names,
            locals,
            caches,
        };
        new_object(&self.types.code, data)
    }

    /// A function object from code.
    pub fn function(
        &self,
        code: Value,
        globals: Value,
        closure: Value,
        defaults: Value,
        kwdefaults: Value,
        annotations: Value,
    ) -> Value {
        let (name, qualname, doc) = match code.get::<CodeData>() {
            Some(data) => (
                self.intern(&data.ir.name),
                self.intern(&data.ir.qualname),
                if data.ir.has_doc { data.consts[0].clone() } else { Value::NONE },
            ),
            None => (Value::NONE, Value::NONE, Value::NONE),
        };
        let (module, builtins) = match globals.get::<DictData>() {
            Some(dict) => {
                let dict = dict.borrow();
                let module = dict.get_interned(&self.names.__name__).cloned().unwrap_or(Value::NONE);
                let builtins = dict.get_interned(&self.names.__builtins__).cloned();
                (module, builtins.map_or_else(|| self.builtins.clone(), |b| self.builtins_dict(&b)))
            }
            None => (Value::NONE, self.builtins.clone()),
        };
        let extras = Extras { name, qualname, doc, module, annotations, type_params: Value::UNBOUND };
        new_object(
            &self.types.function,
            FunctionData {
                code: RefCell::new(code),
                globals,
                builtins,
                closure,
                defaults: RefCell::new(defaults),
                kwdefaults: RefCell::new(kwdefaults),
                extras: RefCell::new(extras),
                dict: OnceCell::new(),
            },
        )
    }

    /// The namespace behind `__builtins__`, which may be a module or a dict.
    pub fn builtins_dict(&self, value: &Value) -> Value {
        match value.get::<crate::module::ModuleData>() {
            Some(module) => module.dict.clone(),
            None if value.kind() == Kind::Dict => value.clone(),
            None => self.builtins.clone(),
        }
    }

    /// A bound method.
    pub fn method(&self, function: Value, this: Value) -> Value {
        new_object(&self.types.method, MethodData { function, this })
    }

    /// A cell.
    pub fn cell(&self, value: Option<Value>) -> Value {
        new_object(&self.types.cell, CellData(RefCell::new(value)))
    }

    /// Calls anything.
    ///
    /// # Errors
    /// What the callee raises; TypeError when it cannot be called.
    pub fn call(&self, callee: &Value, args: Args) -> PyResult {
        match callee.kind() {
            Kind::Function => {
                if let Some(data) = callee.get::<FunctionData>() {
                    return (self.engine().call)(self, data, None, args);
                }
            }
            Kind::Native => {
                if let Some(native) = callee.get::<NativeData>() {
                    return self.call_native_data(native, args);
                }
            }
            Kind::Method => {
                if let Some(method) = callee.get::<MethodData>() {
                    return self.call_prepended(&method.function, &method.this, args);
                }
            }
            Kind::Type => {
                if let Some(result) = self.call_type(callee, args) {
                    return result;
                }
            }
            _ => {}
        }
        match self.special(callee, &self.names.__call__) {
            Some(method) => {
                self.check_stack()?;
                if method.kind() == Kind::Function || method.kind() == Kind::Native {
                    self.call_prepended(&method, callee, args)
                } else {
                    let bound = self.bind(&method, callee)?;
                    self.call(&bound, args)
                }
            }
            None => Err(self.type_error(format!("'{}' object is not callable", self.type_name(callee)))),
        }
    }

    /// Calls a native function with all its arguments, self included.
    #[inline]
    pub fn call_native_data(&self, native: &NativeData, args: Args) -> PyResult {
        let skip = match native.flavor {
            Flavor::Function => 0,
            _ => 1,
        };
        if skip == 1 {
            self.check_receiver(native, args)?;
        }
        crate::args::call_native(self, native, args, skip)
    }

    #[inline]
    fn check_receiver(&self, native: &NativeData, args: Args) -> PyResult<()> {
        let Some(this) = args.positional().first() else {
            let owner = native.owner.get::<Type>().map_or_else(|| "?".into(), Type::name);
            return Err(self.type_error(match native.flavor {
                Flavor::New => format!("{owner}.__new__(): not enough arguments"),
                Flavor::Wrapper => {
                    format!("descriptor '{}' of '{owner}' object needs an argument", native.name)
                }
                _ => format!("unbound method {owner}.{}() needs an argument", native.name),
            }));
        };
        if native.flavor == Flavor::New && !this.is(&native.owner) {
            self.check_made_type(native, this)?;
        }
        if matches!(native.flavor, Flavor::Method | Flavor::Wrapper) {
            let ty = self.type_of(this);
            if !ty.is(&native.owner) && !self.is_subtype(ty, &native.owner) {
                let owner = native.owner.get::<Type>().map_or_else(|| "?".into(), Type::name);
                let (name, given) = (native.name, self.type_name(this));
                return Err(self.type_error(if native.flavor == Flavor::Wrapper {
                    format!("descriptor '{name}' requires a '{owner}' object but received a '{given}'")
                } else {
                    format!("descriptor '{name}' for '{owner}' objects doesn't apply to a '{given}' object")
                }));
            }
        }
        Ok(())
    }

    /// A native `__new__` makes objects of its own type's layout only.
    fn check_made_type(&self, native: &NativeData, ty: &Value) -> PyResult<()> {
        let Some(owner) = native.owner.get::<Type>() else { return Ok(()) };
        let name = owner.name();
        let Some(class) = ty.get::<Type>() else {
            return Err(self
                .type_error(format!("{name}.__new__(X): X is not a type object ({})", self.type_name(ty))));
        };
        if !self.is_subtype(ty, &native.owner) {
            let given = class.name();
            return Err(
                self.type_error(format!("{name}.__new__({given}): {given} is not a subtype of {name}"))
            );
        }
        // `object.__new__` knows its exceptions itself.
        let same = class.vtable.id == owner.vtable.id && !ty.is(&self.types.bool_);
        if !same && !native.owner.is(&self.types.object) {
            let base = class
                .mro
                .borrow()
                .iter()
                .find_map(|t| t.get::<Type>().filter(|c| !c.is_heap()).map(Type::name));
            let base = base.unwrap_or_else(|| "object".into());
            return Err(self
                .type_error(format!("{name}.__new__({}) is not safe, use {base}.__new__()", class.name())));
        }
        Ok(())
    }

    /// Calls with one more argument in front.
    pub fn call_prepended(&self, callee: &Value, first: &Value, args: Args) -> PyResult {
        if let Some(data) = callee.get::<FunctionData>() {
            return (self.engine().call)(self, data, Some(first), args);
        }
        let count = args.all.len() + 1;
        if count <= 6 {
            let mut buffer = [const { Value::UNBOUND }; 6];
            buffer[0] = first.clone();
            for (slot, value) in buffer[1..].iter_mut().zip(args.all) {
                *slot = value.clone();
            }
            return self.call(callee, Args { all: &buffer[..count], names: args.names });
        }
        let mut all = Vec::with_capacity(count);
        all.push(first.clone());
        all.extend_from_slice(args.all);
        self.call(callee, Args { all: &all, names: args.names })
    }

    /// Calls with positional arguments.
    ///
    /// # Errors
    /// As [`Vm::call`].
    pub fn call_pos(&self, callee: &Value, args: &[Value]) -> PyResult {
        self.call(callee, Args::pos(args))
    }

    /// Calls an unbound special method found on the type.
    ///
    /// # Errors
    /// As [`Vm::call`].
    pub fn call_with_self(&self, method: &Value, this: &Value, args: &[Value]) -> PyResult {
        if let Some(data) = method.get::<FunctionData>() {
            return (self.engine().call)(self, data, Some(this), Args::pos(args));
        }
        if let Some(native) = method.get::<NativeData>()
            && matches!(native.flavor, Flavor::Method | Flavor::Wrapper)
            && let [one] = args
        {
            let both = [this.clone(), one.clone()];
            return self.call_native_data(native, Args::pos(&both));
        }
        match method.kind() {
            Kind::Function | Kind::Native if !matches!(method.get::<NativeData>(), Some(n) if n.flavor == Flavor::Class || n.flavor == Flavor::New || n.flavor == Flavor::Function) => {
                self.call_prepended(method, this, Args::pos(args))
            }
            _ => {
                let bound = self.bind(method, this)?;
                self.call(&bound, Args::pos(args))
            }
        }
    }

    /// `obj.name(args)`.
    ///
    /// # Errors
    /// AttributeError, and as [`Vm::call`].
    pub fn call_method(&self, obj: &Value, name: &Value, args: &[Value]) -> PyResult {
        let (function, this) = self.load_method(obj, name)?;
        if this.is_unbound() {
            self.call(&function, Args::pos(args))
        } else {
            self.call_prepended(&function, &this, Args::pos(args))
        }
    }

    /// `obj.name(args)` by a name's text.
    ///
    /// # Errors
    /// As [`Vm::call_method`].
    pub fn call_method_str(&self, obj: &Value, name: &str, args: &[Value]) -> PyResult {
        let name = self.intern(name);
        self.call_method(obj, &name, args)
    }

    /// Calls a special method when the type has it (and it is not None).
    ///
    /// # Errors
    /// As [`Vm::call`].
    pub fn call_special(&self, this: &Value, name: &Value, args: &[Value]) -> PyResult<Option<Value>> {
        match self.special(this, name) {
            Some(method) if !method.is_none() => self.call_with_self(&method, this, args).map(Some),
            _ => Ok(None),
        }
    }
}

pub(crate) fn function(value: &Value) -> &FunctionData {
    value.get::<FunctionData>().expect("the descriptor checked the type")
}

fn function_new(vm: &Vm, args: Args) -> PyResult {
    let (code, globals) = (args[1].clone(), args[2].clone());
    if code.kind() != Kind::Code || globals.kind() != Kind::Dict {
        return Err(vm.type_error("function() argument 'code' must be code, and 'globals' must be dict"));
    }
    let get = |i: usize| args.opt(i).cloned().unwrap_or(Value::NONE);
    check_closure(vm, &code, &get(5))?;
    let made = vm.function(code, globals, get(5), get(4), get(6), Value::NONE);
    if let Some(name) = args.opt(3).filter(|n| !n.is_none()) {
        let mut extras = function(&made).extras.borrow_mut();
        extras.name = name.clone();
        extras.qualname = name.clone();
    }
    Ok(made)
}

/// Machine code and the interpreter rely on a cell for each free variable.
fn check_closure(vm: &Vm, code: &Value, closure: &Value) -> PyResult<()> {
    let Some(data) = code.get::<CodeData>() else {
        return Err(vm.type_error("__code__ must be set to a code object"));
    };
    let (name, wanted) = (&data.ir.name, data.ir.frees.len());
    let cells = closure.get::<TupleData>().map_or(&[][..], TupleData::items);
    if cells.len() != wanted {
        let given = cells.len();
        return Err(vm.value_error(format!("{name} requires closure of length {wanted}, not {given}")));
    }
    if let Some(other) = cells.iter().find(|c| c.kind() != Kind::Cell) {
        return Err(vm.type_error(format!("arg 5 (closure) expected cell, found {}", vm.type_name(other))));
    }
    Ok(())
}

fn function_repr(vm: &Vm, args: Args) -> PyResult {
    let name = vm.text(&function(&args[0]).extras.borrow().qualname);
    Ok(vm.str(&format!("<function {name} at {:#x}>", args[0].bits())))
}

fn descriptor_get(vm: &Vm, args: Args) -> PyResult {
    match args.opt(1).filter(|v| !v.is_none()) {
        None => match args[0].get::<NativeData>() {
            Some(n) if n.flavor == Flavor::Class => vm.bind_in(&args[0], &Value::NONE, args.at(2)),
            _ => Ok(args[0].clone()),
        },
        Some(this) => vm.bind(&args[0], this),
    }
}

fn call_slot(vm: &Vm, args: Args) -> PyResult {
    vm.call(&args.all[0], Args { all: &args.all[1..], names: args.names })
}

fn method_new(vm: &Vm, args: Args) -> PyResult {
    if args[2].is_none() {
        return Err(vm.type_error("instance must not be None"));
    }
    Ok(vm.method(args[1].clone(), args[2].clone()))
}

fn method(value: &Value) -> &MethodData {
    value.get::<MethodData>().expect("the descriptor checked the type")
}

fn method_repr(vm: &Vm, args: Args) -> PyResult {
    let m = method(&args[0]);
    let name = match vm.get_attr_opt(&m.function, &vm.names.__qualname__)? {
        Some(name) => vm.str_text(&name)?,
        None => "?".into(),
    };
    let this = vm.repr_text(&m.this)?;
    Ok(vm.str(&format!("<bound method {name} of {this}>")))
}

fn method_eq(vm: &Vm, args: Args) -> PyResult {
    let (a, Some(b)) = (method(&args[0]), args[1].get::<MethodData>()) else {
        return Ok(Value::NOT_IMPLEMENTED);
    };
    Ok(Value::from_bool(a.this.is(&b.this) && vm.equal(&a.function, &b.function)?))
}

fn method_hash(vm: &Vm, args: Args) -> PyResult {
    let m = method(&args[0]);
    Ok(vm.int((m.this.bits() >> 4) as i64 ^ vm.hash(&m.function)?))
}

fn method_getattribute(vm: &Vm, args: Args) -> PyResult {
    let name = vm.intern_value(&args[1]);
    if let Some(found) = vm.generic_get_opt(&args[0], &name)? {
        return Ok(found);
    }
    vm.get_attr(&method(&args[0]).function, &name)
}

fn native(value: &Value) -> &NativeData {
    value.get::<NativeData>().expect("the descriptor checked the type")
}

fn native_repr(vm: &Vm, args: Args) -> PyResult {
    let n = native(&args[0]);
    let owner = || n.owner.get::<Type>().map_or_else(|| "?".into(), Type::name);
    Ok(vm.str(&match n.flavor {
        Flavor::Function => format!("<built-in function {}>", n.name),
        Flavor::New => format!("<built-in method {} of type object at {:#x}>", n.name, n.owner.bits()),
        Flavor::Method | Flavor::Class => format!("<method '{}' of '{}' objects>", n.name, owner()),
        Flavor::Wrapper => format!("<slot wrapper '{}' of '{}' objects>", n.name, owner()),
    }))
}

fn cell_new(vm: &Vm, args: Args) -> PyResult {
    Ok(vm.cell(args.opt(1).cloned()))
}

fn cell_repr(vm: &Vm, args: Args) -> PyResult {
    let Some(cell) = args[0].get::<CellData>() else { return Ok(Value::NONE) };
    let what = match &*cell.0.borrow() {
        None => "empty".to_string(),
        Some(value) => format!("{} object at {:#x}", vm.type_name(value), value.bits()),
    };
    Ok(vm.str(&format!("<cell at {:#x}: {what}>", args[0].bits())))
}

macro_rules! extra {
    ($vm:expr, $name:literal, $field:ident) => {
        $vm.add_getset(
            &$vm.types.function,
            $name,
            |_, this| Ok(function(this).extras.borrow().$field.clone()),
            Some(|_, this, value| {
                let old = std::mem::replace(
                    &mut function(this).extras.borrow_mut().$field,
                    if value.is_unbound() { Value::NONE } else { value },
                );
                drop(old);
                Ok(())
            }),
        );
    };
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    const FUNCTION: &[Method] = &[
        ("__new__", "code globals name? argdefs? closure? kwdefaults?", function_new),
        ("__repr__", "", function_repr),
        ("__get__", "instance owner? /", descriptor_get),
        ("__call__", "...", call_slot),
    ];
    vm.add_methods(&t.function, FUNCTION);
    extra!(vm, "__name__", name);
    extra!(vm, "__qualname__", qualname);
    extra!(vm, "__doc__", doc);
    extra!(vm, "__module__", module);
    vm.add_getset(
        &t.function,
        "__type_params__",
        |vm, this| {
            let value = function(this).extras.borrow().type_params.clone();
            Ok(if value.is_unbound() { vm.tuple(vec![]) } else { value })
        },
        Some(|_, this, value| {
            function(this).extras.borrow_mut().type_params = value;
            Ok(())
        }),
    );
    vm.add_getset(&t.function, "__annotations__", annotations, Some(set_annotations));
    vm.add_getset(&t.function, "__annotate__", annotate, Some(set_annotate));
    vm.add_getset(
        &t.function,
        "__code__",
        |_, this| Ok(function(this).code.borrow().clone()),
        Some(|vm, this, value| {
            check_closure(vm, &value, &function(this).closure)?;
            // Machine code may be running it.
            let former = function(this).code.replace(value);
            vm.retire_code(former);
            Ok(())
        }),
    );
    vm.add_getset(&t.function, "__globals__", |_, this| Ok(function(this).globals.clone()), None);
    vm.add_getset(&t.function, "__builtins__", |_, this| Ok(function(this).builtins.clone()), None);
    vm.add_getset(&t.function, "__closure__", |_, this| Ok(function(this).closure.clone()), None);
    vm.add_getset(
        &t.function,
        "__defaults__",
        |_, this| Ok(function(this).defaults.borrow().clone()),
        Some(|_, this, value| {
            drop(function(this).defaults.replace(if value.is_unbound() { Value::NONE } else { value }));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.function,
        "__kwdefaults__",
        |_, this| Ok(function(this).kwdefaults.borrow().clone()),
        Some(|_, this, value| {
            drop(function(this).kwdefaults.replace(if value.is_unbound() { Value::NONE } else { value }));
            Ok(())
        }),
    );
    vm.add_getset(
        &t.function,
        "__dict__",
        |vm, this| Ok(function(this).dict.get_or_init(|| vm.dict()).clone()),
        Some(|vm, this, value| {
            // The dict object stays; its contents are replaced.
            let dict = function(this).dict.get_or_init(|| vm.dict()).clone();
            vm.dict_clear(&dict);
            vm.dict_update(&dict, &value)
        }),
    );

    vm.add_methods(
        &t.method,
        &[
            ("__new__", "function instance /", method_new),
            ("__repr__", "", method_repr),
            ("__eq__", "other /", method_eq),
            ("__hash__", "", method_hash),
            ("__call__", "...", call_slot),
            ("__getattribute__", "name /", method_getattribute),
            ("__reduce__", "", |vm, args| {
                let m = method(&args[0]);
                let getattr = vm.get_builtin("getattr");
                let name = vm.get_attr(&m.function, &vm.names.__name__)?;
                Ok(vm.tuple(vec![getattr, vm.tuple(vec![m.this.clone(), name])]))
            }),
        ],
    );
    vm.add_getset(&t.method, "__func__", |_, this| Ok(method(this).function.clone()), None);
    vm.add_getset(&t.method, "__self__", |_, this| Ok(method(this).this.clone()), None);
    vm.add_getset(
        &t.method,
        "__doc__",
        |vm, this| vm.get_attr(&method(this).function, &vm.names.__doc__),
        None,
    );

    for ty in [&t.builtin, &t.method_descriptor, &t.wrapper_descriptor, &t.classmethod_descriptor] {
        vm.add_methods(ty, &[("__repr__", "", native_repr), ("__call__", "...", call_slot)]);
        vm.add_getset(ty, "__name__", |vm, this| Ok(vm.intern(native(this).name)), None);
        vm.add_getset(
            ty,
            "__qualname__",
            |vm, this| {
                let n = native(this);
                Ok(vm.str(&match n.owner.get::<Type>() {
                    Some(class) => format!("{}.{}", class.name(), n.name),
                    None => n.name.to_string(),
                }))
            },
            None,
        );
        vm.add_getset(ty, "__doc__", |_, _| Ok(Value::NONE), None);
        vm.add_getset(ty, "__text_signature__", |_, _| Ok(Value::NONE), None);
        vm.add_getset(
            ty,
            "__module__",
            |_, this| {
                Ok(match native(this).flavor {
                    Flavor::Function => native(this).owner.clone(),
                    _ => Value::NONE,
                })
            },
            None,
        );
        vm.add_methods(ty, &[("__reduce__", "", |vm, args| Ok(vm.intern(native(&args[0]).name)))]);
    }
    vm.add_getset(&t.builtin, "__self__", |_, this| Ok(native(this).owner.clone()), None);
    for ty in [&t.method_descriptor, &t.wrapper_descriptor, &t.classmethod_descriptor] {
        vm.add_methods(ty, &[("__get__", "instance owner? /", descriptor_get)]);
        vm.add_getset(ty, "__objclass__", |_, this| Ok(native(this).owner.clone()), None);
    }

    vm.add_methods(&t.cell, &[("__new__", "contents? /", cell_new), ("__repr__", "", cell_repr)]);
    vm.add_getset(
        &t.cell,
        "cell_contents",
        |vm, this| {
            let held = this.get::<CellData>().and_then(|c| c.0.borrow().clone());
            held.ok_or_else(|| vm.value_error("Cell is empty"))
        },
        Some(|_, this, value| {
            if let Some(cell) = this.get::<CellData>() {
                drop(cell.0.replace(value.bound().cloned()));
            }
            Ok(())
        }),
    );
    crate::code_object::init(vm);
}
