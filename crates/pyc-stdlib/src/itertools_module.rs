//! `itertools`: one payload with a kind, so that each iterator is a step function.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use pyc_ir::BinaryOp;
use pyc_runtime::iterators::iterator_methods;
use pyc_runtime::types::{NextFn, flag};
use pyc_runtime::{Args, Payload, PyResult, Value, Vm, new_object};

/// State of any of the iterators.
#[derive(Default)]
struct State {
    /// Iterators and other values, by use.
    values: RefCell<Vec<Value>>,
    /// Items kept.
    kept: RefCell<Vec<Value>>,
    /// Indices of combinatoric iterators; counters of others.
    numbers: RefCell<Vec<i64>>,
    flag: Cell<bool>,
    shared: RefCell<Option<Rc<Tee>>>,
}
impl Payload for State {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.values.borrow().iter().for_each(&mut *visit);
        self.kept.borrow().iter().for_each(visit);
    }
}

/// What the iterators of one `tee` share.
struct Tee {
    source: Value,
    items: RefCell<VecDeque<Value>>,
    start: Cell<usize>,
}

fn own(value: &Value) -> &State {
    value.get::<State>().expect("the descriptor checked the type")
}

fn value(this: &Value, at: usize) -> Value {
    own(this).values.borrow()[at].clone()
}

fn make(ty: &Value, values: Vec<Value>, kept: Vec<Value>, numbers: Vec<i64>) -> PyResult {
    Ok(new_object(
        ty,
        State {
            values: RefCell::new(values),
            kept: RefCell::new(kept),
            numbers: RefCell::new(numbers),
            ..State::default()
        },
    ))
}

fn count_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let (current, step) = (value(this, 0), value(this, 1));
    let next = vm.binary(BinaryOp::Add, &current, &step)?;
    own(this).values.borrow_mut()[0] = next;
    Ok(Some(current))
}

fn cycle_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    if !s.flag.get() {
        if let Some(item) = vm.next(&value(this, 0))? {
            s.kept.borrow_mut().push(item.clone());
            return Ok(Some(item));
        }
        s.flag.set(true);
    }
    let kept = s.kept.borrow();
    if kept.is_empty() {
        return Ok(None);
    }
    let at = s.numbers.borrow()[0] as usize % kept.len();
    s.numbers.borrow_mut()[0] = at as i64 + 1;
    Ok(Some(kept[at].clone()))
}

fn repeat_next(_: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    let left = s.numbers.borrow()[0];
    if left == 0 {
        return Ok(None);
    }
    if left > 0 {
        s.numbers.borrow_mut()[0] = left - 1;
    }
    Ok(Some(value(this, 0)))
}

fn accumulate_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    // values: iterator, function, total (empty at first), initial
    if !s.flag.get() {
        s.flag.set(true);
        let initial = value(this, 3);
        let first = if initial.is_none() { vm.next(&value(this, 0))? } else { Some(initial) };
        if let Some(first) = &first {
            s.values.borrow_mut()[2] = first.clone();
        }
        return Ok(first);
    }
    let Some(item) = vm.next(&value(this, 0))? else { return Ok(None) };
    let function = value(this, 1);
    let total = value(this, 2);
    let next = if function.is_none() {
        vm.binary(BinaryOp::Add, &total, &item)?
    } else {
        vm.call_pos(&function, &[total, item])?
    };
    s.values.borrow_mut()[2] = next.clone();
    Ok(Some(next))
}

fn chain_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    loop {
        let current = value(this, 1);
        if !current.is_none() {
            if let Some(item) = vm.next(&current)? {
                return Ok(Some(item));
            }
            s.values.borrow_mut()[1] = Value::NONE;
        }
        let source = value(this, 0);
        if source.is_none() {
            return Ok(None);
        }
        match vm.next(&source)? {
            Some(iterable) => {
                let iterator = vm.iter(&iterable)?;
                s.values.borrow_mut()[1] = iterator;
            }
            None => {
                s.values.borrow_mut()[0] = Value::NONE;
                return Ok(None);
            }
        }
    }
}

fn compress_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    loop {
        let (Some(item), Some(selector)) = (vm.next(&value(this, 0))?, vm.next(&value(this, 1))?) else {
            return Ok(None);
        };
        if vm.truth(&selector)? {
            return Ok(Some(item));
        }
    }
}

fn holds(vm: &Vm, function: &Value, item: &Value) -> PyResult<bool> {
    if function.is_none() {
        return vm.truth(item);
    }
    let result = vm.call_pos(function, std::slice::from_ref(item))?;
    vm.truth(&result)
}

