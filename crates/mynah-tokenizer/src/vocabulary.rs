//! The tokens, and the two look-ups that encoding needs: a chunk's id, and what a pair merges into.
//!
//! There are two ways to read a list of tokens as an encoder. `tiktoken` merges two neighbours whenever
//! their joined bytes are a token; Hugging Face's `tokenizers` merges only listed pairs. For a vocabulary
//! in which every token comes out of merging its own bytes by tokens of lower rank (which is so for every
//! trained one) both give the same ids: as long as no merge crosses a token's edge, what happens inside
//! depends on its bytes alone, so the pair that meets last is always the same one. For other vocabularies
//! we list every pair whose joined bytes are a token, which is `tiktoken`'s reading exactly.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use crate::error::{Error, Result};
use crate::merge::{self, Scratch};

/// Largest number of ids, so that a pair and what it merges into fit one 64-bit word.
pub const VOCABULARY_SIZE_MAX: usize = (1 << ID_BITS) - 1;

/// Most work (the sum of the squared lengths of all tokens) that [`all_merges`] is asked to do.
const SPLITS_COST_MAX: u64 = 1 << 30;

const ID_BITS: u32 = 21;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
const NO_PAIR: u64 = u64::MAX;
const NO_TOKEN: u32 = u32::MAX;

/// A pair of neighbours and the token they merge into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub left: u32,
    pub right: u32,
    pub into: u32,
}

/// How whole chunks that are tokens are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WholeChunks {
    /// Every chunk that is a token becomes that token, as in `tiktoken`.
    Always,
    /// Only where merging would find it, as in `tokenizers` without `ignore_merges`.
    WhereMerged,
}

/// All tokens of a tokenizer, special ones included, and its merges.
pub(crate) struct Vocabulary {
    /// The bytes of all tokens, one after the other.
    bytes: Vec<u8>,
    /// Where each token's bytes begin; one more entry than there are tokens.
    starts: Vec<u32>,
    is_special: Vec<bool>,
    byte_ids: [u32; 256],
    merges: Vec<Merge>,
    pairs: PairTable,
    chunks: ChunkTable,
    whole: WholeChunks,
    /// What the merge of each rank makes, where that is not the rank itself.
    ranked_into: Option<Vec<u32>>,
}

/// The tokens that a [`Vocabulary`] is built from, by id.
#[derive(Default)]
pub(crate) struct Tokens {
    pub tokens: Vec<Vec<u8>>,
    /// Which of them are special; as long as `tokens`.
    pub special: Vec<bool>,
}

impl Vocabulary {
    /// Checks the tokens and builds the look-ups. `merges` must be sorted by the token they merge into,
    /// whose rank is its id.
    pub(crate) fn new(tokens: Tokens, merges: Vec<Merge>, whole: WholeChunks) -> Result<Self> {
        Self::build(tokens, merges, whole, false)
    }

    /// As [`Self::new`] for merges in any order, which is their rank: Hugging Face's reading of a list.
    pub(crate) fn ranked(tokens: Tokens, merges: Vec<Merge>, whole: WholeChunks) -> Result<Self> {
        let ranks_are_ids = merges.windows(2).all(|pair| pair[0].into < pair[1].into);
        Self::build(tokens, merges, whole, !ranks_are_ids)
    }

    fn build(tokens: Tokens, merges: Vec<Merge>, whole: WholeChunks, is_ranked: bool) -> Result<Self> {
        if merges.len() > VOCABULARY_SIZE_MAX {
            return Err(Error::unsupported(format!(
                "{} merges, more than the {VOCABULARY_SIZE_MAX} that are supported",
                merges.len()
            )));
        }
        let Tokens { tokens, special: is_special } = tokens;
        if tokens.len() > VOCABULARY_SIZE_MAX {
            return Err(Error::unsupported(format!(
                "the vocabulary has {} tokens, more than the {VOCABULARY_SIZE_MAX} that are supported",
                tokens.len()
            )));
        }
        let mut bytes = Vec::with_capacity(tokens.iter().map(Vec::len).sum());
        let mut starts = vec![0];
        for (id, token) in tokens.iter().enumerate() {
            if token.is_empty() {
                return Err(Error::format(format!("token {id} has no bytes")));
            }
            bytes.extend_from_slice(token);
            let end = u32::try_from(bytes.len()).ok();
            starts.push(end.ok_or_else(|| Error::unsupported("the tokens have more than 4 GiB"))?);
        }
        let mut built = Self {
            chunks: ChunkTable::new(tokens.len()),
            bytes,
            starts,
            is_special,
            byte_ids: [NO_TOKEN; 256],
            pairs: PairTable::new(merges.len()),
            ranked_into: is_ranked.then(|| merges.iter().map(|merge| merge.into).collect()),
            merges,
            whole,
        };
        built.index_tokens()?;
        built.index_merges()?;
        if whole == WholeChunks::WhereMerged {
            built.keep_reachable_chunks();
        }
        Ok(built)
    }

