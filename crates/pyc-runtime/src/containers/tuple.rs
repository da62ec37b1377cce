//! Tuples, and what tuples and lists share.

use pyc_ir::CompareOp;

use super::slice::SliceData;
use crate::args::Method;
use crate::object::{Block, Kind, Payload, Value, new_object};
use crate::vm::{Args, PyResult, Vm};

/// The payload of tuples.
pub struct TupleData(Block<Value>);
impl Payload for TupleData {
    const KIND: Kind = Kind::Tuple;
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.0.iter().for_each(visit);
    }
}
impl TupleData {
    /// Where the items' address and their number are.
    pub(crate) const ITEMS: [usize; 2] = {
        let start = std::mem::offset_of!(TupleData, 0);
        [start + Block::<Value>::LAYOUT[0], start + Block::<Value>::LAYOUT[1]]
    };

    /// The items.
    #[inline]
    pub fn items(&self) -> &[Value] {
        &self.0
    }
}

impl Vm {
    /// A tuple.
    pub fn tuple(&self, items: Vec<Value>) -> Value {
        new_object(&self.types.tuple, TupleData(Block::from_vec(items)))
    }

    /// A tuple of values that are taken one by one.
    #[inline]
    pub fn tuple_of(&self, count: usize, items: impl Iterator<Item = Value>) -> Value {
        new_object(&self.types.tuple, TupleData(Block::collect(count, items)))
    }

    /// The hash of a tuple of these items.
    ///
    /// # Errors
    /// What `__hash__` raises.
    pub(crate) fn hash_items(&self, items: &[Value]) -> PyResult<i64> {
        // The mixing of CPython's tuple hash (xxHash's round), so that sets of tuples have its order.
        const P1: u64 = 11_400_714_785_074_694_791;
        const P2: u64 = 14_029_467_366_897_019_727;
        const P5: u64 = 2_870_177_450_012_600_261;
        let mut acc = P5;
        self.check_stack()?;
        for item in items {
            let lane = self.hash(item)? as u64;
            acc = acc.wrapping_add(lane.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1);
        }
        acc = acc.wrapping_add(items.len() as u64 ^ (P5 ^ 3_527_539));
        Ok(if acc == u64::MAX { 1_546_275_796 } else { acc as i64 })
    }

    /// Compares two sequences item by item.
    pub(crate) fn compare_items(&self, op: CompareOp, a: &[Value], b: &[Value]) -> PyResult {
        if matches!(op, CompareOp::Eq | CompareOp::Ne) && a.len() != b.len() {
            return Ok(Value::from_bool(op == CompareOp::Ne));
        }
        for (x, y) in a.iter().zip(b) {
            if !self.equal(x, y)? {
                return match op {
                    CompareOp::Eq => Ok(Value::FALSE),
                    CompareOp::Ne => Ok(Value::TRUE),
                    _ => self.compare(op, x, y),
                };
            }
        }
        Ok(Value::from_bool(crate::ops::compare_with(op, a.len().cmp(&b.len()))))
    }

    /// `index(value, start, stop)` of sequences: `item` gives what now is at a place, because a comparison may
    /// change the sequence.
    pub(crate) fn find_item(
        &self,
        length: usize,
        item: impl Fn(usize) -> Option<Value>,
        args: Args,
    ) -> PyResult<Option<usize>> {
        let bound = |value: Option<&Value>, default: i64| -> PyResult<usize> {
            let i = value.map_or(Ok(default), |v| self.index_clamped(v))?;
            let i = if i < 0 { i.saturating_add(length as i64).max(0) } else { i };
            usize::try_from(i).map_or(Ok(usize::MAX), Ok)
        };
        let (from, to) = (bound(args.opt(2), 0)?, bound(args.opt(3), i64::MAX)?);
        let mut at = from;
        while at < to
            && let Some(candidate) = item(at)
        {
            if self.equal(&candidate, &args[1])? {
                return Ok(Some(at));
            }
            at += 1;
        }
        Ok(None)
    }

    /// `sequence * n`.
    pub(crate) fn repeat(&self, items: &[Value], count: i64) -> PyResult<Vec<Value>> {
        // Nothing, however often, must not count to the end.
        let count = if items.is_empty() { 0 } else { count.max(0) as usize };
        let Some(total) = items.len().checked_mul(count) else {
            return Err(self.raise_bare(&self.exc.memory_error));
        };
        self.check_alloc(total, size_of::<Value>())?;
        let mut all = Vec::with_capacity(total);
        for _ in 0..count {
            all.extend_from_slice(items);
        }
        Ok(all)
    }

    /// `repr` of items between brackets; `item` gives what now is at a place, because a `__repr__` may change it.
    pub(crate) fn repr_items(&self, item: impl Fn(usize) -> Option<Value>) -> PyResult<String> {
        let mut text = String::new();
        let mut at = 0;
        while let Some(item) = item(at) {
            if at > 0 {
                text.push_str(", ");
            }
            text.push_str(&self.repr_text(&item)?);
            at += 1;
        }
        Ok(text)
    }
}

