//! Sets and frozen sets: open addressing with the probe order of CPython's, so that iteration order agrees.

use std::cell::{Cell, RefCell};

use pyc_ir::CompareOp;

use super::dict::DictData;
use crate::args::Method;
use crate::dict::quick_equal;
use crate::object::{Kind, Payload, Value, new_object};
use crate::vm::{Args, PyResult, Vm};

/// One slot.
#[derive(Clone)]
enum Slot {
    Empty,
    Deleted,
    Used(u64, Value),
}

/// The table of a set.
#[derive(Clone)]
pub struct SetTable {
    slots: Vec<Slot>,
    fill: usize,
    used: usize,
    version: u32,
}

impl Default for SetTable {
    fn default() -> SetTable {
        SetTable { slots: vec![Slot::Empty; 8], fill: 0, used: 0, version: 0 }
    }
}

const LINEAR: usize = 9;

/// Where a search ended.
enum Found {
    At(usize),
    /// Free slot for it.
    Free(usize),
    /// Compare with the value at this slot first.
    Ask(usize),
}

impl SetTable {
    /// How many items.
    pub fn len(&self) -> usize {
        self.used
    }
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }
    /// How many slots.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }
    /// The item of a slot.
    pub fn at(&self, slot: usize) -> Option<&Value> {
        match self.slots.get(slot) {
            Some(Slot::Used(_, value)) => Some(value),
            _ => None,
        }
    }
    /// Items in order.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.slots.iter().filter_map(|s| match s {
            Slot::Used(_, value) => Some(value),
            _ => None,
        })
    }

    /// Slots in the order of the search for a hash.
    fn search(&self, hash: u64, mut visit: impl FnMut(usize, &Slot) -> bool) {
        let mask = self.slots.len() - 1;
        let mut perturb = hash;
        let mut i = hash as usize & mask;
        loop {
            let probes = if i + LINEAR <= mask { LINEAR } else { 0 };
            for j in i..=i + probes {
                if visit(j, &self.slots[j]) {
                    return;
                }
            }
            perturb >>= 5;
            i = i.wrapping_mul(5).wrapping_add(1).wrapping_add(perturb as usize) & mask;
        }
    }

    fn find(&self, hash: u64, key: &Value, rejected: &[usize]) -> Found {
        let mut result = Found::Free(0);
        let mut free = None;
        self.search(hash, |at, slot| match slot {
            Slot::Empty => {
                result = Found::Free(free.unwrap_or(at));
                true
            }
            Slot::Deleted => {
                free = free.or(Some(at));
                false
            }
            Slot::Used(h, value) if *h == hash && !rejected.contains(&at) => match quick_equal(value, key) {
                Some(true) => {
                    result = Found::At(at);
                    true
                }
                Some(false) => false,
                None => {
                    result = Found::Ask(at);
                    true
                }
            },
            Slot::Used(..) => false,
        });
        result
    }

    fn insert(&mut self, at: usize, hash: u64, value: Value) {
        self.version = self.version.wrapping_add(1);
        if matches!(self.slots[at], Slot::Empty) {
            self.fill += 1;
        }
        self.slots[at] = Slot::Used(hash, value);
        self.used += 1;
        let mask = self.slots.len() - 1;
        if self.fill * 5 >= mask * 3 {
            self.resize(if self.used > 50_000 { self.used * 2 } else { self.used * 4 });
        }
    }

    fn resize(&mut self, minimum: usize) {
        let mut size = 8;
        while size <= minimum {
            size *= 2;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::Empty; size]);
        self.fill = self.used;
        for slot in old {
            if let Slot::Used(hash, value) = slot {
                let mut place = 0;
                self.search(hash, |at, slot| {
                    place = at;
                    matches!(slot, Slot::Empty)
                });
                self.slots[place] = Slot::Used(hash, value);
            }
        }
    }

    fn remove(&mut self, at: usize) -> Option<Value> {
        self.version = self.version.wrapping_add(1);
        match std::mem::replace(&mut self.slots[at], Slot::Deleted) {
            Slot::Used(_, value) => {
                self.used -= 1;
                Some(value)
            }
            _ => None,
        }
    }
}

