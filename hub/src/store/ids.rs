//! Names of rows. A message's id is its place in the journal: it grows in the order of acceptance, so
//! it is its place in its lane too (H5). Runs, outputs and deliveries are numbered inside their message.

use std::fmt;
use std::str::FromStr;

use adapters::clock::Timestamp;

/// 2020-01-01T00:00:00Z in microseconds: ids count milliseconds from here.
const EPOCH_US: i64 = 1_577_836_800_000_000;
/// Ids a millisecond before the next millisecond is borrowed from.
const IDS_A_MILLISECOND: i64 = 4096;
/// Crockford's base 32: no letter that reads as a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 55 bits in groups of five.
const TEXT_LEN: u32 = 11;

/// The place of a message in the journal; 53 bits, so that every JSON reader keeps it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub i64);

impl MessageId {
    /// The first id that a message received at `time` may have: for filters by time.
    pub fn first_at(time: Timestamp) -> MessageId {
        MessageId((time.0.saturating_sub(EPOCH_US) / 1000).max(0).saturating_mul(IDS_A_MILLISECOND))
    }

    /// The id after `last` for a message committed at `now`: grows even when the clock steps back.
    pub fn after(last: MessageId, now: Timestamp) -> MessageId {
        MessageId(last.0.saturating_add(1).max(MessageId::first_at(now).0))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..TEXT_LEN).rev() {
            let digit = (self.0 >> (place * 5)) & 31;
            let letter = usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit)).unwrap_or(&b'0');
            write!(f, "{}", char::from(*letter))?;
        }
        Ok(())
    }
}

/// Text that names no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 11 {
            return Err(NotAnId);
        }
        text.bytes().try_fold(0_i64, |id, byte| digit_of(byte).map(|digit| id << 5 | digit)).map(MessageId)
    }
}

fn digit_of(byte: u8) -> Result<i64, NotAnId> {
    let letter = match byte.to_ascii_lowercase() {
        b'o' => b'0',
        b'i' | b'l' => b'1',
        other => other,
    };
    let digit = ALPHABET.iter().position(|known| *known == letter).ok_or(NotAnId)?;
    i64::try_from(digit).map_err(|_| NotAnId)
}

/// One pass of a route over a message: `message.run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// The message.
    pub message: MessageId,
    /// The run of that message, from 1.
    pub run_no: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.message, self.run_no)
    }
}

impl FromStr for RunId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (message, run_no) = text.split_once('.').ok_or(NotAnId)?;
        Ok(RunId { message: message.parse()?, run_no: run_no.parse().map_err(|_| NotAnId)? })
    }
}

/// One output to one destination: `message.run.delivery`. Its text is the CloudEvents id, the inbox
/// key and the idempotency key of everything that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The message that it comes from.
    pub message: MessageId,
    /// The run of that message, from 1.
    pub run_no: u32,
    /// The delivery in that run, from 1.
    pub delivery_no: u32,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.message, self.run_no, self.delivery_no)
    }
}

impl FromStr for DeliveryId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let mut parts = text.split('.');
        let message = parts.next().ok_or(NotAnId)?.parse()?;
        let run_no = parts.next().and_then(|part| part.parse().ok()).ok_or(NotAnId)?;
        let delivery_no = parts.next().and_then(|part| part.parse().ok()).ok_or(NotAnId)?;
        if parts.next().is_some() {
            return Err(NotAnId);
        }
        Ok(DeliveryId { message, run_no, delivery_no })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text_even_when_misheard() {
        let id = MessageId::after(MessageId(0), Timestamp(1_795_000_000_123_456));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().replace('0', "O").replace('1', "l").parse(), Ok(id));
        assert_eq!("".parse::<MessageId>(), Err(NotAnId));
        assert_eq!("0000000000u".parse::<MessageId>(), Err(NotAnId));
    }

    #[test]
    fn ids_grow_although_the_clock_steps_back() {
        let first = MessageId::after(MessageId(0), Timestamp(1_795_000_000_000_000));
        let second = MessageId::after(first, Timestamp(1_700_000_000_000_000));
        assert!(second > first);
    }

    #[test]
    fn ids_stay_below_what_json_readers_keep_whole_until_2089() {
        let late = MessageId::first_at(Timestamp(3_755_000_000_000_000));
        assert!(late.0 < 1 << 53);
    }

    #[test]
    fn a_delivery_id_reads_back_and_nothing_else_does() {
        let id = DeliveryId { message: MessageId(77), run_no: 2, delivery_no: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "00000000000", "00000000000.1", "00000000000.1.2.3", "00000000000.x.1"] {
            assert_eq!(text.parse::<DeliveryId>(), Err(NotAnId), "{text}");
        }
    }
}
