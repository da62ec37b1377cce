//! The iterators of builtin types, and enumerate, zip, map, filter, reversed.

mod parts;

use std::cell::{Cell, RefCell};

use num_bigint::BigInt;

use crate::args::Method;
use crate::bytes::{ByteArrayData, BytesData};
use crate::containers::{DictData, ListData, SetData, TupleData};
use crate::object::{Kind, Payload, Value, new_object};
use crate::range::RangeData;
use crate::str::Str;
use crate::types::{NextFn, Type};
use crate::vm::{Args, PyResult, Vm};

pub(crate) use parts::{Parts, next_parts};

macro_rules! payload {
    ($name:ident, $kind:ident, $($field:ident),*) => {
        impl Payload for $name {
            const KIND: Kind = Kind::$kind;
            const GC: bool = true;
            fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
                $(visit(&self.$field.borrow());)*
                let _ = visit;
            }
        }
    };
}

/// Over a list; forwards or backwards.
pub struct ListIter {
    /// The list, or None at the end.
    pub list: RefCell<Value>,
    /// Next index.
    pub at: Cell<usize>,
    /// Backwards: the index is one too high.
    pub reversed: bool,
}
payload!(ListIter, ListIter, list);

/// Over a tuple.
pub struct TupleIter {
    /// The tuple.
    pub tuple: RefCell<Value>,
    /// Next index.
    pub at: Cell<usize>,
}
payload!(TupleIter, TupleIter, tuple);

/// Over anything with `__getitem__` by position; `reversed` counts down to 0.
pub struct IndexIter {
    sequence: RefCell<Value>,
    at: Cell<i64>,
    reversed: bool,
}
payload!(IndexIter, Other, sequence);

/// Over a range of machine integers.
pub struct RangeIter {
    /// Next value.
    pub next: Cell<i64>,
    /// Distance.
    pub step: i64,
    /// How many are left.
    pub left: Cell<i64>,
}
impl Payload for RangeIter {
    const KIND: Kind = Kind::RangeIter;
}

/// Over a range of large integers.
pub struct LongRangeIter {
    next: RefCell<BigInt>,
    step: BigInt,
    left: RefCell<BigInt>,
}
impl Payload for LongRangeIter {}

/// Over a dict.
pub struct DictIter {
    dict: RefCell<Value>,
    at: Cell<usize>,
    length: usize,
    given: Cell<usize>,
    what: u8,
    reversed: bool,
}
payload!(DictIter, Other, dict);

/// Over a set.
pub struct SetIter {
    set: RefCell<Value>,
    at: Cell<usize>,
    length: usize,
}
payload!(SetIter, Other, set);

/// `iter(callable, sentinel)`
pub struct CallIter {
    callable: RefCell<Value>,
    sentinel: RefCell<Value>,
}
payload!(CallIter, Other, callable, sentinel);

/// `enumerate`
pub struct Enumerate {
    iterator: RefCell<Value>,
    count: RefCell<Value>,
}
payload!(Enumerate, Other, iterator, count);

/// `zip`
pub struct Zip {
    iterators: Vec<Value>,
    strict: Cell<bool>,
    done: Cell<bool>,
}
impl Payload for Zip {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.iterators.iter().for_each(visit);
    }
}

/// `map`
pub struct Map {
    function: Value,
    iterators: Vec<Value>,
}
impl Payload for Map {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.function);
        self.iterators.iter().for_each(visit);
    }
}

/// `filter`
pub struct Filter {
    function: Value,
    iterator: Value,
}
impl Payload for Filter {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.function);
        visit(&self.iterator);
    }
}

