//! `_heapq` and `_bisect`: the inner loops of queues and sorted lists.

use pyc_ir::CompareOp;
use pyc_runtime::containers::ListData;
use pyc_runtime::{Args, PyResult, Value, Vm};

fn list<'a>(vm: &Vm, value: &'a Value, name: &str) -> PyResult<&'a ListData> {
    value.get::<ListData>().ok_or_else(|| {
        vm.type_error(format!("{name}() argument 1 must be list, not {}", vm.type_name(value)))
    })
}

/// Whether `a` belongs nearer to the root than `b`.
fn before(vm: &Vm, a: &Value, b: &Value, max: bool) -> PyResult<bool> {
    if max { vm.compare_true(CompareOp::Lt, b, a) } else { vm.compare_true(CompareOp::Lt, a, b) }
}

fn changed(vm: &Vm) -> pyc_runtime::Raised {
    vm.runtime_error("list changed size during iteration")
}

/// Moves the item at `at` towards `start` until its parent is before it.
fn towards_root(vm: &Vm, heap: &ListData, start: usize, at: usize, max: bool) -> PyResult<()> {
    let size = heap.borrow().len();
    if at >= size {
        return Err(vm.index_error("index out of range"));
    }
    let mut at = at;
    while at > start {
        let parent = (at - 1) / 2;
        let (item, above) = {
            let items = heap.borrow();
            (items[at].clone(), items[parent].clone())
        };
        let moves = before(vm, &item, &above, max)?;
        // The comparison may have run code that changed the list.
        if heap.borrow().len() != size {
            return Err(changed(vm));
        }
        if !moves {
            break;
        }
        heap.borrow_mut().swap(at, parent);
        at = parent;
    }
    Ok(())
}

/// Sinks the item at `at` to a leaf, then lets it rise to its place: fewer comparisons than stopping on the way
/// (Knuth, volume 3, section 5.2.3, exercise 18).
fn towards_leaves(vm: &Vm, heap: &ListData, start: usize, max: bool) -> PyResult<()> {
    let size = heap.borrow().len();
    if start >= size {
        return Err(vm.index_error("index out of range"));
    }
    let mut at = start;
    let limit = size / 2;
    while at < limit {
        let mut child = 2 * at + 1;
        if child + 1 < size {
            let (left, right) = {
                let items = heap.borrow();
                (items[child].clone(), items[child + 1].clone())
            };
            let left_first = before(vm, &left, &right, max)?;
            if heap.borrow().len() != size {
                return Err(changed(vm));
            }
            if !left_first {
                child += 1;
            }
        }
        heap.borrow_mut().swap(at, child);
        at = child;
    }
    towards_root(vm, heap, start, at, max)
}

fn push(vm: &Vm, args: Args, name: &str, max: bool) -> PyResult {
    let heap = list(vm, &args[0], name)?;
    heap.borrow_mut().push(args[1].clone());
    let last = heap.borrow().len() - 1;
    towards_root(vm, heap, 0, last, max)?;
    Ok(Value::NONE)
}

fn pop(vm: &Vm, args: Args, name: &str, max: bool) -> PyResult {
    let heap = list(vm, &args[0], name)?;
    let last = heap.borrow_mut().pop();
    let Some(last) = last else { return Err(vm.index_error("index out of range")) };
    if heap.borrow().is_empty() {
        return Ok(last);
    }
    let first = std::mem::replace(&mut heap.borrow_mut()[0], last);
    towards_leaves(vm, heap, 0, max)?;
    Ok(first)
}

fn replace(vm: &Vm, args: Args, name: &str, max: bool) -> PyResult {
    let heap = list(vm, &args[0], name)?;
    if heap.borrow().is_empty() {
        return Err(vm.index_error("index out of range"));
    }
    let first = std::mem::replace(&mut heap.borrow_mut()[0], args[1].clone());
    towards_leaves(vm, heap, 0, max)?;
    Ok(first)
}

fn push_pop(vm: &Vm, args: Args, name: &str, max: bool) -> PyResult {
    let heap = list(vm, &args[0], name)?;
    let Some(first) = heap.borrow().first().cloned() else { return Ok(args[1].clone()) };
    if !before(vm, &first, &args[1], max)? {
        return Ok(args[1].clone());
    }
    if heap.borrow().is_empty() {
        return Err(vm.index_error("index out of range"));
    }
    let first = std::mem::replace(&mut heap.borrow_mut()[0], args[1].clone());
    towards_leaves(vm, heap, 0, max)?;
    Ok(first)
}

