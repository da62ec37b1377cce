//! Many points in few bytes: a column of steps, one of times, one of values, and a checksum.
//!
//! Steps and times are written as the difference of their differences (a steady rhythm becomes zeros), values as
//! the bytes in which they differ from the one before (Pelkonen et al., "Gorilla", VLDB 2015, with bytes
//! instead of bits: a third larger, several times faster to read, and no bit reader to get wrong). A value
//! that was a 32-bit float costs about five bytes, a point with its rhythm about seven.

use super::Sample;
use crate::error::{Error, Result};

/// Points in one chunk at most; more are several chunks.
pub const POINTS_MAX: usize = 4_096;

const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// The chunk of these points, in their order.
pub fn encode(samples: &[Sample]) -> Vec<u8> {
    debug_assert!(samples.len() <= POINTS_MAX);
    let mut out = Vec::with_capacity(samples.len() * 8 + 32);
    out.push(FORMAT);
    put_varint(&mut out, samples.len() as u64);
    put_column(&mut out, samples.iter().map(|sample| sample.step));
    put_column(&mut out, samples.iter().map(|sample| sample.timestamp_ms));
    let mut before = 0u64;
    for sample in samples {
        let bits = sample.value.to_bits();
        let change = bits ^ before;
        before = bits;
        let (leading, trailing) = (change.leading_zeros() / 8, change.trailing_zeros() / 8);
        let length = if change == 0 { 0 } else { 8 - leading - trailing };
        // A nibble each: where the changed bytes begin, and how many there are.
        out.push(((leading.min(7) << 4) | length) as u8);
        let bytes = change.to_be_bytes();
        out.extend_from_slice(&bytes[leading.min(7) as usize..][..length as usize]);
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(&sum.as_bytes()[..CHECKSUM_BYTES]);
    out
}

/// The points of a chunk.
///
/// # Errors
/// `Storage` when it is not one, or was damaged.
pub fn decode(chunk: &[u8]) -> Result<Vec<Sample>> {
    let damaged = || Error::storage("a chunk of metric points is damaged; restore it from a backup");
    let body_len = chunk.len().checked_sub(CHECKSUM_BYTES).ok_or_else(damaged)?;
    let (body, sum) = chunk.split_at(body_len);
    if blake3::hash(body).as_bytes()[..CHECKSUM_BYTES] != *sum || body.first() != Some(&FORMAT) {
        return Err(damaged());
    }
    read(&body[1..]).ok_or_else(damaged)
}

fn read(mut bytes: &[u8]) -> Option<Vec<Sample>> {
    let count = usize::try_from(take_varint(&mut bytes)?).ok().filter(|count| *count <= POINTS_MAX)?;
    let mut samples = vec![Sample::default(); count];
    take_column(&mut bytes, &mut samples, |sample, value| sample.step = value)?;
    take_column(&mut bytes, &mut samples, |sample, value| sample.timestamp_ms = value)?;
    let mut before = 0u64;
    for sample in &mut samples {
        let (head, rest) = bytes.split_first()?;
        let (leading, length) = (usize::from(head >> 4), usize::from(head & 15));
        let (changed, rest) = rest.split_at_checked(length)?;
        let mut change = [0u8; 8];
        change.get_mut(leading..leading + length)?.copy_from_slice(changed);
        before ^= u64::from_be_bytes(change);
        sample.value = f64::from_bits(before);
        bytes = rest;
    }
    bytes.is_empty().then_some(samples)
}

/// Differences of differences; they wrap, so that any two numbers have one.
fn put_column(out: &mut Vec<u8>, values: impl Iterator<Item = i64>) {
    let (mut before, mut rhythm) = (0i64, 0i64);
    for value in values {
        let difference = value.wrapping_sub(before);
        put_varint(out, zigzag(difference.wrapping_sub(rhythm)));
        (before, rhythm) = (value, difference);
    }
}

fn take_column(bytes: &mut &[u8], samples: &mut [Sample], set: impl Fn(&mut Sample, i64)) -> Option<()> {
    let (mut before, mut rhythm) = (0i64, 0i64);
    for sample in samples {
        rhythm = rhythm.wrapping_add(unzigzag(take_varint(bytes)?));
        before = before.wrapping_add(rhythm);
        set(sample, before);
    }
    Some(())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use mynah_base::Rng;

    use super::*;

    fn same(samples: &[Sample]) {
        let back = decode(&encode(samples)).unwrap();
        assert_eq!(back.len(), samples.len());
        for (a, b) in samples.iter().zip(&back) {
            assert_eq!(
                (a.step, a.timestamp_ms, a.value.to_bits()),
                (b.step, b.timestamp_ms, b.value.to_bits())
            );
        }
    }

    #[test]
    fn every_point_comes_back_bit_for_bit() {
        same(&[]);
        let odd = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, f64::MAX, 1.0];
        let extreme = [i64::MIN, i64::MAX, 0, -1, i64::MAX, i64::MIN, 7, 7];
        let samples: Vec<Sample> = odd
            .iter()
            .zip(extreme)
            .map(|(value, n)| Sample { step: n, timestamp_ms: n.wrapping_mul(3), value: *value })
            .collect();
        same(&samples);
        let mut rng = Rng::new(1);
        for count in [1, 2, 100, POINTS_MAX] {
            let samples: Vec<Sample> = (0..count)
                .map(|_| Sample {
                    step: rng.next_u64().cast_signed(),
                    timestamp_ms: rng.below(1 << 42).cast_signed(),
                    value: f64::from_bits(rng.next_u64()),
                })
                .collect();
            same(&samples);
        }
    }

    #[test]
    fn a_training_curve_is_small() {
        let mut rng = Rng::new(2);
        let samples: Vec<Sample> = (0..4_000)
            .map(|i| Sample {
                step: i,
                timestamp_ms: 1_700_000_000_000 + i * 120 + rng.below(5).cast_signed(),
                value: f64::from((3.0 + rng.normal() * 0.1) as f32),
            })
            .collect();
        let bytes = encode(&samples).len();
        assert!(bytes < 8 * samples.len(), "{bytes} bytes for {} points", samples.len());
        same(&samples);
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let samples: Vec<Sample> =
            (0..50).map(|i| Sample { step: i, timestamp_ms: i, value: i as f64 / 3.0 }).collect();
        let good = encode(&samples);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(decode(&bad).is_err(), "byte {at}");
            assert!(decode(&good[..at]).is_err(), "cut at {at}");
        }
        assert!(decode(&[]).is_err());
    }

    #[test]
    fn a_wrong_chunk_with_a_right_checksum_is_refused() {
        let mut rng = Rng::new(3);
        for _ in 0..2_000 {
            let mut body: Vec<u8> = (0..rng.index(60)).map(|_| rng.next_u64() as u8).collect();
            body.insert(0, FORMAT);
            let sum = blake3::hash(&body);
            body.extend_from_slice(&sum.as_bytes()[..CHECKSUM_BYTES]);
            // Whatever it says, it neither panics nor gives more than a chunk may hold.
            assert!(decode(&body).map_or(true, |samples| samples.len() <= POINTS_MAX));
        }
    }
}
