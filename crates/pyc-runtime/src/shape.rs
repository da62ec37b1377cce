//! Shapes: which attributes an instance has, shared by all instances that got them in the same order.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::object::Value;

/// More attributes than this and an instance gets a dict of its own.
pub const ATTRIBUTES_MAX: usize = 64;

/// A layout of attributes.
pub struct Shape {
    /// Names (interned) in the order of the values.
    pub names: Vec<Value>,
    /// Tells shapes apart in inline caches; never used twice.
    pub id: u32,
    index: OnceCell<HashMap<u64, u32>>,
    next: RefCell<Vec<(u64, Rc<Shape>)>>,
}

thread_local! {
    static IDS: Cell<u32> = const { Cell::new(1) };
}

impl Shape {
    /// The layout without attributes.
    pub fn root() -> Rc<Shape> {
        Shape::of(Vec::new())
    }

    fn of(names: Vec<Value>) -> Rc<Shape> {
        let id = IDS.with(|ids| ids.replace(ids.get() + 1));
        Rc::new(Shape { names, id, index: OnceCell::new(), next: RefCell::default() })
    }

    /// Where an interned name's value is.
    #[inline]
    pub fn find(&self, name: &Value) -> Option<usize> {
        if self.names.len() <= 8 {
            return self.names.iter().position(|n| n.is(name));
        }
        let index = self
            .index
            .get_or_init(|| self.names.iter().enumerate().map(|(i, n)| (n.bits(), i as u32)).collect());
        index.get(&name.bits()).map(|i| *i as usize)
    }

    /// The layout with one more attribute.
    pub fn with(&self, name: &Value) -> Rc<Shape> {
        if let Some((_, shape)) = self.next.borrow().iter().find(|(bits, _)| *bits == name.bits()) {
            return shape.clone();
        }
        let mut names = self.names.clone();
        names.push(name.clone());
        let shape = Shape::of(names);
        self.next.borrow_mut().push((name.bits(), shape.clone()));
        shape
    }
}