fn dropwhile_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    while let Some(item) = vm.next(&value(this, 1))? {
        if s.flag.get() || !holds(vm, &value(this, 0), &item)? {
            s.flag.set(true);
            return Ok(Some(item));
        }
    }
    Ok(None)
}

fn takewhile_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    if s.flag.get() {
        return Ok(None);
    }
    match vm.next(&value(this, 1))? {
        Some(item) if holds(vm, &value(this, 0), &item)? => Ok(Some(item)),
        Some(_) => {
            s.flag.set(true);
            Ok(None)
        }
        None => Ok(None),
    }
}

fn filterfalse_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    while let Some(item) = vm.next(&value(this, 1))? {
        if !holds(vm, &value(this, 0), &item)? {
            return Ok(Some(item));
        }
    }
    Ok(None)
}

fn islice_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    // numbers: next index wanted, stop (-1: none), step, index of the source
    let (wanted, stop, step) = {
        let n = s.numbers.borrow();
        (n[0], n[1], n[2])
    };
    if stop >= 0 && wanted >= stop {
        // The source is advanced up to where it would have stopped.
        while stop >= 0 && s.numbers.borrow()[3] < stop && !s.flag.get() {
            if vm.next(&value(this, 0))?.is_none() {
                break;
            }
            s.numbers.borrow_mut()[3] += 1;
        }
        s.flag.set(true);
        return Ok(None);
    }
    loop {
        let Some(item) = vm.next(&value(this, 0))? else { return Ok(None) };
        let at = s.numbers.borrow()[3];
        s.numbers.borrow_mut()[3] = at + 1;
        if at == wanted {
            s.numbers.borrow_mut()[0] = wanted.saturating_add(step);
            return Ok(Some(item));
        }
    }
}

fn starmap_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    match vm.next(&value(this, 1))? {
        Some(item) => {
            let args = vm.to_vec(&item)?;
            vm.call_pos(&value(this, 0), &args).map(Some)
        }
        None => Ok(None),
    }
}

fn zip_longest_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    let count = s.values.borrow().len();
    if count == 0 {
        return Ok(None);
    }
    let fill = s.kept.borrow()[0].clone();
    let mut items = Vec::with_capacity(count);
    let mut any = false;
    for at in 0..count {
        let iterator = value(this, at);
        let item = if iterator.is_none() { None } else { vm.next(&iterator)? };
        match item {
            Some(item) => {
                any = true;
                items.push(item);
            }
            None => {
                s.values.borrow_mut()[at] = Value::NONE;
                items.push(fill.clone());
            }
        }
    }
    Ok(any.then(|| vm.tuple(items)))
}

fn pairwise_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    if !s.flag.get() {
        s.flag.set(true);
        match vm.next(&value(this, 0))? {
            Some(first) => s.kept.borrow_mut().push(first),
            None => return Ok(None),
        }
    }
    let Some(next) = vm.next(&value(this, 0))? else { return Ok(None) };
    let Some(last) = s.kept.borrow_mut().pop() else { return Ok(None) };
    s.kept.borrow_mut().push(next.clone());
    Ok(Some(vm.tuple(vec![last, next])))
}

fn batched_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let n = own(this).numbers.borrow()[0] as usize;
    let mut items = Vec::new();
    while items.len() < n {
        match vm.next(&value(this, 0))? {
            Some(item) => items.push(item),
            None => break,
        }
    }
    Ok((!items.is_empty()).then(|| vm.tuple(items)))
}

fn product_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    let pools = s.values.borrow().iter().map(|p| vm.to_vec(p)).collect::<PyResult<Vec<_>>>()?;
    let mut numbers = s.numbers.borrow_mut();
    if pools.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    if !s.flag.replace(true) {
        *numbers = vec![0; pools.len()];
    } else {
        let mut at = pools.len();
        loop {
            if at == 0 {
                return Ok(None);
            }
            at -= 1;
            numbers[at] += 1;
            if (numbers[at] as usize) < pools[at].len() {
                break;
            }
            numbers[at] = 0;
        }
    }
    Ok(Some(vm.tuple(numbers.iter().zip(&pools).map(|(i, p)| p[*i as usize].clone()).collect())))
}

