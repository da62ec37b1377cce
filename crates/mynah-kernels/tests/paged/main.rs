//! Paged attention against its readable twin, and its independence of batch, prompt cuts and threads.

#[path = "../nn/support.rs"]
#[allow(dead_code)]
mod support;

use mynah_kernels::cpu::{Isa, with_isa};
use mynah_kernels::nn::{Rows, RowsMut};
use mynah_kernels::paged::{KvFormat, PagedAttention, PagedKv, PagedSegment, paged_attention, reference};
use mynah_kernels::{ErrorKind, pool};
use support::{assert_close, everywhere, normal};

/// Sequences of a length each, their keys and values in pages in mixed order.
struct Case {
    kv: PagedKv,
    heads: usize,
    dim: usize,
    pages: Vec<Vec<u32>>,
    /// (tokens, H, D) of each sequence.
    queries: Vec<Vec<f32>>,
}

const FORMATS: [KvFormat; 4] = [KvFormat::F32, KvFormat::F16, KvFormat::Bf16, KvFormat::Q8];

fn case(
    format: KvFormat,
    (heads, kv_heads, dim): (usize, usize, usize),
    page: usize,
    lens: &[usize],
) -> Case {
    let needed: Vec<usize> = lens.iter().map(|len| len.div_ceil(page)).collect();
    let total: usize = needed.iter().sum::<usize>() + 1;
    let mut kv = PagedKv::new(format, kv_heads, dim, page, total).expect("a cache");
    // Every page is first filled with what must never show.
    for page_number in 0..total as u32 {
        let places: Vec<(u32, usize)> = (0..page).map(|offset| (page_number, offset)).collect();
        let poison = vec![f32::NAN; page * kv_heads * dim];
        let rows = || Rows::new(&poison[..], kv_heads * dim);
        kv.write(&places, rows(), rows());
    }
    let mut next = (0..total as u32).rev();
    let mut pages = Vec::new();
    let mut queries = Vec::new();
    for (i, (&len, &count)) in lens.iter().zip(&needed).enumerate() {
        let own: Vec<u32> = next.by_ref().take(count).collect();
        let places: Vec<(u32, usize)> = (0..len).map(|p| (own[p / page], p % page)).collect();
        let width = kv_heads * dim;
        let (k, v) = (normal(i as u64 * 3, len * width), normal(i as u64 * 3 + 1, len * width));
        kv.write(&places, Rows::new(&k, width), Rows::new(&v, width));
        pages.push(own);
        queries.push(normal(i as u64 * 3 + 2, len * heads * dim));
    }
    Case { kv, heads, dim, pages, queries }
}

impl Case {
    fn config(&self) -> PagedAttention<'static> {
        let scale = 1.0 / (self.dim as f32).sqrt();
        PagedAttention { heads: self.heads, scale, window: None, softcap: None, sinks: None }
    }

    /// Attention of (sequence, start, tokens) pieces in one call.
    fn attend(&self, config: &PagedAttention<'_>, pieces: &[(usize, usize, usize)]) -> Vec<f32> {
        let (segments, q) = self.pieces(pieces);
        let mut out = vec![f32::NAN; q.len()];
        let width = self.heads * self.dim;
        paged_attention(
            config,
            &self.kv,
            &segments,
            Rows::new(&q, width),
            RowsMut { data: &mut out, stride: width },
        );
        out
    }

    fn pieces(&self, pieces: &[(usize, usize, usize)]) -> (Vec<PagedSegment<'_>>, Vec<f32>) {
        let width = self.heads * self.dim;
        let segment = |&(i, start, tokens): &(usize, usize, usize)| PagedSegment {
            tokens,
            start,
            pages: &self.pages[i],
        };
        let query = |&(i, start, tokens): &(usize, usize, usize)| {
            self.queries[i][start * width..(start + tokens) * width].to_vec()
        };
        (pieces.iter().map(segment).collect(), pieces.iter().flat_map(query).collect())
    }

    /// Against the twin, everywhere.
    #[track_caller]
    fn check(&self, what: &str, config: &PagedAttention<'_>, pieces: &[(usize, usize, usize)]) {
        let (segments, q) = self.pieces(pieces);
        let want = reference::paged_attention(config, &self.kv, &segments, &q);
        for (isa, got) in
            everywhere(|| self.attend(config, pieces).iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        {
            let got: Vec<f32> = got.into_iter().map(f32::from_bits).collect();
            assert_close(&format!("{what} on {}", isa.name()), &got, &want, 2e-5);
        }
    }
}

#[test]
fn results_are_those_of_the_twin() {
    let sizes = [(1, 1, 16), (4, 4, 64), (8, 2, 32), (6, 1, 24), (2, 2, 80), (3, 1, 7), (2, 1, 256)];
    for (i, size) in sizes.into_iter().enumerate() {
        for (j, format) in FORMATS.into_iter().enumerate() {
            let page = [16, 32, 48, 64][(i + j) % 4];
            let case = case(format, size, page, &[150, 33]);
            let pieces = [(0, 0, 70), (1, 32, 1), (0, 149, 1), (1, 5, 20)];
            case.check(&format!("{size:?} {format:?}"), &case.config(), &pieces);
        }
    }
}

