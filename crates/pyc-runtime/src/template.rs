//! Template strings (PEP 750): `Template` and `Interpolation`.

use crate::containers::TupleData;
use crate::object::{Payload, Value, new_object};
use crate::str::Str;
use crate::types::flag;
use crate::vm::{PyResult, Vm};

/// `Template`
struct Template {
    strings: Value,
    interpolations: Value,
}
impl Payload for Template {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.interpolations);
    }
}

/// `Interpolation`: value, expression, conversion, format specification.
struct Interpolation {
    parts: [Value; 4],
}
impl Payload for Interpolation {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        self.parts.iter().for_each(visit);
    }
}

fn own(value: &Value) -> &Template {
    value.get::<Template>().expect("the descriptor checked the type")
}

fn parts(value: &Value) -> &[Value; 4] {
    &value.get::<Interpolation>().expect("the descriptor checked the type").parts
}

fn items(value: &Value) -> Vec<Value> {
    value.get::<TupleData>().map(|t| t.items().to_vec()).unwrap_or_default()
}

fn interpolation_type(vm: &Vm) -> Value {
    (*vm.state("template_interpolation", || {
        let ty = vm.new_type::<Interpolation>("string.templatelib", "Interpolation", None, flag::IDENTITY);
        vm.add_methods(
            &ty,
            &[
                ("__new__", "value expression? conversion? format_spec?", |vm, args| {
                    let text = |at: usize| args.opt(at).cloned().unwrap_or_else(|| vm.str(""));
                    let conversion = args.opt(3).cloned().unwrap_or(Value::NONE);
                    let known = conversion.is_none()
                        || conversion
                            .get::<Str>()
                            .is_some_and(|c| matches!(c.as_ascii(), Some("a" | "r" | "s")));
                    if !known {
                        return Err(vm.value_error(
                            "Interpolation() argument 'conversion' must be one of 's', 'a' or 'r'",
                        ));
                    }
                    let parts = [args[1].clone(), text(2), conversion, text(4)];
                    Ok(new_object(&args[0], Interpolation { parts }))
                }),
                ("__repr__", "", |vm, args| {
                    let mut shown = Vec::new();
                    for part in parts(&args[0]) {
                        shown.push(vm.repr_text(part)?);
                    }
                    Ok(vm.str(&format!("Interpolation({})", shown.join(", "))))
                }),
            ],
        );
        vm.add_getset(&ty, "value", |_, this| Ok(parts(this)[0].clone()), None);
        vm.add_getset(&ty, "expression", |_, this| Ok(parts(this)[1].clone()), None);
        vm.add_getset(&ty, "conversion", |_, this| Ok(parts(this)[2].clone()), None);
        vm.add_getset(&ty, "format_spec", |_, this| Ok(parts(this)[3].clone()), None);
        let names = ["value", "expression", "conversion", "format_spec"];
        let names = vm.tuple(names.iter().map(|n| vm.str(n)).collect());
        vm.set_type_attr(&ty, "__match_args__", names);
        vm.type_changed(&ty);
        ty
    }))
    .clone()
}

fn template_type(vm: &Vm) -> Value {
    (*vm.state("template_template", || {
        let ty = vm.new_type::<Template>("string.templatelib", "Template", None, flag::IDENTITY);
        vm.add_methods(
            &ty,
            &[
                ("__new__", "...", |vm, args| {
                    if !args.names.is_empty() {
                        return Err(vm.type_error("Template.__new__ only accepts *args arguments"));
                    }
                    template(vm, &args.all[1..])
                }),
                ("__iter__", "", |vm, args| {
                    let (strings, fields) = (items(&own(&args[0]).strings), items(&own(&args[0]).interpolations));
                    let mut all = Vec::new();
                    for (at, string) in strings.into_iter().enumerate() {
                        if !string.is(&vm.names.empty) {
                            all.push(string);
                        }
                        all.extend(fields.get(at).cloned());
                    }
                    vm.iter(&vm.list(all))
                }),
                ("__add__", "other /", |vm, args| {
                    if args[1].get::<Template>().is_none() {
                        return Err(vm.type_error(format!(
                            "can only concatenate string.templatelib.Template (not \"{}\") to string.templatelib.Template",
                            vm.type_name(&args[1])
                        )));
                    }
                    let mut all = vm.to_vec(&args[0])?;
                    all.extend(vm.to_vec(&args[1])?);
                    template(vm, &all)
                }),
                ("__repr__", "", |vm, args| {
                    let t = own(&args[0]);
                    let (strings, fields) = (vm.repr_text(&t.strings)?, vm.repr_text(&t.interpolations)?);
                    Ok(vm.str(&format!("Template(strings={strings}, interpolations={fields})")))
                }),
            ],
        );
        vm.add_getset(&ty, "strings", |_, this| Ok(own(this).strings.clone()), None);
        vm.add_getset(&ty, "interpolations", |_, this| Ok(own(this).interpolations.clone()), None);
        vm.add_getset(
            &ty,
            "values",
            |vm, this| Ok(vm.tuple(items(&own(this).interpolations).iter().map(|i| parts(i)[0].clone()).collect())),
            None,
        );
        vm.type_changed(&ty);
        ty
    }))
    .clone()
}

/// A template of strings and interpolations in any order; neighbouring strings join.
///
/// # Errors
/// TypeError for anything else.
pub fn template(vm: &Vm, pieces: &[Value]) -> PyResult {
    let (mut strings, mut fields) = (Vec::new(), Vec::new());
    let mut text: Vec<u32> = Vec::new();
    for piece in pieces {
        if let Some(s) = piece.get::<Str>() {
            text.extend(s.points());
        } else if piece.get::<Interpolation>().is_some() {
            strings.push(vm.new_str(Str::from_points(std::mem::take(&mut text))));
            fields.push(piece.clone());
        } else {
            return Err(vm.type_error(format!(
                "Template.__new__ *args need to be of type 'str' or 'Interpolation', got {}",
                vm.type_name(piece)
            )));
        }
    }
    strings.push(vm.new_str(Str::from_points(text)));
    let (strings, interpolations) = (vm.tuple(strings), vm.tuple(fields));
    Ok(new_object(&template_type(vm), Template { strings, interpolations }))
}

/// An interpolation: value, expression, conversion, format specification.
pub fn interpolation(vm: &Vm, given: &[Value]) -> Value {
    let part = |at: usize| given.get(at).cloned().unwrap_or(Value::NONE);
    new_object(&interpolation_type(vm), Interpolation { parts: [part(0), part(1), part(2), part(3)] })
}