fn own(value: &Value) -> &[Value] {
    value.get::<TupleData>().map_or(&[], TupleData::items)
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let items = match args.opt(1) {
        None => Vec::new(),
        Some(x) if x.kind() == Kind::Tuple && x.is_exact() && args[0].is(&vm.types.tuple) => {
            return Ok(x.clone());
        }
        Some(x) => vm.to_vec(x)?,
    };
    Ok(new_object(&args[0], TupleData(Block::from_vec(items))))
}

fn hash(vm: &Vm, args: Args) -> PyResult {
    Ok(vm.int(vm.hash_items(own(&args[0]))?))
}

fn get_item(vm: &Vm, args: Args) -> PyResult {
    let items = own(&args[0]);
    if let Some(slice) = args[1].get::<SliceData>() {
        let span = vm.span(slice, items.len())?;
        if span.step == 1 && span.count == items.len() && args[0].is_exact() {
            return Ok(args[0].clone());
        }
        return Ok(vm.tuple(span.indices().map(|i| items[i].clone()).collect()));
    }
    if args[1].as_small().is_none() && vm.special(&args[1], &vm.names.__index__).is_none() {
        return Err(vm.type_error(format!(
            "tuple indices must be integers or slices, not {}",
            vm.type_name(&args[1])
        )));
    }
    let i = vm.item_index(&args[1])?;
    let at = if i < 0 { i + items.len() as i64 } else { i };
    match items.get(at as usize) {
        Some(item) if at >= 0 => Ok(item.clone()),
        _ => Err(vm.index_error("tuple index out of range")),
    }
}

fn compare(vm: &Vm, op: CompareOp, a: &Value, b: &Value) -> PyResult {
    match b.get::<TupleData>() {
        Some(b) => {
            vm.check_stack()?;
            vm.compare_items(op, own(a), b.items())
        }
        None => Ok(Value::NOT_IMPLEMENTED),
    }
}

fn multiply(vm: &Vm, args: Args) -> PyResult {
    if vm.special(&args[1], &vm.names.__index__).is_none() {
        return Ok(Value::NOT_IMPLEMENTED);
    }
    let count = vm.index(&args[1])?;
    Ok(vm.tuple(vm.repeat(own(&args[0]), count)?))
}

const METHODS: &[Method] = &[
    ("__new__", "iterable? /", new),
    ("__repr__", "", |vm, args| {
        if !vm.repr_enter(&args[0]) {
            return Ok(vm.str("(...)"));
        }
        let inner = vm.repr_items(|at| own(&args[0]).get(at).cloned());
        vm.repr_leave();
        let comma = if own(&args[0]).len() == 1 { "," } else { "" };
        Ok(vm.str(&format!("({}{comma})", inner?)))
    }),
    ("__hash__", "", hash),
    ("__len__", "", |_, args| Ok(Value::from_len(own(&args[0]).len()))),
    ("__getitem__", "key /", get_item),
    ("__contains__", "key /", |vm, args| {
        for item in own(&args[0]) {
            if vm.equal(item, &args[1])? {
                return Ok(Value::TRUE);
            }
        }
        Ok(Value::FALSE)
    }),
    ("__add__", "value /", |vm, args| match args[1].get::<TupleData>() {
        Some(b) => Ok(vm.tuple([own(&args[0]), b.items()].concat())),
        None => Ok(Value::NOT_IMPLEMENTED),
    }),
    ("__mul__", "value /", multiply),
    ("__rmul__", "value /", multiply),
    ("__iter__", "", |vm, args| Ok(crate::iterators::tuple_iter(vm, &args[0]))),
    ("__getnewargs__", "", |vm, args| {
        let copy = vm.tuple(own(&args[0]).to_vec());
        Ok(vm.tuple(vec![copy]))
    }),
    ("count", "value /", |vm, args| {
        let mut n = 0;
        for item in own(&args[0]) {
            n += usize::from(vm.equal(item, &args[1])?);
        }
        Ok(Value::from_len(n))
    }),
    ("index", "value start? stop? /", |vm, args| {
        let items = own(&args[0]);
        match vm.find_item(items.len(), |at| items.get(at).cloned(), args)? {
            Some(at) => Ok(Value::from_len(at)),
            None => Err(vm.value_error("tuple.index(x): x not in tuple")),
        }
    }),
];

pub(super) fn init(vm: &Vm) {
    vm.add_methods(&vm.types.tuple, METHODS);
    vm.add_methods(&vm.types.tuple, &crate::comparisons!(compare));
    vm.add_class_methods(
        &vm.types.tuple,
        &[("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1]))],
    );
}
