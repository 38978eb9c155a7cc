//! Records as messages of Kafka: CloudEvents 1.0, Kafka protocol binding, binary mode.
//!
//! Attributes are headers `ce_id` and so on, `content-type` says what the body is, and the key is the record's, in
//! hexadecimal digits.

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

use crate::broker::Record;
use crate::broker::attributes::{CONTENT_TYPE, NoRecord, attributes_of, record_of};

/// Before an attribute's name.
const PREFIX: &str = "ce_";

/// The headers of a record.
pub(super) fn headers_of(record: &Record) -> OwnedHeaders {
    let attributes = attributes_of(record);
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len() + 1);
    for (name, value) in &attributes {
        headers = headers.insert(Header { key: &format!("{PREFIX}{name}"), value: Some(value) });
    }
    headers.insert(Header { key: "content-type", value: Some(CONTENT_TYPE) })
}

/// The record of a message.
pub(super) fn record_in(message: &BorrowedMessage<'_>) -> Result<Record, NoRecord> {
    let body = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let headers = message.headers();
    let value_of = |name: &str| {
        let mut all = headers.into_iter().flat_map(Headers::iter);
        let found = all.find(|header| header.key.strip_prefix(PREFIX) == Some(name))?;
        std::str::from_utf8(found.value?).ok()
    };
    record_of(value_of, body)
}

#[cfg(test)]
mod tests {
    use adapters::clock::Timestamp;

    use super::*;
    use crate::store::{DeliveryId, MessageId};

    #[test]
    fn a_record_is_told_by_the_headers_of_the_binding() {
        let record = Record {
            id: DeliveryId { message: MessageId(5), run_no: 1, delivery_no: 2 },
            channel: "prescription".into(),
            key: Some([7; 16]),
            command: Some("create".into()),
            kind: "MedicationRequest".into(),
            source: "kasr-al-ainy".into(),
            route: "orders".into(),
            created_at: Timestamp(1_791_100_800_000_001),
            attempts: 0,
            charges: 0,
            suspect: false,
            body: Bytes::new(),
        };
        let headers = headers_of(&record);
        let told: Vec<_> = headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
        assert!(told.contains(&("ce_specversion", b"1.0".as_slice())));
        assert!(told.contains(&("ce_id", b"00000000005.1.2")));
        assert!(told.contains(&("content-type", b"application/fhir+json")));
        assert!(told.iter().all(|(name, _)| *name == "content-type" || name.starts_with("ce_")));
    }
}
