//! Fresh ids and made-up names.

use crate::error::{Error, Result};

/// 32 hexadecimal characters from the system's random numbers: ids must not collide between machines.
pub fn random_hex() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::storage(format!("the system gives no random numbers: {error}")))?;
    Ok(hex(&bytes))
}

/// A name for a run or model that got none.
pub fn random_name() -> Result<String> {
    let seed = u64::from_str_radix(&random_hex()?[..16], 16).unwrap_or_default();
    let pick = |words: &'static [&'static str], at: u32| words[(seed >> at) as usize % words.len()];
    Ok(format!("{}-{}-{}", pick(MANNERS, 0), pick(BIRDS, 16), (seed >> 32) % 1_000))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

const MANNERS: &[&str] = &[
    "amber", "bold", "brisk", "calm", "clever", "crisp", "early", "gentle", "glad", "keen", "kind", "lively",
    "lucid", "mellow", "merry", "nimble", "patient", "plain", "proud", "quick", "quiet", "rapid", "sharp",
    "shy", "silver", "sober", "steady", "swift", "tidy", "vivid", "warm", "wise",
];

const BIRDS: &[&str] = &[
    "avocet", "bulbul", "crane", "curlew", "dipper", "dove", "dunlin", "egret", "falcon", "finch", "grebe",
    "heron", "hoopoe", "ibis", "jay", "kestrel", "kite", "lark", "linnet", "martin", "mynah", "oriole",
    "owl", "plover", "robin", "rook", "siskin", "stork", "swift", "teal", "thrush", "wren",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_hexadecimal() {
        let (a, b) = (random_hex().unwrap(), random_hex().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), 32);
        assert!(a.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()));
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
    }

    #[test]
    fn names_have_three_parts() {
        assert_eq!(random_name().unwrap().split('-').count(), 3);
    }
}
