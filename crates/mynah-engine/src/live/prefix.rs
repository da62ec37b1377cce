//! The prefix cache: a tree of full pages keyed by the tokens in them.
//!
//! A node is one page; its key is the page's tokens, its place below the root all tokens before them. So a
//! page is found exactly by everything its keys and values depend on: the tokens up to its end, and the
//! weights and the adapter, each pair of which has a root of its own. Pages that two versions of the weights
//! have written to are never put in.
//!
//! A page that is equal only in its first tokens cannot be shared, but it can be copied ([`Found::part`]): copying keys
//! and values takes a thousandth of the time of computing them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::pages::PagePool;

type Key = Box<[u32]>;

/// The weights and the adapter that pages were computed with.
pub(super) type Root = (u32, Option<u32>);

#[derive(Debug)]
struct Node {
    parent: usize,
    key: Key,
    page: u32,
    /// In order of their keys: neighbours have the most tokens in common.
    children: BTreeMap<Key, usize>,
    /// When it was last found, on the tree's own clock.
    used: u64,
}

/// Where a node hangs when it has no parent but its adapter's root.
const ROOT: usize = usize::MAX;

/// What is known of the beginning of a text.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Pages of it that can be shared.
    pub pages: Vec<u32>,
    /// The page after them that begins with this many tokens of it: to be copied.
    pub part: Option<(u32, usize)>,
}

impl Found {
    /// Lets go of all of it.
    pub fn release(self, pool: &mut PagePool) {
        let part = self.part.map(|(page, _)| page);
        self.pages.into_iter().chain(part).for_each(|page| pool.release(page));
    }
}

/// Full pages by their tokens.
#[derive(Debug)]
pub(super) struct PrefixTree {
    page_tokens: usize,
    nodes: Vec<Option<Node>>,
    vacant: Vec<usize>,
    roots: HashMap<Root, BTreeMap<Key, usize>>,
    /// Nodes without children by last use, the order in which they are given up.
    leaves: BTreeSet<(u64, usize)>,
    /// The root of each first-level node.
    tops: HashMap<usize, Root>,
    clock: u64,
}

impl PrefixTree {
    /// An empty tree for pages of this many tokens.
    pub fn new(page_tokens: usize) -> Self {
        Self {
            page_tokens,
            nodes: Vec::new(),
            vacant: Vec::new(),
            roots: HashMap::new(),
            leaves: BTreeSet::new(),
            tops: HashMap::new(),
            clock: 0,
        }
    }

    /// The pages of the longest known beginning of `tokens`, each with one more holder. At least one token
    /// is left over, whose logits the caller needs.
    pub fn find(&mut self, root: Root, tokens: &[u32], pool: &mut PagePool) -> Found {
        self.clock += 1;
        let usable = tokens.len().saturating_sub(1);
        let mut pages = Vec::new();
        let mut at = ROOT;
        for key in tokens[..usable].chunks_exact(self.page_tokens) {
            let Some(next) = self.child(at, root, key) else { break };
            at = next;
            let page = self.touch(at);
            pool.retain(page);
            pages.push(page);
        }
        let rest = &tokens[pages.len() * self.page_tokens..usable];
        let part = self.nearest(at, root, rest).map(|(next, common)| {
            let page = self.touch(next);
            pool.retain(page);
            (page, common)
        });
        Found { pages, part }
    }

    /// The child whose key begins with the most tokens of `rest`, and how many these are.
    fn nearest(&self, at: usize, root: Root, rest: &[u32]) -> Option<(usize, usize)> {
        let children = if at == ROOT { self.roots.get(&root)? } else { &self.node(at).children };
        let below = children.range::<[u32], _>((Bound::Unbounded, Bound::Excluded(rest))).next_back();
        let above = children.range::<[u32], _>((Bound::Included(rest), Bound::Unbounded)).next();
        let common = |key: &[u32]| key.iter().zip(rest).take_while(|(a, b)| a == b).count();
        let found = [below, above].into_iter().flatten().map(|(key, &next)| (next, common(key)));
        found.filter(|&(_, common)| common > 0).max_by_key(|&(_, common)| common)
    }

