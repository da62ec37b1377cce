//! Exception groups and `except*`.

#![allow(clippy::type_complexity, reason = "a boxed test on exceptions needs no name")]

use std::cell::RefCell;

use crate::args::Method;
use crate::containers::TupleData;
use crate::exceptions::ExceptionData;
use crate::object::{Kind, Value};
use crate::types::{Type, flag, make_type};
use crate::vm::{Args, PyResult, Vm};

/// The type `ExceptionGroup`, which derives from two.
fn group_type(vm: &Vm) -> Value {
    (*vm.state("exception_group", || {
        let e = &vm.exc;
        let bases = vec![e.base_exception_group.clone(), e.exception.clone()];
        let rest = crate::types::linearize(&bases).unwrap_or_default();
        let vtable = e.exception.get::<Type>().expect("a type").vtable;
        make_type(
            &vm.types.type_,
            "ExceptionGroup",
            vtable,
            bases,
            rest,
            flag::BASE | flag::ATTRS | flag::IDENTITY | flag::IMMUTABLE,
        )
    }))
    .clone()
}

fn members(vm: &Vm, group: &Value) -> Vec<Value> {
    let key = vm.intern("_exceptions");
    vm.own_attr(group, &key)
        .and_then(|t| t.get::<TupleData>().map(|t| t.items().to_vec()))
        .unwrap_or_default()
}

fn new(vm: &Vm, args: Args) -> PyResult {
    let (ty, message) = (&args[0], &args[1]);
    if message.kind() != Kind::Str {
        let name = vm.type_name(message);
        let text = format!("BaseExceptionGroup.__new__() argument 1 must be str, not {name}");
        return Err(vm.type_error(text));
    }
    if !matches!(args[2].kind(), Kind::List | Kind::Tuple)
        && vm.special(&args[2], &vm.names.__getitem__).is_none()
    {
        return Err(vm.type_error("second argument (exceptions) must be a sequence"));
    }
    let list = vm.to_vec(&args[2])?;
    if list.is_empty() {
        return Err(vm.value_error("second argument (exceptions) must be a non-empty sequence"));
    }
    let mut all_plain = true;
    for (at, item) in list.iter().enumerate() {
        if item.kind() != Kind::Exception {
            return Err(
                vm.value_error(format!("Item {at} of second argument (exceptions) is not an exception"))
            );
        }
        all_plain &= vm.is_a(item, &vm.exc.exception);
    }
    let mut ty = ty.clone();
    if ty.is(&vm.exc.base_exception_group) {
        if all_plain {
            ty = group_type(vm);
        }
    } else if vm.is_subtype(&ty, &vm.exc.exception) && !all_plain {
        let name = ty.get::<Type>().map_or_else(|| "?".into(), Type::name);
        return Err(vm.type_error(if ty.is(&group_type(vm)) {
            "Cannot nest BaseExceptions in an ExceptionGroup".to_string()
        } else {
            format!("Cannot nest BaseExceptions in '{name}'")
        }));
    }
    let made = vm.new_exception(&ty, args.all[1..3].to_vec());
    let tuple = vm.tuple(list);
    vm.set_attr_raw(&made, &vm.intern("_exceptions"), tuple);
    vm.set_attr_raw(&made, &vm.names.message, message.clone());
    Ok(made)
}

fn derive_group(vm: &Vm, group: &Value, list: Vec<Value>) -> PyResult {
    let items = vm.list(list);
    let made = vm.call_method_str(group, "derive", &[items])?;
    if let (Some(new), Some(old)) = (made.get::<ExceptionData>(), group.get::<ExceptionData>()) {
        *new.traceback.borrow_mut() = old.traceback.borrow().clone();
        *new.cause.borrow_mut() = old.cause.borrow().clone();
        *new.context.borrow_mut() = old.context.borrow().clone();
        new.suppress.set(old.suppress.get());
    }
    if let Some(notes) = vm.find_attr(group, &vm.names.__notes__)? {
        let copy = vm.list(vm.to_vec(&notes)?);
        vm.set_attr(&made, &vm.names.__notes__, copy)?;
    }
    Ok(made)
}

