//! Which chunks are where: two sorted lists merged, and what is left looked up by digest.

use std::cmp::Ordering;

use super::{Change, Copy, TensorPlan};
use crate::manifest::{Grid, Tensor};
use crate::{Error, Hash, Manifest, Result};

/// Plans of the new tensors, removed tensors of the old manifest, and for each new tensor the chunks that must be
/// sent.
pub(super) type Compared = (Vec<TensorPlan>, Vec<u32>, Vec<Vec<u32>>);

pub(super) fn compare(from: Option<&Manifest>, to: &Manifest) -> Result<Compared> {
    for manifest in from.into_iter().chain([to]) {
        let sizes = [manifest.tensors().len(), manifest.chunks().len()];
        if sizes.iter().any(|&size| u32::try_from(size).is_err()) {
            return Err(Error::argument("more than four billion chunks in one version"));
        }
    }
    let old = from.map_or(&[][..], Manifest::tensors);
    let chunks = from.map_or(&[][..], Manifest::chunks);
    // A chunk's digest says nothing about chunks of another size: then only whole tensors can be compared, and
    // their digests neither.
    let same_grid = from.is_none_or(|from| from.head().chunk_bytes == to.head().chunk_bytes);
    let partners = partners(old, to.tensors());
    let mut state = State { old, to, chunks, plans: Vec::new(), wanted: Vec::new() };
    for (index, &partner) in partners.iter().enumerate() {
        state.compare_tensor(index, partner, same_grid);
    }
    let mut is_used = vec![false; old.len()];
    partners.iter().flatten().for_each(|&partner| is_used[partner] = true);
    if same_grid {
        state.find_renamed(&partners, &is_used);
        state.find_moved();
    }
    let removed: Vec<u32> = (0..old.len()).filter(|&i| !is_used[i]).map(|i| i as u32).collect();
    state.classify(&partners, &removed);
    // A renamed tensor is not removed; a split one is, its bytes are not.
    let renamed: Vec<u32> =
        state.plans.iter().filter(|p| p.change == Change::Renamed).filter_map(|p| p.from_tensor).collect();
    let removed = removed.into_iter().filter(|tensor| !renamed.contains(tensor)).collect();
    Ok((state.plans, removed, state.wanted))
}

/// The old tensor of the same name and place for each new one.
fn partners(old: &[Tensor], new: &[Tensor]) -> Vec<Option<usize>> {
    let mut at = 0;
    let partner = |tensor: &Tensor| {
        while at < old.len() && old[at].key().cmp(&tensor.key()) == Ordering::Less {
            at += 1;
        }
        (at < old.len() && old[at].key() == tensor.key()).then_some(at)
    };
    new.iter().map(partner).collect()
}

fn is_same_form(a: &Tensor, b: &Tensor) -> bool {
    a.dtype == b.dtype && a.shape == b.shape && a.part == b.part
}

struct State<'a> {
    old: &'a [Tensor],
    to: &'a Manifest,
    /// Digests of the old chunks.
    chunks: &'a [Hash],
    plans: Vec<TensorPlan>,
    wanted: Vec<Vec<u32>>,
}