    /// Puts the full pages of a sequence in. Where the tree has an equal page already, the sequence's own is
    /// given back and replaced by it.
    pub fn insert(&mut self, root: Root, tokens: &[u32], pages: &mut [u32], pool: &mut PagePool) {
        self.clock += 1;
        let mut at = ROOT;
        for (key, page) in tokens.chunks_exact(self.page_tokens).zip(pages) {
            if let Some(next) = self.child(at, root, key) {
                at = next;
                let known = self.touch(at);
                if known != *page {
                    pool.retain(known);
                    pool.release(*page);
                    *page = known;
                }
            } else {
                pool.cache(*page);
                at = self.hang(at, root, key, *page);
            }
        }
    }

    /// Puts in the page behind the last full one: its first tokens are of this text, and nobody writes to it any more.
    /// It is only ever copied. Does nothing when there is no such token, or the tree has not all pages before.
    pub fn insert_tail(&mut self, root: Root, tokens: &[u32], page: u32, pool: &mut PagePool) {
        let full = tokens.chunks_exact(self.page_tokens);
        let tail = full.remainder();
        let mut at = ROOT;
        for key in full {
            let Some(next) = self.child(at, root, key) else { return };
            at = next;
        }
        // One that goes on the same way serves as well.
        let is_known = self.nearest(at, root, tail).is_some_and(|(_, common)| common == tail.len());
        if !tail.is_empty() && !is_known {
            self.clock += 1;
            pool.cache(page);
            self.hang(at, root, tail, page);
        }
    }

    /// Gives up the page that was not used for longest and that no sequence holds. False when there is none.
    pub fn evict(&mut self, pool: &mut PagePool) -> bool {
        let found = self.leaves.iter().find(|&&(_, at)| pool.is_evictable(self.node(at).page)).copied();
        let Some((used, at)) = found else { return false };
        self.leaves.remove(&(used, at));
        let Some(node) = self.nodes[at].take() else { return false };
        self.vacant.push(at);
        if node.parent == ROOT {
            if let Some(root) = self.tops.remove(&at)
                && let Some(children) = self.roots.get_mut(&root)
            {
                children.remove(&node.key);
                if children.is_empty() {
                    self.roots.remove(&root);
                }
            }
        } else if let Some(parent) = self.nodes[node.parent].as_mut() {
            parent.children.remove(&node.key);
            if parent.children.is_empty() {
                self.leaves.insert((parent.used, node.parent));
            }
        }
        pool.uncache(node.page);
        true
    }

    /// Gives up all pages of these weights.
    pub fn remove_weights(&mut self, weights: u32, pool: &mut PagePool) {
        let roots: Vec<Root> = self.roots.keys().filter(|root| root.0 == weights).copied().collect();
        let mut open: Vec<usize> = Vec::new();
        for root in roots {
            let children = self.roots.remove(&root).unwrap_or_default();
            for at in children.into_values() {
                self.tops.remove(&at);
                open.push(at);
            }
        }
        while let Some(at) = open.pop() {
            let Some(node) = self.nodes[at].take() else { continue };
            self.leaves.remove(&(node.used, at));
            self.vacant.push(at);
            pool.uncache(node.page);
            open.extend(node.children.into_values());
        }
    }

    fn node(&self, at: usize) -> &Node {
        self.nodes[at].as_ref().expect("the tree points at a node that is gone")
    }

    fn child(&self, at: usize, root: Root, key: &[u32]) -> Option<usize> {
        let children = if at == ROOT { self.roots.get(&root)? } else { &self.node(at).children };
        children.get(key).copied()
    }

