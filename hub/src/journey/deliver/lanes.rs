//! The deliveries of one destination that memory holds, by lane.
//!
//! Only the head of a lane may be under way. Promised (H5): within a lane, items leave in the order in
//! which they were admitted, and the next one only after the one before it was finished.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use adapters::Format;
use adapters::clock::Timestamp;
use bytes::Bytes;
use tokio::time::Instant;

use crate::store::{DeliveryId, Lane};

/// One delivery in memory.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name.
    pub id: DeliveryId,
    /// Its lane; none keeps no order.
    pub lane: Option<Lane>,
    /// The route that made it.
    pub route: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// How often it panicked in hand.
    pub panics: u32,
    /// The process died while it may have been under way.
    pub in_doubt: bool,
    /// Its document, if memory keeps it.
    pub document: Option<(Format, Bytes)>,
    /// Not before this time.
    pub due: Instant,
}

/// What has one order: a lane, or a delivery that keeps none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Queue {
    Lane(Lane),
    Alone(DeliveryId),
}

impl Item {
    fn queue(&self) -> Queue {
        self.lane.map_or(Queue::Alone(self.id), Queue::Lane)
    }
}

/// All lanes of one destination.
#[derive(Debug, Default)]
pub struct Lanes {
    queues: HashMap<Queue, VecDeque<Item>>,
    /// Heads that are not under way, by their time and then by their place.
    due: BTreeMap<(Instant, u64), Queue>,
    known: HashSet<DeliveryId>,
    places: u64,
}

impl Lanes {
    /// Deliveries in memory, those under way too.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes a delivery in, behind those of its lane. One that is here already is not taken twice.
    pub fn admit(&mut self, item: Item) {
        if !self.known.insert(item.id) {
            return;
        }
        let (queue, due) = (item.queue(), item.due);
        let waiting = self.queues.entry(queue).or_default();
        waiting.push_back(item);
        if waiting.len() == 1 {
            self.schedule(queue, due);
        }
    }

    /// Marks every head that was not under way here: it may have been before the process died.
    pub fn doubt_heads(&mut self, in_doubt: bool) {
        if in_doubt {
            for head in self.queues.values_mut().filter_map(VecDeque::front_mut) {
                head.in_doubt = true;
            }
        }
    }

    /// When the next head may go.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next head that may go now. Its lane waits until it is finished or put back.
    pub fn take_due(&mut self, now: Instant) -> Option<Item> {
        let (&(at, place), &queue) = self.due.first_key_value()?;
        if at > now {
            return None;
        }
        self.due.remove(&(at, place));
        self.queues.get(&queue).and_then(VecDeque::front).cloned()
    }

    /// A head has ended: the one behind it is the next.
    pub fn finish(&mut self, item: &Item) {
        self.known.remove(&item.id);
        let queue = item.queue();
        let Some(waiting) = self.queues.get_mut(&queue) else { return };
        waiting.pop_front();
        match waiting.front().map(|next| next.due) {
            Some(due) => self.schedule(queue, due),
            None => {
                self.queues.remove(&queue);
            }
        }
    }

    /// A head goes again at `due`; its lane waits.
    pub fn put_back(&mut self, mut item: Item, due: Instant) {
        item.due = due;
        item.in_doubt = false;
        let queue = item.queue();
        if let Some(head) = self.queues.get_mut(&queue).and_then(VecDeque::front_mut) {
            *head = item;
            self.schedule(queue, due);
        }
    }

    fn schedule(&mut self, queue: Queue, due: Instant) {
        self.places += 1;
        self.due.insert((due, self.places), queue);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::MessageId;

    fn item(number: i64, lane: Option<u8>, due: Instant) -> Item {
        Item {
            id: DeliveryId { message: MessageId(number), run_no: 1, delivery_no: 1 },
            lane: lane.map(|lane| [lane; 16]),
            route: "r".into(),
            created_at: Timestamp(0),
            attempts: 0,
            panics: 0,
            in_doubt: false,
            document: None,
            due,
        }
    }

    fn number(item: Option<Item>) -> Option<i64> {
        item.map(|item| item.id.message.0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_gives_its_next_only_when_its_head_is_finished() {
        let now = Instant::now();
        let mut lanes = Lanes::default();
        for (id, lane) in [(1, Some(7)), (2, Some(7)), (3, Some(8)), (4, None), (5, None)] {
            lanes.admit(item(id, lane, now));
        }
        let first = lanes.take_due(now).unwrap();
        assert_eq!(first.id.message.0, 1);
        assert_eq!(number(lanes.take_due(now)), Some(3), "another lane does not wait");
        assert_eq!(number(lanes.take_due(now)), Some(4), "nor does what keeps no order");
        assert_eq!(number(lanes.take_due(now)), Some(5));
        assert_eq!(number(lanes.take_due(now)), None);
        lanes.finish(&first);
        assert_eq!(number(lanes.take_due(now)), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_put_back_holds_its_lane_until_it_is_due() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut lanes = Lanes::default();
        lanes.admit(item(1, Some(7), now));
        lanes.admit(item(2, Some(7), now));
        let head = lanes.take_due(now).unwrap();
        lanes.put_back(head, later);
        assert_eq!(number(lanes.take_due(now)), None);
        assert_eq!(lanes.next_due(), Some(later));
        assert_eq!(number(lanes.take_due(later)), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_is_admitted_once_until_it_is_finished() {
        let now = Instant::now();
        let mut lanes = Lanes::default();
        lanes.admit(item(1, Some(7), now));
        lanes.admit(item(1, Some(7), now));
        assert_eq!(lanes.len(), 1);
        let head = lanes.take_due(now).unwrap();
        lanes.finish(&head);
        assert_eq!(lanes.len(), 0);
        assert_eq!(number(lanes.take_due(now)), None);
    }
}
