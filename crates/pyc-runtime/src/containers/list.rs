//! Lists.

use std::cell::{Ref, RefCell, RefMut};

use pyc_ir::CompareOp;

use super::slice::{SliceData, Span};
use crate::args::Method;
use crate::object::{Kind, Payload, Value, new_object};
use crate::vm::{Args, PyResult, Vm};

/// The payload of lists.
#[derive(Default)]
pub struct ListData(RefCell<Vec<Value>>);
impl Payload for ListData {
    const KIND: Kind = Kind::List;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.0.borrow().iter().for_each(visit);
    }
    fn clear(&self) {
        drop(self.0.take());
    }
}

impl ListData {
    /// Where the cell of the items is.
    pub(crate) const ITEMS: usize = std::mem::offset_of!(ListData, 0);
    /// The items, to read. Nothing that can run Python code may happen while they are borrowed.
    #[inline]
    pub fn borrow(&self) -> Ref<'_, Vec<Value>> {
        self.0.borrow()
    }
    /// The items, to change; dropped values must be dropped after the borrow.
    #[inline]
    pub fn borrow_mut(&self) -> RefMut<'_, Vec<Value>> {
        self.0.borrow_mut()
    }
    fn length(&self) -> usize {
        self.0.borrow().len()
    }
    /// Takes everything out.
    pub fn take(&self) -> Vec<Value> {
        self.0.take()
    }
    /// Puts other items in, giving the former ones.
    pub fn replace(&self, items: Vec<Value>) -> Vec<Value> {
        self.0.replace(items)
    }
}

impl Vm {
    /// A list.
    pub fn list(&self, items: Vec<Value>) -> Value {
        new_object(&self.types.list, ListData(RefCell::new(items)))
    }

    /// Appends to a list object.
    ///
    /// # Errors
    /// TypeError when it is no list.
    pub fn list_append(&self, list: &Value, item: Value) -> PyResult<()> {
        match list.get::<ListData>() {
            Some(data) => {
                data.borrow_mut().push(item);
                Ok(())
            }
            None => Err(self.type_error(format!("expected list, got {}", self.type_name(list)))),
        }
    }

    /// Extends a list object by an iterable.
    ///
    /// # Errors
    /// What the iteration raises.
    pub fn list_extend(&self, list: &Value, iterable: &Value) -> PyResult<()> {
        let Some(data) = list.get::<ListData>() else { return Err(self.type_error("expected list")) };
        if matches!(iterable.kind(), Kind::List | Kind::Tuple) && iterable.is_exact() {
            let items = self.to_vec(iterable)?;
            self.check_alloc(items.len(), 8)?;
            data.borrow_mut().extend(items);
            return Ok(());
        }
        let iterator = self.iter(iterable)?;
        while let Some(item) = self.next(&iterator)? {
            data.borrow_mut().push(item);
        }
        Ok(())
    }
}

fn own(value: &Value) -> &ListData {
    value.get::<ListData>().expect("the descriptor checked the type")
}

/// An item by position, cloned.
fn item(list: &Value, at: usize) -> Option<Value> {
    own(list).borrow().get(at).cloned()
}

fn position(vm: &Vm, key: &Value, list: &ListData, what: &str) -> PyResult<usize> {
    if key.as_small().is_none() && vm.special(key, &vm.names.__index__).is_none() {
        return Err(
            vm.type_error(format!("list indices must be integers or slices, not {}", vm.type_name(key)))
        );
    }
    let i = vm.item_index(key)?;
    // `__index__` may have changed the list.
    let length = list.borrow().len();
    let at = if i < 0 { i + length as i64 } else { i };
    if at < 0 || at as usize >= length {
        return Err(vm.index_error(what));
    }
    Ok(at as usize)
}

fn get_item(vm: &Vm, args: Args) -> PyResult {
    let list = own(&args[0]);
    if let Some(slice) = args[1].get::<SliceData>() {
        let span = vm.span(slice, list.length())?;
        return Ok(part_of(vm, list, span));
    }
    let at = position(vm, &args[1], list, "list index out of range")?;
    Ok(list.borrow()[at].clone())
}

/// A new list of a span's items.
pub(crate) fn part_of(vm: &Vm, list: &ListData, span: Span) -> Value {
    let items = list.borrow();
    let part = match span.step {
        // `__index__` of the slice may have changed the list.
        _ if !span.fits(items.len()) => span.indices().filter_map(|i| items.get(i).cloned()).collect(),
        1 => items[span.start as usize..span.start as usize + span.count].to_vec(),
        -1 if span.count > 0 => {
            let end = span.start as usize + 1;
            items[end - span.count..end].iter().rev().cloned().collect()
        }
        _ => span.indices().map(|i| items[i].clone()).collect(),
    };
    drop(items);
    vm.list(part)
}

fn set_item(vm: &Vm, args: Args) -> PyResult {
    let list = own(&args[0]);
    if let Some(slice) = args[1].get::<SliceData>() {
        let new = assigned(vm, &args[2])?;
        let span = vm.span(slice, list.length())?;
        return set_part(vm, list, span, new).map(|()| Value::NONE);
    }
    let at = position(vm, &args[1], list, "list assignment index out of range")?;
    let old = std::mem::replace(&mut list.borrow_mut()[at], args[2].clone());
    drop(old);
    Ok(Value::NONE)
}