fn heapify(vm: &Vm, args: Args, name: &str, max: bool) -> PyResult {
    let heap = list(vm, &args[0], name)?;
    let half = heap.borrow().len() / 2;
    for at in (0..half).rev() {
        vm.tick()?;
        towards_leaves(vm, heap, at, max)?;
    }
    Ok(Value::NONE)
}

pub(crate) fn heapq_module(vm: &Vm) -> PyResult {
    Ok(vm.native_module_object(
        "_heapq",
        &[
            ("heappush", "heap item /", |vm, a| push(vm, a, "heappush", false)),
            ("heappop", "heap /", |vm, a| pop(vm, a, "heappop", false)),
            ("heapreplace", "heap item /", |vm, a| replace(vm, a, "heapreplace", false)),
            ("heappushpop", "heap item /", |vm, a| push_pop(vm, a, "heappushpop", false)),
            ("heapify", "heap /", |vm, a| heapify(vm, a, "heapify", false)),
            ("heappush_max", "heap item /", |vm, a| push(vm, a, "heappush_max", true)),
            ("heappop_max", "heap /", |vm, a| pop(vm, a, "heappop_max", true)),
            ("heapreplace_max", "heap item /", |vm, a| replace(vm, a, "heapreplace_max", true)),
            ("heappushpop_max", "heap item /", |vm, a| push_pop(vm, a, "heappushpop_max", true)),
            ("heapify_max", "heap /", |vm, a| heapify(vm, a, "heapify_max", true)),
        ],
    ))
}

/// Where `x` goes: behind the items equal to it when `right`.
fn place(vm: &Vm, args: Args, x: &Value, right: bool, key: Option<&Value>) -> PyResult<i64> {
    let sequence = &args[0];
    let mut low = args.opt(2).map_or(Ok(0), |v| vm.index(v))?;
    if low < 0 {
        return Err(vm.value_error("lo must be non-negative"));
    }
    let mut high = match args.opt(3).filter(|v| !v.is_none()) {
        Some(v) => match vm.index(v)? {
            -1 => vm.len(sequence)? as i64,
            n => n,
        },
        None => vm.len(sequence)? as i64,
    };
    while low < high {
        vm.tick()?;
        let middle = low + (high - low) / 2;
        let mut item = vm.get_item(sequence, &vm.int(middle))?;
        if let Some(key) = key {
            item = vm.call_pos(key, &[item])?;
        }
        let goes_left = if right {
            vm.compare_true(CompareOp::Lt, x, &item)?
        } else {
            !vm.compare_true(CompareOp::Lt, &item, x)?
        };
        if goes_left {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

fn bisect(vm: &Vm, args: Args, right: bool) -> PyResult {
    let key = args.opt(4).filter(|k| !k.is_none());
    Ok(vm.int(place(vm, args, &args[1], right, key)?))
}

fn insort(vm: &Vm, args: Args, right: bool) -> PyResult {
    let key = args.opt(4).filter(|k| !k.is_none());
    let wanted = match key {
        Some(key) => vm.call_pos(key, &args.all[1..2])?,
        None => args[1].clone(),
    };
    let at = place(vm, args, &wanted, right, key)?;
    vm.call_method_str(&args[0], "insert", &[vm.int(at), args[1].clone()])?;
    Ok(Value::NONE)
}

pub(crate) fn bisect_module(vm: &Vm) -> PyResult {
    const PARAMS: &str = "a x lo? hi? * key?";
    Ok(vm.native_module_object(
        "_bisect",
        &[
            ("bisect_left", PARAMS, |vm, a| bisect(vm, a, false)),
            ("bisect_right", PARAMS, |vm, a| bisect(vm, a, true)),
            ("bisect", PARAMS, |vm, a| bisect(vm, a, true)),
            ("insort_left", PARAMS, |vm, a| insort(vm, a, false)),
            ("insort_right", PARAMS, |vm, a| insort(vm, a, true)),
            ("insort", PARAMS, |vm, a| insort(vm, a, true)),
        ],
    ))
}