/// `iter(list)`
#[inline]
pub fn list_iter(vm: &Vm, list: &Value) -> Value {
    new_object(
        &vm.types.list_iterator,
        ListIter { list: RefCell::new(list.clone()), at: Cell::new(0), reversed: false },
    )
}
/// `reversed(list)`
pub fn list_reversed(vm: &Vm, list: &Value) -> Value {
    let n = list.get::<ListData>().map_or(0, |l| l.borrow().len());
    new_object(
        &vm.types.list_reverseiterator,
        ListIter { list: RefCell::new(list.clone()), at: Cell::new(n), reversed: true },
    )
}
/// `iter(tuple)`
pub fn tuple_iter(vm: &Vm, tuple: &Value) -> Value {
    new_object(&vm.types.tuple_iterator, TupleIter { tuple: RefCell::new(tuple.clone()), at: Cell::new(0) })
}
/// `iter(str)` and the like.
pub fn index_iter(ty: &Value, sequence: &Value) -> Value {
    new_object(ty, IndexIter { sequence: RefCell::new(sequence.clone()), at: Cell::new(0), reversed: false })
}
/// The old iteration protocol.
pub fn sequence_iter(vm: &Vm, sequence: &Value) -> Value {
    index_iter(&vm.types.seq_iterator, sequence)
}
/// `iter(range)`
pub fn range_iter(vm: &Vm, r: &RangeData) -> Value {
    if let Some((start, step, n)) = r.small {
        return new_object(
            &vm.types.range_iterator,
            RangeIter { next: Cell::new(start), step, left: Cell::new(n) },
        );
    }
    let big = |v: &Value| vm.big_int(v).unwrap_or_default();
    let (start, stop, step) = (big(&r.start), big(&r.stop), big(&r.step));
    let zero = BigInt::from(0);
    let left: BigInt = if step > zero {
        (&stop - &start + &step - 1) / &step
    } else {
        (&start - &stop - &step - 1) / -&step
    };
    let left = left.max(zero);
    new_object(
        &vm.types.longrange_iterator,
        LongRangeIter { next: RefCell::new(start), step, left: RefCell::new(left) },
    )
}
/// Over keys (0), values (1) or items (2) of a dict.
pub fn dict_iter(vm: &Vm, dict: &Value, what: u8, reversed: bool) -> Value {
    let t = &vm.types;
    let ty = match (what, reversed) {
        (0, false) => &t.dict_keyiterator,
        (1, false) => &t.dict_valueiterator,
        (_, false) => &t.dict_itemiterator,
        (0, true) => &t.dict_reversekeyiterator,
        (1, true) => &t.dict_reversevalueiterator,
        (_, true) => &t.dict_reverseitemiterator,
    };
    let (length, slots) = dict.get::<DictData>().map_or((0, 0), |d| (d.borrow().len(), d.borrow().slots()));
    new_object(
        ty,
        DictIter {
            dict: RefCell::new(dict.clone()),
            at: Cell::new(if reversed { slots } else { 0 }),
            length,
            given: Cell::new(0),
            what,
            reversed,
        },
    )
}
/// `iter(set)`
pub fn set_iter(vm: &Vm, set: &Value) -> Value {
    let length = set.get::<SetData>().map_or(0, |s| s.table.borrow().len());
    new_object(&vm.types.set_iterator, SetIter { set: RefCell::new(set.clone()), at: Cell::new(0), length })
}

fn list_next(_: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<ListIter>() else { return Ok(None) };
    let item = {
        let list = iter.list.borrow();
        let Some(list) = list.get::<ListData>() else { return Ok(None) };
        let at: usize = iter.at.get();
        let index = if iter.reversed { at.checked_sub(1) } else { Some(at) };
        index.and_then(|i| list.borrow().get(i).cloned())
    };
    match item {
        Some(item) => {
            iter.at.set(if iter.reversed { iter.at.get() - 1 } else { iter.at.get() + 1 });
            Ok(Some(item))
        }
        None => {
            drop(iter.list.replace(Value::NONE));
            Ok(None)
        }
    }
}

fn tuple_next(_: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<TupleIter>() else { return Ok(None) };
    let item = iter.tuple.borrow().get::<TupleData>().and_then(|t| t.items().get(iter.at.get()).cloned());
    match item {
        Some(item) => {
            iter.at.set(iter.at.get() + 1);
            Ok(Some(item))
        }
        None => {
            drop(iter.tuple.replace(Value::NONE));
            Ok(None)
        }
    }
}

