//! Syntax trees as objects: what `compile(…, ast.PyCF_ONLY_AST)` gives.

use std::collections::HashMap;

use pyc_lower::{Field, Node};
use pyc_runtime::{PyResult, Value, Vm};

/// The tree as objects of the classes of `_ast`.
///
/// # Errors
/// What making them raises.
pub(crate) fn objects(vm: &Vm, tree: &Node) -> PyResult {
    let maker = Maker { vm, module: vm.import("_ast")?, classes: HashMap::new() };
    let mut maker = maker;
    maker.node(tree)
}

struct Maker<'a> {
    vm: &'a Vm,
    module: Value,
    classes: HashMap<&'static str, Value>,
}

impl Maker<'_> {
    fn node(&mut self, node: &Node) -> PyResult {
        self.vm.check_stack()?;
        self.vm.tick()?;
        let class = match self.classes.get(node.class) {
            Some(class) => class.clone(),
            None => {
                let class = self.vm.get_attr_str(&self.module, node.class)?;
                self.classes.insert(node.class, class.clone());
                class
            }
        };
        let made = pyc_runtime::new_object(&class, pyc_runtime::registry::Plain);
        for (name, field) in &node.fields {
            let value = self.field(field)?;
            self.vm.set_attr(&made, &self.vm.intern(name), value)?;
        }
        if let Some(place) = node.place {
            let names = ["lineno", "col_offset", "end_lineno", "end_col_offset"];
            for (name, n) in names.into_iter().zip(place) {
                self.vm.set_attr(&made, &self.vm.intern(name), Value::from_len(n as usize))?;
            }
        }
        Ok(made)
    }

    fn field(&mut self, field: &Field) -> PyResult {
        Ok(match field {
            Field::Nothing => Value::NONE,
            Field::Node(node) => self.node(node)?,
            Field::List(list) => {
                let items = list.iter().map(|f| self.field(f)).collect::<PyResult<Vec<_>>>()?;
                self.vm.list(items)
            }
            Field::Name(text) => self.vm.intern(text),
            Field::Number(n) => Value::from_i32(*n),
            Field::Constant(constant) => self.vm.constant(constant),
        })
    }
}
