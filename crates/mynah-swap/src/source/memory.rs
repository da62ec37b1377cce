//! Tensors in memory.

use super::{TensorInfo, TensorSource, check_range};
use crate::{Error, Result};

/// Tensors whose bytes are held here: tests, adapters, a staged version.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    tensors: Vec<TensorInfo>,
    data: Vec<Vec<u8>>,
}

impl MemorySource {
    /// A source without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// `Argument` when the bytes are not what type and shape need.
    pub fn add(&mut self, info: TensorInfo, bytes: Vec<u8>) -> Result<()> {
        if info.dtype.size_bytes(&info.shape) != Some(bytes.len() as u64) {
            return Err(Error::argument(format!(
                "tensor {:?}: {} {:?} is not {} bytes",
                info.name,
                info.dtype,
                info.shape,
                bytes.len()
            )));
        }
        self.tensors.push(info);
        self.data.push(bytes);
        Ok(())
    }

    /// The bytes of tensor number `tensor`.
    ///
    /// # Panics
    /// When there is no such tensor.
    pub fn bytes(&self, tensor: usize) -> &[u8] {
        &self.data[tensor]
    }

    /// The bytes of all tensors, in their order.
    pub fn into_bytes(self) -> Vec<Vec<u8>> {
        self.data
    }

    /// The bytes, to change them.
    ///
    /// # Panics
    /// When there is no such tensor.
    pub fn bytes_mut(&mut self, tensor: usize) -> &mut [u8] {
        &mut self.data[tensor]
    }
}

impl TensorSource for MemorySource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, tensor: usize, offset_bytes: u64, into: &mut [u8]) -> Result<()> {
        let (Some(info), Some(data)) = (self.tensors.get(tensor), self.data.get(tensor)) else {
            return Err(Error::argument(format!("there is no tensor number {tensor}")));
        };
        check_range(info, data.len() as u64, offset_bytes, into.len())?;
        let start = offset_bytes as usize;
        into.copy_from_slice(&data[start..start + into.len()]);
        Ok(())
    }
}