#[test]
fn windows_caps_and_sinks_are_those_of_the_twin() {
    for format in FORMATS {
        let case = case(format, (4, 2, 32), 16, &[300]);
        let sinks = [0.5, -1.0, 3.0, 0.0];
        let plain = case.config();
        let pieces = [(0, 0, 40), (0, 180, 100), (0, 299, 1)];
        for window in [1, 5, 128, 129, 1000] {
            case.check(
                &format!("window {window}"),
                &PagedAttention { window: Some(window), ..plain },
                &pieces,
            );
        }
        case.check("softcap", &PagedAttention { softcap: Some(2.0), ..plain }, &pieces);
        case.check("sinks", &PagedAttention { sinks: Some(&sinks), ..plain }, &pieces);
        let all = PagedAttention { window: Some(50), softcap: Some(3.0), sinks: Some(&sinks), ..plain };
        case.check("all", &all, &pieces);
    }
}

/// The heart of continuous batching: the same bits alone, together and cut anywhere.
#[test]
fn a_query_does_not_depend_on_the_batch_or_the_cuts() {
    for format in FORMATS {
        let case = case(format, (6, 2, 40), 32, &[200, 90, 17]);
        for window in [None, Some(20)] {
            let config = PagedAttention { window, ..case.config() };
            for &isa in Isa::available() {
                with_isa(isa, || {
                    let width = case.heads * case.dim;
                    let whole = case.attend(&config, &[(0, 0, 200), (1, 0, 90), (2, 0, 17)]);
                    let mut cut = Vec::new();
                    for (start, tokens) in [(0, 1), (1, 6), (7, 64), (71, 128), (199, 1)] {
                        let both = case.attend(&config, &[(2, 3, 2), (0, start, tokens), (1, 89, 1)]);
                        cut.extend_from_slice(&both[2 * width..(2 + tokens) * width]);
                    }
                    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert!(
                        bits(&cut) == bits(&whole[..200 * width]),
                        "{format:?} {} {window:?}",
                        isa.name()
                    );
                });
            }
        }
    }
}

#[test]
fn long_sequences_are_shared_between_threads_with_the_same_bits() {
    let case = case(KvFormat::F32, (2, 1, 16), 64, &[9000]);
    let config = case.config();
    case.check("9000 keys", &config, &[(0, 8999, 1)]);
    let one = pool::with_threads(1, || case.attend(&config, &[(0, 8900, 100)]));
    let many = pool::with_threads(8, || case.attend(&config, &[(0, 8900, 100)]));
    let alone = pool::with_threads(8, || case.attend(&config, &[(0, 8999, 1)]));
    assert!(one == many);
    assert_eq!(&one[99 * 32..], &alone[..]);
    let windowed = PagedAttention { window: Some(4500), sinks: Some(&[0.3, 2.0]), ..config };
    case.check("two spans of a window", &windowed, &[(0, 8190, 4), (0, 4000, 1)]);
}

#[test]
fn pages_are_read_back_and_copied() {
    let (width, page) = (2 * 24, 16);
    for format in FORMATS {
        let mut kv = PagedKv::new(format, 2, 24, page, 3).expect("a cache");
        let (k, v) = (normal(1, 20 * width), normal(2, 20 * width));
        let places: Vec<(u32, usize)> = (0..20).map(|i| (i as u32 / 16, i % 16)).collect();
        kv.write(&places, Rows::new(&k, width), Rows::new(&v, width));
        kv.copy_page(0, 2);
        let steps = match format {
            KvFormat::F32 => 1e-9,
            KvFormat::F16 => 1e-3,
            KvFormat::Bf16 => 8e-3,
            KvFormat::Q8 => 0.02,
        };
        let (mut key, mut value) = (vec![0.0; width], vec![0.0; width]);
        for (i, &(at, offset)) in places.iter().enumerate() {
            for from in if at == 0 { vec![0, 2] } else { vec![at] } {
                kv.read(from, offset, &mut key, &mut value);
                for (got, want) in [(&key, &k), (&value, &v)] {
                    for (got, want) in got.iter().zip(&want[i * width..]) {
                        assert!(
                            (got - want).abs() <= steps * 1.5f32.max(want.abs()),
                            "{got} for {want} in {format:?}"
                        );
                    }
                }
            }
        }
        assert!(PagedKv::page_bytes(format, 2, 24, page) >= 2 * page * width * format.value_bytes());
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (heads, dim, page) in [(0, 8, 16), (1, 0, 16), (1, 8, 0), (1, 8, 24), (1, 5000, 16)] {
        let error = PagedKv::new(KvFormat::F32, heads, dim, page, 1).expect_err("impossible");
        assert_eq!(error.kind(), ErrorKind::Shape, "{error}");
    }
    let error = PagedKv::new(KvFormat::F32, 1 << 20, 64, 1 << 20, 1 << 30).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Shape, "{error}");
}
