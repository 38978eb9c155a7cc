//! Records as AMQP 0-9-1 messages: CloudEvents in binary mode, with the names of the AMQP 1.0 binding (ADR 0012).
//!
//! Attributes are headers `cloudEvents_id` and so on; both prefixes of the binding are read. The properties `message-id`,
//! `type`, `timestamp`, `app-id` repeat some of them for people and tools that know no CloudEvents.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::broker::Record;
use crate::broker::attributes::{CONTENT_TYPE, NoRecord, attributes_of, record_of};

/// Before an attribute's name.
const PREFIX: &str = "cloudEvents_";
/// The other prefix that the binding knows.
const OTHER_PREFIX: &str = "cloudEvents:";
/// On disk, as far as the queue is.
const PERSISTENT: u8 = 2;

/// The properties of a record.
pub fn properties_of(record: &Record) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in attributes_of(record) {
        headers.insert(ShortString::from(format!("{PREFIX}{name}")), AMQPValue::LongString(value.into()));
    }
    BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(ShortString::from(record.id.to_string()))
        .with_timestamp(u64::try_from(record.created_at.0 / 1_000_000).unwrap_or(0))
        .with_app_id("hub".into())
        .with_headers(headers)
}

/// The record of a message.
pub fn record_in(delivery: &mut Delivery) -> Result<Record, NoRecord> {
    let body = Bytes::from(std::mem::take(&mut delivery.data));
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    record_of(|name| value_in(&headers, name), body)
}

fn value_in<'t>(headers: &'t FieldTable, name: &str) -> Option<&'t str> {
    let inner = headers.inner();
    let value = [PREFIX, OTHER_PREFIX].iter().find_map(|prefix| inner.get(format!("{prefix}{name}").as_str()))?;
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use adapters::clock::Timestamp;

    use super::*;
    use crate::store::{DeliveryId, MessageId};

    fn a_record(command: Option<&str>) -> Record {
        Record {
            id: DeliveryId { message: MessageId(5), run_no: 1, delivery_no: 2 },
            channel: "prescription".into(),
            key: command.map(|_| [7; 16]),
            command: command.map(Into::into),
            kind: "MedicationRequest".into(),
            source: "kasr-al-ainy".into(),
            route: "orders".into(),
            created_at: Timestamp(1_791_100_800_000_001),
            attempts: 1,
            charges: 2,
            suspect: true,
            body: Bytes::from_static(&[0, 1, 255]),
        }
    }

    fn sent(record: &Record) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "q".into(), false, record.body.to_vec());
        delivery.properties = properties_of(record);
        delivery
    }

    #[test]
    fn a_record_reads_back_from_its_message() {
        for record in [a_record(Some("create")), a_record(None)] {
            let mut delivery = sent(&record);
            assert_eq!(delivery.properties.message_id().as_ref().map(ShortString::as_str), Some("00000000005.1.2"));
            let back = record_in(&mut delivery).expect("it reads back");
            assert_eq!(format!("{back:?}"), format!("{record:?}"));
        }
    }

    #[test]
    fn both_prefixes_of_the_binding_are_read_and_other_messages_are_no_records() {
        let mut delivery = sent(&a_record(Some("create")));
        let mut renamed = FieldTable::default();
        for (name, value) in delivery.properties.headers().clone().unwrap_or_default().inner() {
            renamed.insert(name.as_str().replace(PREFIX, OTHER_PREFIX).into(), value.clone());
        }
        delivery.properties = BasicProperties::default().with_headers(renamed);
        assert!(record_in(&mut delivery).is_ok());
        let mut foreign = Delivery::mock(1, "".into(), "q".into(), false, b"hello".to_vec());
        assert_eq!(record_in(&mut foreign).map(|_| ()), Err(NoRecord("specversion")));
    }
}
