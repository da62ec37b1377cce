//! `_collections`: deque, defaultdict, and helpers. OrderedDict is the library's Python one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use pyc_ir::CompareOp;
use pyc_runtime::containers::{DictData, TupleData};
use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Kind, Payload, PyResult, Value, Vm, new_object};

/// `deque`
#[derive(Default)]
struct Deque {
    items: RefCell<VecDeque<Value>>,
    most: Cell<Option<usize>>,
    version: Cell<u64>,
}
impl Payload for Deque {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.items.borrow().iter().for_each(visit);
    }
    fn clear(&self) {
        drop(self.items.take());
    }
}

struct DequeIter {
    deque: Value,
    at: Cell<usize>,
    version: u64,
    reversed: bool,
}
impl Payload for DequeIter {}

fn own(value: &Value) -> &Deque {
    value.get::<Deque>().expect("the descriptor checked the type")
}

fn changed(d: &Deque) {
    d.version.set(d.version.get() + 1);
}

fn push(this: &Value, item: Value, left: bool) {
    let d = own(this);
    changed(d);
    let dropped = {
        let mut items = d.items.borrow_mut();
        if left {
            items.push_front(item)
        } else {
            items.push_back(item)
        }
        match d.most.get() {
            Some(most) if items.len() > most => {
                if left {
                    items.pop_back()
                } else {
                    items.pop_front()
                }
            }
            _ => None,
        }
    };
    drop(dropped);
}

fn extend(vm: &Vm, args: Args, left: bool) -> PyResult {
    let items = if args[1].is(&args[0]) {
        own(&args[0]).items.borrow().iter().cloned().collect()
    } else {
        vm.to_vec(&args[1])?
    };
    for item in items {
        push(&args[0], item, left);
    }
    Ok(Value::NONE)
}

fn pop(vm: &Vm, args: Args, left: bool) -> PyResult {
    let d = own(&args[0]);
    changed(d);
    let item = if left { d.items.borrow_mut().pop_front() } else { d.items.borrow_mut().pop_back() };
    item.ok_or_else(|| vm.index_error("pop from an empty deque"))
}

fn position(vm: &Vm, args: Args) -> PyResult<usize> {
    let n = own(&args[0]).items.borrow().len() as i64;
    let i = vm.index(&args[1])?;
    let at = if i < 0 { i + n } else { i };
    if at < 0 || at >= n { Err(vm.index_error("deque index out of range")) } else { Ok(at as usize) }
}

fn items(value: &Value) -> Vec<Value> {
    own(value).items.borrow().iter().cloned().collect()
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    if b.get::<Deque>().is_none() {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    vm.compare(op, &vm.list(items(a)), &vm.list(items(b)))
}

fn iter_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(it) = value.get::<DequeIter>() else { return Ok(None) };
    let d = own(&it.deque);
    if d.version.get() != it.version {
        return Err(vm.runtime_error("deque mutated during iteration"));
    }
    let at = it.at.get();
    let items = d.items.borrow();
    let index = if it.reversed { items.len().checked_sub(at + 1) } else { Some(at) };
    let item = index.and_then(|i| items.get(i).cloned());
    it.at.set(at + 1);
    Ok(item)
}

fn make_iter(vm: &Vm, deque: &Value, reversed: bool) -> Value {
    let ty = vm.state("deque_iterator", || {
        let ty = vm.new_type::<DequeIter>("_collections", "_deque_iterator", None, 0);
        iterator_methods(vm, &ty, iter_next);
        ty
    });
    new_object(
        &ty,
        DequeIter { deque: deque.clone(), at: Cell::new(0), version: own(deque).version.get(), reversed },
    )
}

fn copy(vm: &Vm, args: Args) -> PyResult {
    let list = vm.list(items(&args[0]));
    let most = own(&args[0]).most.get().map_or(Value::NONE, Value::from_len);
    vm.call_pos(vm.type_of(&args[0]), &[list, most])
}

fn rotate(vm: &Vm, args: Args) -> PyResult {
    let n = args.opt(1).map_or(Ok(1), |v| vm.index(v))?;
    let d = own(&args[0]);
    let mut items = d.items.borrow_mut();
    if !items.is_empty() {
        let by = n.rem_euclid(items.len() as i64) as usize;
        items.rotate_right(by);
        changed(d);
    }
    Ok(Value::NONE)
}

