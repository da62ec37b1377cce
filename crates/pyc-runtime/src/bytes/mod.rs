//! bytes, bytearray, memoryview, and text encodings.

pub mod codecs;
mod memory;
mod methods;

use std::cell::RefCell;

use crate::object::{Kind, Payload, Value, new_object};
use crate::vm::{PyResult, Vm};

pub(crate) fn init(vm: &Vm) {
    methods::init(vm);
    memory::init(vm);
}

/// The payload of bytes.
pub struct BytesData(pub Box<[u8]>);
impl Payload for BytesData {
    const KIND: Kind = Kind::Bytes;
}

/// The payload of byte arrays.
#[derive(Default)]
pub struct ByteArrayData(pub RefCell<Vec<u8>>);
impl Payload for ByteArrayData {
    const KIND: Kind = Kind::ByteArray;
}

/// The payload of memory views: a part of bytes or a byte array, seen as unsigned bytes.
pub struct MemoryData {
    /// What it views.
    pub object: Value,
    /// First byte.
    pub start: usize,
    /// How many bytes.
    pub length: usize,
    /// How its items are read, as in `struct`.
    pub format: u8,
    /// It was released.
    pub released: std::cell::Cell<bool>,
}
impl Payload for MemoryData {
    const GC: bool = true;
    fn traverse(&self, visit: &mut dyn FnMut(&Value)) {
        visit(&self.object);
    }
}

impl Vm {
    /// A bytes object.
    pub fn bytes(&self, bytes: &[u8]) -> Value {
        new_object(&self.types.bytes, BytesData(bytes.into()))
    }

    /// The bytes of a bytes-like object, copied.
    ///
    /// # Errors
    /// TypeError for anything else.
    pub fn bytes_of(&self, value: &Value) -> PyResult<Vec<u8>> {
        if let Some(b) = value.get::<BytesData>() {
            return Ok(b.0.to_vec());
        }
        if let Some(b) = value.get::<ByteArrayData>() {
            return Ok(b.0.borrow().clone());
        }
        if let Some(m) = value.get::<MemoryData>() {
            if m.released.get() {
                return Err(self.value_error("operation forbidden on released memoryview object"));
            }
            let all = self.bytes_of(&m.object)?;
            return Ok(all.get(m.start..m.start + m.length).unwrap_or(&[]).to_vec());
        }
        Err(self.type_error(format!("a bytes-like object is required, not '{}'", self.type_name(value))))
    }

    /// Whether it is bytes, a byte array or a memory view.
    pub fn is_bytes_like(&self, value: &Value) -> bool {
        matches!(value.kind(), Kind::Bytes | Kind::ByteArray) || value.get::<MemoryData>().is_some()
    }

    /// `bytes(value)` for iterables of integers.
    ///
    /// # Errors
    /// TypeError and ValueError.
    pub fn to_bytes(&self, value: &Value) -> PyResult<Vec<u8>> {
        if self.is_bytes_like(value) {
            return self.bytes_of(value);
        }
        if let Some(made) = self.call_special(value, &self.names.__bytes__, &[])? {
            if made.kind() != Kind::Bytes {
                let name = self.type_name(&made);
                return Err(self.type_error(format!("__bytes__ returned non-bytes (type {name})")));
            }
            return self.bytes_of(&made);
        }
        if value.kind() == Kind::Str {
            return Err(self.type_error("cannot convert 'str' object to bytes"));
        }
        let iterator = match self.iter(value) {
            Ok(iterator) => iterator,
            Err(error) if !self.is_exception(&error, &self.exc.type_error) => return Err(error),
            Err(_) => {
                return Err(
                    self.type_error(format!("cannot convert '{}' object to bytes", self.type_name(value)))
                );
            }
        };
        let mut bytes = Vec::new();
        while let Some(item) = self.next(&iterator)? {
            let n = self.index_clamped(&item)?;
            bytes.push(u8::try_from(n).map_err(|_| self.value_error("bytes must be in range(0, 256)"))?);
        }
        Ok(bytes)
    }
}
