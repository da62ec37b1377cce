//! Generators in machine code.

use pyc_ir::Op;

use super::{Entry, Lane, helpers};
use crate::function::{CodeData, FunctionData};
use crate::generator::GeneratorFrame;
use crate::object::Value;
use crate::vm::{PyResult, Raised, Resumed, Vm};

/// A generator's entry: VM, function, code, heap registers, place, sent value (0: an exception waits).
type Resume = unsafe extern "C" fn(*const Vm, u64, u64, *mut Value, *mut u64, u64) -> Lane;

impl Vm {
    /// The function object of a payload.
    pub fn function_object(&self, function: &FunctionData) -> Value {
        // SAFETY: functions are only made as objects (`Vm::function`), which the caller keeps alive; the holder's bits
        // are only borrowed for the copy.
        let held = unsafe { std::mem::ManuallyDrop::new(Value::from_raw(Value::bits_of_holder(function))) };
        (*held).clone()
    }

    /// Goes on with a generator in machine code. When it yields, `frame` says where it goes on.
    ///
    /// # Errors
    /// What it raises.
    pub fn resume_native(
        &self,
        entry: &Entry,
        code_value: &Value,
        code: &CodeData,
        frame: &mut GeneratorFrame,
        sent: Result<Value, Raised>,
    ) -> PyResult<Resumed> {
        self.tick()?;
        let pc = self.pc.get();
        let sent = match sent {
            Ok(value) => value.into_raw(),
            Err(error) => {
                self.set_context(&error.0);
                self.native.error.set(Some(error.0));
                0
            }
        };
        let start = u64::from(frame.pc);
        let mut place = start;
        // SAFETY: the address came from a blob whose layout hash is ours; the frame has the registers of this code,
        // with values where the code at `place` expects some. They are moved out, and back before it yields.
        let lane = unsafe {
            let resume = std::mem::transmute::<usize, Resume>(entry.direct);
            let registers = frame.registers.as_mut_ptr();
            resume(self, frame.function.bits(), code_value.bits(), registers, &raw mut place, sent)
        };
        self.pc.set(pc);
        if lane.tag == 0 {
            if place == start && start != 0 && sent != 0 {
                // It was too deep to begin: the value is still here.
                // SAFETY: machine code has not touched it.
                drop(unsafe { Value::from_raw(sent) });
            }
            return Err(self.native_error());
        }
        // SAFETY: machine code returns values that it owned.
        let value = unsafe { helpers::owned(self, lane.tag, lane.float) };
        let Some(op) = place.checked_sub(1) else { return Ok(Resumed::Returned(value)) };
        if let Some(Op::Yield { dst, delegate, .. }) = code.ir.ops.get(op as usize) {
            frame.pc = place as u32;
            frame.sent_register = *dst;
            frame.delegate = *delegate;
        }
        Ok(Resumed::Yielded(value))
    }
}