/// Splits into what the condition takes and the rest; each may be missing.
fn split(
    vm: &Vm,
    exception: &Value,
    takes: &dyn Fn(&Value) -> PyResult<bool>,
) -> PyResult<(Option<Value>, Option<Value>)> {
    if takes(exception)? {
        return Ok((Some(exception.clone()), None));
    }
    if !vm.is_a(exception, &vm.exc.base_exception_group) {
        return Ok((None, Some(exception.clone())));
    }
    vm.check_stack()?;
    let (mut matching, mut rest) = (Vec::new(), Vec::new());
    for member in members(vm, exception) {
        let (a, b) = split(vm, &member, takes)?;
        matching.extend(a);
        rest.extend(b);
    }
    let part = |list: Vec<Value>| {
        if list.is_empty() { Ok(None) } else { derive_group(vm, exception, list).map(Some) }
    };
    Ok((part(matching)?, part(rest)?))
}

fn condition<'a>(vm: &'a Vm, kind: &'a Value) -> PyResult<Box<dyn Fn(&Value) -> PyResult<bool> + 'a>> {
    let types = kind
        .get::<TupleData>()
        .is_some_and(|t| !t.items().is_empty() && t.items().iter().all(|k| vm.is_exception_type(k)));
    if vm.is_exception_type(kind) || types {
        return Ok(Box::new(move |e| vm.exception_matches(e, kind)));
    }
    if matches!(kind.kind(), Kind::Function | Kind::Native | Kind::Method) {
        return Ok(Box::new(move |e| {
            let result = vm.call_pos(kind, std::slice::from_ref(e))?;
            vm.truth(&result)
        }));
    }
    Err(vm.type_error("expected a function, exception type or tuple of exception types"))
}

impl Vm {
    /// `except* kind`: the matching part and the rest of an exception.
    ///
    /// # Errors
    /// TypeError when `kind` cannot be caught so.
    pub fn match_group(&self, exception: &Value, kind: &Value) -> PyResult<(Option<Value>, Option<Value>)> {
        let kinds = kind.get::<TupleData>().map_or_else(|| vec![kind.clone()], |t| t.items().to_vec());
        for kind in &kinds {
            if !self.is_exception_type(kind) {
                return Err(
                    self.type_error("catching classes that do not inherit from BaseException is not allowed")
                );
            }
            if self.is_subtype(kind, &self.exc.base_exception_group) {
                return Err(self
                    .type_error("catching ExceptionGroup with except* is not allowed. Use except instead."));
            }
        }
        if !self.is_a(exception, &self.exc.base_exception_group) {
            if !self.exception_matches(exception, kind)? {
                return Ok((None, Some(exception.clone())));
            }
            let list = self.list(vec![exception.clone()]);
            let ty = if self.is_a(exception, &self.exc.exception) {
                group_type(self)
            } else {
                self.exc.base_exception_group.clone()
            };
            let wrapped = self.call_pos(&ty, &[self.str(""), list])?;
            return Ok((Some(wrapped), None));
        }
        split(self, exception, &|e| self.exception_matches(e, kind))
    }