/// What is assigned to a slice.
pub(crate) fn assigned(vm: &Vm, value: &Value) -> PyResult<Vec<Value>> {
    vm.to_vec(value).map_err(|error| {
        if vm.is_exception(&error, &vm.exc.type_error) {
            vm.type_error("can only assign an iterable")
        } else {
            error
        }
    })
}

/// Puts other items in the place of a span's.
pub(crate) fn set_part(vm: &Vm, list: &ListData, span: Span, mut new: Vec<Value>) -> PyResult<()> {
    if !span.fits(list.length()) {
        return Err(vm.value_error("the list was changed while its slice was worked out"));
    }
    if span.step == 1 {
        let (from, to) = (span.start as usize, (span.start as usize + span.count));
        if new.len() == span.count {
            list.borrow_mut()[from..to].swap_with_slice(&mut new);
            drop(new);
            return Ok(());
        }
        let old: Vec<Value> = list.borrow_mut().splice(from..to, new).collect();
        drop(old);
        return Ok(());
    }
    if new.len() != span.count {
        return Err(vm.value_error(format!(
            "attempt to assign sequence of size {} to extended slice of size {}",
            new.len(),
            span.count
        )));
    }
    for (at, value) in span.indices().zip(new) {
        let old = std::mem::replace(&mut list.borrow_mut()[at], value);
        drop(old);
    }
    Ok(())
}

fn delete_item(vm: &Vm, args: Args) -> PyResult {
    let list = own(&args[0]);
    if let Some(slice) = args[1].get::<SliceData>() {
        let span = vm.span(slice, list.length())?;
        let mut gone = vec![false; list.borrow().len()];
        span.indices().for_each(|i| gone[i] = true);
        let all = list.take();
        let (old, kept): (Vec<_>, Vec<_>) = all.into_iter().zip(gone).partition(|(_, gone)| *gone);
        list.replace(kept.into_iter().map(|(v, _)| v).collect());
        drop(old);
        return Ok(Value::NONE);
    }
    let at = position(vm, &args[1], list, "list assignment index out of range")?;
    let old = list.borrow_mut().remove(at);
    drop(old);
    Ok(Value::NONE)
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let Some(y) = b.get::<ListData>() else { return Ok(Value::NOT_IMPLEMENTED) };
    vm.check_stack()?;
    let x = own(a);
    let lengths = || (x.length(), y.length());
    if matches!(op, CompareOp::Eq | CompareOp::Ne) && lengths().0 != lengths().1 {
        return Ok(Value::from_bool(op == CompareOp::Ne));
    }
    // Item by item, because a comparison may change both lists.
    let mut at = 0;
    while let (Some(left), Some(right)) = (item(a, at), item(b, at)) {
        if !vm.equal(&left, &right)? {
            return match op {
                CompareOp::Eq => Ok(Value::FALSE),
                CompareOp::Ne => Ok(Value::TRUE),
                _ => vm.compare(op, &left, &right),
            };
        }
        at += 1;
    }
    let (left, right) = lengths();
    Ok(Value::from_bool(crate::ops::compare_with(op, left.cmp(&right))))
}

fn multiply(vm: &Vm, args: Args) -> PyResult {
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let count = vm.index(&args[1])?;
    let items = own(&args[0]).borrow().clone();
    Ok(vm.list(vm.repeat(&items, count)?))
}

fn imul(vm: &Vm, args: Args) -> PyResult {
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let count = vm.index(&args[1])?;
    let items = own(&args[0]).borrow().clone();
    let all = vm.repeat(&items, count)?;
    drop(own(&args[0]).replace(all));
    Ok(args[0].clone())
}

fn pop(vm: &Vm, args: Args) -> PyResult {
    let list = own(&args[0]);
    let length = list.borrow().len();
    let Some(index) = args.opt(1) else {
        let popped = list.borrow_mut().pop();
        return popped.ok_or_else(|| vm.index_error("pop from empty list"));
    };
    let i = vm.index(index)?;
    if length == 0 {
        return Err(vm.index_error("pop from empty list"));
    }
    let at = if i < 0 { i + length as i64 } else { i };
    if at < 0 || at as usize >= length {
        return Err(vm.index_error("pop index out of range"));
    }
    Ok(list.borrow_mut().remove(at as usize))
}

fn find(vm: &Vm, list: &Value, value: &Value) -> PyResult<Option<usize>> {
    let mut at = 0;
    while let Some(candidate) = item(list, at) {
        if vm.equal(&candidate, value)? {
            return Ok(Some(at));
        }
        at += 1;
    }
    Ok(None)
}

fn sort(vm: &Vm, args: Args) -> PyResult {
    let list = own(&args[0]);
    let reverse = args.opt(2).map_or(Ok(false), |r| vm.truth(r))?;
    let items = list.take();
    let result = vm.sort_values(items, args.opt(1).filter(|k| !k.is_none()), reverse);
    let (sorted, error) = match result {
        Ok(sorted) => (sorted, None),
        Err((items, error)) => (items, Some(error)),
    };
    let changed = !list.borrow().is_empty();
    drop(list.replace(sorted));
    match error {
        Some(error) => Err(error),
        None if changed => Err(vm.value_error("list modified during sort")),
        None => Ok(Value::NONE),
    }
}

