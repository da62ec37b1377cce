//! Where names live, and loading, storing and deleting them.

use pyc_front::{Place, ScopeKind, mangle};
use pyc_ir::{Op, Reg};
use ruff_text_size::TextRange;

use crate::unit::{CELL, FREE, Lower, Result};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Where {
    Local(Reg),
    Cell(Reg),
    /// In a class body: the namespace first, then the cell.
    ClassCell(Reg),
    Global,
    Name,
}

impl<'a> Lower<'a> {
    pub fn mangled(&self, name: &str) -> String {
        mangle(self.module.scopes.get(self.scope).class.as_deref(), name)
    }

    fn cell_of(&self, name: &str) -> Option<Reg> {
        let parts = &self.unit.parts;
        if let Some(at) = parts.cells.iter().position(|n| &**n == name) {
            return Some(CELL + at as Reg);
        }
        parts.frees.iter().position(|n| &**n == name).map(|at| FREE + at as Reg)
    }

    /// Where a (mangled) name lives, seen from the current scope.
    pub fn find(&mut self, name: &str) -> Where {
        let mut id = self.scope;
        let mut crossed = false;
        loop {
            let scope = self.module.scopes.get(id);
            if scope.kind != ScopeKind::Comprehension {
                break;
            }
            match scope.place(name) {
                Place::Local => {
                    if let Some(reg) = self.unit.inner.get(&(id, name.to_string())) {
                        return Where::Local(*reg);
                    }
                }
                Place::Cell => {
                    if let Some(reg) = self.unit.inner.get(&(id, name.to_string())) {
                        return Where::Cell(*reg);
                    }
                }
                Place::GlobalExplicit => return Where::Global,
                _ => {}
            }
            crossed = true;
            match scope.parent {
                Some(parent) => id = parent,
                None => break,
            }
        }
        let scope = self.module.scopes.get(id);
        let place = scope.place(name);
        match scope.kind {
            ScopeKind::Module => {
                if place == Place::GlobalExplicit {
                    Where::Global
                } else {
                    Where::Name
                }
            }
            ScopeKind::Class => match place {
                Place::GlobalExplicit => Where::Global,
                Place::Free => match self.cell_of(name) {
                    Some(cell) if crossed => Where::Cell(cell),
                    Some(cell) => Where::ClassCell(cell),
                    None => Where::Name,
                },
                _ if crossed => match self.cell_of(name) {
                    Some(cell) => Where::Cell(cell),
                    None => Where::Global,
                },
                _ => Where::Name,
            },
            _ => match place {
                Place::Local => Where::Local(self.local(name)),
                Place::Cell | Place::Free => match self.cell_of(name) {
                    Some(cell) => Where::Cell(cell),
                    None => Where::Global,
                },
                Place::GlobalExplicit | Place::GlobalImplicit => Where::Global,
            },
        }
    }

    pub fn local(&mut self, name: &str) -> Reg {
        if let Some(reg) = self.unit.locals.get(name) {
            return *reg;
        }
        let reg = self.unit.parts.locals.len() as Reg;
        self.unit.parts.locals.push(name.into());
        self.unit.locals.insert(name.to_string(), reg);
        reg
    }

    /// A register with the name's value: the local itself, or a temporary.
    pub fn load(&mut self, name: &str, range: TextRange) -> Result<Reg> {
        let name = self.mangled(name);
        let index = self.name(&name);
        Ok(match self.find(&name) {
            Where::Local(reg) => {
                let sure = self.unit.bound.as_ref().is_none_or(|b| b.contains(&reg))
                    && !self.unit.unsure.contains(&name);
                if !sure {
                    self.emit_at(range, Op::CheckLocal { reg, name: index });
                    if let Some(bound) = &mut self.unit.bound {
                        bound.insert(reg);
                    }
                }
                reg
            }
            place => {
                let dst = self.temp();
                let op = match place {
                    Where::Cell(cell) => Op::LoadCell { dst, cell, name: index },
                    Where::ClassCell(cell) => Op::LoadClassCell { dst, cell, name: index },
                    Where::Global => Op::LoadGlobal { dst, name: index, cache: self.cache() },
                    _ => Op::LoadName { dst, name: index, cache: self.cache() },
                };
                self.emit_at(range, op);
                dst
            }
        })
    }

