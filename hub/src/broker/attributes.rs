//! What a record is called on the wire: the attributes of CloudEvents 1.0, in binary mode (ADR 0012).
//!
//! In comes a [`Record`]; out go names and values, which a broker's own file puts into headers or
//! properties, and back. Promised: a record that was written reads back whole, and no value tells anything
//! of a patient (H10): keys are HMACs. Refused: messages of others that are no records.

use std::sync::Arc;

use adapters::clock::Timestamp;
use bytes::Bytes;

use super::Record;
use crate::store::Lane;

/// The version of CloudEvents.
const VERSION: &str = "1.0";
/// What the documents of channels are written in.
pub const CONTENT_TYPE: &str = "application/fhir+json";
/// Before the name of the message's source.
const SOURCE_PREFIX: &str = "/hub/sources/";
/// Before the channel and the command.
const TYPE_PREFIX: &str = "eg.ndp.hub.";
/// The attribute with the key of a record, by the CloudEvents extension for partitioning.
pub const KEY: &str = "partitionkey";

/// One attribute: its name without a prefix, and its value.
pub type Attribute = (&'static str, String);

/// Why a message is no record: the attribute that is missing or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HUB0509 a message without a readable `{0}` is no record of the hub")]
pub struct NoRecord(pub &'static str);

/// The attributes of a record, `specversion` first.
pub fn attributes_of(record: &Record) -> Vec<Attribute> {
    let kind = match &record.command {
        Some(command) => format!("{TYPE_PREFIX}{}.{command}", record.channel),
        None => format!("{TYPE_PREFIX}{}", record.channel),
    };
    let mut all = vec![
        ("specversion", VERSION.to_owned()),
        ("id", record.id.to_string()),
        ("source", format!("{SOURCE_PREFIX}{}", record.source)),
        ("type", kind),
        ("time", record.created_at.to_rfc3339()),
        ("channel", record.channel.to_string()),
        ("resource", record.kind.to_string()),
        ("route", record.route.to_string()),
        ("attempts", record.attempts.to_string()),
        ("charges", record.charges.to_string()),
        ("suspect", record.suspect.to_string()),
    ];
    all.extend(record.command.iter().map(|command| ("command", command.to_string())));
    all.extend(record.key.as_ref().map(|key| (KEY, key_text(key))));
    all
}

/// A record from its attributes, asked for by their names, and its body.
pub fn record_of<'a>(value_of: impl Fn(&str) -> Option<&'a str>, body: Bytes) -> Result<Record, NoRecord> {
    let required = |name| value_of(name).ok_or(NoRecord(name));
    if required("specversion")? != VERSION {
        return Err(NoRecord("specversion"));
    }
    let source = required("source")?.strip_prefix(SOURCE_PREFIX).ok_or(NoRecord("source"))?;
    let key = value_of(KEY).map(|text| read_key(text).ok_or(NoRecord(KEY))).transpose()?;
    Ok(Record {
        id: required("id")?.parse().map_err(|_| NoRecord("id"))?,
        channel: required("channel")?.into(),
        key,
        command: value_of("command").map(Arc::from),
        kind: required("resource")?.into(),
        source: source.into(),
        route: required("route")?.into(),
        created_at: read_time(required("time")?).ok_or(NoRecord("time"))?,
        attempts: required("attempts")?.parse().map_err(|_| NoRecord("attempts"))?,
        charges: required("charges")?.parse().map_err(|_| NoRecord("charges"))?,
        suspect: required("suspect")?.parse().map_err(|_| NoRecord("suspect"))?,
        body,
    })
}

/// A key as text: 32 hexadecimal digits.
pub fn key_text(key: &Lane) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_key(text: &str) -> Option<Lane> {
    let mut key = Lane::default();
    if text.len() != 2 * key.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(key)
}

fn read_time(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::store::{DeliveryId, MessageId};

    fn a_record() -> Record {
        Record {
            id: DeliveryId { message: MessageId(77), run_no: 2, delivery_no: 3 },
            channel: "prescription".into(),
            key: Some([0xAB; 16]),
            command: Some("create".into()),
            kind: "MedicationRequest".into(),
            source: "kasr-al-ainy".into(),
            route: "orders".into(),
            created_at: Timestamp(1_791_100_800_123_456),
            attempts: 3,
            charges: 1,
            suspect: true,
            body: Bytes::from_static(b"{}"),
        }
    }

    fn read(attributes: &[Attribute]) -> Result<Record, NoRecord> {
        let values: BTreeMap<&str, &str> = attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        record_of(|name| values.get(name).copied(), Bytes::from_static(b"{}"))
    }

    #[test]
    fn a_record_is_told_as_a_cloud_event() {
        let told: BTreeMap<_, _> = attributes_of(&a_record()).into_iter().collect();
        assert_eq!(told["specversion"], "1.0");
        assert_eq!(told["id"], "0000000002d.2.3");
        assert_eq!(told["source"], "/hub/sources/kasr-al-ainy");
        assert_eq!(told["type"], "eg.ndp.hub.prescription.create");
        assert_eq!(told["time"], "2026-10-04T08:00:00.123456Z");
        assert_eq!(told["partitionkey"], "abababababababababababababababab");
        let legal = |name: &&str| (1..=20).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(told.keys().all(legal), "names of attributes: {:?}", told.keys());
    }

    #[test]
    fn a_message_without_a_readable_attribute_is_no_record_and_the_attribute_is_named() {
        let whole = attributes_of(&a_record());
        for (place, (name, _)) in whole.iter().enumerate() {
            let mut cut = whole.clone();
            cut.remove(place);
            match *name {
                "command" => assert_eq!(read(&cut).map(|record| record.command), Ok(None)),
                KEY => assert_eq!(read(&cut).map(|record| record.key), Ok(None)),
                // Only for those who route by it.
                "type" => assert!(read(&cut).is_ok()),
                _ => assert_eq!(read(&cut).map(|_| ()), Err(NoRecord(name))),
            }
            let mut spoilt = whole.clone();
            spoilt[place].1 = "\u{645}".to_owned();
            if !matches!(*name, "command" | "type" | "channel" | "resource" | "route") {
                assert_eq!(read(&spoilt).map(|_| ()), Err(NoRecord(name)));
            }
        }
    }

    proptest! {
        #[test]
        fn every_record_reads_back_whole(
            numbers in (0..1_i64 << 53, 1..u32::MAX, 1..u32::MAX),
            names in ("[a-z][a-z0-9.-]{0,30}", "[a-z][a-z0-9.-]{0,30}", "[A-Za-z^0-9]{1,20}"),
            key in proptest::option::of(any::<Lane>()),
            command in proptest::option::of("[a-z]{0,12}"),
            counts in (any::<u32>(), any::<u32>(), any::<bool>()),
            time in 0..4_000_000_000_000_000_i64,
        ) {
            let record = Record {
                id: DeliveryId { message: MessageId(numbers.0), run_no: numbers.1, delivery_no: numbers.2 },
                channel: "claims".into(),
                key,
                command: command.map(Arc::from),
                kind: names.2.into(),
                source: names.0.into(),
                route: names.1.into(),
                created_at: Timestamp(time),
                attempts: counts.0,
                charges: counts.1,
                suspect: counts.2,
                body: Bytes::from_static(b"{}"),
            };
            let back = read(&attributes_of(&record)).expect("it reads back");
            prop_assert_eq!(format!("{:?}", back), format!("{:?}", record));
        }
    }
}
