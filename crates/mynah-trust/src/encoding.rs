//! Base64 as the formats here use it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::{Error, Result};

/// Standard Base 64 with padding (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a standard Base 64 text; `what` names it in the error.
pub(crate) fn bytes_of_base64(text: &str, what: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|e| Error::format(format!("{what} is not base64: {e}")))
}

/// As [`bytes_of_base64`], and takes the alphabet for URLs too: DSSE asks its readers for both.
pub(crate) fn bytes_of_any_base64(text: &str, what: &str) -> Result<Vec<u8>> {
    if text.contains(['-', '_']) {
        return URL_SAFE.decode(text).map_err(|e| Error::format(format!("{what} is not base64: {e}")));
    }
    bytes_of_base64(text, what)
}