const METHODS: &[Method] = &[
    ("__new__", "...", |_, args| Ok(new_object(&args.all[0], ListData::default()))),
    ("__init__", "...", |vm, args| {
        // A subclass with a `__new__` of its own may take keywords.
        let new = vm.lookup(vm.type_of(&args[0]), &vm.names.__new__);
        let own_new = new.is_some_and(|m| m.get::<crate::function::NativeData>().is_none());
        if !args.names.is_empty() && !own_new {
            return Err(vm.type_error("list() takes no keyword arguments"));
        }
        let given = args.positional().len() - 1;
        if given > 1 {
            return Err(vm.type_error(format!("list expected at most 1 argument, got {given}")));
        }
        let args = Args::pos(args.positional());
        let items = args.opt(1).map_or(Ok(Vec::new()), |x| vm.to_vec(x))?;
        drop(own(&args[0]).replace(items));
        Ok(Value::NONE)
    }),
    ("__repr__", "", |vm, args| {
        if !vm.repr_enter(&args[0]) {
            return Ok(vm.str("[...]"));
        }
        let inner = vm.repr_items(|at| item(&args[0], at));
        vm.repr_leave();
        Ok(vm.str(&format!("[{}]", inner?)))
    }),
    ("__len__", "", |_, args| Ok(Value::from_len(own(&args[0]).borrow().len()))),
    ("__getitem__", "key /", get_item),
    ("__setitem__", "key value /", set_item),
    ("__delitem__", "key /", delete_item),
    ("__contains__", "key /", |vm, args| Ok(Value::from_bool(find(vm, &args[0], &args[1])?.is_some()))),
    ("__iter__", "", |vm, args| Ok(crate::iterators::list_iter(vm, &args[0]))),
    ("__reversed__", "", |vm, args| Ok(crate::iterators::list_reversed(vm, &args[0]))),
    ("__add__", "value /", |vm, args| match args[1].get::<ListData>() {
        Some(b) => {
            let mut all = own(&args[0]).borrow().clone();
            all.extend_from_slice(&b.borrow());
            Ok(vm.list(all))
        }
        None => Ok(Value::NOT_IMPLEMENTED),
    }),
    ("__iadd__", "value /", |vm, args| {
        vm.list_extend(&args[0], &args[1])?;
        Ok(args[0].clone())
    }),
    ("__mul__", "value /", multiply),
    ("__rmul__", "value /", multiply),
    ("__imul__", "value /", imul),
    ("append", "object /", |_, args| {
        own(&args[0]).borrow_mut().push(args[1].clone());
        Ok(Value::NONE)
    }),
    ("extend", "iterable /", |vm, args| vm.list_extend(&args[0], &args[1]).map(|()| Value::NONE)),
    ("insert", "index object /", |vm, args| {
        let i = vm.index_clamped(&args[1])?;
        let mut items = own(&args[0]).borrow_mut();
        let length = items.len() as i64;
        let at = if i < 0 { (i.saturating_add(length)).max(0) } else { i.min(length) };
        items.insert(at as usize, args[2].clone());
        Ok(Value::NONE)
    }),
    ("pop", "index? /", pop),
    ("remove", "value /", |vm, args| match find(vm, &args[0], &args[1])? {
        Some(at) => {
            let mut items = own(&args[0]).borrow_mut();
            let old = (at < items.len()).then(|| items.remove(at));
            drop(items);
            drop(old);
            Ok(Value::NONE)
        }
        None => Err(vm.value_error("list.remove(x): x not in list")),
    }),
    ("clear", "", |_, args| {
        drop(own(&args[0]).take());
        Ok(Value::NONE)
    }),
    ("copy", "", |vm, args| Ok(vm.list(own(&args[0]).borrow().clone()))),
    ("count", "value /", |vm, args| {
        let (mut n, mut at) = (0, 0);
        while let Some(candidate) = item(&args[0], at) {
            n += usize::from(vm.equal(&candidate, &args[1])?);
            at += 1;
        }
        Ok(Value::from_len(n))
    }),
    ("index", "value start? stop? /", |vm, args| {
        let length = own(&args[0]).length();
        match vm.find_item(length, |at| item(&args[0], at), args)? {
            Some(at) => Ok(Value::from_len(at)),
            None => Err(vm.value_error(format!("{} is not in list", vm.repr_text(&args[1])?))),
        }
    }),
    ("reverse", "", |_, args| {
        own(&args[0]).borrow_mut().reverse();
        Ok(Value::NONE)
    }),
    ("sort", "* key? reverse?", sort),
];

pub(super) fn init(vm: &Vm) {
    vm.add_methods(&vm.types.list, METHODS);
    vm.add_methods(&vm.types.list, &crate::comparisons!(compare));
    vm.add_class_methods(
        &vm.types.list,
        &[("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1]))],
    );
}