/// The payload of sets and frozen sets.
#[derive(Default)]
pub struct SetData {
    /// The items.
    pub table: RefCell<SetTable>,
    hash: Cell<Option<i64>>,
    finger: Cell<usize>,
}
impl Payload for SetData {
    const KIND: Kind = Kind::Set;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.table.borrow().iter().for_each(visit);
    }
    fn clear(&self) {
        drop(self.table.take());
    }
}

impl SetData {
    fn locate(&self, vm: &Vm, hash: u64, key: &Value) -> PyResult<Found> {
        'again: loop {
            let mut rejected = Vec::new();
            loop {
                let (found, version) = {
                    let table = self.table.borrow();
                    (table.find(hash, key, &rejected), table.version)
                };
                let Found::Ask(at) = found else { return Ok(found) };
                let Some(candidate) = self.table.borrow().at(at).cloned() else { continue 'again };
                let same = vm.equal(&candidate, key)?;
                if self.table.borrow().version != version {
                    continue 'again;
                }
                if same {
                    return Ok(Found::At(at));
                }
                rejected.push(at);
            }
        }
    }

    /// Adds; true when it was new.
    ///
    /// # Errors
    /// What `__hash__` and `__eq__` raise.
    pub fn add(&self, vm: &Vm, value: Value) -> PyResult<bool> {
        let hash = vm.hash(&value)? as u64;
        self.add_hashed(vm, hash, value)
    }

