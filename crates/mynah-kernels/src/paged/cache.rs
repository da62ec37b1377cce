//! The cache of one attention layer.

use super::UNIT;
use crate::error::{Error, Result};
use crate::nn::Rows;
use crate::nn::check::{rows_of, strided};
use crate::pool::{self, Shared};
use crate::quant::Buffer;
use half::{bf16, f16};

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvFormat {
    /// As computed.
    F32,
    /// Half precision.
    F16,
    /// The upper half of a single.
    Bf16,
    /// int8 with an f32 scale for each token and head (max|x| / 127): a quarter of the memory of f32.
    Q8,
}

impl KvFormat {
    /// Bytes of a value, without its share of a scale.
    pub const fn value_bytes(self) -> usize {
        match self {
            KvFormat::F32 => 4,
            KvFormat::F16 | KvFormat::Bf16 => 2,
            KvFormat::Q8 => 1,
        }
    }
}

/// Pages of keys and values of one layer. Memory is taken when a page is first written.
///
/// A page holds P tokens of all H heads of D values. Keys: `[page][head][D][P]`, a token's key is a column.
/// Values: `[page][head][P][D']`, D' being D rounded up to 16. Scales (Q8 only): `[page][head][P]`.
#[derive(Debug)]
pub struct PagedKv {
    pub(super) format: KvFormat,
    pub(super) heads: usize,
    pub(super) dim: usize,
    pub(super) page_tokens: usize,
    pages: usize,
    keys: Buffer,
    values: Buffer,
    /// Scales of the keys, then of the values, as f32.
    scales: Buffer,
}

/// Sizes of what a page and head take.
#[derive(Clone, Copy)]
struct Sizes {
    /// Values of the keys.
    keys: usize,
    /// Values of the values.
    values: usize,
}