fn index_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<IndexIter>() else { return Ok(None) };
    let sequence = iter.sequence.borrow().clone();
    if sequence.is_none() {
        return Ok(None);
    }
    let at = iter.at.get();
    if let Some(s) = sequence.exact::<Str>() {
        if at < 0 || at as usize >= s.len() {
            drop(iter.sequence.replace(Value::NONE));
            return Ok(None);
        }
        iter.at.set(if iter.reversed { at - 1 } else { at + 1 });
        return Ok(Some(vm.char_str(s.at(at as usize))));
    }
    if at < 0 {
        drop(iter.sequence.replace(Value::NONE));
        return Ok(None);
    }
    iter.at.set(if iter.reversed { at - 1 } else { at + 1 });
    if sequence.is_exact() {
        let byte = match sequence.get::<BytesData>() {
            Some(bytes) => bytes.0.get(at as usize).copied(),
            None => sequence.get::<ByteArrayData>().and_then(|b| b.0.borrow().get(at as usize).copied()),
        };
        if let Some(byte) = byte {
            return Ok(Some(Value::from_i32(i32::from(byte))));
        }
    }
    match vm.get_item(&sequence, &vm.int(at)) {
        Ok(item) => Ok(Some(item)),
        Err(error)
            if vm.is_exception(&error, &vm.exc.index_error)
                || vm.is_exception(&error, &vm.exc.stop_iteration) =>
        {
            drop(iter.sequence.replace(Value::NONE));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn range_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<RangeIter>() else { return Ok(None) };
    let left = iter.left.get();
    if left <= 0 {
        return Ok(None);
    }
    iter.left.set(left - 1);
    let next = iter.next.get();
    iter.next.set(next + iter.step);
    Ok(Some(vm.int(next)))
}

fn long_range_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<LongRangeIter>() else { return Ok(None) };
    if *iter.left.borrow() <= BigInt::from(0) {
        return Ok(None);
    }
    *iter.left.borrow_mut() -= 1;
    let next = iter.next.borrow().clone();
    *iter.next.borrow_mut() += &iter.step;
    Ok(Some(vm.big(next)))
}

fn dict_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<DictIter>() else { return Ok(None) };
    Ok(dict_entry(vm, iter)?.map(|(key, value)| match iter.what {
        0 => key,
        1 => value,
        _ => vm.tuple_of(2, [key, value].into_iter()),
    }))
}

/// The next entry that a dict's iterator sees.
fn dict_entry(vm: &Vm, iter: &DictIter) -> PyResult<Option<(Value, Value)>> {
    let found = {
        let dict = iter.dict.borrow();
        let Some(dict) = dict.get::<DictData>() else { return Ok(None) };
        let table = dict.borrow();
        if table.len() != iter.length {
            drop(table);
            return Err(vm.runtime_error("dictionary changed size during iteration"));
        }
        let mut at = iter.at.get();
        let mut found = None;
        if iter.reversed {
            while at > 0 {
                at -= 1;
                if let Some(entry) = table.entry(at) {
                    found = Some((entry.key.clone(), entry.value.clone()));
                    break;
                }
            }
        } else {
            while at < table.slots() {
                let entry = table.entry(at);
                at += 1;
                if let Some(entry) = entry {
                    found = Some((entry.key.clone(), entry.value.clone()));
                    break;
                }
            }
        }
        iter.at.set(at);
        if found.is_some() && iter.given.replace(iter.given.get() + 1) >= iter.length {
            // There is a key that was not there at first. In CPython it may be out of sight: a table that was full has
            // been packed meanwhile, and the iterator is behind its end.
            let mut size = 8;
            while size * 2 / 3 < table.len() {
                size *= 2;
            }
            let packed = table.slots() > size * 2 / 3;
            drop(table);
            if packed {
                return Ok(None);
            }
            return Err(vm.runtime_error("dictionary keys changed during iteration"));
        }
        found
    };
    if found.is_none() {
        drop(iter.dict.replace(Value::NONE));
    }
    Ok(found)
}

fn set_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<SetIter>() else { return Ok(None) };
    let found = {
        let set = iter.set.borrow();
        let Some(set) = set.get::<SetData>() else { return Ok(None) };
        let table = set.table.borrow();
        if table.len() != iter.length {
            drop(table);
            return Err(vm.runtime_error("Set changed size during iteration"));
        }
        let mut at = iter.at.get();
        let mut found = None;
        while at < table.slot_count() {
            found = table.at(at).cloned();
            at += 1;
            if found.is_some() {
                break;
            }
        }
        iter.at.set(at);
        found
    };
    if found.is_none() {
        drop(iter.set.replace(Value::NONE));
    }
    Ok(found)
}

