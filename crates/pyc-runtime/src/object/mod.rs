//! Objects in memory: the only place that knows how a [`Value`] is represented.
//!
//! A value is 64 bits: an odd number is an integer of 63 bits; a number that ends in binary `010` is one of the
//! constants (None, True, False, ...); anything else is the address of a [`Header`], which a payload follows.
//! In front of the header of a container stands its place in the collector's list, and in front of that, for
//! instances of classes, their attributes:
//!
//! ```text
//! [values] [Attrs] [gc index] [refs, kind, sub, flags | type] [payload ...]
//!                             ^ the value's address
//! ```

#![allow(unsafe_code)]

mod attrs;
mod block;
mod gc;
mod memory;
mod process;
mod value;

pub use attrs::Attrs;
pub use block::Block;
pub use gc::{collect, referents, refers, set_threshold, threshold, tracked, tracked_count};
pub use memory::{Counting, live_blocks, used_bytes};
pub use process::one_arena;
pub use value::{Kind, Payload, Unowned, VTable, Value, new_object};
pub(crate) use value::{object_layout, resize_hint};