fn default_missing(vm: &Vm, args: Args) -> PyResult {
    let factory = vm.get_attr_str(&args[0], "default_factory")?;
    if factory.is_none() {
        return Err(vm.key_error(&args[1]));
    }
    let value = vm.call_pos(&factory, &[])?;
    vm.set_item(&args[0], &args[1], value.clone())?;
    Ok(value)
}

fn count_elements(vm: &Vm, args: Args) -> PyResult {
    let get = vm.get_attr_str(&args[0], "get")?;
    let plain = args[0].get::<DictData>();
    let iterator = vm.iter(&args[1])?;
    while let Some(item) = vm.next(&iterator)? {
        let old = match plain {
            Some(dict) => dict.get(vm, &item)?.unwrap_or(Value::from_i32(0)),
            None => vm.call_pos(&get, &[item.clone(), Value::from_i32(0)])?,
        };
        let new = vm.binary(pyc_ir::BinaryOp::Add, &old, &Value::from_i32(1))?;
        match plain {
            Some(dict) => dict.set(vm, item, new)?,
            None => vm.set_item(&args[0], &item, new)?,
        }
    }
    Ok(Value::NONE)
}

/// `_tuplegetter`: a field of a namedtuple.
struct Field {
    index: Value,
    doc: RefCell<Value>,
}
impl Payload for Field {}