    /// What `except*` raises in the end.
    ///
    /// # Errors
    /// What deriving groups raises.
    pub fn join_group(&self, original: &Value, raised: Vec<Value>) -> PyResult<Option<Value>> {
        let raised: Vec<Value> = raised.into_iter().filter(|r| !r.is_none()).collect();
        if raised.is_empty() {
            return Ok(None);
        }
        if !self.is_a(original, &self.exc.base_exception_group) && raised.len() == 1 {
            return Ok(raised.into_iter().next());
        }
        let is_part = |value: &Value| {
            let tb = |v: &Value| v.get::<ExceptionData>().map(|d| d.traceback.borrow().bits());
            let mut ids = Vec::new();
            leaves(self, original, &mut ids);
            let mut own = Vec::new();
            leaves(self, value, &mut own);
            tb(value) == tb(original) && own.iter().all(|o| ids.contains(o))
        };
        let (kept, new): (Vec<Value>, Vec<Value>) =
            raised.into_iter().partition(|r| self.is_a(r, &self.exc.base_exception_group) && is_part(r));
        let merged = match kept.len() {
            0 => None,
            _ => {
                let mut ids = Vec::new();
                kept.iter().for_each(|k| leaves(self, k, &mut ids));
                split(self, original, &|e| {
                    Ok(ids.contains(&e.bits()) && !self.is_a(e, &self.exc.base_exception_group))
                })?
                .0
            }
        };
        if new.is_empty() {
            return Ok(merged);
        }
        let mut all = new;
        all.extend(merged);
        if all.len() == 1 && !self.is_a(original, &self.exc.base_exception_group) {
            return Ok(all.into_iter().next());
        }
        let plain = all.iter().all(|e| self.is_a(e, &self.exc.exception));
        let ty = if plain { group_type(self) } else { self.exc.base_exception_group.clone() };
        let list = self.list(all);
        self.call_pos(&ty, &[self.str(""), list]).map(Some)
    }
}

fn leaves(vm: &Vm, exception: &Value, ids: &mut Vec<u64>) {
    if vm.is_a(exception, &vm.exc.base_exception_group) {
        members(vm, exception).iter().for_each(|m| leaves(vm, m, ids));
    } else {
        ids.push(exception.bits());
    }
}

const METHODS: &[Method] = &[
    ("__new__", "message exceptions /", new),
    ("__init__", "...", |_, _| Ok(Value::NONE)),
    ("__str__", "", |vm, args| {
        let message = vm.own_attr(&args[0], &vm.names.message).unwrap_or(Value::NONE);
        let n = members(vm, &args[0]).len();
        let plural = if n == 1 { "" } else { "s" };
        Ok(vm.str(&format!("{} ({n} sub-exception{plural})", vm.str_text(&message)?)))
    }),
    ("__repr__", "", |vm, args| {
        let message = vm.own_attr(&args[0], &vm.names.message).unwrap_or(Value::NONE);
        let list = vm.list(members(vm, &args[0]));
        Ok(vm.str(&format!(
            "{}({}, {})",
            vm.type_name(&args[0]),
            vm.repr_text(&message)?,
            vm.repr_text(&list)?
        )))
    }),
    ("derive", "excs /", |vm, args| {
        let message = vm.own_attr(&args[0], &vm.names.message).unwrap_or(Value::NONE);
        vm.call_pos(&vm.exc.base_exception_group, &[message, args[1].clone()])
    }),
    ("split", "matcher /", |vm, args| {
        let (a, b) = split(vm, &args[0], &condition(vm, &args[1])?)?;
        Ok(vm.tuple(vec![a.unwrap_or(Value::NONE), b.unwrap_or(Value::NONE)]))
    }),
    ("subgroup", "matcher /", |vm, args| {
        let (a, _) = split(vm, &args[0], &condition(vm, &args[1])?)?;
        Ok(a.unwrap_or(Value::NONE))
    }),
];

pub(crate) fn init(vm: &Vm) {
    let group = &vm.exc.base_exception_group;
    vm.add_methods(group, METHODS);
    vm.add_getset(group, "exceptions", |vm, this| Ok(vm.tuple(members(vm, this))), None);
    vm.add_class_methods(
        group,
        &[("__class_getitem__", "item /", |vm, args| crate::generic::alias(vm, &args[0], &args[1]))],
    );
    vm.set_builtin("ExceptionGroup", group_type(vm));
    let _ = RefCell::new(0);
}
