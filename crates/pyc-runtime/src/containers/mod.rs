//! tuple, list, dict and its views, set, frozenset, slice, mappingproxy.

mod dict;
mod dict_views;
mod list;
mod set;
mod slice;
mod sort;
mod tuple;

pub use dict::{DictData, ProxyData};
pub use dict_views::DictView;
pub use list::ListData;
pub(crate) use list::{assigned, part_of, set_part};
pub use set::{SetData, SetTable};
pub use slice::SliceData;
pub(crate) use slice::Span;
pub use tuple::TupleData;

use crate::vm::Vm;

pub(crate) fn init(vm: &Vm) {
    tuple::init(vm);
    list::init(vm);
    dict::init(vm);
    dict_views::init(vm);
    set::init(vm);
    slice::init(vm);
}