/// Combinations (0), with replacement (1), permutations (2): `kept` is the pool, the first number is `r`.
fn choose(vm: &Vm, this: &Value, kind: u8) -> PyResult<Option<Value>> {
    let s = own(this);
    let pool = s.kept.borrow();
    let mut numbers = s.numbers.borrow_mut();
    let (n, r) = (pool.len() as i64, numbers[0] as usize);
    let pick = |indices: &[i64]| vm.tuple(indices.iter().map(|i| pool[*i as usize].clone()).collect());
    if !s.flag.replace(true) {
        if kind == 1 && n == 0 && r > 0 || kind != 1 && r as i64 > n {
            numbers.truncate(1);
            return Ok(None);
        }
        let first: Vec<i64> = match kind {
            1 => vec![0; r],
            2 => (0..n).chain((0..r as i64).map(|i| n - i)).collect(),
            _ => (0..r as i64).collect(),
        };
        numbers.extend(first);
        return Ok(Some(pick(&numbers[1..=r])));
    }
    if numbers.len() == 1 {
        return Ok(None);
    }
    match kind {
        2 => {
            let n = n as usize;
            for i in (0..r).rev() {
                let cycle = 1 + n + i;
                numbers[cycle] -= 1;
                if numbers[cycle] == 0 {
                    numbers[1 + i..1 + n].rotate_left(1);
                    numbers[cycle] = (n - i) as i64;
                } else {
                    let j = numbers[cycle] as usize;
                    numbers.swap(1 + i, 1 + n - j);
                    return Ok(Some(pick(&numbers[1..=r])));
                }
            }
        }
        kind => {
            let limit = |i: usize| if kind == 1 { n - 1 } else { n - r as i64 + i as i64 };
            if let Some(i) = (0..r).rev().find(|i| numbers[1 + i] < limit(*i)) {
                let next = numbers[1 + i] + 1;
                for (step, slot) in numbers[1 + i..=r].iter_mut().enumerate() {
                    *slot = if kind == 1 { next } else { next + step as i64 };
                }
                return Ok(Some(pick(&numbers[1..=r])));
            }
        }
    }
    numbers.truncate(1);
    Ok(None)
}

fn tee_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let s = own(this);
    let Some(shared) = s.shared.borrow().clone() else { return Ok(None) };
    let at = s.numbers.borrow()[0] as usize;
    let index = at - shared.start.get();
    let known = shared.items.borrow().get(index).cloned();
    let item = match known {
        Some(item) => Some(item),
        None => {
            let item = vm.next(&shared.source)?;
            if let Some(item) = &item {
                shared.items.borrow_mut().push_back(item.clone());
            }
            item
        }
    };
    if item.is_some() {
        s.numbers.borrow_mut()[0] = at as i64 + 1;
    }
    Ok(item)
}

fn groupby_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    // values: iterator, key function, current key, current item, target key; numbers: group id
    let s = own(this);
    s.numbers.borrow_mut()[0] += 1;
    loop {
        let (current, target) = (value(this, 2), value(this, 4));
        if !current.is_unbound() && (target.is_unbound() || !vm.equal(&current, &target)?) {
            break;
        }
        if !group_advance(vm, this)? {
            return Ok(None);
        }
    }
    let key = value(this, 2);
    s.values.borrow_mut()[4] = key.clone();
    let ty = vm.state("itertools_grouper", || {
        let ty = vm.new_type::<State>("itertools", "_grouper", None, 0);
        iterator_methods(vm, &ty, grouper_next);
        ty
    });
    let group = make(&ty, vec![this.clone(), key.clone()], vec![], vec![s.numbers.borrow()[0]])?;
    Ok(Some(vm.tuple(vec![key, group])))
}

fn group_advance(vm: &Vm, this: &Value) -> PyResult<bool> {
    let s = own(this);
    let Some(item) = vm.next(&value(this, 0))? else { return Ok(false) };
    let function = value(this, 1);
    let key =
        if function.is_none() { item.clone() } else { vm.call_pos(&function, std::slice::from_ref(&item))? };
    let mut values = s.values.borrow_mut();
    let old = (std::mem::replace(&mut values[2], key), std::mem::replace(&mut values[3], item));
    drop(values);
    drop(old);
    Ok(true)
}

fn grouper_next(vm: &Vm, this: &Value) -> PyResult<Option<Value>> {
    let parent = value(this, 0);
    let p = own(&parent);
    if p.numbers.borrow()[0] != own(this).numbers.borrow()[0] {
        return Ok(None);
    }
    if value(&parent, 3).is_unbound() && !group_advance(vm, &parent)? {
        return Ok(None);
    }
    if !vm.equal(&value(&parent, 2), &value(this, 1))? {
        return Ok(None);
    }
    Ok(Some(std::mem::replace(&mut p.values.borrow_mut()[3], Value::UNBOUND)))
}

