//! Tokenizer files. Whatever is read here is taken for hostile until checked.

mod base64;
mod byte_level;
mod hugging_face;
mod tiktoken;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

pub(crate) use base64::encode as base64_encode;
pub(crate) use byte_level::read as read_byte_level;
pub(crate) use hugging_face::{
    MergeText, load as load_hugging_face, read_merges, save as save_hugging_face, write as write_hugging_face,
};
pub(crate) use tiktoken::{load as load_tiktoken, save as save_tiktoken};

/// The file in Hugging Face's format.
pub const HUGGING_FACE_FILE: &str = "tokenizer.json";
/// The ranks file.
pub const TIKTOKEN_FILE: &str = "tokenizer.tiktoken";
/// Largest tokenizer file that is read; the largest in use have about 30 MB.
pub const FILE_SIZE_MAX: u64 = 128 << 20;

/// The content of a text file of bounded size.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let io = |error: std::io::Error| Error::io("read this tokenizer file", path, &error);
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_SIZE_MAX {
        return Err(
            Error::format(format!("larger than {FILE_SIZE_MAX} bytes: not a tokenizer")).in_file(path)
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::format(format!("not UTF-8 at byte {at}: not a tokenizer")).in_file(path)
    })
}
