//! Where machine code finds things, found out from the types themselves.

use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};
use std::mem::{offset_of, size_of};

use super::{Entry, NativeFrame, NativeState};
use crate::containers::{DictData, ListData, TupleData};
use crate::descriptors::{ClassMethodData, PropertyData, StaticMethodData};
use crate::dict::{Dict, Entry as DictEntry};
use crate::function::{Cache, CellData, CodeData, FunctionData};
use crate::iterators::{ListIter, RangeIter, TupleIter};
use crate::module::ModuleData;
use crate::object::{Attrs, Kind, Value, object_layout};
use crate::types::Type;
use crate::vm::Vm;

macro_rules! layout {
    ($($(#[$doc:meta])* $name:ident: $value:expr),* $(,)?) => {
        /// Offsets in bytes; from the start of what the name's first word says. Objects count from their header.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names say where what is")]
        pub struct Layout { $($(#[$doc])* pub $name: i32),* }
        impl Layout {
            /// Of this build.
            pub fn current() -> Layout {
                Layout { $($name: ($value) as i32),* }
            }
        }
    };
}

fn cell_value<T>(cell: &RefCell<T>) -> usize {
    cell.as_ptr() as usize - std::ptr::from_ref(cell) as usize
}

/// Where a vector keeps its address (0), its length (1) and its capacity (2).
fn vector(part: usize) -> usize {
    let mut sample: Vec<Value> = Vec::with_capacity(7);
    sample.push(Value::NONE);
    sample.push(Value::NONE);
    let wanted = [sample.as_ptr() as usize, sample.len(), sample.capacity()][part];
    // SAFETY: a vector consists of three words: address, length, capacity; all are initialized.
    let words = unsafe { *std::ptr::from_ref(&sample).cast::<[usize; 3]>() };
    words.iter().position(|w| *w == wanted).unwrap_or(0) * size_of::<usize>()
}

fn in_cell<T>(sample: T) -> usize {
    cell_value(&RefCell::new(sample))
}

layout! {
    vm_countdown: offset_of!(Vm, countdown),
    vm_recursion_limit: offset_of!(Vm, recursion_limit),
    vm_depth: offset_of!(Vm, native) + offset_of!(NativeState, depth),
    vm_top: offset_of!(Vm, native) + offset_of!(NativeState, top),
    vm_stack_limit: offset_of!(Vm, native) + offset_of!(NativeState, stack_limit),
    vm_helpers: offset_of!(Vm, native) + offset_of!(NativeState, helpers),
    frame_previous: offset_of!(NativeFrame, previous),
    frame_function: offset_of!(NativeFrame, function),
    frame_code: offset_of!(NativeFrame, code),
    frame_pc: offset_of!(NativeFrame, pc),
    frame_flags: offset_of!(NativeFrame, flags),
    frame_size: size_of::<NativeFrame>(),
    entry_direct: offset_of!(Entry, direct),
    entry_simple: offset_of!(Entry, simple),
    object_refs: object_layout()[0],
    object_kind: object_layout()[1],
    object_sub: object_layout()[2],
    float_value: object_layout()[3],
    function_code: object_layout()[3] + offset_of!(FunctionData, code) + in_cell(Value::NONE),
    function_globals: object_layout()[3] + offset_of!(FunctionData, globals),
    function_builtins: object_layout()[3] + offset_of!(FunctionData, builtins),
    function_closure: object_layout()[3] + offset_of!(FunctionData, closure),
    code_native: object_layout()[3] + offset_of!(CodeData, native),
    code_consts: object_layout()[3] + offset_of!(CodeData, consts) + vector(0),
    code_names: object_layout()[3] + offset_of!(CodeData, names) + vector(0),
    code_caches: object_layout()[3] + offset_of!(CodeData, caches) + vector(0),
    cache_size: size_of::<Cell<Cache>>(),
    cache_version: offset_of!(Cache, version),
    cache_index: offset_of!(Cache, index),
    cache_kind: offset_of!(Cache, kind),
    dict_entries: object_layout()[3] + DictData::TABLE + in_cell(Dict::default()) + Dict::ENTRIES + vector(0),
    dict_slots: object_layout()[3] + DictData::TABLE + in_cell(Dict::default()) + Dict::ENTRIES + vector(1),
    dict_version: object_layout()[3] + DictData::TABLE + in_cell(Dict::default()) + offset_of!(Dict, version),
    dict_entry_size: size_of::<DictEntry>(),
    dict_entry_key: offset_of!(DictEntry, key),
    dict_entry_value: offset_of!(DictEntry, value),
    list_items: object_layout()[3] + ListData::ITEMS + in_cell(Vec::<Value>::new()) + vector(0),
    list_length: object_layout()[3] + ListData::ITEMS + in_cell(Vec::<Value>::new()) + vector(1),
    list_capacity: object_layout()[3] + ListData::ITEMS + in_cell(Vec::<Value>::new()) + vector(2),
    tuple_items: object_layout()[3] + TupleData::ITEMS[0],
    tuple_length: object_layout()[3] + TupleData::ITEMS[1],
    object_flags: object_layout()[4],
    object_type: object_layout()[5],
    object_attrs: object_layout()[6],
    flag_attrs: object_layout()[7],
    attrs_values: Attrs::LAYOUT[0],
    attrs_shape: Attrs::LAYOUT[1],
    attrs_length: Attrs::LAYOUT[2],
    attrs_slots: Attrs::LAYOUT[3],
    attrs_dict: Attrs::LAYOUT[4],
    type_version: object_layout()[3] + offset_of!(Type, version),
    cache_shape: offset_of!(Cache, shape),
    cache_value: offset_of!(Cache, value),
    type_constructor: object_layout()[3] + offset_of!(Type, constructor),
    type_constructor_version: object_layout()[3] + offset_of!(Type, constructor_version),
    module_dict: object_layout()[3] + offset_of!(ModuleData, dict),
    dict_live: object_layout()[3] + DictData::TABLE + in_cell(Dict::default()) + Dict::LIVE,
    vm_known: offset_of!(Vm, native) + offset_of!(NativeState, known),
    vm_handled: offset_of!(Vm, handled) + in_cell(Value::NONE),
    property_getter: object_layout()[3] + offset_of!(PropertyData, parts) + in_cell([Some(Value::NONE), None, None]),
    static_method_value: object_layout()[3] + offset_of!(StaticMethodData, 0) + in_cell(Value::NONE),
    class_method_value: object_layout()[3] + offset_of!(ClassMethodData, 0) + in_cell(Value::NONE),
    kind_static: Kind::StaticMethod as u8,
    kind_class_method: Kind::ClassMethod as u8,
    kind_type: Kind::Type as u8,
    kind_module: Kind::Module as u8,
    kind_str: Kind::Str as u8,
    kind_dict: Kind::Dict as u8,
    list_iter_list: object_layout()[3] + offset_of!(ListIter, list) + in_cell(Value::NONE),
    list_iter_at: object_layout()[3] + offset_of!(ListIter, at),
    tuple_iter_tuple: object_layout()[3] + offset_of!(TupleIter, tuple) + in_cell(Value::NONE),
    tuple_iter_at: object_layout()[3] + offset_of!(TupleIter, at),
    list_iter_reversed: object_layout()[3] + offset_of!(ListIter, reversed),
    range_iter_next: object_layout()[3] + offset_of!(RangeIter, next),
    range_iter_step: object_layout()[3] + offset_of!(RangeIter, step),
    range_iter_left: object_layout()[3] + offset_of!(RangeIter, left),
    cell_value: object_layout()[3] + offset_of!(CellData, 0) + in_cell(Some(Value::NONE)),
    kind_float: Kind::Float as u8,
    kind_list: Kind::List as u8,
    kind_tuple: Kind::Tuple as u8,
    kind_function: Kind::Function as u8,
    kind_list_iter: Kind::ListIter as u8,
    kind_tuple_iter: Kind::TupleIter as u8,
    kind_range_iter: Kind::RangeIter as u8,
}

impl Layout {
    /// Tells builds apart whose machine code does not fit.
    pub fn hash(&self) -> u64 {
        // FNV, written out: the standard hasher may change between versions.
        struct Fnv(u64);
        impl Hasher for Fnv {
            fn finish(&self) -> u64 {
                self.0
            }
            fn write(&mut self, bytes: &[u8]) {
                for byte in bytes {
                    self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
                }
            }
        }
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        Hash::hash(self, &mut hasher);
        super::HELPERS.hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_point_at_what_they_name() {
        let l = Layout::current();
        assert_ne!(l.list_items, l.list_length);
        assert_ne!(l.tuple_items, l.tuple_length);
        assert_eq!(l.hash(), Layout::current().hash());
        // The tag of an unboxed float is no value's.
        assert_eq!(super::super::MARK & 3, 2);
        assert_ne!(super::super::MARK, Value::ELLIPSIS.bits());
    }
}