impl State<'_> {
    fn grid(&self, index: usize) -> Grid {
        Grid::of(&self.to.tensors()[index], self.to.head().chunk_bytes)
    }

    /// Compares with the tensor of the same name; whatever differs is wanted for now.
    fn compare_tensor(&mut self, index: usize, partner: Option<usize>, same_grid: bool) {
        let tensor = &self.to.tensors()[index];
        let mut plan = TensorPlan {
            change: Change::Added,
            from_tensor: partner.map(|partner| partner as u32),
            keep_bytes: 0,
            copy_bytes: 0,
            send_bytes: tensor.size_bytes(),
            copies: Vec::new(),
        };
        let mut wanted = Vec::new();
        match partner.map(|partner| &self.old[partner]) {
            Some(old) if is_same_form(old, tensor) && same_grid => {
                if old.content == tensor.content {
                    (plan.change, plan.keep_bytes) = (Change::Unchanged, tensor.size_bytes());
                } else {
                    plan.change = Change::Changed;
                    let grid = self.grid(index);
                    let (before, after) =
                        (&self.chunks[old.chunk_range()], &self.to.chunks()[tensor.chunk_range()]);
                    let mut changed_bytes = 0;
                    for (chunk, _) in before.iter().zip(after).enumerate().filter(|(_, (a, b))| a != b) {
                        let range = grid.range(chunk as u64);
                        changed_bytes += range.end - range.start;
                        wanted.push(chunk as u32);
                    }
                    plan.keep_bytes = tensor.size_bytes() - changed_bytes;
                }
            }
            Some(old) => {
                plan.change = if is_same_form(old, tensor) { Change::Changed } else { Change::Reformed };
                wanted = (0..tensor.chunk_count as u32).collect();
            }
            None => wanted = (0..tensor.chunk_count as u32).collect(),
        }
        plan.send_bytes -= plan.keep_bytes;
        self.plans.push(plan);
        self.wanted.push(wanted);
    }

    /// New tensors that hold what a removed one held. Pairs them in order of their names, one to one.
    fn find_renamed(&mut self, partners: &[Option<usize>], is_used: &[bool]) {
        let tensors = self.to.tensors();
        let mut gone: Vec<usize> =
            (0..self.old.len()).filter(|&i| !is_used[i] && self.old[i].size_bytes > 0).collect();
        let mut came: Vec<usize> =
            (0..tensors.len()).filter(|&i| partners[i].is_none() && tensors[i].size_bytes > 0).collect();
        // Stable: equal contents stay in order of their names.
        gone.sort_by_key(|&i| self.old[i].content);
        came.sort_by_key(|&i| tensors[i].content);
        let (mut a, mut b) = (0, 0);
        while let (Some(&old), Some(&new)) = (gone.get(a), came.get(b)) {
            let (before, after) = (&self.old[old], &tensors[new]);
            match before.content.cmp(&after.content) {
                Ordering::Less => a += 1,
                Ordering::Greater => b += 1,
                Ordering::Equal
                    if before.name != after.name
                        && before.dtype == after.dtype
                        && before.shape == after.shape =>
                {
                    let plan = &mut self.plans[new];
                    plan.change = Change::Renamed;
                    plan.from_tensor = Some(old as u32);
                    (plan.copy_bytes, plan.send_bytes) = (after.size_bytes, 0);
                    let count = after.chunk_count as u32;
                    plan.copies = vec![Copy { to_chunk: 0, from_tensor: old as u32, from_chunk: 0, count }];
                    self.wanted[new].clear();
                    a += 1;
                    b += 1;
                }
                Ordering::Equal => b += 1,
            }
        }
    }

    /// Wanted chunks that are somewhere in the old version.
    fn find_moved(&mut self) {
        let first_chunk = |tensor: usize| self.to.tensors()[tensor].first_chunk;
        let mut wanted: Vec<(u64, u32, u32)> = Vec::new();
        for (tensor, chunks) in self.wanted.iter().enumerate() {
            let digests = &self.to.chunks()[first_chunk(tensor)..];
            wanted.extend(chunks.iter().map(|&c| (digests[c as usize].prefix(), tensor as u32, c)));
        }
        if wanted.is_empty() || self.chunks.is_empty() {
            return;
        }
        let mut have: Vec<(u64, u32)> =
            self.chunks.iter().enumerate().map(|(index, digest)| (digest.prefix(), index as u32)).collect();
        have.sort_unstable();
        wanted.sort_unstable();
        let mut found: Vec<(u32, u32, u32)> = Vec::new();
        let mut at = 0;
        for &(prefix, tensor, chunk) in &wanted {
            while at < have.len() && have[at].0 < prefix {
                at += 1;
            }
            let digest = &self.to.chunks()[first_chunk(tensor as usize) + chunk as usize];
            let same_prefix = have[at..].iter().take_while(|(other, _)| *other == prefix);
            if let Some(&(_, old)) =
                same_prefix.clone().find(|(_, old)| self.chunks[*old as usize] == *digest)
            {
                found.push((tensor, chunk, old));
            }
        }
        found.sort_unstable();
        let mut rest = found.as_slice();
        while let Some(&(tensor, ..)) = rest.first() {
            let (own, after) = rest.split_at(rest.iter().take_while(|f| f.0 == tensor).count());
            rest = after;
            self.take_moved(tensor as usize, own);
        }
    }

    /// Turns wanted chunks of one tensor into copies. `found` is sorted: (tensor, chunk, old chunk).
    fn take_moved(&mut self, tensor: usize, found: &[(u32, u32, u32)]) {
        let grid = self.grid(tensor);
        let plan = &mut self.plans[tensor];
        for &(_, to_chunk, old) in found {
            let range = grid.range(u64::from(to_chunk));
            plan.copy_bytes += range.end - range.start;
            let from = self.old.partition_point(|t| t.first_chunk + t.chunk_count <= old as usize);
            let from_chunk = old - self.old[from].first_chunk as u32;
            match plan.copies.last_mut() {
                Some(last)
                    if last.from_tensor == from as u32
                        && last.to_chunk + last.count == to_chunk
                        && last.from_chunk + last.count == from_chunk =>
                {
                    last.count += 1;
                }
                _ => plan.copies.push(Copy { to_chunk, from_tensor: from as u32, from_chunk, count: 1 }),
            }
        }
        plan.send_bytes = self.to.tensors()[tensor].size_bytes - plan.keep_bytes - plan.copy_bytes;
        let mut copied = found.iter().map(|f| f.1).peekable();
        self.wanted[tensor].retain(|chunk| {
            while copied.next_if(|c| c < chunk).is_some() {}
            copied.next_if_eq(chunk).is_none()
        });
    }

    /// Says of new names where most of their bytes came from.
    fn classify(&mut self, partners: &[Option<usize>], removed: &[u32]) {
        let old_named = |name: &str| {
            let at = self.old.partition_point(|tensor| tensor.name.as_str() < name);
            self.old.get(at).is_some_and(|tensor| tensor.name == name)
        };
        for (index, plan) in self.plans.iter_mut().enumerate() {
            let tensor = &self.to.tensors()[index];
            let reparted = partners[index].is_some_and(|partner| self.old[partner].part != tensor.part);
            if (partners[index].is_none() || reparted) && old_named(&tensor.name) {
                plan.change = Change::Resharded;
            } else if plan.change == Change::Added && plan.copy_bytes * 2 > tensor.size_bytes {
                let mut sources: Vec<u32> = plan.copies.iter().map(|copy| copy.from_tensor).collect();
                sources.dedup();
                sources.retain(|source| removed.binary_search(source).is_ok());
                sources.sort_unstable();
                sources.dedup();
                match sources.as_slice() {
                    [] => {}
                    [one] => (plan.change, plan.from_tensor) = (Change::Split, Some(*one)),
                    [first, ..] => (plan.change, plan.from_tensor) = (Change::Merged, Some(*first)),
                }
            }
        }
    }
}
