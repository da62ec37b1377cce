//! `_operator`

use pyc_ir::{BinaryOp, CompareOp, UnaryOp};
use pyc_runtime::types::flag;
use pyc_runtime::{Args, Method, Payload, PyResult, Value, Vm, new_object};

/// itemgetter, attrgetter, methodcaller.
struct Getter {
    items: Vec<Value>,
    /// Keyword names of a methodcaller.
    names: Vec<Value>,
}
impl Payload for Getter {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.items.iter().for_each(visit);
    }
}

fn own(value: &Value) -> &Getter {
    value.get::<Getter>().expect("the descriptor checked the type")
}

fn many(vm: &Vm, mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { vm.tuple(values) }
}

fn item_call(vm: &Vm, args: Args) -> PyResult {
    let values =
        own(&args[0]).items.iter().map(|k| vm.get_item(&args[1], k)).collect::<PyResult<Vec<_>>>()?;
    Ok(many(vm, values))
}

fn attr_call(vm: &Vm, args: Args) -> PyResult {
    let mut values = Vec::new();
    for path in &own(&args[0]).items {
        let mut at = args[1].clone();
        for part in vm.text(path).split('.') {
            at = vm.get_attr_str(&at, part)?;
        }
        values.push(at);
    }
    Ok(many(vm, values))
}

fn method_call(vm: &Vm, args: Args) -> PyResult {
    let g = own(&args[0]);
    let method = vm.get_attr(&args[1], &vm.intern_value(&g.items[0]))?;
    vm.call(&method, Args { all: &g.items[1..], names: &g.names })
}

fn new_getter(vm: &Vm, args: Args) -> PyResult {
    if args.all.len() < 2 {
        return Err(vm.type_error("expected at least 1 argument, got 0"));
    }
    Ok(new_object(&args.all[0], Getter { items: args.all[1..].to_vec(), names: args.names.to_vec() }))
}

fn getter_repr(vm: &Vm, args: Args) -> PyResult {
    let getter = own(&args[0]);
    let mut items = getter.items.iter().map(|i| vm.repr_text(i)).collect::<PyResult<Vec<_>>>()?;
    let first = items.len() - getter.names.len();
    for (item, name) in items[first..].iter_mut().zip(&getter.names) {
        *item = format!("{}={item}", vm.text(name));
    }
    Ok(vm.str(&format!("operator.{}({})", vm.type_name(&args[0]), items.join(", "))))
}

fn getter_reduce(vm: &Vm, args: Args) -> PyResult {
    let items = vm.tuple(own(&args[0]).items.clone());
    Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), items]))
}

macro_rules! binary {
    ($($name:literal $iname:literal $op:ident),* $(,)?) => {
        &[$(
            ($name, "a b /", |vm, args| vm.binary(BinaryOp::$op, &args[0], &args[1])),
            ($iname, "a b /", |vm, args| vm.in_place(BinaryOp::$op, &args[0], &args[1])),
        )*]
    };
}
const BINARY: &[Method] = binary!(
    "add" "iadd" Add, "sub" "isub" Sub, "mul" "imul" Mul, "truediv" "itruediv" Div, "floordiv" "ifloordiv" FloorDiv, "mod" "imod" Mod,
    "pow" "ipow" Pow, "matmul" "imatmul" MatMul, "lshift" "ilshift" LShift, "rshift" "irshift" RShift, "and_" "iand" And,
    "or_" "ior" Or, "xor" "ixor" Xor,
);

