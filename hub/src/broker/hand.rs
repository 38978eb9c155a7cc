//! What a consumer of one partition has in hand: handed out, and not acknowledged yet.
//!
//! Promised: what is acknowledged is the start of what was handed out, and what comes again comes in the
//! order in which it came first (H5).

use std::collections::VecDeque;

/// Records of one partition, in their order, with what the broker calls each.
pub struct Hand<T> {
    handed_out: VecDeque<T>,
    again: VecDeque<T>,
}

impl<T> Default for Hand<T> {
    fn default() -> Self {
        Hand { handed_out: VecDeque::new(), again: VecDeque::new() }
    }
}

impl<T: Clone> Hand<T> {
    /// Hands out what has to come again, at most `max`.
    pub fn take_again(&mut self, max: usize) -> Vec<T> {
        let items: Vec<T> = self.again.drain(..max.min(self.again.len())).collect();
        self.hand_out(&items);
        items
    }

    /// These are handed out now.
    pub fn hand_out(&mut self, items: &[T]) {
        self.handed_out.extend(items.iter().cloned());
    }

    /// The first `count` that were handed out are done; gives them.
    pub fn acknowledge(&mut self, count: usize) -> Vec<T> {
        self.handed_out.drain(..count.min(self.handed_out.len())).collect()
    }

    /// All that was handed out and is not done comes again.
    pub fn redeliver(&mut self) {
        while let Some(item) = self.handed_out.pop_back() {
            self.again.push_front(item);
        }
    }

    /// What has to come again and does not meet `keep` comes from elsewhere.
    pub fn keep_again(&mut self, keep: impl FnMut(&T) -> bool) {
        self.again.retain(keep);
    }
}
