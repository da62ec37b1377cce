//! `_ast`: the classes of syntax trees, from the grammar in the table below (as in CPython's `Python.asdl`).

use pyc_runtime::registry::Plain;
use pyc_runtime::types::flag;
use pyc_runtime::{Args, PyResult, Value, Vm, new_object};

/// Class, base, fields; `*` after a field: a list, `?`: may be None. A class below a class with `!` has a place.
const CLASSES: &[(&str, &str, &str)] = &[
    ("mod", "AST", ""),
    ("Module", "mod", "body* type_ignores*"),
    ("Interactive", "mod", "body*"),
    ("Expression", "mod", "body"),
    ("FunctionType", "mod", "argtypes* returns"),
    ("stmt", "AST", "!"),
    ("FunctionDef", "stmt", "name args body* decorator_list* returns? type_comment? type_params*"),
    ("AsyncFunctionDef", "stmt", "name args body* decorator_list* returns? type_comment? type_params*"),
    ("ClassDef", "stmt", "name bases* keywords* body* decorator_list* type_params*"),
    ("Return", "stmt", "value?"),
    ("Delete", "stmt", "targets*"),
    ("Assign", "stmt", "targets* value type_comment?"),
    ("TypeAlias", "stmt", "name type_params* value"),
    ("AugAssign", "stmt", "target op value"),
    ("AnnAssign", "stmt", "target annotation value? simple"),
    ("For", "stmt", "target iter body* orelse* type_comment?"),
    ("AsyncFor", "stmt", "target iter body* orelse* type_comment?"),
    ("While", "stmt", "test body* orelse*"),
    ("If", "stmt", "test body* orelse*"),
    ("With", "stmt", "items* body* type_comment?"),
    ("AsyncWith", "stmt", "items* body* type_comment?"),
    ("Match", "stmt", "subject cases*"),
    ("Raise", "stmt", "exc? cause?"),
    ("Try", "stmt", "body* handlers* orelse* finalbody*"),
    ("TryStar", "stmt", "body* handlers* orelse* finalbody*"),
    ("Assert", "stmt", "test msg?"),
    ("Import", "stmt", "names*"),
    ("ImportFrom", "stmt", "module? names* level?"),
    ("Global", "stmt", "names*"),
    ("Nonlocal", "stmt", "names*"),
    ("Expr", "stmt", "value"),
    ("Pass", "stmt", ""),
    ("Break", "stmt", ""),
    ("Continue", "stmt", ""),
    ("expr", "AST", "!"),
    ("BoolOp", "expr", "op values*"),
    ("NamedExpr", "expr", "target value"),
    ("BinOp", "expr", "left op right"),
    ("UnaryOp", "expr", "op operand"),
    ("Lambda", "expr", "args body"),
    ("IfExp", "expr", "test body orelse"),
    ("Dict", "expr", "keys* values*"),
    ("Set", "expr", "elts*"),
    ("ListComp", "expr", "elt generators*"),
    ("SetComp", "expr", "elt generators*"),
    ("DictComp", "expr", "key value generators*"),
    ("GeneratorExp", "expr", "elt generators*"),
    ("Await", "expr", "value"),
    ("Yield", "expr", "value?"),
    ("YieldFrom", "expr", "value"),
    ("Compare", "expr", "left ops* comparators*"),
    ("Call", "expr", "func args* keywords*"),
    ("FormattedValue", "expr", "value conversion format_spec?"),
    ("Interpolation", "expr", "value str conversion format_spec?"),
    ("JoinedStr", "expr", "values*"),
    ("TemplateStr", "expr", "values*"),
    ("Constant", "expr", "value kind?"),
    ("Attribute", "expr", "value attr ctx"),
    ("Subscript", "expr", "value slice ctx"),
    ("Starred", "expr", "value ctx"),
    ("Name", "expr", "id ctx"),
    ("List", "expr", "elts* ctx"),
    ("Tuple", "expr", "elts* ctx"),
    ("Slice", "expr", "lower? upper? step?"),
    ("expr_context", "AST", ""),
    ("Load", "expr_context", ""),
    ("Store", "expr_context", ""),
    ("Del", "expr_context", ""),
    ("boolop", "AST", ""),
    ("And", "boolop", ""),
    ("Or", "boolop", ""),
    ("operator", "AST", ""),
    ("Add", "operator", ""),
    ("Sub", "operator", ""),
    ("Mult", "operator", ""),
    ("MatMult", "operator", ""),
    ("Div", "operator", ""),
    ("Mod", "operator", ""),
    ("Pow", "operator", ""),
    ("LShift", "operator", ""),
    ("RShift", "operator", ""),
    ("BitOr", "operator", ""),
    ("BitXor", "operator", ""),
    ("BitAnd", "operator", ""),
    ("FloorDiv", "operator", ""),
    ("unaryop", "AST", ""),
    ("Invert", "unaryop", ""),
    ("Not", "unaryop", ""),
    ("UAdd", "unaryop", ""),
    ("USub", "unaryop", ""),
    ("cmpop", "AST", ""),
    ("Eq", "cmpop", ""),
    ("NotEq", "cmpop", ""),
    ("Lt", "cmpop", ""),
    ("LtE", "cmpop", ""),
    ("Gt", "cmpop", ""),
    ("GtE", "cmpop", ""),
    ("Is", "cmpop", ""),
    ("IsNot", "cmpop", ""),
    ("In", "cmpop", ""),
    ("NotIn", "cmpop", ""),
    ("comprehension", "AST", "target iter ifs* is_async"),
    ("excepthandler", "AST", "!"),
    ("ExceptHandler", "excepthandler", "type? name? body*"),
    ("arguments", "AST", "posonlyargs* args* vararg? kwonlyargs* kw_defaults* kwarg? defaults*"),
    ("arg", "AST", "! arg annotation? type_comment?"),
    ("keyword", "AST", "! arg? value"),
    ("alias", "AST", "! name asname?"),
    ("withitem", "AST", "context_expr optional_vars?"),
    ("match_case", "AST", "pattern guard? body*"),
    ("pattern", "AST", "!"),
    ("MatchValue", "pattern", "value"),
    ("MatchSingleton", "pattern", "value"),
    ("MatchSequence", "pattern", "patterns*"),
    ("MatchMapping", "pattern", "keys* patterns* rest?"),
    ("MatchClass", "pattern", "cls patterns* kwd_attrs* kwd_patterns*"),
    ("MatchStar", "pattern", "name?"),
    ("MatchAs", "pattern", "pattern? name?"),
    ("MatchOr", "pattern", "patterns*"),
    ("type_ignore", "AST", ""),
    ("TypeIgnore", "type_ignore", "lineno tag"),
    ("type_param", "AST", "!"),
    ("TypeVar", "type_param", "name bound? default_value?"),
    ("ParamSpec", "type_param", "name default_value?"),
    ("TypeVarTuple", "type_param", "name default_value?"),
];