const FUNCTIONS: &[Method] = &[
    ("lt", "a b /", |vm, args| vm.compare(CompareOp::Lt, &args[0], &args[1])),
    ("le", "a b /", |vm, args| vm.compare(CompareOp::Le, &args[0], &args[1])),
    ("eq", "a b /", |vm, args| vm.compare(CompareOp::Eq, &args[0], &args[1])),
    ("ne", "a b /", |vm, args| vm.compare(CompareOp::Ne, &args[0], &args[1])),
    ("gt", "a b /", |vm, args| vm.compare(CompareOp::Gt, &args[0], &args[1])),
    ("ge", "a b /", |vm, args| vm.compare(CompareOp::Ge, &args[0], &args[1])),
    ("neg", "a /", |vm, args| vm.unary(UnaryOp::Neg, &args[0])),
    ("pos", "a /", |vm, args| vm.unary(UnaryOp::Pos, &args[0])),
    ("inv", "a /", |vm, args| vm.unary(UnaryOp::Invert, &args[0])),
    ("invert", "a /", |vm, args| vm.unary(UnaryOp::Invert, &args[0])),
    ("abs", "a /", |vm, args| vm.call_method_str(&args[0], "__abs__", &[])),
    ("not_", "a /", |vm, args| Ok(Value::from_bool(!vm.truth(&args[0])?))),
    ("truth", "a /", |vm, args| Ok(Value::from_bool(vm.truth(&args[0])?))),
    ("is_", "a b /", |_, args| Ok(Value::from_bool(args[0].is(&args[1])))),
    ("is_not", "a b /", |_, args| Ok(Value::from_bool(!args[0].is(&args[1])))),
    ("index", "a /", |vm, args| vm.index_value(&args[0])),
    ("contains", "a b /", |vm, args| Ok(Value::from_bool(vm.contains(&args[0], &args[1])?))),
    ("getitem", "a b /", |vm, args| vm.get_item(&args[0], &args[1])),
    ("setitem", "a b c /", |vm, args| vm.set_item(&args[0], &args[1], args[2].clone()).map(|()| Value::NONE)),
    ("delitem", "a b /", |vm, args| vm.delete_item(&args[0], &args[1]).map(|()| Value::NONE)),
    ("concat", "a b /", |vm, args| vm.binary(BinaryOp::Add, &args[0], &args[1])),
    ("iconcat", "a b /", |vm, args| vm.in_place(BinaryOp::Add, &args[0], &args[1])),
    ("countOf", "a b /", |vm, args| {
        let mut n = 0;
        for item in vm.to_vec(&args[0])? {
            n += usize::from(vm.equal(&item, &args[1])?);
        }
        Ok(Value::from_len(n))
    }),
    ("indexOf", "a b /", |vm, args| {
        for (at, item) in vm.to_vec(&args[0])?.iter().enumerate() {
            if vm.equal(item, &args[1])? {
                return Ok(Value::from_len(at));
            }
        }
        Err(vm.value_error("sequence.index(x): x not in sequence"))
    }),
    ("length_hint", "obj default? /", |vm, args| {
        let default = args.opt(1).map_or(Ok(0), |d| vm.index(d))?;
        if vm.special(&args[0], &vm.names.__len__).is_some() {
            return Ok(Value::from_len(vm.len(&args[0])?));
        }
        Ok(vm
            .call_special(&args[0], &vm.names.__length_hint__, &[])?
            .filter(|v| !v.is(&Value::NOT_IMPLEMENTED))
            .unwrap_or(vm.int(default)))
    }),
    ("call", "...", |vm, args| vm.call(&args.all[0], Args { all: &args.all[1..], names: args.names })),
    ("_compare_digest", "a b /", |vm, args| Ok(Value::from_bool(vm.equal(&args[0], &args[1])?))),
];

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_operator", FUNCTIONS);
    let owner = vm.intern("_operator");
    for (name, params, function) in BINARY {
        vm.module_set(&module, name, vm.native_function(&owner, name, params, *function));
    }
    let calls: [(&str, pyc_runtime::args::NativeFn); 3] =
        [("itemgetter", item_call), ("attrgetter", attr_call), ("methodcaller", method_call)];
    for (name, call) in calls {
        let ty = vm.new_type::<Getter>("operator", name, None, flag::BASE);
        vm.add_methods(
            &ty,
            &[
                ("__new__", "...", new_getter),
                ("__call__", "obj /", call),
                ("__repr__", "", getter_repr),
                ("__reduce__", "", getter_reduce),
            ],
        );
        vm.module_set(&module, name, ty);
    }
    Ok(module)
}
