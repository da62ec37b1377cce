//! The readable twin of paged attention.

use super::{PagedAttention, PagedKv, PagedSegment};

/// What [`paged_attention`](super::paged_attention) computes, by the formula in f64: q and the result are
/// (tokens, H, D), the tokens of all segments in order.
pub fn paged_attention(
    config: &PagedAttention<'_>,
    kv: &PagedKv,
    segments: &[PagedSegment<'_>],
    q: &[f32],
) -> Vec<f64> {
    let (dim, kv_heads) = (kv.dim, kv.heads);
    let group = config.heads / kv_heads;
    let mut out = Vec::with_capacity(q.len());
    let mut queries = q.chunks_exact(config.heads * dim);
    let (mut key, mut value) = (vec![0.0; kv_heads * dim], vec![0.0; kv_heads * dim]);
    for segment in segments {
        for position in segment.start..segment.start + segment.tokens {
            let query = queries.next().expect("a query for each token");
            let end = position + 1;
            let seen = end.saturating_sub(config.window.unwrap_or(end))..end;
            let rows: Vec<(Vec<f32>, Vec<f32>)> = seen
                .map(|j| {
                    kv.read(segment.pages[j / kv.page_tokens], j % kv.page_tokens, &mut key, &mut value);
                    (key.clone(), value.clone())
                })
                .collect();
            for (head, query) in query.chunks_exact(dim).enumerate() {
                let own = head / group * dim..(head / group + 1) * dim;
                let score = |(key, _): &(Vec<f32>, Vec<f32>)| {
                    let pairs = query.iter().zip(&key[own.clone()]);
                    let score = f64::from(config.scale)
                        * pairs.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>();
                    config.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                };
                let scores: Vec<f64> = rows.iter().map(score).collect();
                let sink = config.sinks.map(|sinks| f64::from(sinks[head]));
                let greatest = scores.iter().copied().fold(sink.unwrap_or(f64::NEG_INFINITY), f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
                let sum = weights.iter().sum::<f64>() + sink.map_or(0.0, |sink| (sink - greatest).exp());
                for d in own {
                    let total: f64 = weights.iter().zip(&rows).map(|(w, row)| w * f64::from(row.1[d])).sum();
                    out.push(total / sum);
                }
            }
        }
    }
    out
}