fn call_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<CallIter>() else { return Ok(None) };
    let (callable, sentinel) = (iter.callable.borrow().clone(), iter.sentinel.borrow().clone());
    if callable.is_none() {
        return Ok(None);
    }
    let result = vm.call_pos(&callable, &[]);
    let item = vm.catch(result, &vm.exc.stop_iteration)?;
    match item {
        Some(item) if !vm.equal(&item, &sentinel)? => Ok(Some(item)),
        _ => {
            drop(iter.callable.replace(Value::NONE));
            Ok(None)
        }
    }
}

fn enumerate_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<Enumerate>() else { return Ok(None) };
    let iterator = iter.iterator.borrow().clone();
    let Some(item) = vm.next(&iterator)? else { return Ok(None) };
    let count = iter.count.borrow().clone();
    let next = match count.as_small().and_then(|n| Value::small(n + 1)) {
        Some(next) => next,
        None => vm.binary(pyc_ir::BinaryOp::Add, &count, &Value::from_i32(1))?,
    };
    drop(iter.count.replace(next));
    Ok(Some(vm.tuple_of(2, [count, item].into_iter())))
}

fn zip_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<Zip>() else { return Ok(None) };
    if iter.done.get() || iter.iterators.is_empty() {
        return Ok(None);
    }
    if !iter.strict.get()
        && let [first, second] = &iter.iterators[..]
    {
        if let Some(a) = vm.next(first)?
            && let Some(b) = vm.next(second)?
        {
            return Ok(Some(vm.tuple_of(2, [a, b].into_iter())));
        }
        iter.done.set(true);
        return Ok(None);
    }
    let mut items = Vec::with_capacity(iter.iterators.len());
    for (at, iterator) in iter.iterators.iter().enumerate() {
        match vm.next(iterator)? {
            Some(item) => items.push(item),
            None => {
                iter.done.set(true);
                if iter.strict.get() {
                    let names =
                        |n: usize| if n == 1 { "argument 1".to_string() } else { format!("arguments 1-{n}") };
                    if at > 0 {
                        return Err(vm.value_error(format!(
                            "zip() argument {} is shorter than {}",
                            at + 1,
                            names(at)
                        )));
                    }
                    for (other, iterator) in iter.iterators.iter().enumerate().skip(1) {
                        if vm.next(iterator)?.is_some() {
                            return Err(vm.value_error(format!(
                                "zip() argument {} is longer than {}",
                                other + 1,
                                names(other)
                            )));
                        }
                    }
                }
                return Ok(None);
            }
        }
    }
    Ok(Some(vm.tuple(items)))
}

fn map_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<Map>() else { return Ok(None) };
    if let [iterator] = &iter.iterators[..] {
        return match vm.next(iterator)? {
            Some(item) => vm.call_pos(&iter.function, &[item]).map(Some),
            None => Ok(None),
        };
    }
    let mut items = Vec::with_capacity(iter.iterators.len());
    for iterator in &iter.iterators {
        match vm.next(iterator)? {
            Some(item) => items.push(item),
            None => return Ok(None),
        }
    }
    vm.call_pos(&iter.function, &items).map(Some)
}

fn filter_next(vm: &Vm, value: &Value) -> PyResult<Option<Value>> {
    let Some(iter) = value.get::<Filter>() else { return Ok(None) };
    while let Some(item) = vm.next(&iter.iterator)? {
        let keep = if iter.function.is_none() {
            vm.truth(&item)?
        } else {
            let result = vm.call_pos(&iter.function, std::slice::from_ref(&item))?;
            vm.truth(&result)?
        };
        if keep {
            return Ok(Some(item));
        }
    }
    Ok(None)
}