impl PagedKv {
    /// An empty cache of `pages` pages of `page_tokens` tokens (a multiple of 16).
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) for impossible sizes,
    /// [`ErrorKind::Memory`](crate::ErrorKind::Memory) when there is not enough.
    pub fn new(
        format: KvFormat,
        kv_heads: usize,
        head_dim: usize,
        page_tokens: usize,
        pages: usize,
    ) -> Result<Self> {
        if page_tokens == 0 || !page_tokens.is_multiple_of(UNIT) {
            return Err(Error::shape(format!("pages of {page_tokens} tokens: must be a multiple of {UNIT}")));
        }
        if kv_heads == 0 || head_dim == 0 || head_dim > 4096 {
            let message =
                format!("{kv_heads} heads of {head_dim} values: need at least one head of 1 to 4096");
            return Err(Error::shape(message));
        }
        let too_large = || Error::shape(format!("{pages} pages of {page_tokens} tokens are too large"));
        let count = |dim: usize, bytes: usize| {
            [pages, kv_heads, page_tokens, bytes]
                .iter()
                .try_fold(dim, |n, &m| n.checked_mul(m))
                .ok_or_else(too_large)
        };
        let bytes = format.value_bytes();
        let scales = if format == KvFormat::Q8 { count(2, 4)? } else { 0 };
        Ok(Self {
            format,
            heads: kv_heads,
            dim: head_dim,
            page_tokens,
            pages,
            keys: Buffer::zeroed(count(head_dim, bytes)?)?,
            values: Buffer::zeroed(count(head_dim.next_multiple_of(UNIT), bytes)?)?,
            scales: Buffer::zeroed(scales)?,
        })
    }

    /// Bytes that a page takes.
    pub fn page_bytes(format: KvFormat, kv_heads: usize, head_dim: usize, page_tokens: usize) -> usize {
        let values = head_dim + head_dim.next_multiple_of(UNIT);
        let scales = if format == KvFormat::Q8 { 2 * size_of::<f32>() } else { 0 };
        kv_heads * page_tokens * (values * format.value_bytes() + scales)
    }

    /// Pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Tokens of a page.
    pub fn page_tokens(&self) -> usize {
        self.page_tokens
    }

    /// How keys and values are kept.
    pub fn format(&self) -> KvFormat {
        self.format
    }

    fn sizes(&self) -> Sizes {
        Sizes { keys: self.dim * self.page_tokens, values: self.value_stride() * self.page_tokens }
    }

    /// Values from one token's value to the next.
    pub(super) fn value_stride(&self) -> usize {
        self.dim.next_multiple_of(UNIT)
    }

    /// The keys of a head in a page, as T: column `offset` is the key of a token.
    pub(super) fn keys_of<T>(&self, page: u32, head: usize) -> *const T {
        debug_assert_eq!(size_of::<T>(), self.format.value_bytes());
        let at = (page as usize * self.heads + head) * self.sizes().keys;
        self.keys.bytes().as_ptr().cast::<T>().wrapping_add(at)
    }

    /// The values of a head in a page, as T.
    pub(super) fn values_of<T>(&self, page: u32, head: usize) -> *const T {
        debug_assert_eq!(size_of::<T>(), self.format.value_bytes());
        let at = (page as usize * self.heads + head) * self.sizes().values;
        self.values.bytes().as_ptr().cast::<T>().wrapping_add(at)
    }

    /// The scales of the keys and of the values of a head in a page.
    pub(super) fn scales_of(&self, page: u32, head: usize) -> [*const f32; 2] {
        let keys = self.scales.bytes().as_ptr().cast::<f32>();
        let at = (page as usize * self.heads + head) * self.page_tokens;
        [keys.wrapping_add(at), keys.wrapping_add(self.pages * self.heads * self.page_tokens + at)]
    }

    /// Puts keys and values (rows of H·D values, one a token) into their places: (page, offset in the page).
    ///
    /// # Panics
    /// If rows and places do not belong together, or a place is outside the cache.
    pub fn write(&mut self, places: &[(u32, usize)], keys: Rows<'_, f32>, values: Rows<'_, f32>) {
        let width = self.heads * self.dim;
        strided("PagedKv::write keys", keys.data.len(), places.len(), width, keys.stride);
        strided("PagedKv::write values", values.data.len(), places.len(), width, values.stride);
        for &(page, offset) in places {
            assert!(
                (page as usize) < self.pages && offset < self.page_tokens,
                "PagedKv::write: place ({page}, {offset}) of {} pages of {}",
                self.pages,
                self.page_tokens
            );
        }
        if places.is_empty() {
            return;
        }
        match self.format {
            KvFormat::F32 => self.write_as(places, keys, values, |x, _| x),
            KvFormat::F16 => self.write_as(places, keys, values, |x, _| f16::from_f32(x)),
            KvFormat::Bf16 => self.write_as(places, keys, values, |x, _| bf16::from_f32(x)),
            KvFormat::Q8 => {
                self.write_as(places, keys, values, |x, factor| (x * factor).round_ties_even() as i8);
            }
        }
    }

    fn write_as<T: Copy + Send>(
        &mut self,
        places: &[(u32, usize)],
        keys: Rows<'_, f32>,
        values: Rows<'_, f32>,
        convert: impl Fn(f32, f32) -> T + Sync + Copy,
    ) {
        let (dim, page_tokens, heads) = (self.dim, self.page_tokens, self.heads);
        let (value_stride, sizes) = (self.value_stride(), self.sizes());
        let with_scales = self.format == KvFormat::Q8;
        let scale_count = self.pages * heads * page_tokens;
        let key_data = Shared::new(typed::<T>(self.keys.bytes_mut()));
        let value_data = Shared::new(typed::<T>(self.values.bytes_mut()));
        let scale_data = Shared::new(typed::<f32>(self.scales.bytes_mut()));
        let body = |head: usize| {
            // SAFETY of all slices: each head is one task, and has its own parts of every page.
            let mut first = 0;
            while first < places.len() {
                let (page, offset) = places[first];
                // Tokens side by side in a page: their keys are written row by row.
                let mut run = 1;
                while first + run < places.len() && places[first + run] == (page, offset + run) {
                    run += 1;
                }
                let at = page as usize * heads + head;
                // SAFETY: as above.
                let key_page = unsafe { key_data.slice(at * sizes.keys..(at + 1) * sizes.keys) };
                // SAFETY: as above.
                let value_page = unsafe { value_data.slice(at * sizes.values..(at + 1) * sizes.values) };
                // Runs in pieces, whose scales fit in an array.
                for piece in (0..run).step_by(UNIT) {
                    let count = UNIT.min(run - piece);
                    let row = |rows: &Rows<'_, f32>, t: usize| (first + piece + t) * rows.stride + head * dim;
                    let (mut factors, mut scales) = ([[1.0f32; UNIT]; 2], [[0.0f32; UNIT]; 2]);
                    if with_scales {
                        for t in 0..count {
                            for (which, rows) in [&keys, &values].into_iter().enumerate() {
                                let x = &rows.data[row(rows, t)..][..dim];
                                (scales[which][t], factors[which][t]) = scale_of(x);
                            }
                        }
                        for (which, scales) in scales.iter().enumerate() {
                            let at = which * scale_count + at * page_tokens + offset + piece;
                            // SAFETY: as above.
                            unsafe { scale_data.slice(at..at + count) }.copy_from_slice(&scales[..count]);
                        }
                    }
                    for d in 0..dim {
                        let to = &mut key_page[d * page_tokens + offset + piece..][..count];
                        for (t, to) in to.iter_mut().enumerate() {
                            *to = convert(keys.data[row(&keys, t) + d], factors[0][t]);
                        }
                    }
                    for t in 0..count {
                        let to = &mut value_page[(offset + piece + t) * value_stride..][..dim];
                        for (to, x) in to.iter_mut().zip(&values.data[row(&values, t)..][..dim]) {
                            *to = convert(*x, factors[1][t]);
                        }
                    }
                }
                first += run;
            }
        };
        if places.len() * heads * dim < 16 * 1024 {
            (0..heads).for_each(body)
        } else {
            pool::run(heads, body)
        }
    }

    /// Reads a token's key and value (H·D values each) as the attention sees them.
    ///
    /// # Panics
    /// If the place is outside the cache or a length is wrong.
    pub fn read(&self, page: u32, offset: usize, key: &mut [f32], value: &mut [f32]) {
        assert!((page as usize) < self.pages && offset < self.page_tokens, "PagedKv::read: place outside");
        assert_eq!(rows_of("PagedKv::read", key.len(), self.dim), self.heads, "PagedKv::read: heads");
        assert_eq!(key.len(), value.len(), "PagedKv::read: lengths");
        match self.format {
            KvFormat::F32 => self.read_as::<f32>(page, offset, key, value, |x| x),
            KvFormat::F16 => self.read_as::<f16>(page, offset, key, value, f16::to_f32),
            KvFormat::Bf16 => self.read_as::<bf16>(page, offset, key, value, bf16::to_f32),
            KvFormat::Q8 => self.read_as::<i8>(page, offset, key, value, f32::from),
        }
    }

    fn read_as<T: Copy>(
        &self,
        page: u32,
        offset: usize,
        key: &mut [f32],
        value: &mut [f32],
        widen: impl Fn(T) -> f32,
    ) {
        let heads = key.chunks_exact_mut(self.dim).zip(value.chunks_exact_mut(self.dim));
        for (head, (key, value)) in heads.enumerate() {
            let (keys, values) = (self.keys_of::<T>(page, head), self.values_of::<T>(page, head));
            let mut scales = [1.0; 2];
            if self.format == KvFormat::Q8 {
                // SAFETY: a scale for each token of the page.
                scales = self.scales_of(page, head).map(|scales| unsafe { *scales.add(offset) });
            }
            for d in 0..self.dim {
                // SAFETY: inside the page and head.
                let (k, v) = unsafe {
                    (*keys.add(d * self.page_tokens + offset), *values.add(offset * self.value_stride() + d))
                };
                (key[d], value[d]) = (widen(k) * scales[0], widen(v) * scales[1]);
            }
        }
    }

    /// Copies all that a page holds into another.
    ///
    /// # Panics
    /// If a page is outside the cache.
    pub fn copy_page(&mut self, from: u32, to: u32) {
        let (from, to) = (from as usize, to as usize);
        assert!(from.max(to) < self.pages, "copy_page: page {} of {}", from.max(to), self.pages);
        let (sizes, bytes) = (self.sizes(), self.format.value_bytes());
        for (data, len) in [(&mut self.keys, sizes.keys), (&mut self.values, sizes.values)] {
            let len = len * self.heads * bytes;
            data.bytes_mut().copy_within(from * len..(from + 1) * len, to * len);
        }
        if self.format == KvFormat::Q8 {
            let len = self.heads * self.page_tokens * size_of::<f32>();
            for half in [0, self.pages * len] {
                let from = half + from * len;
                self.scales.bytes_mut().copy_within(from..from + len, half + to * len);
            }
        }
    }
}

/// max|x| / 127 and its inverse; NaN for a row that is not finite, so that everything it touches shows it.
fn scale_of(x: &[f32]) -> (f32, f32) {
    let greatest = x.iter().fold(0, |greatest, x| greatest.max(x.to_bits() & 0x7fff_ffff));
    let greatest = f32::from_bits(greatest);
    match greatest {
        greatest if !greatest.is_finite() => (f32::NAN, 0.0),
        greatest if greatest < 1e-34 => (0.0, 0.0),
        greatest => (greatest / 127.0, 127.0 / greatest),
    }
}

/// Bytes of a buffer as values.
fn typed<T: Copy>(bytes: &mut [u8]) -> &mut [T] {
    let len = bytes.len() / size_of::<T>();
    assert!(bytes.as_ptr().align_offset(align_of::<T>()) == 0, "buffers are aligned to a cache line");
    // SAFETY: aligned (just checked), inside the bytes, and every T here is a plain number: any bits are a value.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), len) }
}