const PLACE: &[&str] = &["lineno", "col_offset", "end_lineno", "end_col_offset"];

fn init(vm: &Vm, args: Args) -> PyResult {
    let this = &args.all[0];
    let class = vm.type_of(this).clone();
    let fields = vm.to_vec(&vm.get_attr_str(&class, "_fields")?)?;
    let positional = &args.positional()[1..];
    let name = vm.type_name(this);
    if positional.len() > fields.len() {
        let plural = if fields.len() == 1 { "" } else { "s" };
        return Err(vm.type_error(format!(
            "{name} constructor takes at most {} positional argument{plural}",
            fields.len()
        )));
    }
    let mut given: Vec<Value> = Vec::new();
    for (field, value) in fields.iter().zip(positional) {
        let key = vm.intern_value(field);
        vm.set_attr(this, &key, value.clone())?;
        given.push(key);
    }
    for (key, value) in args.keywords() {
        let key = vm.intern_value(key);
        if given.iter().any(|g| g.is(&key)) {
            return Err(vm.type_error(format!("{name} got multiple values for argument '{}'", vm.text(&key))));
        }
        vm.set_attr(this, &key, value.clone())?;
        given.push(key);
    }
    let kinds = vm.get_attr_str(&class, "_field_kinds")?;
    let kinds = vm.text(&kinds).to_string();
    for word in kinds.split_whitespace() {
        let bare = word.trim_end_matches(['*', '?']);
        let key = vm.intern(bare);
        if given.iter().any(|g| g.is(&key)) || vm.own_attr(this, &key).is_some() {
            continue;
        }
        if word.ends_with('*') {
            vm.set_attr(this, &key, vm.list(vec![]))?;
        } else if bare == "ctx" {
            let load = vm.get_attr_str(&vm.import("_ast")?, "Load")?;
            vm.set_attr(this, &key, vm.call_pos(&load, &[])?)?;
        }
    }
    Ok(Value::NONE)
}

