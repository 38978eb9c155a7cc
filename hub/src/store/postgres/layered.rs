//! A map with a layer on top for the unit in hand: kept when the unit ends well, and dropped when it does not.

use std::collections::HashMap;
use std::hash::Hash;

/// What is known, and what the unit in hand would change in it.
pub(super) struct Layered<K, V> {
    below: HashMap<K, V>,
    unit: HashMap<K, V>,
}

impl<K, V> Default for Layered<K, V> {
    fn default() -> Self {
        Layered { below: HashMap::new(), unit: HashMap::new() }
    }
}

impl<K: Eq + Hash, V> Layered<K, V> {
    /// What is known before the first unit.
    pub(super) fn know(&mut self, key: K, value: V) {
        self.below.insert(key, value);
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.unit.get(key).or_else(|| self.below.get(key))
    }

    /// For the unit in hand.
    pub(super) fn set(&mut self, key: K, value: V) {
        self.unit.insert(key, value);
    }

    /// The unit ended: what it changed holds from now on, or never was.
    pub(super) fn end_unit(&mut self, kept: bool) {
        if self.unit.is_empty() {
            return;
        }
        if kept {
            self.below.extend(self.unit.drain());
        } else {
            self.unit.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_changed_is_kept_or_never_was() {
        let mut map = Layered::default();
        map.know("a", 1);
        map.set("a", 2);
        map.set("b", 3);
        assert_eq!((map.get(&"a"), map.get(&"b")), (Some(&2), Some(&3)));
        map.end_unit(false);
        assert_eq!((map.get(&"a"), map.get(&"b")), (Some(&1), None));
        map.set("b", 4);
        map.end_unit(true);
        map.set("b", 5);
        map.end_unit(false);
        assert_eq!(map.get(&"b"), Some(&4));
    }
}
