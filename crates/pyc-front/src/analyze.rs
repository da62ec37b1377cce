//! Second pass: who owns each name.

use std::collections::HashSet;

use crate::scope::{Place, ScopeId, ScopeKind, Scopes};

/// Decides every symbol's place. The error is a scope and a name that `nonlocal` cannot find.
pub(crate) fn analyze(scopes: &mut Scopes) -> Result<(), (ScopeId, String)> {
    visit(scopes, 0, &HashSet::new()).map(|_| ())
}

/// Gives the names that are free in the scope: owned by a function around it.
fn visit(
    scopes: &mut Scopes,
    id: ScopeId,
    around: &HashSet<String>,
) -> Result<Vec<String>, (ScopeId, String)> {
    let kind = scopes.list[id].kind;
    let mut free = Vec::new();
    let mut inner = around.clone();
    let names = scopes.list[id].order.clone();
    for name in &names {
        let symbol = scopes.list[id].symbols.get_mut(name).expect("every ordered name has a symbol");
        let place = if symbol.global {
            inner.remove(name);
            Place::GlobalExplicit
        } else if symbol.nonlocal {
            if !around.contains(name) {
                return Err((id, name.clone()));
            }
            Place::Free
        } else if symbol.bound {
            if kind == ScopeKind::Function || kind == ScopeKind::Comprehension {
                inner.insert(name.clone());
            }
            Place::Local
        } else if around.contains(name) {
            Place::Free
        } else {
            Place::GlobalImplicit
        };
        symbol.place = Some(place);
        if place == Place::Free {
            free.push(name.clone());
        }
    }
    if kind == ScopeKind::Class {
        inner.insert("__class__".to_string());
    }
    for child in scopes.list[id].children.clone() {
        // A comprehension reads the variables of its frame in place.
        let same_frame = scopes.list[child].kind == ScopeKind::Comprehension;
        for name in visit(scopes, child, &inner)? {
            let scope = &mut scopes.list[id];
            if kind == ScopeKind::Class && name == "__class__" {
                scope.needs_class_cell = true;
                continue;
            }
            let own = scope.symbols.get_mut(&name);
            let binds = matches!(kind, ScopeKind::Function | ScopeKind::Comprehension);
            match own {
                Some(symbol) if binds && matches!(symbol.place, Some(Place::Local | Place::Cell)) => {
                    if !same_frame || captured(scopes, child, &name) {
                        scopes.list[id].symbols.get_mut(&name).expect("just found").place = Some(Place::Cell);
                    }
                }
                Some(symbol) if symbol.place == Some(Place::Free) => {}
                Some(_) if kind != ScopeKind::Class => {}
                _ => {
                    // Passed through from further out. In a class body the own name of that spelling is
                    // another variable, so the class only carries the cell.
                    if own.is_none() {
                        scope.order.push(name.clone());
                        scope.symbols.entry(name.clone()).or_default().place = Some(Place::Free);
                    } else if !scope.carried.contains(&name) {
                        scope.carried.push(name.clone());
                    }
                }
            }
            if !(free.contains(&name) || binds && owns(scopes, id, &name)) {
                free.push(name);
            }
        }
    }
    Ok(free)
}

fn owns(scopes: &Scopes, id: ScopeId, name: &str) -> bool {
    scopes.list[id].symbols.get(name).is_some_and(|s| matches!(s.place, Some(Place::Local | Place::Cell)))
}

/// Whether a scope with a frame of its own inside a comprehension reads the name.
fn captured(scopes: &Scopes, id: ScopeId, name: &str) -> bool {
    scopes.list[id].children.iter().any(|child| {
        let scope = &scopes.list[*child];
        scope.symbols.get(name).is_some_and(|s| s.place == Some(Place::Free))
            && (scope.kind != ScopeKind::Comprehension || captured(scopes, *child, name))
    })
}