fn reversed_new(vm: &Vm, args: Args) -> PyResult {
    let sequence = &args[1];
    match vm.special(sequence, &vm.names.__reversed__) {
        Some(method) if !method.is_none() => return vm.call_with_self(&method, sequence, &[]),
        Some(_) => {
            return Err(vm.type_error(format!("'{}' object is not reversible", vm.type_name(sequence))));
        }
        None => {}
    }
    if vm.special(sequence, &vm.names.__getitem__).is_none() {
        return Err(vm.type_error(format!("'{}' object is not reversible", vm.type_name(sequence))));
    }
    let n = vm.len(sequence)? as i64;
    Ok(new_object(
        &args[0],
        IndexIter { sequence: RefCell::new(sequence.clone()), at: Cell::new(n - 1), reversed: true },
    ))
}

fn iterators(vm: &Vm, values: &[Value]) -> PyResult<Vec<Value>> {
    values.iter().map(|v| vm.iter(v)).collect()
}

fn zip_new(vm: &Vm, args: Args) -> PyResult {
    let mut strict = false;
    for (name, value) in args.keywords() {
        match &*vm.text(name) {
            "strict" => strict = vm.truth(value)?,
            other => return Err(vm.type_error(format!("zip() got an unexpected keyword argument '{other}'"))),
        }
    }
    let mut made = Vec::new();
    for (at, value) in args.positional()[1..].iter().enumerate() {
        if vm.special(value, &vm.names.__iter__).is_none()
            && vm.special(value, &vm.names.__getitem__).is_none()
        {
            return Err(vm.type_error(format!("'{}' object is not iterable", vm.type_name(value))));
        }
        let _ = at;
        made.push(vm.iter(value)?);
    }
    Ok(new_object(&args.all[0], Zip { iterators: made, strict: Cell::new(strict), done: Cell::new(false) }))
}

fn length_hint(vm: &Vm, args: Args) -> PyResult {
    let this = &args[0];
    let n = if let Some(i) = this.get::<ListIter>() {
        let n = i.list.borrow().get::<ListData>().map_or(0, |l| l.borrow().len());
        if i.list.borrow().is_none() {
            0
        } else if i.reversed {
            i.at.get()
        } else {
            n.saturating_sub(i.at.get())
        }
    } else if let Some(i) = this.get::<TupleIter>() {
        i.tuple.borrow().get::<TupleData>().map_or(0, |t| t.items().len().saturating_sub(i.at.get()))
    } else if let Some(i) = this.get::<RangeIter>() {
        i.left.get().max(0) as usize
    } else if let Some(i) = this.get::<IndexIter>() {
        let sequence = i.sequence.borrow().clone();
        if sequence.is_none() {
            0
        } else if i.reversed {
            (i.at.get() + 1).max(0) as usize
        } else {
            vm.len(&sequence)?.saturating_sub(i.at.get() as usize)
        }
    } else if let Some(i) = this.get::<DictIter>() {
        i.length.saturating_sub(i.at.get())
    } else if let Some(i) = this.get::<SetIter>() {
        i.length
    } else {
        0
    };
    Ok(Value::from_len(n))
}

/// What pickling and copying need: a function, its arguments, and the place to go on from.
fn rest(vm: &Vm, args: Args) -> PyResult {
    let triple = |name: &str, arguments: Vec<Value>, at: Option<Value>| {
        let mut parts = vec![vm.get_builtin(name), vm.tuple(arguments)];
        parts.extend(at);
        Ok(vm.tuple(parts))
    };
    let word = |reversed: bool| if reversed { "reversed" } else { "iter" };
    if let Some(i) = args[0].get::<ListIter>() {
        let list = i.list.borrow().clone();
        if list.is_none() {
            return triple("iter", vec![vm.list(vec![])], None);
        }
        let at = vm.int(i.at.get() as i64 - i64::from(i.reversed));
        return triple(word(i.reversed), vec![list], Some(at));
    }
    if let Some(i) = args[0].get::<TupleIter>() {
        let tuple = i.tuple.borrow().clone();
        if tuple.is_none() {
            return triple("iter", vec![vm.tuple(vec![])], None);
        }
        return triple("iter", vec![tuple], Some(Value::from_len(i.at.get())));
    }
    if let Some(i) = args[0].get::<IndexIter>() {
        let sequence = i.sequence.borrow().clone();
        if sequence.is_none() {
            return triple("iter", vec![vm.tuple(vec![])], None);
        }
        return triple(word(i.reversed), vec![sequence], Some(vm.int(i.at.get())));
    }
    if let Some(i) = args[0].get::<CallIter>() {
        let (callable, sentinel) = (i.callable.borrow().clone(), i.sentinel.borrow().clone());
        if callable.is_none() {
            return triple("iter", vec![vm.tuple(vec![])], None);
        }
        return triple("iter", vec![callable, sentinel], None);
    }
    if let Some(i) = args[0].get::<RangeIter>() {
        let stop = i.next.get() + i.left.get() * i.step;
        let range = vm.range(vm.int(i.next.get()), vm.int(stop), vm.int(i.step));
        return triple("iter", vec![range], None);
    }
    // The others give what is left; asking changes nothing.
    let dict = args[0].get::<DictIter>().map(|i| (i.dict.borrow().clone(), i.at.get(), i.given.get()));
    let set = args[0].get::<SetIter>().map(|i| (i.set.borrow().clone(), i.at.get()));
    let mut items = Vec::new();
    while let Some(item) = vm.next(&args[0])? {
        items.push(item);
    }
    if let (Some(i), Some((value, at, given))) = (args[0].get::<DictIter>(), dict) {
        drop(i.dict.replace(value));
        i.at.set(at);
        i.given.set(given);
    }
    if let (Some(i), Some((value, at))) = (args[0].get::<SetIter>(), set) {
        drop(i.set.replace(value));
        i.at.set(at);
    }
    triple("iter", vec![vm.list(items)], None)
}

