//! Checksums of rows: what is read back is what was written, or its message is named (`HUB0207`).
//!
//! A CRC-32 over every column that never changes, with the length of each, so that nothing slides from
//! one into the next. It finds what a disk did to a row. Who wants to change a row can change the sum
//! too: against that stands the audit chain.

use crc32fast::Hasher;

use crate::store::{AggregateChange, MessageId, NewMessage, NewOutput, format_number};

/// The columns of a message, from either side of the disk.
pub(in crate::store) struct MessageColumns<'r> {
    pub(in crate::store) id: i64,
    pub(in crate::store) received_at: i64,
    pub(in crate::store) source: &'r str,
    pub(in crate::store) principal: &'r str,
    pub(in crate::store) peer: &'r str,
    pub(in crate::store) sender: &'r str,
    pub(in crate::store) control_id: &'r str,
    pub(in crate::store) kind: &'r str,
    pub(in crate::store) format: i64,
    pub(in crate::store) lane: Option<&'r [u8]>,
    pub(in crate::store) identity: &'r [u8],
    pub(in crate::store) flags: i64,
    pub(in crate::store) cause: Option<i64>,
    pub(in crate::store) code: Option<&'r str>,
    pub(in crate::store) reason: Option<&'r str>,
    pub(in crate::store) body: &'r [u8],
    pub(in crate::store) answer: Option<&'r [u8]>,
    pub(in crate::store) terms: &'r [u8],
}

impl<'r> MessageColumns<'r> {
    /// The columns as they are to be written.
    pub(in crate::store) fn of(message: &'r NewMessage, id: MessageId, flags: i64) -> MessageColumns<'r> {
        MessageColumns {
            id: id.0,
            received_at: message.received_at.0,
            source: &message.source,
            principal: &message.principal,
            peer: &message.peer,
            sender: &message.sender,
            control_id: &message.control_id,
            kind: &message.kind,
            format: format_number(message.format),
            lane: message.lane.as_ref().map(<[u8; 16]>::as_slice),
            identity: &message.identity,
            flags,
            cause: message.cause.map(|cause| cause.0),
            code: message.refusal.as_ref().map(|cause| &*cause.code),
            reason: message.refusal.as_ref().map(|cause| &*cause.reason),
            body: &message.body,
            answer: message.answer.as_deref(),
            terms: message.terms.as_flattened(),
        }
    }

    /// The checksum of the row.
    pub(in crate::store) fn checksum(&self) -> i64 {
        let texts = [self.source, self.principal, self.peer, self.sender, self.control_id, self.kind];
        let mut sum = Sum::new();
        sum.numbers([Some(self.id), Some(self.received_at), Some(self.format), Some(self.flags), self.cause]);
        texts.into_iter().for_each(|text| sum.bytes(Some(text.as_bytes())));
        sum.bytes(self.lane);
        sum.bytes(Some(self.identity));
        sum.bytes(self.code.map(str::as_bytes));
        sum.bytes(self.reason.map(str::as_bytes));
        sum.bytes(Some(self.body));
        sum.bytes(self.answer);
        sum.bytes(Some(self.terms));
        sum.finish()
    }
}

/// The columns of an output, from either side of the disk.
pub(in crate::store) struct OutputColumns<'r> {
    pub(in crate::store) message: i64,
    pub(in crate::store) run_no: u32,
    pub(in crate::store) output_no: u32,
    pub(in crate::store) format: i64,
    pub(in crate::store) command: Option<&'r str>,
    pub(in crate::store) kind: &'r str,
    pub(in crate::store) body: Option<&'r [u8]>,
}

impl<'r> OutputColumns<'r> {
    /// The columns as they are to be written.
    pub(in crate::store) fn of(output: &'r NewOutput) -> OutputColumns<'r> {
        OutputColumns {
            message: output.message.0,
            run_no: output.run_no,
            output_no: output.output_no,
            format: format_number(output.format),
            command: output.command.as_deref(),
            kind: &output.kind,
            body: output.body.as_deref(),
        }
    }

    /// The checksum of the row.
    pub(in crate::store) fn checksum(&self) -> i64 {
        let mut sum = Sum::new();
        let place = [self.message, i64::from(self.run_no), i64::from(self.output_no), self.format];
        sum.numbers(place.map(Some));
        sum.bytes(self.command.map(str::as_bytes));
        sum.bytes(Some(self.kind.as_bytes()));
        sum.bytes(self.body);
        sum.finish()
    }
}

/// The columns of an aggregate, from either side of the disk.
pub(in crate::store) struct AggregateColumns<'r> {
    pub(in crate::store) kind: &'r str,
    pub(in crate::store) authority: &'r str,
    pub(in crate::store) number: &'r str,
    pub(in crate::store) version: i64,
    pub(in crate::store) state: &'r str,
    pub(in crate::store) body: &'r str,
}

impl<'r> AggregateColumns<'r> {
    /// The columns as they are to be written.
    pub(in crate::store) fn of(change: &'r AggregateChange, version: i64) -> AggregateColumns<'r> {
        let AggregateChange { key, state, body, .. } = change;
        AggregateColumns { kind: key.kind, authority: &key.authority, number: &key.number, version, state, body }
    }

    /// The checksum of the row.
    pub(in crate::store) fn checksum(&self) -> i64 {
        let mut sum = Sum::new();
        sum.numbers([Some(self.version)]);
        let texts = [self.kind, self.authority, self.number, self.state, self.body];
        texts.into_iter().for_each(|text| sum.bytes(Some(text.as_bytes())));
        sum.finish()
    }
}

/// A checksum in the making.
struct Sum(Hasher);

impl Sum {
    fn new() -> Sum {
        Sum(Hasher::new())
    }

    fn numbers<const N: usize>(&mut self, numbers: [Option<i64>; N]) {
        for number in numbers {
            self.bytes(number.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
        }
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(u64::MAX, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX - 1));
        self.0.update(&length.to_le_bytes());
        self.0.update(bytes.unwrap_or_default());
    }

    fn finish(self) -> i64 {
        i64::from(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(parts: &[Option<&[u8]>]) -> i64 {
        let mut sum = Sum::new();
        parts.iter().for_each(|part| sum.bytes(*part));
        sum.finish()
    }

    #[test]
    fn nothing_slides_from_one_column_into_the_next() {
        assert_ne!(sum(&[Some(b"ab"), Some(b"c")]), sum(&[Some(b"a"), Some(b"bc")]));
        assert_ne!(sum(&[None, Some(b"")]), sum(&[Some(b""), None]));
    }

    #[test]
    fn every_single_bit_counts() {
        let body = vec![0x5A; 300];
        let whole = sum(&[Some(&body)]);
        for bit in 0..body.len() * 8 {
            let mut rotten = body.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&[Some(&rotten)]), whole, "bit {bit}");
        }
    }
}
