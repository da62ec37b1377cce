//! `functools.lru_cache`.

use std::cell::{Cell, RefCell};

use pyc_runtime::containers::DictData;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Kind, Payload, PyResult, Value, Vm, new_object};

/// A remembered call, in the order of use.
struct Entry {
    key: Value,
    result: Value,
    before: usize,
    after: usize,
}

/// Entries linked from the one used last to the one used longest ago; the first place is the list's head.
struct Order {
    entries: Vec<Entry>,
}

impl Order {
    fn new() -> Order {
        Order { entries: vec![Entry { key: Value::NONE, result: Value::NONE, before: 0, after: 0 }] }
    }

    fn unlink(&mut self, at: usize) {
        let (before, after) = (self.entries[at].before, self.entries[at].after);
        self.entries[before].after = after;
        self.entries[after].before = before;
    }

    fn link_first(&mut self, at: usize) {
        let first = self.entries[0].after;
        self.entries[at].before = 0;
        self.entries[at].after = first;
        self.entries[first].before = at;
        self.entries[0].after = at;
    }
}

struct Cache {
    function: Value,
    /// None: unbounded.
    size_max: Option<usize>,
    typed: bool,
    info: Value,
    /// Key to result, or to the place in `order` when bounded.
    table: Value,
    order: RefCell<Order>,
    hits: Cell<u64>,
    misses: Cell<u64>,
}
impl Payload for Cache {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.function);
        visit(&self.info);
        visit(&self.table);
        for entry in &self.order.borrow().entries {
            visit(&entry.key);
            visit(&entry.result);
        }
    }
    fn clear(&self) {
        let old = self.order.replace(Order::new());
        drop(old);
    }
}

fn own(value: &Value) -> &Cache {
    value.get::<Cache>().expect("the descriptor checked the type")
}

fn table(cache: &Cache) -> &DictData {
    cache.table.get::<DictData>().expect("the table is made as a dict")
}

/// What calls are remembered by: a lone int or string itself, otherwise a tuple.
fn key(vm: &Vm, args: Args, typed: bool) -> Value {
    if !typed
        && let [one] = args.all
        && args.names.is_empty()
        && matches!(one.kind(), Kind::Str | Kind::Int)
        && one.is_exact()
    {
        return one.clone();
    }
    let mut parts = args.positional().to_vec();
    if !args.names.is_empty() {
        // No argument is this object, so positional and keyword arguments are told apart.
        parts.push((*vm.state("lru_mark", || vm.method(Value::NONE, Value::NONE))).clone());
        for (name, value) in args.keywords() {
            parts.push(name.clone());
            parts.push(value.clone());
        }
    }
    if typed {
        parts.extend(args.all.iter().map(|v| vm.type_of(v).clone()));
    }
    vm.tuple(parts)
}

fn call(vm: &Vm, args: Args) -> PyResult {
    let this = args.all[0].clone();
    let cache = own(&this);
    let args = Args { all: &args.all[1..], names: args.names };
    if cache.size_max == Some(0) {
        cache.misses.set(cache.misses.get() + 1);
        return vm.call(&cache.function, args);
    }
    let key = key(vm, args, cache.typed);
    if let Some(found) = table(cache).get(vm, &key)? {
        let result = match cache.size_max {
            None => Some(found),
            Some(_) => {
                let mut order = cache.order.borrow_mut();
                found.as_small().map(|n| n as usize).filter(|at| *at < order.entries.len()).map(|at| {
                    order.unlink(at);
                    order.link_first(at);
                    order.entries[at].result.clone()
                })
            }
        };
        if let Some(result) = result {
            cache.hits.set(cache.hits.get() + 1);
            return Ok(result);
        }
    }
    cache.misses.set(cache.misses.get() + 1);
    let result = vm.call(&cache.function, args)?;
    match cache.size_max {
        None => table(cache).set(vm, key, result.clone())?,
        Some(most) => remember(vm, cache, most, key, &result)?,
    }
    Ok(result)
}