fn deque_type(vm: &Vm) -> Value {
    let ty = vm.new_type::<Deque>("collections", "deque", None, flag::BASE | flag::WEAK | flag::SEQUENCE);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "...", |_, args| Ok(new_object(&args.all[0], Deque::default()))),
            ("__init__", "iterable? maxlen?", |vm, args| {
                let d = own(&args[0]);
                drop(d.items.take());
                d.most.set(match args.opt(2).filter(|m| !m.is_none()) {
                    None => None,
                    Some(most) => match vm.index(most)? {
                        n if n < 0 => return Err(vm.value_error("maxlen must be non-negative")),
                        n => Some(n as usize),
                    },
                });
                if let Some(iterable) = args.opt(1) {
                    for item in vm.to_vec(iterable)? {
                        push(&args[0], item, false);
                    }
                }
                Ok(Value::NONE)
            }),
            ("append", "item /", |_, args| {
                push(&args[0], args[1].clone(), false);
                Ok(Value::NONE)
            }),
            ("appendleft", "item /", |_, args| {
                push(&args[0], args[1].clone(), true);
                Ok(Value::NONE)
            }),
            ("extend", "iterable /", |vm, args| extend(vm, args, false)),
            ("extendleft", "iterable /", |vm, args| extend(vm, args, true)),
            ("pop", "", |vm, args| pop(vm, args, false)),
            ("popleft", "", |vm, args| pop(vm, args, true)),
            ("clear", "", |_, args| {
                changed(own(&args[0]));
                drop(own(&args[0]).items.take());
                Ok(Value::NONE)
            }),
            ("copy", "", copy),
            ("__copy__", "", copy),
            ("rotate", "n? /", rotate),
            ("reverse", "", |_, args| {
                own(&args[0]).items.borrow_mut().make_contiguous().reverse();
                Ok(Value::NONE)
            }),
            ("count", "value /", |vm, args| {
                let mut n = 0;
                for item in items(&args[0]) {
                    n += usize::from(vm.equal(&item, &args[1])?);
                }
                Ok(Value::from_len(n))
            }),
            ("index", "value start? stop? /", |vm, args| {
                let list = vm.list(items(&args[0]));
                let found = vm.call_method_str(
                    &list,
                    "index",
                    &args.all[1..].iter().filter(|v| !v.is_unbound()).cloned().collect::<Vec<_>>(),
                );
                match vm.catch(found, &vm.exc.value_error)? {
                    Some(at) => Ok(at),
                    None => Err(vm.value_error(format!("{} is not in deque", vm.repr_text(&args[1])?))),
                }
            }),
            ("remove", "value /", |vm, args| {
                for (at, item) in items(&args[0]).iter().enumerate() {
                    if vm.equal(item, &args[1])? {
                        changed(own(&args[0]));
                        drop(own(&args[0]).items.borrow_mut().remove(at));
                        return Ok(Value::NONE);
                    }
                }
                Err(vm.value_error(format!("{} is not in deque", vm.repr_text(&args[1])?)))
            }),
            ("insert", "index value /", |vm, args| {
                let d = own(&args[0]);
                let n = d.items.borrow().len();
                if d.most.get() == Some(n) {
                    return Err(vm.index_error("deque already at its maximum size"));
                }
                let i = vm.index(&args[1])?;
                let at = if i < 0 { (i + n as i64).max(0) } else { i.min(n as i64) };
                changed(d);
                d.items.borrow_mut().insert(at as usize, args[2].clone());
                Ok(Value::NONE)
            }),
            ("__len__", "", |_, args| Ok(Value::from_len(own(&args[0]).items.borrow().len()))),
            ("__iter__", "", |vm, args| Ok(make_iter(vm, &args[0], false))),
            ("__reversed__", "", |vm, args| Ok(make_iter(vm, &args[0], true))),
            ("__contains__", "key /", |vm, args| {
                for item in items(&args[0]) {
                    if vm.equal(&item, &args[1])? {
                        return Ok(Value::TRUE);
                    }
                }
                Ok(Value::FALSE)
            }),
            ("__getitem__", "key /", |vm, args| {
                let at = position(vm, args)?;
                Ok(own(&args[0]).items.borrow()[at].clone())
            }),
            ("__setitem__", "key value /", |vm, args| {
                let at = position(vm, args)?;
                let old = std::mem::replace(&mut own(&args[0]).items.borrow_mut()[at], args[2].clone());
                drop(old);
                Ok(Value::NONE)
            }),
            ("__delitem__", "key /", |vm, args| {
                let at = position(vm, args)?;
                changed(own(&args[0]));
                drop(own(&args[0]).items.borrow_mut().remove(at));
                Ok(Value::NONE)
            }),
            ("__add__", "value /", |vm, args| {
                if args[1].get::<Deque>().is_none() {
                    return Err(vm.type_error(format!(
                        "can only concatenate deque (not \"{}\") to deque",
                        vm.type_name(&args[1])
                    )));
                }
                let made = copy(vm, args)?;
                for item in items(&args[1]) {
                    push(&made, item, false);
                }
                Ok(made)
            }),
            ("__iadd__", "value /", |vm, args| {
                extend(vm, args, false)?;
                Ok(args[0].clone())
            }),
            ("__mul__", "value /", |vm, args| {
                let n = vm.index(&args[1])?;
                let made = copy(vm, args)?;
                let all = items(&args[0]);
                drop(own(&made).items.take());
                for _ in 0..n.max(0) {
                    vm.tick()?;
                    all.iter().for_each(|i| push(&made, i.clone(), false));
                }
                Ok(made)
            }),
            ("__repr__", "", |vm, args| {
                if !vm.repr_enter(&args[0]) {
                    return Ok(vm.str("[...]"));
                }
                let inner = vm.repr_text(&vm.list(items(&args[0])));
                vm.repr_leave();
                let most = own(&args[0]).most.get().map_or(String::new(), |m| format!(", maxlen={m}"));
                Ok(vm.str(&format!("{}({}{most})", vm.type_name(&args[0]), inner?)))
            }),
            ("__reduce__", "", |vm, args| {
                let list = vm.list(items(&args[0]));
                let most = own(&args[0]).most.get();
                let parts = vm.tuple(match most {
                    Some(m) => vec![list, Value::from_len(m)],
                    None => vec![list],
                });
                Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), parts]))
            }),
        ],
    );
    vm.add_methods(&ty, &pyc_runtime::comparisons!(compare));
    vm.set_type_attr(&ty, "__hash__", Value::NONE);
    vm.add_getset(
        &ty,
        "maxlen",
        |_, this| Ok(own(this).most.get().map_or(Value::NONE, Value::from_len)),
        None,
    );
    vm.add_class_methods(
        &ty,
        &[("__class_getitem__", "item /", |vm, args| pyc_runtime::generic::alias(vm, &args[0], &args[1]))],
    );
    ty
}

