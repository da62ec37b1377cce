//! The packed Python part of the standard library.

use std::collections::HashMap;
use std::sync::OnceLock;

const INDEX: &str = include_str!(concat!(env!("OUT_DIR"), "/library.index"));
const BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/library.bin"));

/// A module's text and whether it is a package.
pub(crate) fn find(name: &str) -> Option<(&'static str, bool)> {
    static TABLE: OnceLock<HashMap<&'static str, (bool, usize, usize)>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        INDEX
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let (name, package) = (words.next()?, words.next()? == "1");
                Some((name, (package, words.next()?.parse().ok()?, words.next()?.parse().ok()?)))
            })
            .collect()
    });
    let (package, start, length) = *table.get(name)?;
    let text = std::str::from_utf8(BLOB.get(start..start + length)?).ok()?;
    Some((text, package))
}