fn islice_new(vm: &Vm, args: Args) -> PyResult {
    let n = args.all.len();
    if !(3..=5).contains(&n) {
        return Err(vm.type_error(format!("islice expected at least 2 arguments, got {}", n - 1)));
    }
    let part = |at: usize, default: i64, what: &str| -> PyResult<i64> {
        let Some(v) = args.all.get(at).filter(|v| !v.is_none()) else { return Ok(default) };
        match vm.index_clamped(v) {
            Ok(i) if i >= 0 => Ok(i),
            _ => Err(vm.value_error(what)),
        }
    };
    let message = "Indices for islice() must be None or an integer: 0 <= x <= sys.maxsize.";
    let (start, stop, step) = if n == 3 {
        (0, part(2, -1, "Stop argument for islice() must be None or an integer: 0 <= x <= sys.maxsize.")?, 1)
    } else {
        (
            part(2, 0, message)?,
            part(3, -1, message)?,
            part(4, 1, "Step for islice() must be a positive integer or None.")?,
        )
    };
    if step == 0 {
        return Err(vm.value_error("Step for islice() must be a positive integer or None."));
    }
    make(&args.all[0], vec![vm.iter(&args.all[1])?], vec![], vec![start, stop, step, 0])
}

fn product_new(vm: &Vm, args: Args) -> PyResult {
    let repeat = match args.keywords().next() {
        Some((_, v)) => vm.index(v)?,
        None => 1,
    };
    if repeat < 0 {
        return Err(vm.value_error("repeat argument cannot be negative"));
    }
    let mut pools = Vec::new();
    for iterable in &args.positional()[1..] {
        pools.push(vm.tuple(vm.to_vec(iterable)?));
    }
    let all = (0..repeat).flat_map(|_| pools.iter().cloned()).collect();
    make(&args.all[0], all, vec![], vec![])
}

fn choose_new(vm: &Vm, args: Args) -> PyResult {
    let pool = vm.to_vec(&args[1])?;
    let r = match args.opt(2).filter(|r| !r.is_none()) {
        Some(r) => vm.index(r)?,
        None => pool.len() as i64,
    };
    if r < 0 {
        return Err(vm.value_error("r must be non-negative"));
    }
    make(&args[0], vec![], pool, vec![r])
}

fn tee(vm: &Vm, args: Args) -> PyResult {
    let n = args.opt(1).map_or(Ok(2), |v| vm.index(v))?;
    if n < 0 {
        return Err(vm.value_error("n must be >= 0"));
    }
    let ty = vm.state("itertools_tee", || {
        let ty = vm.new_type::<State>("itertools", "_tee", None, flag::WEAK);
        iterator_methods(vm, &ty, tee_next);
        vm.add_methods(
            &ty,
            &[("__copy__", "", |vm, args| {
                let s = own(&args[0]);
                let copy = new_object(vm.type_of(&args[0]), State::default());
                *own(&copy).shared.borrow_mut() = s.shared.borrow().clone();
                *own(&copy).numbers.borrow_mut() = s.numbers.borrow().clone();
                Ok(copy)
            })],
        );
        ty
    });
    let shared = Rc::new(Tee { source: vm.iter(&args[0])?, items: RefCell::default(), start: Cell::new(0) });
    let made = (0..n)
        .map(|_| {
            let it = new_object(&ty, State::default());
            *own(&it).shared.borrow_mut() = Some(shared.clone());
            own(&it).numbers.borrow_mut().push(0);
            it
        })
        .collect();
    Ok(vm.tuple(made))
}

fn iterators(vm: &Vm, values: &[Value]) -> PyResult<Vec<Value>> {
    values.iter().map(|v| vm.iter(v)).collect()
}

