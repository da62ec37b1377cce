//! Who holds which page: reference counts over the pages of the model's cache.
//!
//! A page is held by sequences and by the prefix tree. It may be written only while one sequence alone
//! holds it; it is free when nobody does. Pages that only the tree holds can be taken back at any time, so
//! they count as available.

/// Reference counts of all pages.
#[derive(Debug)]
pub(super) struct PagePool {
    holders: Vec<u32>,
    /// Whether the prefix tree is one of the holders.
    cached: Vec<bool>,
    free: Vec<u32>,
    /// Cached pages without any other holder.
    evictable_count: usize,
}

impl PagePool {
    /// All pages free.
    pub fn new(count: usize) -> Self {
        Self {
            holders: vec![0; count],
            cached: vec![false; count],
            // The smallest number is taken first.
            free: (0..count as u32).rev().collect(),
            evictable_count: 0,
        }
    }

    /// A free page, now held once.
    pub fn take(&mut self) -> Option<u32> {
        let page = self.free.pop()?;
        self.holders[page as usize] = 1;
        Some(page)
    }

    /// One more holder.
    pub fn retain(&mut self, page: u32) {
        let at = page as usize;
        assert!(self.holders[at] > 0, "page {page} is held by nobody");
        if self.cached[at] && self.holders[at] == 1 {
            self.evictable_count -= 1;
        }
        self.holders[at] += 1;
    }

    /// One holder less.
    pub fn release(&mut self, page: u32) {
        let at = page as usize;
        assert!(self.holders[at] > 0, "page {page} is held by nobody");
        self.holders[at] -= 1;
        if self.holders[at] == 0 {
            assert!(!self.cached[at], "page {page} was taken from under the prefix tree");
            self.free.push(page);
        } else if self.cached[at] && self.holders[at] == 1 {
            self.evictable_count += 1;
        }
    }

    /// The prefix tree becomes a holder.
    pub fn cache(&mut self, page: u32) {
        assert!(!self.cached[page as usize], "page {page} is in the prefix tree already");
        self.retain(page);
        self.cached[page as usize] = true;
    }

    /// The prefix tree lets go.
    pub fn uncache(&mut self, page: u32) {
        let at = page as usize;
        assert!(self.cached[at], "page {page} is not in the prefix tree");
        if self.holders[at] == 1 {
            self.evictable_count -= 1;
        }
        self.cached[at] = false;
        self.release(page);
    }

    /// Whether one sequence alone holds the page, so that it may be written.
    pub fn is_private(&self, page: u32) -> bool {
        self.holders[page as usize] == 1 && !self.cached[page as usize]
    }

    /// Whether the prefix tree alone holds the page.
    pub fn is_evictable(&self, page: u32) -> bool {
        self.holders[page as usize] == 1 && self.cached[page as usize]
    }

    pub fn count(&self) -> usize {
        self.holders.len()
    }

    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    #[cfg(test)]
    pub fn cached_count(&self) -> usize {
        self.cached.iter().filter(|&&cached| cached).count()
    }

    /// Pages that can be had without taking one from a sequence.
    pub fn available_count(&self) -> usize {
        self.free.len() + self.evictable_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_the_holders() {
        let mut pool = PagePool::new(3);
        let a = pool.take().unwrap();
        let b = pool.take().unwrap();
        assert_eq!((a, b, pool.free_count()), (0, 1, 1));
        assert!(pool.is_private(a));
        pool.cache(a);
        assert!(!pool.is_private(a) && !pool.is_evictable(a));
        assert_eq!((pool.cached_count(), pool.available_count()), (1, 1));
        pool.release(a);
        assert!(pool.is_evictable(a));
        assert_eq!(pool.available_count(), 2);
        pool.retain(a);
        assert_eq!(pool.available_count(), 1);
        pool.release(a);
        pool.uncache(a);
        assert_eq!((pool.free_count(), pool.cached_count(), pool.available_count()), (2, 0, 2));
        pool.release(b);
        assert_eq!(pool.free_count(), 3);
        assert_eq!((0..3).filter_map(|_| pool.take()).count(), 3);
        assert_eq!(pool.take(), None);
    }

    #[test]
    #[should_panic(expected = "held by nobody")]
    fn a_page_is_not_released_twice() {
        let mut pool = PagePool::new(1);
        let page = pool.take().unwrap();
        pool.release(page);
        pool.release(page);
    }
}