/// `|` of a defaultdict: one with its factory.
fn default_merge(vm: &Vm, this: &Value, a: &Value, b: &Value) -> PyResult {
    if a.kind() != Kind::Dict || b.kind() != Kind::Dict {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let factory = vm.get_attr_str(this, "default_factory")?;
    let made = vm.call_pos(vm.type_of(this), &[factory, vm.dict_copy(a)])?;
    vm.dict_update(&made, b)?;
    Ok(made)
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module =
        vm.native_module_object("_collections", &[("_count_elements", "mapping iterable /", count_elements)]);
    vm.module_set(&module, "deque", deque_type(vm));
    let default = vm.new_type::<DictData>(
        "collections",
        "defaultdict",
        Some(&vm.types.dict),
        flag::BASE | flag::ATTRS | flag::WEAK | flag::HEAP,
    );
    vm.add_methods(
        &default,
        &[
            ("__init__", "...", |vm, args| {
                let positional = args.positional();
                let factory = positional.get(1).cloned().unwrap_or(Value::NONE);
                if !factory.is_none() && vm.special(&factory, &vm.names.__call__).is_none() {
                    return Err(vm.type_error("first argument must be callable or None"));
                }
                vm.set_attr_raw(&args.all[0], &vm.intern("default_factory"), factory);
                let mut all = vec![args.all[0].clone()];
                all.extend_from_slice(
                    args.all.get(2..).filter(|_| positional.len() > 1).unwrap_or(&args.all[1..]),
                );
                let init = vm.get_attr(&vm.types.dict, &vm.names.__init__)?;
                vm.call(&init, Args { all: &all, names: args.names })
            }),
            ("__or__", "value /", |vm, args| default_merge(vm, &args[0], &args[0], &args[1])),
            ("__ror__", "value /", |vm, args| default_merge(vm, &args[0], &args[1], &args[0])),
            ("__missing__", "key /", default_missing),
            ("__repr__", "", |vm, args| {
                let factory = vm.repr_text(&vm.get_attr_str(&args[0], "default_factory")?)?;
                let inner = vm.repr_text(&vm.dict_copy(&args[0]))?;
                Ok(vm.str(&format!("{}({factory}, {inner})", vm.type_name(&args[0]))))
            }),
            ("copy", "", |vm, args| {
                let factory = vm.get_attr_str(&args[0], "default_factory")?;
                vm.call_pos(vm.type_of(&args[0]), &[factory, vm.dict_copy(&args[0])])
            }),
            ("__copy__", "", |vm, args| vm.call_method_str(&args[0], "copy", &[])),
            ("__reduce__", "", |vm, args| {
                let factory = vm.get_attr_str(&args[0], "default_factory")?;
                let items = vm.iter(&vm.call_method_str(&args[0], "items", &[])?)?;
                let parts = vm.tuple(vec![factory]);
                Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), parts, Value::NONE, Value::NONE, items]))
            }),
        ],
    );
    vm.module_set(&module, "defaultdict", default);
    let getter = vm.new_type::<Field>("collections", "_tuplegetter", None, 0);
    vm.add_methods(
        &getter,
        &[
            ("__new__", "index doc /", |_, args| {
                Ok(new_object(&args[0], Field { index: args[1].clone(), doc: RefCell::new(args[2].clone()) }))
            }),
            ("__get__", "instance owner? /", |vm, args| {
                if args[1].is_none() {
                    return Ok(args[0].clone());
                }
                let Some(field) = args[0].get::<Field>() else { return Ok(Value::NONE) };
                match (args[1].get::<TupleData>(), field.index.as_small()) {
                    (Some(t), Some(i)) => t
                        .items()
                        .get(i as usize)
                        .cloned()
                        .ok_or_else(|| vm.index_error("tuple index out of range")),
                    _ => Err(vm.type_error("descriptor for index doesn't apply to this object")),
                }
            }),
            ("__set__", "instance value /", |vm, _| {
                Err(vm.raise(&vm.exc.attribute_error, "can't set attribute"))
            }),
        ],
    );
    vm.add_getset(
        &getter,
        "__doc__",
        |_, this| Ok(this.get::<Field>().map_or(Value::NONE, |f| f.doc.borrow().clone())),
        Some(|_, this, value| {
            if let Some(f) = this.get::<Field>() {
                drop(f.doc.replace(value));
            }
            Ok(())
        }),
    );
    vm.module_set(&module, "_tuplegetter", getter);
    Ok(module)
}