    fn index_tokens(&mut self) -> Result<()> {
        for id in 0..self.len() as u32 {
            if self.is_special[id as usize] {
                continue;
            }
            let token = slice(&self.bytes, &self.starts, id);
            if let Some(first) = self.chunks.get(token, |other| slice(&self.bytes, &self.starts, other)) {
                return Err(Error::format(format!(
                    "tokens {first} and {id} have the same bytes {}",
                    token.escape_ascii()
                )));
            }
            if let &[byte] = token {
                self.byte_ids[usize::from(byte)] = id;
            }
            self.chunks.insert(token, id);
        }
        match self.byte_ids.iter().position(|&id| id == NO_TOKEN) {
            Some(byte) => Err(Error::format(format!(
                "no token for the single byte 0x{byte:02X}: byte-level BPE needs all 256"
            ))),
            None => Ok(()),
        }
    }

    fn index_merges(&mut self) -> Result<()> {
        let mut before = 0;
        for (rank, &Merge { left, right, into }) in self.merges.iter().enumerate() {
            if [left, right, into].iter().any(|&id| id as usize >= self.is_special.len()) {
                return Err(Error::format(format!("merge {rank} ({left}, {right}) names an unknown id")));
            }
            if [left, right, into].iter().any(|&id| self.is_special[id as usize]) {
                return Err(Error::format(format!("merge {rank} ({left}, {right}) touches a special token")));
            }
            let joined = [self.token(left), self.token(right)].concat();
            if joined != self.token(into) {
                return Err(Error::format(format!(
                    "merge {rank}: {} and {} do not join to token {into}, {}",
                    self.token(left).escape_ascii(),
                    self.token(right).escape_ascii(),
                    self.token(into).escape_ascii()
                )));
            }
            if into < before && self.ranked_into.is_none() {
                return Err(Error::unsupported(format!(
                    "merge {rank} makes token {into} after token {before}: merges in another order than \
                     their ids are not supported"
                )));
            }
            before = into;
            let value = if self.ranked_into.is_some() { rank as u32 } else { into };
            if !self.pairs.insert(left, right, value) {
                return Err(Error::format(format!("merge {rank} ({left}, {right}) is listed twice")));
            }
        }
        Ok(())
    }

    /// Drops the tokens that merging their own bytes does not give from the whole-chunk look-up.
    fn keep_reachable_chunks(&mut self) {
        let mut scratch = Scratch::default();
        let mut ids = Vec::new();
        let mut reachable = ChunkTable::new(self.len());
        for id in 0..self.len() as u32 {
            ids.clear();
            if !self.is_special[id as usize] {
                merge::encode(self, self.token(id), &mut scratch, &mut ids);
            }
            if ids == [id] {
                reachable.insert(self.token(id), id);
            }
        }
        self.chunks = reachable;
    }

    /// The number of ids, special ones included.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The bytes of a token. The id must be below [`Self::len`].
    #[inline]
    pub(crate) fn token(&self, id: u32) -> &[u8] {
        slice(&self.bytes, &self.starts, id)
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.is_special[id as usize]
    }

    pub(crate) fn merges(&self) -> &[Merge] {
        &self.merges
    }

    pub(crate) fn whole_chunks(&self) -> WholeChunks {
        self.whole
    }

    #[inline]
    pub(crate) fn byte_id(&self, byte: u8) -> u32 {
        self.byte_ids[usize::from(byte)]
    }

    /// What the merge of each rank makes, or `None` where every rank is the id of what it makes.
    pub(crate) fn ranked_into(&self) -> Option<&[u32]> {
        self.ranked_into.as_deref()
    }

    /// The rank of the pair's merge, or `u32::MAX`.
    #[inline]
    pub(crate) fn pair(&self, left: u32, right: u32) -> u32 {
        self.pairs.get(left, right)
    }

    /// The id of a whole chunk, if it is a token.
    #[inline]
    pub(crate) fn chunk(&self, chunk: &[u8]) -> Option<u32> {
        self.chunks.get(chunk, |id| self.token(id))
    }
}

fn slice<'b>(bytes: &'b [u8], starts: &[u32], id: u32) -> &'b [u8] {
    &bytes[starts[id as usize] as usize..starts[id as usize + 1] as usize]
}

