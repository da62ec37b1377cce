//! Scopes and symbols.

use std::collections::HashMap;

/// Index of a scope.
pub type ScopeId = usize;

/// What opens a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// The whole source.
    Module,
    /// A class body.
    Class,
    /// `def`, `lambda`, a generator expression, a lazily evaluated annotation: code with registers.
    Function,
    /// A list, set or dict comprehension: registers of the enclosing code.
    Comprehension,
}

/// Where a name lives, seen from one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Bound here, seen by nobody inside.
    Local,
    /// Bound here, seen by a scope inside.
    Cell,
    /// Bound by a function around.
    Free,
    /// Declared `global`.
    GlobalExplicit,
    /// Not bound by any function around.
    GlobalImplicit,
}

/// A name in a scope.
#[derive(Clone, Debug, Default)]
pub struct Symbol {
    pub(crate) bound: bool,
    pub(crate) parameter: bool,
    pub(crate) global: bool,
    pub(crate) nonlocal: bool,
    pub(crate) used: bool,
    pub(crate) annotated: bool,
    pub(crate) place: Option<Place>,
}

impl Symbol {
    /// Where it lives.
    pub fn place(&self) -> Place {
        self.place.unwrap_or(Place::GlobalImplicit)
    }
    /// Whether it is a parameter.
    pub fn is_parameter(&self) -> bool {
        self.parameter
    }
}

/// One block of names.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What opens it.
    pub kind: ScopeKind,
    /// The scope around.
    pub parent: Option<ScopeId>,
    /// Names in the order of their first mention.
    pub order: Vec<String>,
    /// By name, mangled.
    pub symbols: HashMap<String, Symbol>,
    /// Scopes inside.
    pub children: Vec<ScopeId>,
    /// Contains `yield`.
    pub generator: bool,
    /// `async def`, or contains `await` (generator expressions).
    pub coroutine: bool,
    /// A class's cells that only scopes inside read, because the class has its own variable of that name.
    pub carried: Vec<String>,
    /// A class whose methods mention `__class__` or `super`.
    pub needs_class_cell: bool,
    /// The class whose private names are mangled here.
    pub class: Option<String>,
    /// The scope of a lambda or generator expression, or of type parameters.
    pub expression: bool,
}

impl Scope {
    /// Where a (mangled) name lives.
    pub fn place(&self, name: &str) -> Place {
        self.symbols.get(name).map_or(Place::GlobalImplicit, Symbol::place)
    }
}

/// All scopes of a source; 0 is the module's.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    pub(crate) list: Vec<Scope>,
    pub(crate) by_node: HashMap<(usize, u8), ScopeId>,
}

/// Identifies a syntax node while the tree lives.
pub fn node_key<T>(node: &T) -> usize {
    std::ptr::from_ref(node) as usize
}

impl Scopes {
    /// A scope.
    pub fn get(&self, id: ScopeId) -> &Scope {
        &self.list[id]
    }

    /// The scope that a node opens; `part` tells a node's several scopes apart (0 body, 1 type parameters).
    pub fn of<T>(&self, node: &T, part: u8) -> ScopeId {
        self.by_node[&(node_key(node), part)]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A class's private names: `__x` in `class _C` is `_C__x`.
pub fn mangle(class: Option<&str>, name: &str) -> String {
    match class {
        Some(class) if name.starts_with("__") && !name.ends_with("__") && !name.contains('.') => {
            match class.trim_start_matches('_') {
                "" => name.to_string(),
                class => format!("_{class}{name}"),
            }
        }
        _ => name.to_string(),
    }
}
