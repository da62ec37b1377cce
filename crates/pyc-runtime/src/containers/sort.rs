//! Stable sorting that keeps its promises when a comparison raises or lies.

use pyc_ir::CompareOp;

use crate::object::{Kind, Value};
use crate::str::Str;
use crate::vm::{PyResult, Raised, Vm};

impl Vm {
    /// Sorts; after an error the items come back in some order, all of them.
    ///
    /// # Errors
    /// What the key function or a comparison raises.
    pub fn sort_values(
        &self,
        items: Vec<Value>,
        key: Option<&Value>,
        reverse: bool,
    ) -> Result<Vec<Value>, (Vec<Value>, Raised)> {
        let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(items.len());
        match key {
            None => {
                let mut items = items;
                if reverse {
                    items.reverse();
                }
                let error = self.sort_by(&mut items, |v| v);
                if reverse {
                    items.reverse();
                }
                return match error {
                    Some(error) => Err((items, error)),
                    None => Ok(items),
                };
            }
            Some(key) => {
                for at in 0..items.len() {
                    match self.call_pos(key, std::slice::from_ref(&items[at])) {
                        Ok(k) => pairs.push((k, items[at].clone())),
                        Err(error) => return Err((items, error)),
                    }
                }
            }
        }
        drop(items);
        if reverse {
            pairs.reverse();
        }
        let error = self.sort_by(&mut pairs, |p| &p.0);
        if reverse {
            pairs.reverse();
        }
        let items = pairs.into_iter().map(|p| p.1).collect();
        match error {
            Some(error) => Err((items, error)),
            None => Ok(items),
        }
    }

    fn sort_by<T: Clone>(&self, items: &mut [T], key: impl Fn(&T) -> &Value) -> Option<Raised> {
        let all = |test: fn(&Value) -> bool| items.iter().all(|i| test(key(i)));
        if all(|v| v.as_small().is_some()) {
            items.sort_by_key(|i| key(i).as_small().unwrap_or(0));
            return None;
        }
        if all(|v| v.kind() == Kind::Float && v.is_exact())
            && !items.iter().any(|i| key(i).get::<f64>().is_some_and(|f| f.is_nan()))
        {
            items.sort_by(|a, b| {
                let f = |i| key(i).get::<f64>().copied().unwrap_or(0.0);
                f(a).partial_cmp(&f(b)).unwrap_or(std::cmp::Ordering::Equal)
            });
            return None;
        }
        if all(|v| v.kind() == Kind::Str && v.is_exact()) {
            items.sort_by(|a, b| match (key(a).get::<Str>(), key(b).get::<Str>()) {
                (Some(a), Some(b)) => a.compare(b),
                _ => std::cmp::Ordering::Equal,
            });
            return None;
        }
        // Merge sort of our own: a comparison may raise, and an inconsistent one must not panic.
        let result = self.merge_sort(items, &key);
        result.err()
    }

    fn merge_sort<T: Clone>(&self, items: &mut [T], key: &impl Fn(&T) -> &Value) -> PyResult<()> {
        let less = |a: &T, b: &T| self.compare_true(CompareOp::Lt, key(a), key(b));
        let n = items.len();
        // What is in order already, or in the opposite order, takes one comparison an item.
        if n > 1 {
            let falls = less(&items[1], &items[0])?;
            let mut end = 2;
            while end < n && less(&items[end], &items[end - 1])? == falls {
                end += 1;
            }
            if end == n {
                if falls {
                    items.reverse();
                }
                return Ok(());
            }
        }
        const RUN: usize = 16;
        for start in (0..n).step_by(RUN) {
            let end = (start + RUN).min(n);
            for i in start + 1..end {
                // Binary insertion: few comparisons.
                let (mut low, mut high) = (start, i);
                while low < high {
                    let middle = (low + high) / 2;
                    if less(&items[i], &items[middle])? {
                        high = middle;
                    } else {
                        low = middle + 1;
                    }
                }
                items[low..=i].rotate_right(1);
            }
        }
        let mut width = RUN;
        while width < n {
            let mut start = 0;
            while start + width < n {
                let (middle, end) = (start + width, (start + 2 * width).min(n));
                if less(&items[middle], &items[middle - 1])? {
                    let left: Vec<T> = items[start..middle].to_vec();
                    let right: Vec<T> = items[middle..end].to_vec();
                    let (mut i, mut j) = (0, 0);
                    let mut merged = Vec::with_capacity(end - start);
                    while i < left.len() && j < right.len() {
                        if less(&right[j], &left[i])? {
                            merged.push(right[j].clone());
                            j += 1;
                        } else {
                            merged.push(left[i].clone());
                            i += 1;
                        }
                    }
                    merged.extend_from_slice(&left[i..]);
                    merged.extend_from_slice(&right[j..]);
                    items[start..end].clone_from_slice(&merged);
                }
                start = end;
            }
            width *= 2;
        }
        Ok(())
    }
}