/// The merges of a list of tokens whose rank is their id: for each token, the two tokens of lower rank
/// that meet last when its bytes are merged. `None` when some token does not come out of such merging.
pub(crate) fn recover_merges(tokens: &Tokens) -> Option<Vec<Merge>> {
    let mut byte_ids = [NO_TOKEN; 256];
    for (id, token) in tokens.tokens.iter().enumerate() {
        if let &[byte] = token.as_slice() {
            byte_ids[usize::from(byte)] = id as u32;
        }
    }
    let mut pairs = PairTable::new(tokens.tokens.len());
    let mut merges = Vec::new();
    let mut scratch = Scratch::default();
    let mut parts = Vec::new();
    for (id, token) in tokens.tokens.iter().enumerate() {
        let id = id as u32;
        if token.len() < 2 || tokens.special[id as usize] {
            continue;
        }
        parts.clear();
        let byte_id = |byte: u8| byte_ids[usize::from(byte)];
        merge::encode_with(token, byte_id, |l, r| pairs.get(l, r), |rank| rank, &mut scratch, &mut parts);
        let &[left, right] = parts.as_slice() else { return None };
        if left == NO_TOKEN || right == NO_TOKEN {
            return None;
        }
        pairs.insert(left, right, id);
        merges.push(Merge { left, right, into: id });
    }
    Some(merges)
}

/// Every pair of ordinary tokens whose joined bytes are a token, sorted by that token.
pub(crate) fn all_merges(tokens: &Tokens) -> Result<Vec<Merge>> {
    let cost: u64 = tokens.tokens.iter().map(|token| (token.len() as u64).pow(2)).sum();
    if cost > SPLITS_COST_MAX {
        return Err(Error::unsupported(
            "the tokens do not come out of merging tokens of lower rank, and are too long to try all splits",
        ));
    }
    let ordinary = || (tokens.tokens.iter().zip(0u32..)).filter(|&(_, id)| !tokens.special[id as usize]);
    let ids: HashMap<&[u8], u32> = ordinary().map(|(token, id)| (token.as_slice(), id)).collect();
    let mut merges = Vec::new();
    for (token, into) in ordinary() {
        for cut in 1..token.len() {
            if let (Some(&left), Some(&right)) = (ids.get(&token[..cut]), ids.get(&token[cut..])) {
                merges.push(Merge { left, right, into });
            }
        }
    }
    Ok(merges)
}

/// Pair of ids → rank, open addressing with linear probing, one 64-bit word an entry:
/// left, right and rank in 21 bits each.
struct PairTable {
    entries: Vec<u64>,
    shift: u32,
}

impl PairTable {
    fn new(pairs: usize) -> Self {
        // At most a quarter full: a miss, the most frequent answer, mostly ends at the first entry.
        let bits = (pairs.max(64) * 4).next_power_of_two().trailing_zeros();
        Self { entries: vec![NO_PAIR; 1 << bits], shift: 64 - bits }
    }

    #[inline]
    fn place(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    #[inline]
    fn get(&self, left: u32, right: u32) -> u32 {
        let key = (u64::from(left) << ID_BITS) | u64::from(right);
        let mask = self.entries.len() - 1;
        let mut place = self.place(key);
        loop {
            let entry = self.entries[place & mask];
            if entry >> ID_BITS == key {
                return (entry & ID_MASK) as u32;
            }
            if entry == NO_PAIR {
                return NO_TOKEN;
            }
            place += 1;
        }
    }

    /// False if the pair is there already.
    fn insert(&mut self, left: u32, right: u32, rank: u32) -> bool {
        let key = (u64::from(left) << ID_BITS) | u64::from(right);
        let mask = self.entries.len() - 1;
        let mut place = self.place(key) & mask;
        while self.entries[place] != NO_PAIR {
            if self.entries[place] >> ID_BITS == key {
                return false;
            }
            place = (place + 1) & mask;
        }
        self.entries[place] = (key << ID_BITS) | u64::from(rank);
        true
    }
}

/// Bytes → id, open addressing; the entries point into the vocabulary's own bytes.
struct ChunkTable {
    entries: Vec<u32>,
    shift: u32,
}

impl ChunkTable {
    fn new(tokens: usize) -> Self {
        let bits = (tokens.max(64) * 2).next_power_of_two().trailing_zeros();
        Self { entries: vec![NO_TOKEN; 1 << bits], shift: 64 - bits }
    }

    #[inline]
    fn get<'b>(&self, chunk: &[u8], token: impl Fn(u32) -> &'b [u8]) -> Option<u32> {
        let mask = self.entries.len() - 1;
        let mut place = (hash(chunk) >> self.shift) as usize;
        loop {
            let id = self.entries[place & mask];
            if id == NO_TOKEN {
                return None;
            }
            if token(id) == chunk {
                return Some(id);
            }
            place += 1;
        }
    }

    fn insert(&mut self, chunk: &[u8], id: u32) {
        let mask = self.entries.len() - 1;
        let mut place = (hash(chunk) >> self.shift) as usize & mask;
        while self.entries[place] != NO_TOKEN {
            place = (place + 1) & mask;
        }
        self.entries[place] = id;
    }
}

/// A keyed hash of some bytes: std's SipHash with a key drawn once per process, so that nobody can write
/// a vocabulary or a text whose chunks all collide. The fast paths ask their caches before this.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    static STATE: std::sync::LazyLock<std::collections::hash_map::RandomState> =
        std::sync::LazyLock::new(std::collections::hash_map::RandomState::new);
    let mut hasher = STATE.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
