//! The zero-copy index of a message.

use bytes::Bytes;

/// A message with its index.
#[derive(Debug)]
pub struct Document {
    bytes: Bytes,
}

impl Document {
    /// The bytes as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}
