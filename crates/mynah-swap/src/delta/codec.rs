//! One chunk: which units changed, and to what.
//!
//! ```text
//! patch = blocks of 65536 units, the last shorter
//! block = 0 (nothing changed) | 1, the bytes | 2, layer | 3, layer, layer
//! layer = 0 (raw), k, changes - 1 (u16), gaps, values
//!       | 1 (differences), k, changes - 1, value k, gaps, differences
//! ```
//!
//! A gap is the count of unchanged units before a change, a difference the zigzag of new minus old as integers,
//! less one; both in Rice codes, padded to whole bytes. Two layers occur only where two patches were composed.

use super::bits::{BitReader, BitWriter, best_rice};
use crate::{Error, Result};

/// Units that share their parameters: changes are counted in 16 bits.
pub const UNITS_A_BLOCK: usize = 1 << 16;

/// Gaps are below 2^16.
const GAP_BITS: u32 = 16;

/// The largest patch that [`encode`] writes for so many bytes: all of them, and a byte for every block.
pub fn patch_size_max(size_bytes: u64, unit_bytes: usize) -> u64 {
    size_bytes + size_bytes.div_ceil((unit_bytes * UNITS_A_BLOCK) as u64)
}

/// Appends the patch from `base` to `target`; returns how many units changed. Where the changes would take more
/// than the bytes themselves, the bytes are written.
///
/// # Panics
/// When the lengths differ or are not whole units of `unit_bytes`.
pub fn encode(base: &[u8], target: &[u8], unit_bytes: usize, out: &mut Vec<u8>) -> u64 {
    assert!(base.len() == target.len(), "a patch keeps the length: {} and {}", base.len(), target.len());
    assert!(unit_bytes > 0 && base.len().is_multiple_of(unit_bytes), "whole units of {unit_bytes} bytes");
    let block_bytes = unit_bytes * UNITS_A_BLOCK;
    let mut scratch = Scratch::default();
    let mut changes = 0;
    for (base, target) in base.chunks(block_bytes).zip(target.chunks(block_bytes)) {
        scratch.places.clear();
        match unit_bytes {
            1 => scan::<8>(base, target, &mut scratch.places),
            2 => scan::<16>(base, target, &mut scratch.places),
            4 => scan::<32>(base, target, &mut scratch.places),
            8 => scan::<64>(base, target, &mut scratch.places),
            _ => scan_units(base, target, unit_bytes, &mut scratch.places),
        }
        changes += scratch.places.len() as u64;
        encode_block(base, target, unit_bytes, &mut scratch, out);
    }
    changes
}

#[derive(Default)]
struct Scratch {
    places: Vec<u32>,
    gaps: Vec<u64>,
    differences: Vec<u64>,
}

/// Numbers of the lanes that differ. Compares 64 bytes at a time, which the compiler makes into vector code.
fn scan<const LANE_BITS: u32>(base: &[u8], target: &[u8], places: &mut Vec<u32>) {
    const LINE: usize = 64;
    let lanes_a_word = 64 / LANE_BITS;
    let (base_lines, base_rest) = base.as_chunks::<LINE>();
    let (target_lines, target_rest) = target.as_chunks::<LINE>();
    for (line, (a, b)) in base_lines.iter().zip(target_lines).enumerate() {
        if a == b {
            continue;
        }
        let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
        for (word, (a, b)) in a.iter().zip(b).enumerate() {
            let mut differs = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
            let first = ((line * 8 + word) as u32) * lanes_a_word;
            while differs != 0 {
                let lane = differs.trailing_zeros() / LANE_BITS;
                places.push(first + lane);
                let mask = if LANE_BITS == 64 { u64::MAX } else { (1u64 << (LANE_BITS % 64)) - 1 };
                differs &= !(mask << (lane * LANE_BITS % 64));
            }
        }
    }
    let unit_bytes = (LANE_BITS / 8) as usize;
    let done = base_lines.len() * LINE / unit_bytes;
    let before = places.len();
    scan_units(base_rest, target_rest, unit_bytes, places);
    places[before..].iter_mut().for_each(|place| *place += done as u32);
}

fn scan_units(base: &[u8], target: &[u8], unit_bytes: usize, places: &mut Vec<u32>) {
    let units = base.chunks_exact(unit_bytes).zip(target.chunks_exact(unit_bytes)).enumerate();
    places.extend(units.filter(|(_, (a, b))| a != b).map(|(place, _)| place as u32));
}