fn set_state(vm: &Vm, args: Args) -> PyResult {
    let at = vm.index(&args[1])?;
    if let Some(i) = args[0].get::<ListIter>() {
        let length = i.list.borrow().get::<ListData>().map_or(0, |l| l.borrow().len()) as i64;
        let at = at + i64::from(i.reversed);
        i.at.set(at.clamp(0, length) as usize);
    } else if let Some(i) = args[0].get::<TupleIter>() {
        let length = i.tuple.borrow().get::<TupleData>().map_or(0, |t| t.items().len()) as i64;
        i.at.set(at.clamp(0, length) as usize);
    } else if let Some(i) = args[0].get::<IndexIter>() {
        i.at.set(at.max(if i.reversed { -1 } else { 0 }));
    }
    Ok(Value::NONE)
}

/// Makes a type an iterator with a native step.
pub fn iterator_methods(vm: &Vm, ty: &Value, step: NextFn) {
    if let Some(class) = ty.get::<Type>() {
        class.next.set(Some(step));
    }
    const METHODS: &[Method] = &[
        ("__iter__", "", |_, args| Ok(args[0].clone())),
        ("__next__", "", |vm, args| {
            let mro = vm.class_of(&args[0]).mro.borrow().clone();
            for ty in mro {
                if let Some(class) = ty.get::<Type>()
                    && !class.is_heap()
                    && let Some(step) = class.next.get()
                {
                    return step(vm, &args[0])?.ok_or_else(|| vm.stop_iteration(Value::NONE));
                }
            }
            Err(vm.stop_iteration(Value::NONE))
        }),
    ];
    vm.add_methods(ty, METHODS);
}