    /// Stores a register's value under a name; a temporary that was just made is made in place.
    pub fn store(&mut self, name: &str, src: Reg) {
        let name = self.mangled(name);
        let index = self.name(&name);
        match self.find(&name) {
            Where::Local(reg) => {
                self.move_to(reg, src);
                if let Some(bound) = &mut self.unit.bound {
                    bound.insert(reg);
                }
            }
            Where::Cell(cell) | Where::ClassCell(cell) => self.emit(Op::StoreCell { cell, src }),
            Where::Global => self.emit(Op::StoreGlobal { name: index, src }),
            Where::Name => self.emit(Op::StoreName { name: index, src }),
        }
    }

    /// `dst = src`, by letting the op that made `src` write `dst` where that is possible.
    pub fn move_to(&mut self, dst: Reg, src: Reg) {
        if dst == src {
            return;
        }
        let ops = &mut self.unit.parts.ops;
        if src >= crate::unit::TEMP
            && ops.len() > self.unit.barrier
            && let Some(last) = ops.last_mut()
            && last.def_count() == 1
            && retarget(last, src, dst)
        {
            return;
        }
        self.emit(Op::Move { dst, src });
    }

    pub fn delete(&mut self, name: &str, range: TextRange) {
        let name = self.mangled(name);
        let index = self.name(&name);
        let op = match self.find(&name) {
            Where::Local(reg) => {
                if let Some(bound) = &mut self.unit.bound {
                    bound.remove(&reg);
                }
                Op::DeleteLocal { reg, name: index }
            }
            Where::Cell(cell) | Where::ClassCell(cell) => Op::DeleteCell { cell, name: index },
            Where::Global => Op::DeleteGlobal { name: index },
            Where::Name => Op::DeleteName { name: index },
        };
        self.emit_at(range, op);
    }

    /// The register of the cell that a scope inside shares with this one.
    pub fn shared_cell(&mut self, name: &str) -> Result<Reg> {
        match self.find(name) {
            Where::Cell(cell) | Where::ClassCell(cell) => Ok(cell),
            _ => match self.cell_of(name) {
                Some(cell) => Ok(cell),
                None => self.fail(self.range, format!("internal error: no cell for '{name}'")),
            },
        }
    }
}

/// Changes the destination of an op that only computes a value.
fn retarget(op: &mut Op, from: Reg, to: Reg) -> bool {
    use Op::*;
    match op {
        Const { dst, .. }
        | LoadCell { dst, .. }
        | LoadGlobal { dst, .. }
        | LoadName { dst, .. }
        | LoadAttr { dst, .. }
        | Index { dst, .. }
        | Add { dst, .. }
        | Sub { dst, .. }
        | Mul { dst, .. }
        | AddInt { dst, .. }
        | SubInt { dst, .. }
        | Binary { dst, .. }
        | InPlace { dst, .. }
        | Unary { dst, .. }
        | Not { dst, .. }
        | Compare { dst, .. }
        | Is { dst, .. }
        | Contains { dst, .. }
        | BuildTuple { dst, .. }
        | BuildList { dst, .. }
        | BuildSet { dst, .. }
        | BuildDict { dst, .. }
        | BuildString { dst, .. }
        | Call { dst, .. }
        | CallKw { dst, .. }
        | CallEx { dst, .. }
        | GetIter { dst, .. }
        | Format { dst, .. }
        | MakeFunction { dst, .. }
        | Import { dst, .. }
        | ImportFrom { dst, .. }
        | Move { dst, .. }
            if *dst == from =>
        {
            *dst = to;
            true
        }
        _ => false,
    }
}