    fn add_hashed(&self, vm: &Vm, hash: u64, value: Value) -> PyResult<bool> {
        match self.locate(vm, hash, &value)? {
            Found::Free(at) => {
                self.table.borrow_mut().insert(at, hash, value);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// What `__hash__` and `__eq__` raise.
    pub fn contains(&self, vm: &Vm, value: &Value) -> PyResult<bool> {
        let hash = vm.hash(value)? as u64;
        self.contains_hashed(vm, hash, value)
    }

    fn contains_hashed(&self, vm: &Vm, hash: u64, value: &Value) -> PyResult<bool> {
        Ok(matches!(self.locate(vm, hash, value)?, Found::At(_)))
    }

    /// Removes; true when it was there.
    ///
    /// # Errors
    /// What `__hash__` and `__eq__` raise.
    pub fn remove(&self, vm: &Vm, value: &Value) -> PyResult<bool> {
        let hash = vm.hash(value)? as u64;
        self.remove_hashed(vm, hash, value)
    }

    fn remove_hashed(&self, vm: &Vm, hash: u64, value: &Value) -> PyResult<bool> {
        match self.locate(vm, hash, value)? {
            Found::At(at) => {
                let old = self.table.borrow_mut().remove(at);
                drop(old);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Hashes and items, copied.
    fn hashed(&self) -> Vec<(u64, Value)> {
        let table = self.table.borrow();
        let used = |slot: &Slot| match slot {
            Slot::Used(hash, value) => Some((*hash, value.clone())),
            _ => None,
        };
        table.slots.iter().filter_map(used).collect()
    }

    /// The items, copied.
    pub fn items(&self) -> Vec<Value> {
        self.table.borrow().iter().cloned().collect()
    }

    fn len(&self) -> usize {
        self.table.borrow().len()
    }
}

impl Vm {
    fn make_set(&self, ty: &Value, items: Vec<Value>) -> PyResult {
        let data = SetData::default();
        for item in items {
            data.add(self, item)?;
        }
        Ok(new_object(ty, data))
    }
    /// A set.
    ///
    /// # Errors
    /// For unhashable items.
    pub fn set(&self, items: Vec<Value>) -> PyResult {
        self.make_set(&self.types.set, items)
    }
    /// A frozen set.
    ///
    /// # Errors
    /// For unhashable items.
    pub fn frozen_set(&self, items: Vec<Value>) -> PyResult {
        self.make_set(&self.types.frozenset, items)
    }
}

fn own(value: &Value) -> &SetData {
    value.get::<SetData>().expect("the descriptor checked the type")
}

/// The items of a set-like argument with their hashes; those that a set or a dict keeps are not asked for again.
fn operand(vm: &Vm, value: &Value) -> PyResult<Vec<(u64, Value)>> {
    if let Some(set) = value.get::<SetData>() {
        return Ok(set.hashed());
    }
    if let Some(dict) = value.get::<DictData>().filter(|_| value.is_exact()) {
        return Ok(dict.borrow().iter().map(|e| (e.hash, e.key.clone())).collect());
    }
    let items = vm.to_vec(value)?;
    items.into_iter().map(|item| Ok((vm.hash(&item)? as u64, item))).collect()
}

/// An empty set of the kind that results of operations on `like` have.
fn result_type<'a>(vm: &'a Vm, like: &Value) -> &'a Value {
    if vm.is_a(like, &vm.types.frozenset) { &vm.types.frozenset } else { &vm.types.set }
}

fn copy(vm: &Vm, this: &Value) -> SetData {
    let _ = vm;
    let table = own(this).table.borrow();
    // A fresh table in which only the living are, as CPython makes it.
    let mut fresh = SetTable::default();
    if table.len() * 5 >= 7 * 3 {
        fresh.resize(if table.len() > 50_000 {
            table.len() * 2
        } else {
            (table.len() + 1) * 3 / 2 + table.len() / 2
        });
        if fresh.slots.len() < table.slots.len() && table.fill == table.used {
            fresh.slots = vec![Slot::Empty; table.slots.len()];
        }
    }
    if fresh.slots.len() == table.slots.len() && table.fill == table.used {
        return SetData { table: RefCell::new(table.clone()), ..SetData::default() };
    }
    fresh.used = 0;
    for slot in &table.slots {
        if let Slot::Used(hash, value) = slot {
            let mut place = 0;
            fresh.search(*hash, |at, slot| {
                place = at;
                matches!(slot, Slot::Empty)
            });
            fresh.insert(place, *hash, value.clone());
        }
    }
    SetData { table: RefCell::new(fresh), ..SetData::default() }
}

fn union(vm: &Vm, this: &Value, others: &[Value]) -> PyResult {
    let result = copy(vm, this);
    for other in others {
        for (hash, item) in operand(vm, other)? {
            result.add_hashed(vm, hash, item)?;
        }
    }
    Ok(new_object(result_type(vm, this), result))
}

fn intersection(vm: &Vm, this: &Value, others: &[Value]) -> PyResult {
    let mut current = copy(vm, this);
    for other in others {
        let result = SetData::default();
        match other.get::<SetData>() {
            Some(set) => {
                let (small, large) = if set.len() > current.len() {
                    (current.hashed(), set)
                } else {
                    (set.hashed(), &current)
                };
                for (hash, item) in small {
                    if large.contains_hashed(vm, hash, &item)? {
                        result.add_hashed(vm, hash, item)?;
                    }
                }
            }
            None => {
                for (hash, item) in operand(vm, other)? {
                    if current.contains_hashed(vm, hash, &item)? {
                        result.add_hashed(vm, hash, item)?;
                    }
                }
            }
        }
        current = result;
    }
    Ok(new_object(result_type(vm, this), current))
}

fn difference(vm: &Vm, this: &Value, others: &[Value]) -> PyResult {
    let result = copy(vm, this);
    for other in others {
        for (hash, item) in operand(vm, other)? {
            result.remove_hashed(vm, hash, &item)?;
        }
    }
    let fresh = SetData::default();
    for (hash, item) in result.hashed() {
        fresh.add_hashed(vm, hash, item)?;
    }
    Ok(new_object(result_type(vm, this), fresh))
}

fn symmetric(vm: &Vm, this: &Value, other: &Value) -> PyResult {
    let result = copy(vm, this);
    let once = SetData::default();
    for (hash, item) in operand(vm, other)? {
        once.add_hashed(vm, hash, item)?;
    }
    for (hash, item) in once.hashed() {
        if !result.remove_hashed(vm, hash, &item)? {
            result.add_hashed(vm, hash, item)?;
        }
    }
    Ok(new_object(result_type(vm, this), result))
}

fn is_set(value: &Value) -> bool {
    value.kind() == Kind::Set
}

fn assign(this: &Value, value: &Value) {
    let table = own(value).table.take();
    drop(own(this).table.replace(table));
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    let Some(y) = b.get::<SetData>() else { return Ok(Value::NOT_IMPLEMENTED) };
    let x = own(a);
    let subset = |x: &SetData, y: &SetData| -> PyResult<bool> {
        if x.len() > y.len() {
            return Ok(false);
        }
        for (hash, item) in x.hashed() {
            if !y.contains_hashed(vm, hash, &item)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(Value::from_bool(match op {
        CompareOp::Eq => x.len() == y.len() && subset(x, y)?,
        CompareOp::Ne => !(x.len() == y.len() && subset(x, y)?),
        CompareOp::Le => subset(x, y)?,
        CompareOp::Lt => x.len() < y.len() && subset(x, y)?,
        CompareOp::Ge => subset(y, x)?,
        CompareOp::Gt => y.len() < x.len() && subset(y, x)?,
    }))
}

fn repr(vm: &Vm, args: Args) -> PyResult {
    let name = vm.type_name(&args[0]);
    if own(&args[0]).len() == 0 {
        return Ok(vm.str(&format!("{name}()")));
    }
    if !vm.repr_enter(&args[0]) {
        return Ok(vm.str(&format!("{name}(...)")));
    }
    let items = own(&args[0]).items();
    let inner = vm.repr_items(|at| items.get(at).cloned());
    vm.repr_leave();
    let inner = inner?;
    Ok(vm.str(&if vm.type_of(&args[0]).is(&vm.types.set) {
        format!("{{{inner}}}")
    } else {
        format!("{name}({{{inner}}})")
    }))
}

fn frozen_hash(vm: &Vm, args: Args) -> PyResult {
    let set = own(&args[0]);
    if let Some(hash) = set.hash.get() {
        return Ok(vm.int(hash));
    }
    let shuffle = |h: u64| ((h ^ 89_869_747) ^ (h << 16)).wrapping_mul(3_644_798_167);
    let mut hash = 0u64;
    for (item, _) in set.hashed() {
        hash ^= shuffle(item);
    }
    hash ^= (set.len() as u64 + 1).wrapping_mul(1_927_868_237);
    hash ^= (hash >> 11) ^ (hash >> 25);
    hash = hash.wrapping_mul(69_069).wrapping_add(907_133_923);
    let hash = if hash == u64::MAX { 590_923_713 } else { hash as i64 };
    set.hash.set(Some(hash));
    Ok(vm.int(hash))
}

fn pop(vm: &Vm, args: Args) -> PyResult {
    let set = own(&args[0]);
    let mut table = set.table.borrow_mut();
    if table.is_empty() {
        drop(table);
        return Err(vm.raise_with(&vm.exc.key_error, vec![vm.str("pop from an empty set")]));
    }
    let mask = table.slots.len() - 1;
    let mut at = set.finger.get() & mask;
    while table.at(at).is_none() {
        at = (at + 1) & mask;
    }
    set.finger.set(at + 1);
    Ok(table.remove(at).unwrap_or(Value::NONE))
}

/// A key for lookups: a set stands for its frozen copy.
fn key(vm: &Vm, value: &Value) -> Value {
    let unhashable = || vm.lookup(vm.type_of(value), &vm.names.__hash__).is_none_or(|hash| hash.is_none());
    if is_set(value) && unhashable() {
        return new_object(&vm.types.frozenset, copy(vm, value));
    }
    value.clone()
}

macro_rules! operators {
    ($($name:literal $rname:literal $f:expr),*) => {
        &[$(
            ($name, "value /", |vm, args| if is_set(&args[0]) && is_set(&args[1]) { $f(vm, &args[0], &args[1]) } else { Ok(Value::NOT_IMPLEMENTED) }),
            ($rname, "value /", |vm, args| if is_set(&args[0]) && is_set(&args[1]) { $f(vm, &args[1], &args[0]) } else { Ok(Value::NOT_IMPLEMENTED) }),
        )*]
    };
}

const OPERATORS: &[Method] = operators!(
    "__or__" "__ror__" |vm: &Vm, a: &Value, b: &Value| union(vm, a, std::slice::from_ref(b)),
    "__and__" "__rand__" |vm: &Vm, a: &Value, b: &Value| intersection(vm, a, std::slice::from_ref(b)),
    "__sub__" "__rsub__" |vm: &Vm, a: &Value, b: &Value| difference(vm, a, std::slice::from_ref(b)),
    "__xor__" "__rxor__" symmetric
);

const SHARED: &[Method] = &[
    ("__repr__", "", repr),
    ("__len__", "", |_, args| Ok(Value::from_len(own(&args[0]).len()))),
    ("__contains__", "key /", |vm, args| {
        let key = key(vm, &args[1]);
        Ok(Value::from_bool(own(&args[0]).contains(vm, &key)?))
    }),
    ("__iter__", "", |vm, args| Ok(crate::iterators::set_iter(vm, &args[0]))),
    ("__reduce__", "", |vm, args| {
        let items = vm.list(own(&args[0]).items());
        let state = vm.call_method(&args[0], &vm.names.__getstate__, &[])?;
        Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), vm.tuple(vec![items]), state]))
    }),
    ("copy", "", |vm, args| {
        if vm.type_of(&args[0]).is(&vm.types.frozenset) {
            return Ok(args[0].clone());
        }
        Ok(new_object(result_type(vm, &args[0]), copy(vm, &args[0])))
    }),
    ("union", "...", |vm, args| union(vm, &args[0], &args.all[1..])),
    ("intersection", "...", |vm, args| intersection(vm, &args[0], &args.all[1..])),
    ("difference", "...", |vm, args| difference(vm, &args[0], &args.all[1..])),
    ("symmetric_difference", "other /", |vm, args| symmetric(vm, &args[0], &args[1])),
    ("isdisjoint", "other /", |vm, args| {
        for (hash, item) in operand(vm, &args[1])? {
            if own(&args[0]).contains_hashed(vm, hash, &item)? {
                return Ok(Value::FALSE);
            }
        }
        Ok(Value::TRUE)
    }),
    ("issubset", "other /", |vm, args| {
        let other = if is_set(&args[1]) { args[1].clone() } else { vm.set(vm.to_vec(&args[1])?)? };
        compare(vm, CompareOp::Le, &args[0], &other)
    }),
    ("issuperset", "other /", |vm, args| {
        for (hash, item) in operand(vm, &args[1])? {
            if !own(&args[0]).contains_hashed(vm, hash, &item)? {
                return Ok(Value::FALSE);
            }
        }
        Ok(Value::TRUE)
    }),
];

const SET: &[Method] = &[
    ("__new__", "...", |_, args| Ok(new_object(&args.all[0], SetData::default()))),
    ("__init__", "iterable? /", |vm, args| {
        let fresh = SetData::default();
        if let Some(iterable) = args.opt(1) {
            if iterable.kind() == Kind::Set {
                let copied = new_object(&vm.types.set, copy(vm, iterable));
                assign(&args[0], &copied);
                return Ok(Value::NONE);
            }
            for (hash, item) in operand(vm, iterable)? {
                fresh.add_hashed(vm, hash, item)?;
            }
        }
        drop(own(&args[0]).table.replace(fresh.table.take()));
        Ok(Value::NONE)
    }),
    ("add", "item /", |vm, args| own(&args[0]).add(vm, args[1].clone()).map(|_| Value::NONE)),
    ("discard", "item /", |vm, args| {
        let key = key(vm, &args[1]);
        own(&args[0]).remove(vm, &key).map(|_| Value::NONE)
    }),
    ("remove", "item /", |vm, args| {
        let key = key(vm, &args[1]);
        if own(&args[0]).remove(vm, &key)? { Ok(Value::NONE) } else { Err(vm.key_error(&args[1])) }
    }),
    ("pop", "", pop),
    ("clear", "", |_, args| {
        drop(own(&args[0]).table.take());
        Ok(Value::NONE)
    }),
    ("update", "...", |vm, args| {
        for other in &args.all[1..] {
            for (hash, item) in operand(vm, other)? {
                own(&args[0]).add_hashed(vm, hash, item)?;
            }
        }
        Ok(Value::NONE)
    }),
    ("intersection_update", "...", |vm, args| {
        let result = intersection(vm, &args[0], &args.all[1..])?;
        assign(&args[0], &result);
        Ok(Value::NONE)
    }),
    ("difference_update", "...", |vm, args| {
        for other in &args.all[1..] {
            for (hash, item) in operand(vm, other)? {
                own(&args[0]).remove_hashed(vm, hash, &item)?;
            }
        }
        Ok(Value::NONE)
    }),
    ("symmetric_difference_update", "other /", |vm, args| {
        let result = symmetric(vm, &args[0], &args[1])?;
        assign(&args[0], &result);
        Ok(Value::NONE)
    }),
    ("__ior__", "value /", |vm, args| in_place(vm, args, |vm, a, b| union(vm, a, std::slice::from_ref(b)))),
    ("__iand__", "value /", |vm, args| {
        in_place(vm, args, |vm, a, b| intersection(vm, a, std::slice::from_ref(b)))
    }),
    ("__isub__", "value /", |vm, args| {
        in_place(vm, args, |vm, a, b| difference(vm, a, std::slice::from_ref(b)))
    }),
    ("__ixor__", "value /", |vm, args| in_place(vm, args, symmetric)),
];

fn in_place(vm: &Vm, args: Args, f: fn(&Vm, &Value, &Value) -> PyResult) -> PyResult {
    if !is_set(&args[1]) {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let result = f(vm, &args[0], &args[1])?;
    assign(&args[0], &result);
    Ok(args[0].clone())
}

const FROZEN: &[Method] = &[
    ("__new__", "iterable? /", |vm, args| match args.opt(1) {
        None => Ok(new_object(&args[0], SetData::default())),
        Some(x) if args[0].is(&vm.types.frozenset) && vm.type_of(x).is(&vm.types.frozenset) => Ok(x.clone()),
        Some(x) if is_set(x) => Ok(new_object(&args[0], copy(vm, x))),
        Some(x) => {
            let data = SetData::default();
            for (hash, item) in operand(vm, x)? {
                data.add_hashed(vm, hash, item)?;
            }
            Ok(new_object(&args[0], data))
        }
    }),
    ("__hash__", "", frozen_hash),
];

pub(super) fn init(vm: &Vm) {
    let t = &vm.types;
    for ty in [&t.set, &t.frozenset] {
        vm.add_methods(ty, SHARED);
        vm.add_methods(ty, OPERATORS);
        vm.add_methods(ty, &crate::comparisons!(compare));
        vm.add_class_methods(
            ty,
            &[("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1]))],
        );
    }
    vm.add_methods(&t.set, SET);
    vm.add_methods(&t.frozenset, FROZEN);
}
