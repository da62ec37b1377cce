//! Dicts and mapping proxies.

use std::cell::{Ref, RefCell, RefMut};

use pyc_ir::CompareOp;

use crate::args::Method;
use crate::dict::{Dict, Probe};
use crate::object::{Kind, Payload, Value, new_object};
use crate::types::Type;
use crate::vm::{Args, PyResult, Vm};

/// The payload of dicts.
#[derive(Default)]
pub struct DictData(RefCell<Dict>);
impl Payload for DictData {
    const KIND: Kind = Kind::Dict;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.0.borrow().visit(visit);
    }
    fn clear(&self) {
        let old = self.0.borrow_mut().take();
        drop(old);
    }
}

/// A read-only view of a mapping, or of a type's dictionary.
pub struct ProxyData(pub Value);
impl Payload for ProxyData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.0);
    }
}

impl DictData {
    /// Where the cell of the table is.
    pub(crate) const TABLE: usize = std::mem::offset_of!(DictData, 0);
    /// The table, to read. Nothing that can run Python code may happen while it is borrowed.
    #[inline]
    pub fn borrow(&self) -> Ref<'_, Dict> {
        self.0.borrow()
    }
    /// The table, to change; dropped values must be dropped after the borrow.
    #[inline]
    pub fn borrow_mut(&self) -> RefMut<'_, Dict> {
        self.0.borrow_mut()
    }

    /// The place of a key.
    ///
    /// # Errors
    /// What `__hash__` and `__eq__` raise.
    pub fn find(&self, vm: &Vm, key: &Value) -> PyResult<Option<usize>> {
        let hash = vm.hash(key)? as u64;
        self.find_hashed(vm, key, hash)
    }

    fn find_hashed(&self, vm: &Vm, key: &Value, hash: u64) -> PyResult<Option<usize>> {
        'again: loop {
            let mut after = None;
            loop {
                let (probe, version) = {
                    let table = self.0.borrow();
                    (table.probe(hash, key, after), table.version)
                };
                match probe {
                    Probe::Found(at) => return Ok(Some(at)),
                    Probe::Absent => return Ok(None),
                    Probe::Compare(at) => {
                        let candidate = match self.0.borrow().entry(at) {
                            Some(entry) => entry.key.clone(),
                            None => continue 'again,
                        };
                        let same = vm.equal(&candidate, key)?;
                        if self.0.borrow().version != version {
                            continue 'again;
                        }
                        if same {
                            return Ok(Some(at));
                        }
                        after = Some(at);
                    }
                }
            }
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// What `__hash__` and `__eq__` raise.
    pub fn get(&self, vm: &Vm, key: &Value) -> PyResult<Option<Value>> {
        if key.is_interned() {
            return Ok(self.0.borrow().get_interned(key).cloned()).and_then(|found| match found {
                Some(found) => Ok(Some(found)),
                // A key that is no plain string may still be equal.
                None => Ok(match self.find(vm, key)? {
                    Some(at) => self.0.borrow().entry(at).map(|e| e.value.clone()),
                    None => None,
                }),
            });
        }
        Ok(match self.find(vm, key)? {
            Some(at) => self.0.borrow().entry(at).map(|e| e.value.clone()),
            None => None,
        })
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// What `__hash__` and `__eq__` raise.
    pub fn set(&self, vm: &Vm, key: Value, value: Value) -> PyResult<()> {
        let hash = vm.hash(&key)? as u64;
        match self.find_hashed(vm, &key, hash)? {
            Some(at) => {
                let old = self.0.borrow_mut().replace_at(at, value);
                drop(old);
            }
            None => self.0.borrow_mut().push(hash, key, value),
        }
        Ok(())
    }

    /// Removes a key.
    ///
    /// # Errors
    /// What `__hash__` and `__eq__` raise.
    pub fn remove(&self, vm: &Vm, key: &Value) -> PyResult<Option<Value>> {
        match self.find(vm, key)? {
            Some(at) => {
                let (key, value) = self.0.borrow_mut().remove_at(at);
                drop(key);
                Ok(Some(value))
            }
            None => Ok(None),
        }
    }

    /// Keys and values, copied.
    pub fn items(&self) -> Vec<(Value, Value)> {
        self.0.borrow().iter().map(|e| (e.key.clone(), e.value.clone())).collect()
    }
}

impl Vm {
    /// An empty dict.
    pub fn dict(&self) -> Value {
        new_object(&self.types.dict, DictData::default())
    }
    /// Sets an item of a dict object, whatever its class overrides.
    ///
    /// # Errors
    /// TypeError when it is no dict, and what the key raises.
    pub fn dict_set(&self, dict: &Value, key: Value, value: Value) -> PyResult<()> {
        match dict.get::<DictData>() {
            Some(data) => data.set(self, key, value),
            None => Err(self.type_error("expected dict")),
        }
    }
    /// How many items a dict object has.
    pub fn dict_len(&self, dict: &Value) -> usize {
        dict.get::<DictData>().map_or(0, |d| d.borrow().len())
    }
    /// A plain copy of a dict object.
    pub fn dict_copy(&self, dict: &Value) -> Value {
        let table = dict.get::<DictData>().map(|d| d.borrow().clone()).unwrap_or_default();
        new_object(&self.types.dict, DictData(RefCell::new(table)))
    }
    /// Empties a dict object.
    pub fn dict_clear(&self, dict: &Value) {
        if let Some(data) = dict.get::<DictData>() {
            let old = data.borrow_mut().take();
            drop(old);
        }
    }
    /// Sets an item by a name's text.
    pub fn dict_set_str(&self, dict: &Value, name: &str, value: Value) {
        let name = self.intern(name);
        self.dict_set_name(dict, &name, value);
    }

    /// `dict.update(other)`.
    ///
    /// # Errors
    /// What reading `other` raises.
    pub fn dict_update(&self, dict: &Value, other: &Value) -> PyResult<()> {
        if let Some(source) = other.get::<DictData>()
            && self.special(other, &self.names.__iter__).is_some_and(|m| m.kind() == Kind::Native)
        {
            let (items, before) = (source.items(), source.borrow().len());
            for (key, value) in items {
                self.dict_set(dict, key, value)?;
                // Comparing keys may have run code that changed the other dict.
                if source.borrow().len() != before && !std::ptr::eq(source, own(dict)) {
                    return Err(self.runtime_error("dict mutated during update"));
                }
            }
            return Ok(());
        }
        if let Some(keys) = self.find_attr(other, &self.names.keys)? {
            let keys = self.call_pos(&keys, &[])?;
            let iterator = self.iter(&keys)?;
            while let Some(key) = self.next(&iterator)? {
                let value = self.get_item(other, &key)?;
                self.dict_set(dict, key, value)?;
            }
            return Ok(());
        }
        let iterator = self.iter(other)?;
        let mut at = 0;
        while let Some(pair) = self.next(&iterator)? {
            let items = match self.to_vec(&pair) {
                Ok(items) => items,
                Err(error) if self.is_exception(&error, &self.exc.type_error) => {
                    return Err(self.type_error(format!(
                        "cannot convert dictionary update sequence element #{at} to a sequence"
                    )));
                }
                Err(error) => return Err(error),
            };
            let [key, value] = &items[..] else {
                return Err(self.value_error(format!(
                    "dictionary update sequence element #{at} has length {}; 2 is required",
                    items.len()
                )));
            };
            self.dict_set(dict, key.clone(), value.clone())?;
            at += 1;
        }
        Ok(())
    }
}

pub(super) fn own(value: &Value) -> &DictData {
    value.get::<DictData>().expect("the descriptor checked the type")
}

fn update(vm: &Vm, args: Args) -> PyResult {
    let positional = args.positional();
    if positional.len() > 2 {
        return Err(
            vm.type_error(format!("update expected at most 1 argument, got {}", positional.len() - 1))
        );
    }
    if let Some(other) = positional.get(1) {
        vm.dict_update(&args.all[0], other)?;
    }
    for (name, value) in args.keywords() {
        own(&args.all[0]).set(vm, name.clone(), value.clone())?;
    }
    Ok(Value::NONE)
}

fn init_dict(vm: &Vm, args: Args) -> PyResult {
    if args.positional().len() > 2 {
        return Err(
            vm.type_error(format!("dict expected at most 1 argument, got {}", args.positional().len() - 1))
        );
    }
    update(vm, args)
}

fn get_item(vm: &Vm, args: Args) -> PyResult {
    match own(&args[0]).get(vm, &args[1])? {
        Some(value) => Ok(value),
        None => {
            if !args[0].is_exact()
                && let Some(result) = vm.call_special(&args[0], &vm.names.__missing__, &args.all[1..2])?
            {
                return Ok(result);
            }
            Err(vm.key_error(&args[1]))
        }
    }
}

fn repr(vm: &Vm, args: Args) -> PyResult {
    if !vm.repr_enter(&args[0]) {
        return Ok(vm.str("{...}"));
    }
    let make = || {
        let mut text = String::from("{");
        // Place by place, because a `__repr__` may change the dict.
        let mut at = 0;
        loop {
            let pair = {
                let table = own(&args[0]).borrow();
                if at >= table.slots() {
                    break;
                }
                table.entry(at).map(|e| (e.key.clone(), e.value.clone()))
            };
            at += 1;
            let Some((key, value)) = pair else { continue };
            if text.len() > 1 {
                text.push_str(", ");
            }
            text.push_str(&vm.repr_text(&key)?);
            text.push_str(": ");
            text.push_str(&vm.repr_text(&value)?);
        }
        text.push('}');
        Ok(vm.str(&text))
    };
    let result = make();
    vm.repr_leave();
    result
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let Some(y) = b.get::<DictData>() else { return Ok(Value::NOT_IMPLEMENTED) };
    let negate = match op {
        CompareOp::Eq => false,
        CompareOp::Ne => true,
        _ => return Ok(Value::NOT_IMPLEMENTED),
    };
    vm.check_stack()?;
    if own(a).borrow().len() != y.borrow().len() {
        return Ok(Value::from_bool(negate));
    }
    for (key, value) in own(a).items() {
        match y.get(vm, &key)? {
            Some(other) if vm.equal(&value, &other)? => {}
            _ => return Ok(Value::from_bool(negate)),
        }
    }
    Ok(Value::from_bool(!negate))
}

fn pop(vm: &Vm, args: Args) -> PyResult {
    match own(&args[0]).remove(vm, &args[1])? {
        Some(value) => Ok(value),
        None => args.opt(2).cloned().ok_or_else(|| vm.key_error(&args[1])),
    }
}

fn popitem(vm: &Vm, args: Args) -> PyResult {
    let table = own(&args[0]);
    let last = table.borrow().last();
    match last {
        Some(at) => {
            let (key, value) = table.borrow_mut().remove_at(at);
            Ok(vm.tuple(vec![key, value]))
        }
        None => Err(vm.raise_with(&vm.exc.key_error, vec![vm.str("popitem(): dictionary is empty")])),
    }
}

fn set_default(vm: &Vm, args: Args) -> PyResult {
    if let Some(found) = own(&args[0]).get(vm, &args[1])? {
        return Ok(found);
    }
    let value = args.opt(2).cloned().unwrap_or(Value::NONE);
    own(&args[0]).set(vm, args[1].clone(), value.clone())?;
    Ok(value)
}

fn merge(vm: &Vm, a: &Value, b: &Value) -> PyResult {
    if a.kind() != Kind::Dict || b.kind() != Kind::Dict {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let result = vm.dict_copy(a);
    vm.dict_update(&result, b)?;
    Ok(result)
}

fn from_keys(vm: &Vm, args: Args) -> PyResult {
    let made = vm.call_pos(&args[0], &[])?;
    let value = args.opt(2).cloned().unwrap_or(Value::NONE);
    let iterator = vm.iter(&args[1])?;
    while let Some(key) = vm.next(&iterator)? {
        vm.set_item(&made, &key, value.clone())?;
    }
    Ok(made)
}

const METHODS: &[Method] = &[
    ("__new__", "...", |_, args| Ok(new_object(&args.all[0], DictData::default()))),
    ("__init__", "...", init_dict),
    ("__repr__", "", repr),
    ("__len__", "", |_, args| Ok(Value::from_len(own(&args[0]).borrow().len()))),
    ("__getitem__", "key /", get_item),
    ("__setitem__", "key value /", |vm, args| {
        own(&args[0]).set(vm, args[1].clone(), args[2].clone()).map(|()| Value::NONE)
    }),
    ("__delitem__", "key /", |vm, args| match own(&args[0]).remove(vm, &args[1])? {
        Some(_) => Ok(Value::NONE),
        None => Err(vm.key_error(&args[1])),
    }),
    ("__contains__", "key /", |vm, args| Ok(Value::from_bool(own(&args[0]).get(vm, &args[1])?.is_some()))),
    ("__iter__", "", |vm, args| Ok(crate::iterators::dict_iter(vm, &args[0], 0, false))),
    ("__reversed__", "", |vm, args| Ok(crate::iterators::dict_iter(vm, &args[0], 0, true))),
    ("__or__", "value /", |vm, args| merge(vm, &args[0], &args[1])),
    ("__ror__", "value /", |vm, args| merge(vm, &args[1], &args[0])),
    ("__ior__", "value /", |vm, args| {
        vm.dict_update(&args[0], &args[1])?;
        Ok(args[0].clone())
    }),
    ("get", "key default? /", |vm, args| {
        Ok(own(&args[0]).get(vm, &args[1])?.unwrap_or_else(|| args.opt(2).cloned().unwrap_or(Value::NONE)))
    }),
    ("pop", "key default? /", pop),
    ("popitem", "", popitem),
    ("setdefault", "key default? /", set_default),
    ("update", "...", update),
    ("clear", "", |vm, args| {
        vm.dict_clear(&args[0]);
        Ok(Value::NONE)
    }),
    ("copy", "", |vm, args| Ok(vm.dict_copy(&args[0]))),
    ("keys", "", |vm, args| Ok(super::dict_views::view(vm, &args[0], 0))),
    ("values", "", |vm, args| Ok(super::dict_views::view(vm, &args[0], 1))),
    ("items", "", |vm, args| Ok(super::dict_views::view(vm, &args[0], 2))),
];

/// What a proxy shows, as a dict.
fn proxied(vm: &Vm, value: &Value) -> Value {
    let Some(proxy) = value.get::<ProxyData>() else { return Value::NONE };
    match proxy.0.get::<Type>() {
        Some(class) => {
            let table = class.dict.borrow().clone();
            new_object(&vm.types.dict, DictData(RefCell::new(table)))
        }
        None => proxy.0.clone(),
    }
}

fn forward(vm: &Vm, args: Args, name: &str) -> PyResult {
    vm.call_method_str(&proxied(vm, &args[0]), name, &args.all[1..])
}

const PROXY: &[Method] = &[
    ("__new__", "mapping", |vm, args| {
        if vm.special(&args[1], &vm.names.__getitem__).is_none()
            || matches!(args[1].kind(), Kind::List | Kind::Tuple)
        {
            return Err(vm.type_error(format!(
                "mappingproxy() argument must be a mapping, not {}",
                vm.type_name(&args[1])
            )));
        }
        Ok(new_object(&vm.types.mappingproxy, ProxyData(args[1].clone())))
    }),
    ("__getitem__", "key /", |vm, args| {
        if let Some(class) = args[0].get::<ProxyData>().and_then(|p| p.0.get::<Type>()) {
            let name = vm.intern_value(&args[1]);
            return class.own(&name).ok_or_else(|| vm.key_error(&args[1]));
        }
        vm.get_item(&proxied(vm, &args[0]), &args[1])
    }),
    ("__contains__", "key /", |vm, args| {
        Ok(Value::from_bool(vm.contains(&proxied(vm, &args[0]), &args[1])?))
    }),
    ("__len__", "", |vm, args| Ok(Value::from_len(vm.len(&proxied(vm, &args[0]))?))),
    ("__iter__", "", |vm, args| vm.iter(&proxied(vm, &args[0]))),
    ("__reversed__", "", |vm, args| forward(vm, args, "__reversed__")),
    ("__repr__", "", |vm, args| {
        let inner = vm.repr_text(&proxied(vm, &args[0]))?;
        Ok(vm.str(&format!("mappingproxy({inner})")))
    }),
    ("__str__", "", |vm, args| vm.to_str(&proxied(vm, &args[0]))),
    ("__or__", "value /", |vm, args| {
        vm.binary(pyc_ir::BinaryOp::Or, &proxied(vm, &args[0]), &unproxied(vm, &args[1]))
    }),
    ("__ror__", "value /", |vm, args| {
        vm.binary(pyc_ir::BinaryOp::Or, &unproxied(vm, &args[1]), &proxied(vm, &args[0]))
    }),
    ("__eq__", "value /", |vm, args| {
        vm.compare(CompareOp::Eq, &proxied(vm, &args[0]), &unproxied(vm, &args[1]))
    }),
    ("__hash__", "", |vm, args| Ok(vm.int(vm.hash(&proxied(vm, &args[0]))?))),
    ("get", "key default? /", |vm, args| {
        let args = Args::pos(if args.opt(2).is_some() { args.all } else { &args.all[..2] });
        forward(vm, args, "get")
    }),
    ("keys", "", |vm, args| forward(vm, args, "keys")),
    ("values", "", |vm, args| forward(vm, args, "values")),
    ("items", "", |vm, args| forward(vm, args, "items")),
    ("copy", "", |vm, args| forward(vm, args, "copy")),
];

fn unproxied(vm: &Vm, value: &Value) -> Value {
    if value.get::<ProxyData>().is_some() { proxied(vm, value) } else { value.clone() }
}

pub(super) fn init(vm: &Vm) {
    let t = &vm.types;
    vm.add_methods(&t.dict, METHODS);
    vm.add_methods(&t.dict, &crate::comparisons!(compare));
    vm.add_class_methods(
        &t.dict,
        &[
            ("fromkeys", "iterable value? /", from_keys),
            ("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1])),
        ],
    );
    vm.add_methods(&t.mappingproxy, PROXY);
}