fn encode_block(base: &[u8], target: &[u8], unit_bytes: usize, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let places = &scratch.places;
    if places.is_empty() {
        out.push(0);
        return;
    }
    gaps_of(places, &mut scratch.gaps);
    let (gap_k, gap_bits) = best_rice(&scratch.gaps, GAP_BITS);
    let gap_bytes = gap_bits.div_ceil(8) as usize;
    let raw_bytes = places.len() * unit_bytes;
    let mut differences_bytes = usize::MAX;
    let mut value_k = 0;
    if let Some(width) = integer_bits(unit_bytes) {
        scratch.differences.clear();
        let unit = |bytes: &[u8], place: u32| load(&bytes[place as usize * unit_bytes..][..unit_bytes]);
        let difference =
            |&place: &u32| zigzag(unit(target, place).wrapping_sub(unit(base, place)), width) - 1;
        scratch.differences.extend(places.iter().map(difference));
        let (k, bits) = best_rice(&scratch.differences, width);
        (value_k, differences_bytes) = (k, bits.div_ceil(8) as usize + 1);
    }
    if 5 + gap_bytes + raw_bytes.min(differences_bytes) > target.len() {
        out.push(1);
        out.extend(target);
        return;
    }
    out.push(2);
    if differences_bytes < raw_bytes {
        write_differences(out, places.len(), gap_k, &scratch.gaps, value_k, &scratch.differences, unit_bytes);
    } else {
        write_raw_head(out, places.len(), gap_k, &scratch.gaps);
        let value = |&place: &u32| &target[place as usize * unit_bytes..][..unit_bytes];
        places.iter().for_each(|place| out.extend(value(place)));
    }
}

fn gaps_of(places: &[u32], gaps: &mut Vec<u64>) {
    let mut next = 0;
    gaps.clear();
    gaps.extend(places.iter().map(|&place| u64::from(place - std::mem::replace(&mut next, place + 1))));
}

fn write_raw_head(out: &mut Vec<u8>, count: usize, gap_k: u32, gaps: &[u64]) {
    out.extend([0, gap_k as u8]);
    out.extend(((count - 1) as u16).to_le_bytes());
    write_rice(out, gaps, gap_k, GAP_BITS);
}

fn write_differences(
    out: &mut Vec<u8>,
    count: usize,
    gap_k: u32,
    gaps: &[u64],
    value_k: u32,
    values: &[u64],
    unit_bytes: usize,
) {
    out.extend([1, gap_k as u8]);
    out.extend(((count - 1) as u16).to_le_bytes());
    out.push(value_k as u8);
    write_rice(out, gaps, gap_k, GAP_BITS);
    write_rice(out, values, value_k, unit_bytes as u32 * 8);
}

fn write_rice(out: &mut Vec<u8>, values: &[u64], k: u32, width: u32) {
    let mut writer = BitWriter::new(out);
    values.iter().for_each(|&value| writer.rice(value, k, width));
    writer.finish();
}

/// Units that are also integers; blocks with scales are not.
fn integer_bits(unit_bytes: usize) -> Option<u32> {
    matches!(unit_bytes, 1 | 2 | 4 | 8).then_some(unit_bytes as u32 * 8)
}

#[inline]
fn load(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// A difference modulo 2^width as 0, -1, 1, -2, 2, … → 0, 1, 2, 3, 4, …
#[inline]
fn zigzag(difference: u64, width: u32) -> u64 {
    let shift = 64 - width;
    let signed = (difference << shift) as i64 >> shift;
    (((signed << 1) ^ (signed >> 63)) as u64) & (u64::MAX >> shift)
}

#[inline]
fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

/// Changes one chunk from the base to the target, in place. After an error the bytes are neither; they must be
/// thrown away. The digest of the result is for the caller to check: a patch that is well-formed may still be of
/// another base.
///
/// # Errors
/// `Format` when the patch is malformed, ends early, goes on, or names a unit outside the chunk.
pub fn patch(bytes: &mut [u8], patch: &[u8], unit_bytes: usize) -> Result<()> {
    if unit_bytes == 0 || !bytes.len().is_multiple_of(unit_bytes) {
        return Err(Error::argument(format!("{} bytes are not whole units of {unit_bytes}", bytes.len())));
    }
    let mut cursor = Cursor { rest: patch };
    for block in bytes.chunks_mut(unit_bytes * UNITS_A_BLOCK) {
        match cursor.block(block.len(), unit_bytes)? {
            Block::Same => {}
            Block::Full(new) => block.copy_from_slice(new),
            Block::Layers(count) => {
                for _ in 0..count {
                    let layer = cursor.layer(unit_bytes)?;
                    match unit_bytes {
                        1 => cursor.apply_layer::<1>(&layer, block)?,
                        2 => cursor.apply_layer::<2>(&layer, block)?,
                        4 => cursor.apply_layer::<4>(&layer, block)?,
                        8 => cursor.apply_layer::<8>(&layer, block)?,
                        _ => cursor.apply_wide(&layer, block, unit_bytes)?,
                    }
                }
            }
        }
    }
    cursor.end()
}

/// What follows a block's first byte.
enum Block<'a> {
    Same,
    Full(&'a [u8]),
    Layers(usize),
}

/// The head of a layer.
struct Layer {
    is_raw: bool,
    count: usize,
    gap_k: u32,
    value_k: u32,
}

struct Cursor<'a> {
    rest: &'a [u8],
}

