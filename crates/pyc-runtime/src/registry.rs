//! The table of builtin types, and how an instance comes to life.
//!
//! A builtin type is a row here, a payload type, and a file with an `init(&Vm)` that adds methods. Types that
//! only one native module needs are made by that module with `Vm::new_type`.

use std::cell::{Cell, RefCell};

use crate::class::SuperData;
use crate::containers::{DictData, DictView, ListData, SetData, SliceData, TupleData};
use crate::exceptions::{ExceptionData, Exceptions};
use crate::function::{CellData, CodeData, FunctionData, MethodData, NativeData};
use crate::generator::GeneratorData;
use crate::host::{Host, Limits};
use crate::iterators as it;
use crate::module::ModuleData;
use crate::names::Names;
use crate::numbers::{ComplexData, IntData};
use crate::object::{Payload, VTable, Value, new_object};
use crate::str::Str;
use crate::types::{Type, flag, make_type};
use crate::vm::{CacheEntry, METHOD_CACHE, Vm};

/// The payload of plain objects: nothing.
pub struct Plain;
impl Payload for Plain {
    const KIND: crate::object::Kind = crate::object::Kind::Instance;
    const GC: bool = true;
}

macro_rules! types {
    ($int:ident; $($field:ident = $name:literal, $payload:ty, $flags:expr;)*) => {
        /// The builtin types.
        pub struct Types {
            /// `object`
            pub object: Value,
            /// `type`
            pub type_: Value,
            /// `bool`, below `int`
            pub bool_: Value,
            $(#[doc = $name] pub $field: Value),*
        }
        impl Types {
            fn new() -> Types {
                let type_flags = flag::BASE | flag::IMMUTABLE | flag::IDENTITY | flag::WEAK;
                let object = make_type(&Value::UNBOUND, "object", VTable::of::<Plain>(), vec![], vec![], flag::BASE | flag::IMMUTABLE | flag::IDENTITY);
                let type_ = make_type(&Value::UNBOUND, "type", VTable::of::<Type>(), vec![object.clone()], vec![object.clone()], type_flags);
                object.set_type(&type_);
                type_.set_type(&type_);
                $(let $field = make_type(&type_, $name, VTable::of::<$payload>(), vec![object.clone()], vec![object.clone()], $flags | flag::IMMUTABLE);)*
                let bool_ = make_type(&type_, "bool", VTable::of::<IntData>(), vec![$int.clone()], vec![$int.clone(), object.clone()], flag::IMMUTABLE);
                Types { object, type_, bool_, $($field),* }
            }
        }
    };
}

/// Names of a fresh instance, about.
const NAMES: usize = 2000;

const B: u32 = flag::BASE;
const I: u32 = flag::IDENTITY | flag::NO_NEW;

types! {
    int;
    int = "int", IntData, B;
    float = "float", f64, B;
    complex = "complex", ComplexData, B;
    str_ = "str", Str, B;
    bytes = "bytes", crate::bytes::BytesData, B;
    bytearray = "bytearray", crate::bytes::ByteArrayData, B;
    memoryview = "memoryview", crate::bytes::MemoryData, flag::WEAK;
    tuple = "tuple", TupleData, B | flag::SEQUENCE;
    list = "list", ListData, B | flag::SEQUENCE;
    dict = "dict", DictData, B | flag::MAPPING;
    set = "set", SetData, B | flag::WEAK;
    frozenset = "frozenset", SetData, B | flag::WEAK;
    range = "range", crate::range::RangeData, flag::SEQUENCE;
    slice = "slice", SliceData, 0;
    none = "NoneType", Plain, flag::IDENTITY;
    not_implemented = "NotImplementedType", Plain, flag::IDENTITY;
    ellipsis = "ellipsis", Plain, flag::IDENTITY;
    function = "function", FunctionData, flag::IDENTITY | flag::WEAK;
    builtin = "builtin_function_or_method", NativeData, I | flag::WEAK;
    method_descriptor = "method_descriptor", NativeData, I;
    wrapper_descriptor = "wrapper_descriptor", NativeData, I;
    classmethod_descriptor = "classmethod_descriptor", NativeData, I;
    method = "method", MethodData, flag::WEAK;
    cell = "cell", CellData, 0;
    code = "code", CodeData, flag::IDENTITY | flag::WEAK;
    generator = "generator", GeneratorData, I | flag::WEAK;
    coroutine = "coroutine", GeneratorData, I | flag::WEAK;
    async_generator = "async_generator", GeneratorData, I | flag::WEAK;
    coroutine_wrapper = "coroutine_wrapper", crate::generator::AwaitData, I;
    async_gen_asend = "async_generator_asend", crate::generator::AsendData, I;
    async_gen_athrow = "async_generator_athrow", crate::generator::AsendData, I;
    module = "module", ModuleData, B | flag::IDENTITY | flag::WEAK;
    property = "property", crate::descriptors::PropertyData, B | flag::IDENTITY;
    staticmethod = "staticmethod", crate::descriptors::StaticMethodData, B | flag::IDENTITY | flag::ATTRS;
    classmethod = "classmethod", crate::descriptors::ClassMethodData, B | flag::IDENTITY | flag::ATTRS;
    getset = "getset_descriptor", crate::descriptors::GetSetData, I;
    member = "member_descriptor", crate::descriptors::MemberData, I;
    super_ = "super", SuperData, B | flag::IDENTITY;
    mappingproxy = "mappingproxy", crate::containers::ProxyData, flag::MAPPING;
    dict_keys = "dict_keys", DictView, flag::NO_NEW;
    dict_values = "dict_values", DictView, I;
    dict_items = "dict_items", DictView, flag::NO_NEW;
    dict_keyiterator = "dict_keyiterator", it::DictIter, I;
    dict_valueiterator = "dict_valueiterator", it::DictIter, I;
    dict_itemiterator = "dict_itemiterator", it::DictIter, I;
    dict_reversekeyiterator = "dict_reversekeyiterator", it::DictIter, I;
    dict_reversevalueiterator = "dict_reversevalueiterator", it::DictIter, I;
    dict_reverseitemiterator = "dict_reverseitemiterator", it::DictIter, I;
    list_iterator = "list_iterator", it::ListIter, I;
    list_reverseiterator = "list_reverseiterator", it::ListIter, I;
    tuple_iterator = "tuple_iterator", it::TupleIter, I;
    str_iterator = "str_ascii_iterator", it::IndexIter, I;
    bytes_iterator = "bytes_iterator", it::IndexIter, I;
    bytearray_iterator = "bytearray_iterator", it::IndexIter, I;
    memory_iterator = "memory_iterator", it::IndexIter, I;
    set_iterator = "set_iterator", it::SetIter, I;
    range_iterator = "range_iterator", it::RangeIter, I;
    longrange_iterator = "longrange_iterator", it::LongRangeIter, I;
    seq_iterator = "iterator", it::IndexIter, I;
    callable_iterator = "callable_iterator", it::CallIter, I;
    reversed = "reversed", it::IndexIter, flag::IDENTITY | B;
    enumerate = "enumerate", it::Enumerate, flag::IDENTITY | B;
    zip = "zip", it::Zip, flag::IDENTITY | B;
    map = "map", it::Map, flag::IDENTITY | B;
    filter = "filter", it::Filter, flag::IDENTITY | B;
    traceback = "traceback", crate::traceback::TracebackData, flag::IDENTITY;
    frame = "frame", crate::frame::FrameData, I;
    weakref = "ReferenceType", crate::weakref::WeakData, B;
    weakproxy = "ProxyType", crate::weakref::WeakData, flag::NO_NEW;
    generic_alias = "types.GenericAlias", crate::generic::AliasData, B;
    union_type = "types.UnionType", crate::generic::AliasData, flag::NO_NEW;
    namespace = "types.SimpleNamespace", Plain, B | flag::ATTRS;
    buffer_unused = "generic_payload", Plain, I;
    base_exception = "BaseException", ExceptionData, B | flag::ATTRS | flag::IDENTITY;
}

impl Vm {
    /// A fresh, isolated instance with the builtin types; the engine, compiler and native modules are connected
    /// afterwards.
    pub fn new(host: Box<dyn Host>, limits: Limits) -> Vm {
        let types = Types::new();
        let mut interned = crate::dict::Dict::with_capacity(NAMES);
        let mut intern = |text: &str| crate::str::intern_in(&mut interned, &types.str_, text);
        let names = Names::new(&mut intern);
        let chars: Vec<Value> = (0..128u8).map(|c| intern(&char::from(c).to_string())).collect();
        let exc = Exceptions::new(&types);
        let dict = || new_object(&types.dict, DictData::default());
        let (builtins, modules) = (dict(), dict());
        let vm = Vm {
            builtins,
            modules,
            sys: RefCell::new(Value::NONE),
            names,
            exc,
            chars,
            interned: RefCell::new(interned),
            method_cache: RefCell::new(vec![CacheEntry::EMPTY; METHOD_CACHE.0]),
            method_misses: Cell::new(0),
            handled: RefCell::new(Value::NONE),
            stack: crate::registers::Stack::default(),
            pc: Cell::new(0),
            native: Default::default(),
            frames: RefCell::default(),
            recursion_limit: Cell::new(1000),
            terminating: Cell::new(false),
            countdown: Cell::new(0),
            limits,
            host,
            engine: Cell::new(None),
            compiler: Cell::new(None),
            native_modules: RefCell::default(),
            weak: RefCell::default(),
            repr_guard: RefCell::default(),
            state: RefCell::default(),
            stack_base: Cell::new(0),
            int_digits_max: Cell::new(4300),
            stack_bytes: Cell::new(6 << 20),
            async_hooks: RefCell::new((Value::NONE, Value::NONE)),
            types,
        };
        vm.limits.start(&vm);
        crate::object_type::init(&vm);
        crate::function::init(&vm);
        crate::descriptors::init(&vm);
        crate::numbers::init(&vm);
        crate::str::init(&vm);
        crate::bytes::init(&vm);
        crate::containers::init(&vm);
        crate::range::init(&vm);
        crate::iterators::init(&vm);
        crate::generator::init(&vm);
        crate::exceptions::init(&vm);
        crate::traceback::init(&vm);
        crate::frame::init(&vm);
        crate::module::init(&vm);
        crate::weakref::init(&vm);
        crate::generic::init(&vm);
        crate::builtins::init(&vm);
        vm.finish_types();
        vm
    }

    /// After all methods are in place: flags and missing hashes.
    fn finish_types(&self) {
        let mut all = vec![self.types.object.clone()];
        while let Some(ty) = all.pop() {
            let Some(class) = ty.get::<Type>() else { continue };
            all.extend(class.subclasses.borrow().iter().map(|s| s.owned()));
            // Defining __eq__ without __hash__ makes instances unhashable.
            if class.own(&self.names.__eq__).is_some() && class.own(&self.names.__hash__).is_none() {
                class.dict.borrow_mut().set_interned(&self.names.__hash__, Value::NONE);
            }
            self.add_instance_descriptors(&ty, class);
            class.version.set(crate::types::fresh_version());
            if !self.inherits_flags(class) {
                self.refresh_flags(&ty, class);
            }
        }
    }
}

impl Vm {
    /// `__dict__` and `__weakref__` of the first class in a line whose instances have them.
    pub(crate) fn add_instance_descriptors(&self, ty: &Value, class: &Type) {
        let inherited =
            |bit: u32| class.bases.borrow().iter().any(|b| b.get::<Type>().is_some_and(|b| b.has(bit)));
        let own_dict = class.has(flag::ATTRS) && !inherited(flag::ATTRS) || ty.is(&self.types.function);
        if own_dict && class.own(&self.names.__dict__).is_none() {
            self.add_getset(ty, "__dict__", crate::class::DICT_GET, Some(crate::class::DICT_SET));
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _entered = self.enter();
        self.finalize_modules();
        self.break_types();
    }
}

impl Vm {
    /// For a process that ends with this instance: what the program can see of the end happens, and the memory is left
    /// to the system.
    pub fn leave(self) {
        let vm = std::mem::ManuallyDrop::new(self);
        let _entered = vm.enter();
        vm.finalize_modules();
    }

    fn finalize_modules(&self) {
        self.terminating.set(false);
        self.handled.replace(Value::NONE);
        self.state.borrow_mut().clear();
        self.clear_modules();
        crate::object::collect();
        self.terminating.set(true);
    }

    /// Types and their methods refer to each other; at the end the tables are emptied by hand.
    fn break_types(&self) {
        self.method_cache.borrow_mut().clear();
        let mut all = vec![self.types.object.clone()];
        let mut at = 0;
        while at < all.len() {
            if let Some(class) = all[at].get::<Type>() {
                let subclasses = class.subclasses.take();
                all.extend(subclasses.iter().map(|s| s.owned()));
            }
            at += 1;
        }
        let mut kept = Vec::new();
        for ty in &all {
            if let Some(class) = ty.get::<Type>() {
                kept.push(class.dict.take());
            }
        }
        drop(kept);
        for ty in &all {
            if let Some(class) = ty.get::<Type>() {
                kept_clear(class);
            }
        }
    }
}

fn kept_clear(class: &Type) {
    let (bases, mro) = (class.bases.take(), class.mro.take());
    drop((bases, mro));
}
