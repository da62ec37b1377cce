//! Ops that raise and handle exceptions, and those of `with`.

use pyc_ir::{NO_REG, Op};
use pyc_runtime::containers::ListData;
use pyc_runtime::{Args, Kind, PyResult, Raised, Value, Vm};

use crate::exec::Frame;
use crate::steps::load_special;

/// Does an op of this group; where control goes on when it is not the next op.
#[inline(never)]
pub(crate) fn step(vm: &Vm, frame: &Frame, op: &Op) -> PyResult<Option<u32>> {
    let (code, w) = (frame.code, frame.window);
    let temps = code.temporaries;
    crate::steps::register_macros!(w, temps);
    match *op {
        Op::Raise { exc, cause } => {
            let raised = if exc == NO_REG {
                let handled = vm.handled.borrow().clone();
                if handled.is_none() {
                    return Err(vm.runtime_error("No active exception to reraise"));
                }
                return Err(Raised(handled));
            } else {
                let value = consume!(exc);
                vm.to_exception(&value)?
            };
            if cause != NO_REG {
                let cause = consume!(cause);
                let cause = if cause.is_none() {
                    cause
                } else {
                    match vm.to_exception(&cause) {
                        Ok(cause) => cause,
                        Err(error) if cause.kind() == Kind::Type && vm.is_exception_type(&cause) => {
                            return Err(error);
                        }
                        Err(_) => {
                            return Err(vm.type_error("exception causes must derive from BaseException"));
                        }
                    }
                };
                vm.set_attr(&raised, &vm.names.__cause__, cause)?;
            }
            vm.set_context(&raised);
            return Err(Raised(raised));
        }
        Op::Reraise { exc } => return Err(Raised(consume!(exc))),
        Op::EnterHandler { saved, exc } => {
            let caught = w.get(exc).clone();
            let former = vm.handled.replace(caught);
            w.set(saved, former);
        }
        Op::LeaveHandler { saved } => {
            let former = w.take(saved);
            let old = vm.handled.replace(if former.is_unbound() { Value::NONE } else { former });
            drop(old);
        }
        Op::MatchException { dst, exc, kind } => {
            let matches = vm.exception_matches(w.get(exc), w.get(kind))?;
            release!(kind);
            w.set(dst, Value::from_bool(matches));
        }
        Op::MatchGroup { dst, exc, kind } => {
            let (matching, rest) = vm.match_group(w.get(exc), w.get(kind))?;
            release!(kind);
            w.set(exc, rest.unwrap_or(Value::NONE));
            w.set(dst, matching.unwrap_or(Value::NONE));
        }
        Op::JoinGroup { dst, original, raised } => {
            let list = w.get(raised).get::<ListData>().map(ListData::take).unwrap_or_default();
            let joined = vm.join_group(w.get(original), list)?;
            release!(original);
            release!(raised);
            w.set(dst, joined.unwrap_or(Value::NONE));
        }
        Op::LoadSpecial { dst, obj, method } => {
            let (function, this) = load_special(vm, w.get(obj), method)?;
            w.set(dst, function);
            w.set(dst + 1, this);
        }
        Op::WithExit { dst, base, exc } => {
            let exception = w.get(exc).clone();
            let ty = vm.type_of(&exception).clone();
            let traceback = vm.get_attr(&exception, &vm.names.__traceback__)?;
            let args = [w.get(base + 1).clone(), ty, exception, traceback];
            let from = usize::from(args[0].is_unbound());
            let value = vm.call(w.get(base), Args::pos(&args[from..]))?;
            w.set(dst, value);
        }
        _ => unreachable!("the loop gives this group its own ops only"),
    }
    Ok(None)
}