fn malformed(problem: &str) -> Error {
    Error::format(format!("a patch {problem}; it was damaged or is for another chunk"))
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| malformed("is cut short"))?;
        self.rest = rest;
        Ok(head)
    }

    fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed("goes on after its last block")) }
    }

    fn block(&mut self, block_bytes: usize, unit_bytes: usize) -> Result<Block<'a>> {
        debug_assert!(block_bytes.is_multiple_of(unit_bytes));
        match self.take(1)?[0] {
            0 => Ok(Block::Same),
            1 => Ok(Block::Full(self.take(block_bytes)?)),
            2 => Ok(Block::Layers(1)),
            3 => Ok(Block::Layers(2)),
            _ => Err(malformed("has a block of an unknown kind")),
        }
    }

    fn layer(&mut self, unit_bytes: usize) -> Result<Layer> {
        let head = self.take(4)?;
        let count = usize::from(u16::from_le_bytes([head[2], head[3]])) + 1;
        let mut layer = Layer { is_raw: head[0] == 0, count, gap_k: u32::from(head[1]), value_k: 0 };
        if layer.gap_k >= GAP_BITS || head[0] > 1 {
            return Err(malformed("has a layer of an unknown kind"));
        }
        if !layer.is_raw {
            layer.value_k = u32::from(self.take(1)?[0]);
            let width = integer_bits(unit_bytes).ok_or_else(|| malformed("has differences of blocks"))?;
            if layer.value_k >= width.min(32) {
                return Err(malformed("has an impossible parameter"));
            }
        }
        Ok(layer)
    }

    /// The bit stream that follows, and a second one behind it whose place is known once the first was read.
    fn gaps(&self) -> BitReader<'a> {
        BitReader::new(self.rest)
    }

    fn skip(&mut self, read: &BitReader) -> Result<()> {
        self.take(read.bytes_used()).map(|_| ())
    }

    fn apply_layer<const UNIT: usize>(&mut self, layer: &Layer, block: &mut [u8]) -> Result<()> {
        let outside = || malformed("names a unit outside its block");
        let (units, _) = block.as_chunks_mut::<UNIT>();
        let mut gaps = self.gaps();
        let mut place = 0usize;
        if layer.is_raw {
            // The values lie behind the gaps, whose length is known once they are read: read them twice, which is
            // cheaper than keeping them.
            let mut ahead = self.gaps();
            (0..layer.count).for_each(|_| {
                ahead.rice(layer.gap_k, GAP_BITS);
            });
            self.skip(&ahead)?;
            let (values, _) = self.take(layer.count * UNIT)?.as_chunks::<UNIT>();
            for value in values {
                place += gaps.rice(layer.gap_k, GAP_BITS) as usize;
                *units.get_mut(place).ok_or_else(outside)? = *value;
                place += 1;
            }
        } else {
            let width = UNIT as u32 * 8;
            let mut ahead = self.gaps();
            (0..layer.count).for_each(|_| {
                ahead.rice(layer.gap_k, GAP_BITS);
            });
            self.skip(&ahead)?;
            let mut values = BitReader::new(self.rest);
            for _ in 0..layer.count {
                place += gaps.rice(layer.gap_k, GAP_BITS) as usize;
                let difference = unzigzag(values.rice(layer.value_k, width).wrapping_add(1));
                let unit = units.get_mut(place).ok_or_else(outside)?;
                let new = load(unit).wrapping_add(difference).to_le_bytes();
                unit.copy_from_slice(&new[..UNIT]);
                place += 1;
            }
            self.skip(&values)?;
        }
        Ok(())
    }

    fn apply_wide(&mut self, layer: &Layer, block: &mut [u8], unit_bytes: usize) -> Result<()> {
        let places = self.places(layer, block.len() / unit_bytes)?;
        let values = self.take(layer.count * unit_bytes)?;
        for (place, value) in places.into_iter().zip(values.chunks_exact(unit_bytes)) {
            block[place as usize * unit_bytes..][..unit_bytes].copy_from_slice(value);
        }
        Ok(())
    }

    fn places(&mut self, layer: &Layer, units: usize) -> Result<Vec<u32>> {
        let mut gaps = self.gaps();
        let mut places = Vec::with_capacity(layer.count.min(units));
        let mut place = 0;
        for _ in 0..layer.count {
            place += gaps.rice(layer.gap_k, GAP_BITS) as usize;
            if place >= units {
                return Err(malformed("names a unit outside its block"));
            }
            places.push(place as u32);
            place += 1;
        }
        self.skip(&gaps)?;
        Ok(places)
    }
}

