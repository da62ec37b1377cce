//! Machine code that comes with a module's code, as bytes of a file.
//!
//! Machine code cannot be verified as the register IR is: what is run must be what our compiler wrote. So a section
//! carries a checksum over all of it, and one of the code that it belongs to; a section that was cut, changed or put
//! beside other code is refused. Against a forger there is no defence here, as there is none for the executable in
//! front of it: who can write the file is the program.

use std::collections::HashMap;
use std::sync::Arc;

use pyc_ir::{Code, Const};

use super::{Blob, Entry, LoadError, NativeState};
use crate::vm::Vm;

const MAGIC: &[u8; 8] = b"mynahMC1";
/// Magic, checksum, layout, checksum of the code, entries, bytes.
const HEAD_BYTES: usize = 8 + 8 + 8 + 8 + 4 + 4;
const ENTRY_BYTES: usize = 16;

/// A module's code and all that is inside, in the order in which machine code counts them: outer before inner.
pub fn pieces(code: &Arc<Code>) -> Vec<Arc<Code>> {
    fn add(code: &Arc<Code>, all: &mut Vec<Arc<Code>>) {
        all.push(code.clone());
        for constant in &code.consts {
            if let Const::Code(inner) = constant {
                add(inner, all);
            }
        }
    }
    let mut all = Vec::new();
    add(code, &mut all);
    all
}

/// A checksum that no single change leaves as it was; eight bytes at a time.
pub fn checksum(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let mut step = |word: u64| {
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        step(u64::from_le_bytes(*word));
    }
    for byte in rest {
        step(u64::from(*byte));
    }
    hash
}

/// The section for machine code. `of` is the [`checksum`] of the packed code; each entry is its place in [`pieces`]
/// and what [`Blob::load`] wants. Nothing when there is too much of it for one section (4 GiB).
pub fn section(layout: u64, of: u64, entries: &[(usize, [u64; 3])], bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(HEAD_BYTES + entries.len() * ENTRY_BYTES + bytes.len());
    body.extend_from_slice(&layout.to_le_bytes());
    body.extend_from_slice(&of.to_le_bytes());
    let mut number = |n: u64| u32::try_from(n).ok().map(|n| body.extend_from_slice(&n.to_le_bytes()));
    number(entries.len() as u64)?;
    number(bytes.len() as u64)?;
    for (piece, [direct, array, simple]) in entries {
        number(*piece as u64)?;
        number(*direct)?;
        number(*array)?;
        number(if *simple == u64::MAX { u64::from(u32::MAX) } else { *simple })?;
    }
    body.extend_from_slice(bytes);
    let mut section = MAGIC.to_vec();
    section.extend_from_slice(&checksum(&body).to_le_bytes());
    section.extend_from_slice(&body);
    Some(section)
}

/// A section that was read.
struct Section<'a> {
    layout: u64,
    of: u64,
    pieces: Vec<u32>,
    places: Vec<[u64; 3]>,
    bytes: &'a [u8],
}

fn read(section: &[u8]) -> Result<Section<'_>, LoadError> {
    let damaged = || LoadError::new("the machine code is damaged; build the program again");
    let (head, rest) = section.split_at_checked(HEAD_BYTES).ok_or_else(damaged)?;
    let long = |at: usize| head[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    let short = |bytes: &[u8], at: usize| bytes[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    if !head.starts_with(MAGIC) || checksum(&section[16..]) != long(8) {
        return Err(damaged());
    }
    let (count, length) = (short(head, 32) as usize, short(head, 36) as usize);
    let table = count.checked_mul(ENTRY_BYTES).ok_or_else(damaged)?;
    let (table, bytes) = rest.split_at_checked(table).ok_or_else(damaged)?;
    if bytes.len() != length {
        return Err(damaged());
    }
    let (mut pieces, mut places) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for row in table.chunks_exact(ENTRY_BYTES) {
        let simple = short(row, 12);
        pieces.push(short(row, 0));
        places.push([
            u64::from(short(row, 4)),
            u64::from(short(row, 8)),
            if simple == u32::MAX { u64::MAX } else { u64::from(simple) },
        ]);
    }
    Ok(Section { layout: long(16), of: long(24), pieces, places, bytes })
}

/// What a section says of itself: how many functions, how many bytes of machine code, and [`super::Layout::hash`].
///
/// # Errors
/// When it is damaged.
pub fn inspect(section: &[u8]) -> Result<(usize, usize, u64), LoadError> {
    read(section).map(|s| (s.places.len(), s.bytes.len(), s.layout))
}

/// Machine code that waits for its code objects.
#[derive(Default)]
pub(crate) struct Waiting {
    by_code: HashMap<*const Code, *const Entry>,
    /// Keeps what the addresses stand for.
    codes: Vec<Arc<Code>>,
}

impl NativeState {
    /// The machine code that came with a piece of code, or null.
    pub(crate) fn packed(&self, code: &Arc<Code>) -> *const Entry {
        let waiting = self.waiting.borrow();
        if waiting.codes.is_empty() {
            return std::ptr::null();
        }
        waiting.by_code.get(&Arc::as_ptr(code)).copied().unwrap_or(std::ptr::null())
    }
}

impl Vm {
    /// Maps the machine code of a module, for the code objects that are made from `code` and what is inside it. `of` is
    /// the [`checksum`] of the bytes that `code` was decoded from.
    ///
    /// # Errors
    /// When the section is damaged, belongs to other code or to another build of the runtime, or cannot be mapped.
    pub fn load_machine_code(&self, code: &Arc<Code>, of: u64, section: &[u8]) -> Result<(), LoadError> {
        let read = read(section)?;
        if read.of != of {
            return Err(LoadError::new("the machine code belongs to other code; build the program again"));
        }
        let pieces = pieces(code);
        if read.pieces.iter().any(|piece| *piece as usize >= pieces.len()) {
            return Err(LoadError::new("the machine code names a function that there is not"));
        }
        if read.places.is_empty() {
            return Ok(());
        }
        let blob = Blob::load(read.bytes, read.layout, &read.places)?;
        let mut waiting = self.native.waiting.borrow_mut();
        for (piece, entry) in read.pieces.iter().zip(blob.entries()) {
            waiting.by_code.insert(Arc::as_ptr(&pieces[*piece as usize]), entry);
        }
        // All pieces live as long as the outermost one, which holds them.
        waiting.codes.push(code.clone());
        self.native.blobs.borrow_mut().push(blob);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Layout;

    #[test]
    fn sections_round_trip_and_damage_is_seen() {
        let layout = Layout::current().hash();
        let entries = [(0, [0, 1, 2]), (3, [1, 2, u64::MAX])];
        let bytes = section(layout, 7, &entries, &[0xc3; 9]).unwrap();
        let good = read(&bytes).unwrap();
        assert_eq!((good.layout, good.of, good.bytes), (layout, 7, &[0xc3; 9][..]));
        assert_eq!((&good.pieces[..], good.places[1]), (&[0, 3][..], [1, 2, u64::MAX]));
        assert_eq!(inspect(&bytes).unwrap(), (2, 9, layout));
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "{at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed).is_err(), "{at}");
            }
        }
    }
}