fn remember(vm: &Vm, cache: &Cache, most: usize, key: Value, result: &Value) -> PyResult<()> {
    // The call may have remembered the same key.
    if table(cache).get(vm, &key)?.is_some() {
        return Ok(());
    }
    let full = table(cache).borrow().len() >= most;
    if !full {
        let at = {
            let mut order = cache.order.borrow_mut();
            order.entries.push(Entry { key: key.clone(), result: result.clone(), before: 0, after: 0 });
            order.entries.len() - 1
        };
        table(cache).set(vm, key, Value::from_len(at))?;
        cache.order.borrow_mut().link_first(at);
        return Ok(());
    }
    let (oldest, old_key) = {
        let order = cache.order.borrow();
        let oldest = order.entries[0].before;
        (oldest, order.entries[oldest].key.clone())
    };
    if oldest == 0 {
        return Ok(());
    }
    table(cache).remove(vm, &old_key)?;
    let replaced = {
        let mut order = cache.order.borrow_mut();
        let Some(entry) = order.entries.get_mut(oldest) else { return Ok(()) };
        let replaced = (
            std::mem::replace(&mut entry.key, key.clone()),
            std::mem::replace(&mut entry.result, result.clone()),
        );
        order.unlink(oldest);
        order.link_first(oldest);
        replaced
    };
    drop(replaced);
    table(cache).set(vm, key, Value::from_len(oldest))
}

fn new(vm: &Vm, args: Args) -> PyResult {
    if vm.special(&args[1], &vm.names.__call__).is_none() {
        return Err(vm.type_error("the first argument must be callable"));
    }
    let size_max = if args[2].is_none() {
        None
    } else if vm.special(&args[2], &vm.names.__index__).is_some() {
        Some(usize::try_from(vm.index(&args[2])?).unwrap_or(0))
    } else {
        return Err(vm.type_error("maxsize should be integer or None"));
    };
    Ok(new_object(
        &args[0],
        Cache {
            function: args[1].clone(),
            size_max,
            typed: vm.truth(&args[3])?,
            info: args[4].clone(),
            table: vm.dict(),
            order: RefCell::new(Order::new()),
            hits: Cell::new(0),
            misses: Cell::new(0),
        },
    ))
}

pub(crate) fn add(vm: &Vm, module: &Value) {
    let ty =
        vm.new_type::<Cache>("functools", "_lru_cache_wrapper", None, flag::BASE | flag::ATTRS | flag::WEAK);
    vm.add_methods(
        &ty,
        &[
            ("__new__", "user_function maxsize typed cache_info_type", new),
            ("__call__", "...", call),
            ("cache_info", "", |vm, args| {
                let cache = own(&args[0]);
                let size_max = cache.size_max.map_or(Value::NONE, Value::from_len);
                let size = Value::from_len(table(cache).borrow().len());
                let counts = [vm.uint(cache.hits.get()), vm.uint(cache.misses.get()), size_max, size];
                vm.call_pos(&cache.info, &counts)
            }),
            ("cache_clear", "", |vm, args| {
                let cache = own(&args[0]);
                cache.hits.set(0);
                cache.misses.set(0);
                let old = cache.order.replace(Order::new());
                vm.dict_clear(&cache.table);
                drop(old);
                Ok(Value::NONE)
            }),
            ("__reduce__", "", |vm, args| vm.get_attr(&args[0], &vm.names.__qualname__)),
            ("__copy__", "", |_, args| Ok(args[0].clone())),
            ("__deepcopy__", "memo /", |_, args| Ok(args[0].clone())),
            ("__get__", "instance owner? /", |vm, args| {
                Ok(if args[1].is_none() {
                    args[0].clone()
                } else {
                    vm.method(args[0].clone(), args[1].clone())
                })
            }),
        ],
    );
    vm.type_changed(&ty);
    vm.module_set(module, "_lru_cache_wrapper", ty);
}
