//! Which streams lead from the version one has to the version one wants.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, Hash, Result};

/// Something that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it starts; nothing for an anchor, which is a whole version.
    pub from: Option<Hash>,
    /// The version that comes out.
    pub to: Hash,
    /// Bytes to fetch.
    pub size_bytes: u64,
}

/// The anchors and deltas that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    links: Vec<Link>,
}

impl Chain {
    /// An empty chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what can be fetched from now on.
    pub fn add(&mut self, link: Link) {
        self.links.push(link);
    }

    /// All links.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The cheapest way to `want` for who has `have`, in order. From nothing, or where no deltas lead there or
    /// cost more than a whole version, it starts at an anchor.
    ///
    /// # Errors
    /// `Mismatch` when no way leads there.
    pub fn route(&self, have: Option<Hash>, want: Hash) -> Result<Vec<&Link>> {
        // Dijkstra's algorithm (1959); "nothing" is a node too, and everybody may start there.
        let mut cost: BTreeMap<Option<Hash>, (u64, Option<usize>)> = BTreeMap::new();
        let mut queue: BTreeSet<(u64, Option<Hash>)> = BTreeSet::new();
        for start in [None, have] {
            cost.insert(start, (0, None));
            queue.insert((0, start));
        }
        while let Some((so_far, at)) = queue.pop_first() {
            if at == Some(want) {
                return Ok(self.way_back(&cost, want));
            }
            for (index, link) in self.links.iter().enumerate().filter(|(_, link)| link.from == at) {
                let next = so_far.saturating_add(link.size_bytes);
                let known = cost.get(&Some(link.to)).map_or(u64::MAX, |&(known, _)| known);
                if next < known {
                    queue.remove(&(known, Some(link.to)));
                    cost.insert(Some(link.to), (next, Some(index)));
                    queue.insert((next, Some(link.to)));
                }
            }
        }
        Err(Error::mismatch(format!(
            "no way leads to version {} from {}; keep an anchor of it",
            want.short(),
            have.map_or("nothing".to_string(), |have| have.short())
        )))
    }

    fn way_back(&self, cost: &BTreeMap<Option<Hash>, (u64, Option<usize>)>, want: Hash) -> Vec<&Link> {
        let mut way = Vec::new();
        let mut at = Some(want);
        while let Some(&(_, Some(index))) = cost.get(&at) {
            let link = &self.links[index];
            way.push(link);
            at = link.from;
        }
        way.reverse();
        way
    }

    /// The pairs of neighbouring links to compose so that the way from `have` to `want` takes at most `links_max`
    /// steps; each is (from, through, to), to be done in order. Halves the way from both ends, so that a chain of
    /// n links becomes one in log₂ n rounds.
    ///
    /// # Errors
    /// As [`Chain::route`]; `Argument` when `links_max` is 0.
    pub fn compaction(
        &self,
        have: Option<Hash>,
        want: Hash,
        links_max: usize,
    ) -> Result<Vec<(Hash, Hash, Hash)>> {
        if links_max == 0 {
            return Err(Error::argument("a way has at least one step"));
        }
        let way = self.route(have, want)?;
        if way.is_empty() {
            return Ok(Vec::new());
        }
        // An anchor composes with nothing: it is applied, not merged.
        let mut stops: Vec<Hash> =
            way.iter().filter_map(|link| link.from).chain(way.last().map(|l| l.to)).collect();
        let fixed = way.len() + 1 - stops.len();
        let mut pairs = Vec::new();
        while stops.len() - 1 + fixed > links_max && stops.len() > 2 {
            let mut kept = Vec::new();
            let mut i = 0;
            while i + 2 < stops.len() && stops.len() - 1 - i / 2 + fixed > links_max {
                pairs.push((stops[i], stops[i + 1], stops[i + 2]));
                kept.push(stops[i]);
                i += 2;
            }
            kept.extend_from_slice(&stops[i..]);
            stops = kept;
        }
        Ok(pairs)
    }
}