pub(crate) fn init(vm: &Vm) {
    let t = &vm.types;
    let rows: [(&Value, NextFn); 24] = [
        (&t.list_iterator, list_next),
        (&t.list_reverseiterator, list_next),
        (&t.tuple_iterator, tuple_next),
        (&t.str_iterator, index_next),
        (&t.bytes_iterator, index_next),
        (&t.bytearray_iterator, index_next),
        (&t.memory_iterator, index_next),
        (&t.seq_iterator, index_next),
        (&t.reversed, index_next),
        (&t.set_iterator, set_next),
        (&t.range_iterator, range_next),
        (&t.longrange_iterator, long_range_next),
        (&t.dict_keyiterator, dict_next),
        (&t.dict_valueiterator, dict_next),
        (&t.dict_itemiterator, dict_next),
        (&t.dict_reversekeyiterator, dict_next),
        (&t.dict_reversevalueiterator, dict_next),
        (&t.dict_reverseitemiterator, dict_next),
        (&t.callable_iterator, call_next),
        (&t.enumerate, enumerate_next),
        (&t.zip, zip_next),
        (&t.map, map_next),
        (&t.filter, filter_next),
        (&t.generator, crate::generator::next),
    ];
    for (ty, step) in rows {
        if ty.is(&t.generator) {
            continue;
        }
        iterator_methods(vm, ty, step);
        if !matches!(
            &*ty.get::<Type>().map_or_else(|| "".into(), Type::name),
            "zip" | "map" | "filter" | "enumerate"
        ) {
            vm.add_methods(ty, &[("__length_hint__", "", length_hint), ("__reduce__", "", rest)]);
            let placed = [
                &t.list_iterator,
                &t.list_reverseiterator,
                &t.tuple_iterator,
                &t.str_iterator,
                &t.bytes_iterator,
                &t.bytearray_iterator,
                &t.seq_iterator,
                &t.reversed,
            ];
            if placed.iter().any(|p| p.is(ty)) {
                vm.add_methods(ty, &[("__setstate__", "state /", set_state)]);
            }
        }
    }
    vm.add_methods(
        &t.enumerate,
        &[("__new__", "iterable start?", |vm, args| {
            let count = args.opt(2).map_or(Ok(Value::from_i32(0)), |s| vm.index_value(s))?;
            Ok(new_object(
                &args[0],
                Enumerate { iterator: RefCell::new(vm.iter(&args[1])?), count: RefCell::new(count) },
            ))
        })],
    );
    vm.add_methods(&t.zip, &[("__new__", "...", zip_new)]);
    vm.add_methods(
        &t.map,
        &[("__new__", "...", |vm, args| {
            if args.all.len() < 3 {
                return Err(vm.type_error("map() must have at least two arguments."));
            }
            Ok(new_object(
                &args.all[0],
                Map { function: args.all[1].clone(), iterators: iterators(vm, &args.all[2..])? },
            ))
        })],
    );
    vm.add_methods(
        &t.filter,
        &[("__new__", "function iterable /", |vm, args| {
            Ok(new_object(&args[0], Filter { function: args[1].clone(), iterator: vm.iter(&args[2])? }))
        })],
    );
    vm.add_methods(
        &t.enumerate,
        &[("__reduce__", "", |vm, args| {
            let Some(e) = args[0].get::<Enumerate>() else { return Ok(Value::NONE) };
            let parts = vm.tuple(vec![e.iterator.borrow().clone(), e.count.borrow().clone()]);
            Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), parts]))
        })],
    );
    vm.add_methods(
        &t.zip,
        &[
            ("__reduce__", "", |vm, args| {
                let Some(z) = args[0].get::<Zip>() else { return Ok(Value::NONE) };
                let mut parts = vec![vm.type_of(&args[0]).clone(), vm.tuple(z.iterators.clone())];
                if z.strict.get() {
                    parts.push(Value::TRUE);
                }
                Ok(vm.tuple(parts))
            }),
            ("__setstate__", "state /", |vm, args| {
                if let Some(z) = args[0].get::<Zip>() {
                    z.strict.set(vm.truth(&args[1])?);
                }
                Ok(Value::NONE)
            }),
        ],
    );
    vm.add_methods(
        &t.map,
        &[("__reduce__", "", |vm, args| {
            let Some(m) = args[0].get::<Map>() else { return Ok(Value::NONE) };
            let mut parts = vec![m.function.clone()];
            parts.extend(m.iterators.iter().cloned());
            Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), vm.tuple(parts)]))
        })],
    );
    vm.add_methods(
        &t.filter,
        &[("__reduce__", "", |vm, args| {
            let Some(f) = args[0].get::<Filter>() else { return Ok(Value::NONE) };
            let parts = vm.tuple(vec![f.function.clone(), f.iterator.clone()]);
            Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), parts]))
        })],
    );
    vm.add_methods(&t.reversed, &[("__new__", "sequence /", reversed_new)]);
    vm.add_class_methods(
        &t.enumerate,
        &[("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1]))],
    );
}

/// `iter(callable, sentinel)`
pub fn callable_iter(vm: &Vm, callable: &Value, sentinel: &Value) -> Value {
    new_object(
        &vm.types.callable_iterator,
        CallIter { callable: RefCell::new(callable.clone()), sentinel: RefCell::new(sentinel.clone()) },
    )
}
