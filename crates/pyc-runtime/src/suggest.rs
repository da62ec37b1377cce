//! "Did you mean": names close to one that does not exist.

use crate::containers::DictData;
use crate::object::Value;
use crate::str::Str;
use crate::traceback::TracebackData;
use crate::vm::Vm;

const COST_MOVE: usize = 2;
const COST_CASE: usize = 1;

/// The hint for a NameError, AttributeError or ImportError.
pub(crate) fn hint(vm: &Vm, exception: &Value) -> Option<String> {
    let e = &vm.exc;
    let text = |name: &Value| vm.find_attr(exception, name).ok().flatten()?.get::<Str>()?.to_text();
    if vm.is_a(exception, &e.attribute_error) {
        let name = text(&vm.names.name)?;
        let object = vm.find_attr(exception, &vm.names.obj).ok().flatten()?;
        if object.is_none() && vm.own_attr(exception, &vm.names.obj).is_none() {
            return None;
        }
        let list = vm.dir(&object).ok()?;
        let best = closest(&name, &strings(vm, &list))?;
        return Some(format!(". Did you mean: '{best}'?"));
    }
    if vm.is_a(exception, &e.name_error) {
        let name = text(&vm.names.name)?;
        let mut names = Vec::new();
        let mut at = exception.get::<crate::exceptions::ExceptionData>()?.traceback.borrow().clone();
        while let Some(entry) = at.get::<TracebackData>() {
            let next = entry.next.borrow().clone();
            if next.is_none() {
                if let Some(code) = entry.code.get::<crate::function::CodeData>() {
                    names.extend(code.ir.locals.iter().map(ToString::to_string));
                }
                for dict in [&entry.globals, &vm.builtins] {
                    names.extend(
                        dict.get::<DictData>()
                            .map(|d| {
                                d.borrow()
                                    .iter()
                                    .filter_map(|e| e.key.get::<Str>()?.to_text())
                                    .collect::<Vec<_>>()
                            })
                            .unwrap_or_default(),
                    );
                }
            }
            at = next;
        }
        if let Some(best) = closest(&name, &names) {
            return Some(format!(". Did you mean: '{best}'?"));
        }
        let known = vm.native_module(&name).is_some()
            || [
                "os",
                "sys",
                "math",
                "re",
                "json",
                "time",
                "random",
                "collections",
                "itertools",
                "functools",
                "datetime",
                "string",
                "typing",
            ]
            .contains(&name.as_str());
        return known.then(|| format!(". Did you forget to import '{name}'?"));
    }
    None
}

fn strings(vm: &Vm, list: &[Value]) -> Vec<String> {
    let _ = vm;
    list.iter().filter_map(|v| v.get::<Str>()?.to_text()).collect()
}

/// The closest name, when one is close enough.
fn closest(wrong: &str, names: &[String]) -> Option<String> {
    if names.len() > 750 || wrong.chars().count() > 40 {
        return None;
    }
    let mut best: Option<(usize, &String)> = None;
    for name in names {
        if name == wrong || name.starts_with('.') {
            continue;
        }
        let most = (name.chars().count() + wrong.chars().count() + 3) * COST_MOVE / 6;
        let distance = distance(wrong, name);
        if distance <= most && best.is_none_or(|(d, _)| distance < d) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name.clone())
}

/// Edit distance where a change of case costs half.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).map(|i| i * COST_MOVE).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = (i + 1) * COST_MOVE;
        for (j, y) in b.iter().enumerate() {
            let change = if x == y {
                0
            } else if x.to_lowercase().eq(y.to_lowercase()) {
                COST_CASE
            } else {
                COST_MOVE
            };
            let best = (diagonal + change).min(row[j] + COST_MOVE).min(row[j + 1] + COST_MOVE);
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[b.len()]
}