fn reduce(vm: &Vm, args: Args) -> PyResult {
    let dict = vm.get_attr(&args[0], &vm.names.__dict__)?;
    Ok(vm.tuple(vec![vm.type_of(&args[0]).clone(), vm.tuple(vec![]), vm.dict_copy(&dict)]))
}

pub(crate) fn module(vm: &Vm) -> PyResult {
    let module = vm.native_module_object("_ast", &[]);
    let base = vm.new_type::<Plain>("ast", "AST", None, flag::BASE | flag::ATTRS | flag::WEAK);
    vm.add_methods(
        &base,
        &[
            ("__new__", "...", |_, args| Ok(new_object(&args.all[0], Plain))),
            ("__init__", "...", init),
            ("__reduce__", "", reduce),
        ],
    );
    for name in ["_fields", "_attributes", "__match_args__"] {
        vm.set_type_attr(&base, name, vm.tuple(vec![]));
    }
    vm.set_type_attr(&base, "_field_kinds", vm.str(""));
    vm.set_type_attr(&base, "_field_types", vm.dict());
    vm.type_changed(&base);
    vm.module_set(&module, "AST", base);
    for (name, parent, fields) in CLASSES {
        let namespace = vm.dict();
        vm.dict_set_str(&namespace, "__module__", vm.str("ast"));
        let placed = fields.starts_with('!');
        let fields = fields.trim_start_matches('!').trim_start();
        let names: Vec<Value> =
            fields.split_whitespace().map(|f| vm.str(f.trim_end_matches(['*', '?']))).collect();
        for word in fields.split_whitespace().filter(|w| w.ends_with('?')) {
            vm.dict_set_str(&namespace, word.trim_end_matches('?'), Value::NONE);
        }
        let tuple = vm.tuple(names);
        vm.dict_set_str(&namespace, "_fields", tuple.clone());
        vm.dict_set_str(&namespace, "__match_args__", tuple);
        vm.dict_set_str(&namespace, "_field_kinds", vm.str(fields));
        if placed {
            let attributes = vm.tuple(PLACE.iter().map(|p| vm.str(p)).collect());
            vm.dict_set_str(&namespace, "_attributes", attributes);
            for end in &PLACE[2..] {
                vm.dict_set_str(&namespace, end, Value::NONE);
            }
        }
        let parent = vm.get_attr_str(&module, parent)?;
        let ty = vm.call_pos(&vm.types.type_, &[vm.str(name), vm.tuple(vec![parent]), namespace])?;
        vm.module_set(&module, name, ty);
    }
    for (name, value) in [
        ("PyCF_ONLY_AST", 0x400),
        ("PyCF_TYPE_COMMENTS", 0x1000),
        ("PyCF_ALLOW_TOP_LEVEL_AWAIT", 0x2000),
        ("PyCF_OPTIMIZED_AST", 0x8400),
    ] {
        vm.module_set(&module, name, Value::from_i32(value));
    }
    Ok(module)
}