    /// Marks a node as used now and gives its page.
    fn touch(&mut self, at: usize) -> u32 {
        let clock = self.clock;
        let node = self.nodes[at].as_mut().expect("the tree points at a node that is gone");
        if node.children.is_empty() {
            self.leaves.remove(&(node.used, at));
            self.leaves.insert((clock, at));
        }
        node.used = clock;
        node.page
    }

    fn hang(&mut self, parent: usize, root: Root, key: &[u32], page: u32) -> usize {
        let key: Key = key.into();
        let node = Node { parent, key: key.clone(), page, children: BTreeMap::new(), used: self.clock };
        let at = match self.vacant.pop() {
            Some(at) => {
                self.nodes[at] = Some(node);
                at
            }
            None => {
                self.nodes.push(Some(node));
                self.nodes.len() - 1
            }
        };
        if parent == ROOT {
            self.roots.entry(root).or_default().insert(key, at);
            self.tops.insert(at, root);
        } else if let Some(above) = self.nodes[parent].as_mut() {
            self.leaves.remove(&(above.used, parent));
            above.children.insert(key, at);
        }
        self.leaves.insert((self.clock, at));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT_0: Root = (0, None);

    fn take(pool: &mut PagePool, count: usize) -> Vec<u32> {
        (0..count).map(|_| pool.take().unwrap()).collect()
    }

    fn give_back(pool: &mut PagePool, pages: &[u32]) {
        pages.iter().for_each(|&page| pool.release(page));
    }

    #[test]
    fn finds_whole_pages_of_equal_beginnings() {
        let (mut pool, mut tree) = (PagePool::new(8), PrefixTree::new(2));
        let tokens = [1, 2, 3, 4, 5];
        let mut pages = take(&mut pool, 3);
        tree.insert(ROOT_0, &tokens, &mut pages, &mut pool);
        assert_eq!(pool.cached_count(), 2);
        let mut check = |tokens: &[u32], root, expect: &[u32]| {
            let found = tree.find(root, tokens, &mut pool);
            assert_eq!(found.pages, expect, "{tokens:?}");
            found.release(&mut pool);
        };
        check(&[1, 2, 3, 4, 9], ROOT_0, &[0, 1]);
        check(&[1, 2, 3, 9, 5], ROOT_0, &[0]);
        // One token must be left to read.
        check(&[1, 2, 3, 4], ROOT_0, &[0]);
        check(&[1, 2], ROOT_0, &[]);
        check(&[2, 2, 3, 4, 5], ROOT_0, &[]);
        check(&[1, 2, 3, 4, 9], (0, Some(7)), &[]);
        check(&[1, 2, 3, 4, 9], (1, None), &[]);
        give_back(&mut pool, &pages);
        assert_eq!((pool.free_count(), pool.available_count()), (6, 8));
    }

    #[test]
    fn an_equal_page_is_kept_once() {
        let (mut pool, mut tree) = (PagePool::new(8), PrefixTree::new(2));
        let mut first = take(&mut pool, 2);
        tree.insert(ROOT_0, &[1, 2, 3, 4], &mut first, &mut pool);
        let mut second = take(&mut pool, 3);
        tree.insert(ROOT_0, &[1, 2, 3, 5, 6, 7], &mut second, &mut pool);
        assert_eq!(second, [0, 3, 4]);
        assert_eq!(pool.cached_count(), 4);
        assert_eq!(pool.free_count(), 4);
        give_back(&mut pool, &first);
        give_back(&mut pool, &second);
        let mut other = take(&mut pool, 2);
        tree.insert((1, Some(2)), &[1, 2, 3, 4], &mut other, &mut pool);
        give_back(&mut pool, &other);
        tree.remove_weights(0, &mut pool);
        assert_eq!((pool.free_count(), pool.cached_count()), (6, 2));
        assert!(tree.find(ROOT_0, &[1, 2, 3], &mut pool).pages.is_empty());
        assert!(tree.evict(&mut pool) && tree.evict(&mut pool) && !tree.evict(&mut pool));
        assert_eq!(pool.free_count(), 8);
    }

    #[test]
    fn the_longest_unused_leaf_goes_first_and_held_pages_stay() {
        let (mut pool, mut tree) = (PagePool::new(8), PrefixTree::new(1));
        for tokens in [[1, 2], [1, 3], [4, 5]] {
            let mut pages = take(&mut pool, 2);
            tree.insert(ROOT_0, &tokens, &mut pages, &mut pool);
            give_back(&mut pool, &pages);
        }
        // Pages: 1→0, 1·2→1, 1·3→3 (2 was equal to 0), 4→2, 4·5→4 in the order the free list gives.
        assert_eq!(pool.cached_count(), 5);
        let held = tree.find(ROOT_0, &[1, 2, 9], &mut pool).pages;
        assert_eq!(held.len(), 2);
        let mut gone = Vec::new();
        while tree.evict(&mut pool) {
            gone.push(pool.cached_count());
        }
        assert_eq!(gone, [4, 3, 2]);
        assert_eq!(tree.find(ROOT_0, &[1, 2, 9], &mut pool).pages, held);
        give_back(&mut pool, &held);
        give_back(&mut pool, &held);
        assert!(tree.evict(&mut pool) && tree.evict(&mut pool) && !tree.evict(&mut pool));
        assert_eq!(pool.free_count(), 8);
    }

    #[test]
    fn a_page_that_is_not_full_is_only_copied() {
        let (mut pool, mut tree) = (PagePool::new(8), PrefixTree::new(4));
        let mut pages = take(&mut pool, 2);
        let tokens = [1, 2, 3, 4, 5, 6];
        tree.insert(ROOT_0, &tokens, &mut pages, &mut pool);
        tree.insert_tail(ROOT_0, &tokens, pages[1], &mut pool);
        // Known already, and nothing to hang it on.
        tree.insert_tail(ROOT_0, &tokens[..5], 7, &mut pool);
        tree.insert_tail(ROOT_0, &[9, 9, 9, 9, 5], 7, &mut pool);
        give_back(&mut pool, &pages);
        assert_eq!(pool.cached_count(), 2);
        let found = tree.find(ROOT_0, &[1, 2, 3, 4, 5, 7, 8, 9, 9], &mut pool);
        assert_eq!((found.pages.as_slice(), found.part), (&[0][..], Some((1, 1))));
        found.release(&mut pool);
        while tree.evict(&mut pool) {}
        assert_eq!(pool.free_count(), 8);
    }

    #[test]
    fn the_page_with_the_most_common_tokens_is_to_be_copied() {
        let (mut pool, mut tree) = (PagePool::new(16), PrefixTree::new(4));
        for tokens in [[1, 2, 3, 4], [1, 2, 5, 0], [1, 2, 5, 9], [7, 7, 7, 7]] {
            let mut pages = take(&mut pool, 1);
            tree.insert(ROOT_0, &tokens, &mut pages, &mut pool);
            give_back(&mut pool, &pages);
        }
        let mut check = |tokens: &[u32], expect: Option<(u32, usize)>| {
            let found = tree.find(ROOT_0, tokens, &mut pool);
            assert_eq!((found.pages.len(), found.part), (0, expect), "{tokens:?}");
            found.release(&mut pool);
        };
        check(&[1, 2, 5, 1, 1], Some((2, 3)));
        check(&[1, 2, 5, 8, 1], Some((2, 3)));
        check(&[1, 2, 3, 9, 9], Some((0, 3)));
        check(&[7, 7, 1, 1, 1], Some((3, 2)));
        // One token must be left to read.
        check(&[7, 7], Some((3, 1)));
        check(&[7], None);
        check(&[8, 8, 8, 8, 8, 8], None);
        check(&[0, 8, 8], None);
        assert_eq!(pool.available_count(), 16);
    }
}