type Row = (&'static str, &'static str, pyc_runtime::args::NativeFn, NextFn);
const TYPES: &[Row] = &[
    (
        "count",
        "start? step?",
        |vm, args| {
            let get = |i: usize, d: i32| args.opt(i).cloned().unwrap_or(Value::from_i32(d));
            let (start, step) = (get(1, 0), get(2, 1));
            vm.to_f64(&start).map_err(|_| vm.type_error("a number is required"))?;
            make(&args[0], vec![start, step], vec![], vec![])
        },
        count_next,
    ),
    ("cycle", "iterable /", |vm, args| make(&args[0], vec![vm.iter(&args[1])?], vec![], vec![0]), cycle_next),
    (
        "repeat",
        "object times?",
        |vm, args| {
            let n = args.opt(2).map_or(Ok(-1), |n| vm.index(n).map(|n| n.max(0)))?;
            make(&args[0], vec![args[1].clone()], vec![], vec![n])
        },
        repeat_next,
    ),
    (
        "accumulate",
        "iterable func? * initial?",
        |vm, args| {
            let get = |i: usize| args.opt(i).cloned().unwrap_or(Value::NONE);
            make(&args[0], vec![vm.iter(&args[1])?, get(2), Value::NONE, get(3)], vec![], vec![])
        },
        accumulate_next,
    ),
    (
        "chain",
        "...",
        |vm, args| {
            let all = vm.iter(&vm.tuple(args.all[1..].to_vec()))?;
            make(&args.all[0], vec![all, Value::NONE], vec![], vec![])
        },
        chain_next,
    ),
    (
        "compress",
        "data selectors",
        |vm, args| make(&args[0], iterators(vm, &args.all[1..3])?, vec![], vec![]),
        compress_next,
    ),
    (
        "dropwhile",
        "predicate iterable /",
        |vm, args| make(&args[0], vec![args[1].clone(), vm.iter(&args[2])?], vec![], vec![]),
        dropwhile_next,
    ),
    (
        "takewhile",
        "predicate iterable /",
        |vm, args| make(&args[0], vec![args[1].clone(), vm.iter(&args[2])?], vec![], vec![]),
        takewhile_next,
    ),
    (
        "filterfalse",
        "function iterable /",
        |vm, args| make(&args[0], vec![args[1].clone(), vm.iter(&args[2])?], vec![], vec![]),
        filterfalse_next,
    ),
    (
        "starmap",
        "function iterable /",
        |vm, args| make(&args[0], vec![args[1].clone(), vm.iter(&args[2])?], vec![], vec![]),
        starmap_next,
    ),
    ("islice", "...", islice_new, islice_next),
    (
        "zip_longest",
        "...",
        |vm, args| {
            let fill = args.keywords().next().map_or(Value::NONE, |(_, v)| v.clone());
            make(&args.all[0], iterators(vm, &args.positional()[1..])?, vec![fill], vec![])
        },
        zip_longest_next,
    ),
    (
        "pairwise",
        "iterable /",
        |vm, args| make(&args[0], vec![vm.iter(&args[1])?], vec![], vec![]),
        pairwise_next,
    ),
    (
        "batched",
        "iterable n",
        |vm, args| {
            let n = vm.index(&args[2])?;
            if n < 1 {
                return Err(vm.value_error("n must be at least one"));
            }
            make(&args[0], vec![vm.iter(&args[1])?], vec![], vec![n])
        },
        batched_next,
    ),
    ("product", "...", product_new, product_next),
    ("combinations", "iterable r", choose_new, |vm, this| choose(vm, this, 0)),
    ("combinations_with_replacement", "iterable r", choose_new, |vm, this| choose(vm, this, 1)),
    ("permutations", "iterable r?", choose_new, |vm, this| choose(vm, this, 2)),
    (
        "groupby",
        "iterable key?",
        |vm, args| {
            let key = args.opt(2).cloned().unwrap_or(Value::NONE);
            let u = || Value::UNBOUND;
            make(&args[0], vec![vm.iter(&args[1])?, key, u(), u(), u()], vec![], vec![0])
        },
        groupby_next,
    ),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("itertools", &[("tee", "iterable n? /", tee)]);
    for (name, params, new, step) in TYPES {
        let ty = vm.new_type::<State>("itertools", name, None, flag::BASE);
        iterator_methods(vm, &ty, *step);
        vm.add_methods(&ty, &[("__new__", params, *new)]);
        if *name == "chain" {
            vm.add_class_methods(
                &ty,
                &[("from_iterable", "iterable /", |vm, args| {
                    make(&args[0], vec![vm.iter(&args[1])?, Value::NONE], vec![], vec![])
                })],
            );
        }
        if *name == "count" {
            vm.add_methods(
                &ty,
                &[("__repr__", "", |vm, args| {
                    let (start, step) =
                        (vm.repr_text(&value(&args[0], 0))?, vm.repr_text(&value(&args[0], 1))?);
                    Ok(vm.str(&if step == "1" {
                        format!("count({start})")
                    } else {
                        format!("count({start}, {step})")
                    }))
                })],
            );
        }
        if *name == "repeat" {
            vm.add_methods(
                &ty,
                &[("__repr__", "", |vm, args| {
                    let (object, n) = (vm.repr_text(&value(&args[0], 0))?, own(&args[0]).numbers.borrow()[0]);
                    Ok(vm.str(&if n < 0 {
                        format!("repeat({object})")
                    } else {
                        format!("repeat({object}, {n})")
                    }))
                })],
            );
        }
        vm.module_set(&module, name, ty);
    }
    Ok(module)
}