/// A block taken apart, to be composed with another.
pub(super) enum Parts {
    Same,
    Full(Vec<u8>),
    Sparse(Vec<Edit>),
}

/// One changed unit, in order of places.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) place: u32,
    pub(super) value: Value,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// The unit's new bytes.
    Raw(Vec<u8>),
    /// What is added to the unit as an integer, modulo its width.
    Difference(u64),
}

/// Takes a patch apart, block by block: a whole one could be many times as large as its bytes.
pub(super) struct PartsReader<'a> {
    cursor: Cursor<'a>,
    left_bytes: usize,
    unit_bytes: usize,
}

impl<'a> PartsReader<'a> {
    pub(super) fn new(size_bytes: usize, patch: &'a [u8], unit_bytes: usize) -> Self {
        Self { cursor: Cursor { rest: patch }, left_bytes: size_bytes, unit_bytes }
    }

    /// The next block with its size; nothing after the last.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Parts)>> {
        let unit_bytes = self.unit_bytes;
        let block_bytes = self.left_bytes.min(unit_bytes * UNITS_A_BLOCK);
        if block_bytes == 0 {
            return self.cursor.end().map(|()| None);
        }
        self.left_bytes -= block_bytes;
        let cursor = &mut self.cursor;
        let count = match cursor.block(block_bytes, unit_bytes)? {
            Block::Same => return Ok(Some((block_bytes, Parts::Same))),
            Block::Full(bytes) => return Ok(Some((block_bytes, Parts::Full(bytes.to_vec())))),
            Block::Layers(count) => count,
        };
        let mut edits = Vec::new();
        for _ in 0..count {
            let layer = cursor.layer(unit_bytes)?;
            let places = cursor.places(&layer, block_bytes / unit_bytes)?;
            if layer.is_raw {
                let values = cursor.take(layer.count * unit_bytes)?.chunks_exact(unit_bytes);
                let edit = |(place, value): (u32, &[u8])| Edit { place, value: Value::Raw(value.to_vec()) };
                edits.extend(places.into_iter().zip(values).map(edit));
            } else {
                let mut values = BitReader::new(cursor.rest);
                let width = unit_bytes as u32 * 8;
                for place in places {
                    let difference = unzigzag(values.rice(layer.value_k, width).wrapping_add(1));
                    edits.push(Edit { place, value: Value::Difference(difference) });
                }
                cursor.skip(&values)?;
            }
        }
        edits.sort_by_key(|edit| edit.place);
        if edits.windows(2).any(|pair| pair[0].place == pair[1].place) {
            return Err(malformed("changes a unit twice"));
        }
        Ok(Some((block_bytes, Parts::Sparse(edits))))
    }
}

/// Writes a block of a composed patch.
pub(super) fn write_parts(parts: &Parts, unit_bytes: usize, out: &mut Vec<u8>) {
    let edits = match parts {
        Parts::Same => return out.push(0),
        Parts::Full(bytes) => {
            out.push(1);
            return out.extend(bytes);
        }
        Parts::Sparse(edits) => edits,
    };
    let (mut raw_places, mut raw_values) = (Vec::new(), Vec::new());
    let (mut places, mut differences) = (Vec::new(), Vec::new());
    let width = unit_bytes as u32 * 8;
    for edit in edits {
        match &edit.value {
            Value::Raw(bytes) => {
                raw_places.push(edit.place);
                raw_values.extend(bytes);
            }
            Value::Difference(difference) => {
                places.push(edit.place);
                differences.push(zigzag(*difference, width) - 1);
            }
        }
    }
    out.push(match (raw_places.is_empty(), places.is_empty()) {
        (true, true) => 0,
        (false, false) => 3,
        _ => 2,
    });
    let mut gaps = Vec::new();
    if !raw_places.is_empty() {
        gaps_of(&raw_places, &mut gaps);
        let (gap_k, _) = best_rice(&gaps, GAP_BITS);
        write_raw_head(out, raw_places.len(), gap_k, &gaps);
        out.extend(&raw_values);
    }
    if !places.is_empty() {
        gaps_of(&places, &mut gaps);
        let (gap_k, _) = best_rice(&gaps, GAP_BITS);
        let (value_k, _) = best_rice(&differences, width);
        write_differences(out, places.len(), gap_k, &gaps, value_k, &differences, unit_bytes);
    }
}
