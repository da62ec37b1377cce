//! Ops of `yield from`, `await` and asynchronous iteration.

use pyc_ir::Op;
use pyc_runtime::generator::{GeneratorData, GeneratorKind};
use pyc_runtime::vm::Resumed;
use pyc_runtime::{PyResult, Raised, Vm};

use crate::exec::Frame;
use crate::steps::send;

/// Does an op of this group; where control goes on when it is not the next op.
#[inline(never)]
pub(crate) fn step(vm: &Vm, frame: &Frame, op: &Op) -> PyResult<Option<u32>> {
    let (code, w) = (frame.code, frame.window);
    let temps = code.temporaries;
    crate::steps::register_macros!(w, temps);
    match *op {
        Op::GetYieldFromIter { dst, src } => {
            let value = w.get(src);
            let iterator = match value.get::<GeneratorData>() {
                Some(data) if data.kind == GeneratorKind::Coroutine && !code.ir.flags.coroutine => {
                    return Err(
                        vm.type_error("cannot 'yield from' a coroutine object in a non-coroutine generator")
                    );
                }
                Some(data) if data.kind != GeneratorKind::Async => value.clone(),
                _ => vm.iter(value)?,
            };
            release!(src);
            w.set(dst, iterator);
        }
        Op::GetAwaitable { dst, src, context } => {
            let value = w.get(src);
            let result = vm.awaitable(value);
            let iterator = match result {
                Ok(iterator) => iterator,
                Err(error) => {
                    if context > 0
                        && vm.special(value, &vm.names.__await__).is_none()
                        && vm.is_exception(&error, &vm.exc.type_error)
                    {
                        let name = vm.type_name(value);
                        return Err(vm.type_error(match context {
                            1 => format!("'async with' received an object from __aenter__ that does not implement __await__: {name}"),
                            2 => format!("'async with' received an object from __aexit__ that does not implement __await__: {name}"),
                            _ => format!("'async for' received an invalid object from __anext__: {name}"),
                        }));
                    }
                    return Err(error);
                }
            };
            release!(src);
            w.set(dst, iterator);
        }
        Op::Send { dst, iter, value, target } => {
            let iterator = w.get(iter).clone();
            let sent = consume!(value);
            match send(vm, &iterator, sent)? {
                Resumed::Yielded(value) => w.set(dst, value),
                Resumed::Returned(value) => {
                    drop(iterator);
                    drop(w.take(iter));
                    w.set(dst, value);
                    return Ok(Some(target));
                }
            }
        }
        Op::GetAsyncIter { dst, src } => {
            let value = w.get(src);
            let Some(iterator) = vm.call_special(value, &vm.names.__aiter__, &[])? else {
                return Err(vm.type_error(format!(
                    "'async for' requires an object with __aiter__ method, got {}",
                    vm.type_name(value)
                )));
            };
            if vm.special(&iterator, &vm.names.__anext__).is_none() {
                return Err(vm.type_error(format!(
                    "'async for' received an object from __aiter__ that does not implement __anext__: {}",
                    vm.type_name(&iterator)
                )));
            }
            release!(src);
            w.set(dst, iterator);
        }
        Op::GetAsyncNext { dst, iter } => {
            let iterator = w.get(iter);
            let Some(awaitable) = vm.call_special(iterator, &vm.names.__anext__, &[])? else {
                return Err(vm.type_error(format!(
                    "'async for' requires an iterator with __anext__ method, got {}",
                    vm.type_name(iterator)
                )));
            };
            w.set(dst, awaitable);
        }
        Op::EndAsyncFor { exc } => {
            let caught = consume!(exc);
            if !vm.is_a(&caught, &vm.exc.stop_async_iteration) {
                return Err(Raised(caught));
            }
        }
        _ => unreachable!("the loop gives this group its own ops only"),
    }
    Ok(None)
}
