//! A batch of records between the broker and their commit.

use crate::broker::Record;

/// A batch with the charges that memory knows.
pub(super) struct Charged {
    pub(super) records: Vec<Record>,
    pub(super) charges: Vec<u32>,
    /// How many records of the broker end with each: itself, and the stale copies behind it.
    pub(super) spans: Vec<usize>,
    pub(super) conflicts: u32,
    /// So many of the first records are decided one at a time: one of them cannot be.
    pub(super) singly: usize,
}

impl Charged {
    /// Records as they came.
    pub(super) fn of(records: Vec<Record>) -> Charged {
        let (charges, spans) = (vec![0; records.len()], vec![1; records.len()]);
        Charged { records, charges, spans, conflicts: 0, singly: 0 }
    }

    /// The first `done` are done; gives how many records of the broker those are.
    pub(super) fn drop_first(&mut self, done: usize) -> usize {
        self.records.drain(..done);
        self.charges.drain(..done);
        self.singly = self.singly.saturating_sub(done);
        self.spans.drain(..done).sum()
    }
}

#[cfg(test)]
mod tests {
    use adapters::clock::Timestamp;

    use super::*;
    use crate::store::{DeliveryId, MessageId};

    #[test]
    fn stale_copies_are_acknowledged_with_the_record_before_them() {
        let record = |n| Record {
            id: DeliveryId { message: MessageId(n), run_no: 1, delivery_no: 1 },
            channel: "prescription".into(),
            key: None,
            command: None,
            kind: "MedicationRequest".into(),
            source: "s".into(),
            route: "r".into(),
            created_at: Timestamp(0),
            attempts: 0,
            charges: 0,
            suspect: false,
            body: bytes::Bytes::new(),
        };
        let mut batch = Charged::of(vec![record(1), record(2), record(3)]);
        batch.spans = vec![1, 3, 1];
        batch.singly = 2;
        assert_eq!(batch.drop_first(1), 1);
        assert_eq!(batch.drop_first(2), 4);
        assert_eq!((batch.records.len(), batch.charges.len(), batch.singly), (0, 0, 0));
    }
}
