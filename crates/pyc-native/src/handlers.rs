//! Handlers of exceptions: what is being handled, and whether a handler is meant.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use pyc_ir::Op;
use pyc_runtime::Value as Object;

use crate::lanes::{Gen, constant};
use crate::types::Ty;

impl Gen<'_, '_> {
    /// The exception becomes the one that is handled; the former one is kept.
    pub fn enter_handler(&mut self, saved: u16, exc: u16) {
        let exception = self.peek(exc);
        let (tag, _) = self.boxed(exception);
        self.retain(tag, exception.ty);
        let former = self.load(self.vm, self.layout.vm_handled);
        self.store(self.vm, self.layout.vm_handled, tag);
        self.set(saved, Gen::fresh(former, Ty::VALUE));
    }

    /// The former exception is handled again.
    pub fn leave_handler(&mut self, saved: u16) {
        let former = self.peek(saved);
        let (tag, _) = self.boxed(former);
        self.clear(saved);
        let empty = self.equals(tag, constant(&Object::UNBOUND));
        let none = self.int(constant(&Object::NONE));
        let tag = self.b.ins().select(empty, none, tag);
        let old = self.load(self.vm, self.layout.vm_handled);
        self.store(self.vm, self.layout.vm_handled, tag);
        self.drop_lane(old, Ty::VALUE);
    }

    /// Whether an exception is of a kind; of just this class in place.
    pub fn match_exception(&mut self, op: &Op, dst: u16, exc: u16, kind: u16) {
        let (done, tag, _) = self.meeting(false);
        let slow = self.b.create_block();
        let (e, k) = (self.peek(exc), self.peek(kind));
        if e.ty.may(Ty::OTHER) && k.ty.may(Ty::OTHER) && e.float.is_none() {
            if !e.ty.within(Ty::OBJECT) {
                let object = self.is_object(e.tag);
                self.guard(object, slow);
            }
            let class = self.load(e.tag, self.layout.object_type);
            let same = self.b.ins().icmp(IntCC::Equal, class, k.tag);
            self.guard(same, slow);
            if !self.is_local(kind) {
                self.drop_lane(k.tag, k.ty);
            }
            let truth = self.int(constant(&Object::TRUE));
            self.goto(done, &[truth]);
        } else {
            self.goto(slow, &[]);
        }
        self.slow_step(op, slow, done, false);
        self.b.switch_to_block(done);
        self.taken(op);
        self.set(dst, Gen::fresh(tag, Ty::BOOL));
    }
}
