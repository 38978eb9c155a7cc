//! The cases of the sample feed: what is sent, and what has to become of it.
//!
//! In comes the day of the edition; out go messages. Pure: the same edition has the same bytes, so that a
//! second play on the same data is a repeat, message by message (H4). The files are messages of
//! [`TEMPLATE_DAY`]; an edition has its own day wherever they have that one, in control ids and order
//! numbers too, so that its orders are valid when it is played first.

use adapters::hl7v2::ack::Code;
use bytes::Bytes;
use jiff::civil::Date;
use memchr::memmem;

/// The day that the files bear.
const TEMPLATE_DAY: &[u8] = b"20260101";

/// One message of the feed.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is tried.
    pub title: &'static str,
    /// What has to become of it.
    pub expected: Expected,
    template: &'static [u8],
}

/// What has to become of a message.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The codes of its answers, in order.
    pub answers: &'static [Code],
    /// Where it stands at last.
    pub fate: Fate,
    /// It came before, whatever was played before.
    pub is_repeat: bool,
    /// Its control id was used before, for another body.
    pub reuses_control_id: bool,
}

/// Where a message stands at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Taken, and each of its orders has come to this state. The patient's name as it must be read, if
    /// that is what is tried.
    Taken { orders: &'static [&'static str], patient: Option<&'static str> },
    /// No route takes it.
    Filtered,
    /// Refused with this code.
    Refused(&'static str),
    /// It waits with this code for what must come before; a dead letter with the same code when its time
    /// is over.
    Waits(&'static str),
}

impl Case {
    /// The message, in the edition of `day`.
    pub fn message(&self, day: Date) -> Bytes {
        let mut bytes = self.template.to_vec();
        let day = day.strftime("%Y%m%d").to_string();
        for at in memmem::find_iter(self.template, TEMPLATE_DAY) {
            if let Some(place) = bytes.get_mut(at..at.saturating_add(day.len())) {
                place.copy_from_slice(day.as_bytes());
            }
        }
        bytes.into()
    }
}

const AA: &[Code] = &[Code::ApplicationAccept];
const CA: &[Code] = &[Code::CommitAccept];
const CR: &[Code] = &[Code::CommitReject];

const fn case(title: &'static str, template: &'static [u8], answers: &'static [Code], fate: Fate) -> Case {
    Case { title, template, expected: Expected { answers, fate, is_repeat: false, reuses_control_id: false } }
}

const fn taken(orders: &'static [&'static str]) -> Fate {
    Fate::Taken { orders, patient: None }
}

const fn taken_of(patient: &'static str) -> Fate {
    Fate::Taken { orders: &["active"], patient: Some(patient) }
}

const NEW_ORDER: &[u8] = include_bytes!("feed/01_new_order.hl7");

/// The feed, in the order in which it is played.
pub const CASES: [Case; 18] = [
    case("a new order", NEW_ORDER, AA, taken(&["active"])),
    case("Arabic in UTF-8", include_bytes!("feed/02_arabic_utf_8.hl7"), CA, taken_of("محمد أحمد السيد")),
    case("Arabic in windows-1256", include_bytes!("feed/03_arabic_windows_1256.hl7"), CA, taken_of("فاطمة حسن محمود")),
    case("Arabic in ISO-8859-6", include_bytes!("feed/04_arabic_iso_8859_6.hl7"), CA, taken_of("يوسف إبراهيم خليل")),
    case("two orders on one paper", include_bytes!("feed/05_two_orders.hl7"), CA, taken(&["active", "active"])),
    case("an order replaced", include_bytes!("feed/06_replaced.hl7"), AA, taken(&["active"])),
    case("an order held", include_bytes!("feed/07_held.hl7"), CA, taken(&["on-hold"])),
    case("the hold released", include_bytes!("feed/08_released.hl7"), CA, taken(&["active"])),
    case("an order cancelled", include_bytes!("feed/09_cancelled.hl7"), CA, taken(&["cancelled"])),
    Case {
        title: "the first message again",
        template: NEW_ORDER,
        expected: Expected { answers: AA, fate: taken(&["active"]), is_repeat: true, reuses_control_id: false },
    },
    Case {
        title: "its control id, other body",
        template: include_bytes!("feed/10_control_id_used_before.hl7"),
        expected: Expected { answers: AA, fate: taken(&["active"]), is_repeat: false, reuses_control_id: true },
    },
    case(
        "a cancel before its order",
        include_bytes!("feed/11_cancel_before_its_order.hl7"),
        CA,
        Fate::Waits("HUB0306"),
    ),
    case(
        "unknown order control",
        include_bytes!("feed/12_unknown_order_control.hl7"),
        &[Code::CommitAccept, Code::ApplicationError],
        Fate::Refused("HUB0152"),
    ),
    case("unknown message type", include_bytes!("feed/13_unknown_type.hl7"), CA, Fate::Filtered),
    case("a training message", include_bytes!("feed/14_training.hl7"), CR, Fate::Refused("HUB0704")),
    case("wrong version", include_bytes!("feed/15_wrong_version.hl7"), CR, Fate::Refused("HUB0705")),
    case("no control id", include_bytes!("feed/16_no_control_id.hl7"), CR, Fate::Refused("HUB0702")),
    case("not HL7", include_bytes!("feed/17_not_hl7.hl7"), &[Code::ApplicationReject], Fate::Refused("HUB0701")),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use adapters::hl7v2::Index;
    use jiff::civil::date;

    use super::*;

    fn control_id(bytes: &[u8]) -> Option<String> {
        let mut index = Index::new();
        index.read(bytes).ok().map(|message| message.header().control_id().text().into_owned())
    }

    #[test]
    fn an_edition_bears_its_own_day_everywhere_and_changes_nothing_else() {
        for case in &CASES {
            let message = case.message(date(2027, 12, 31));
            assert_eq!(message.len(), case.template.len(), "{}", case.title);
            assert_eq!(memmem::find(&message, TEMPLATE_DAY), None, "{}", case.title);
            assert_eq!(case.message(date(2026, 1, 1)), case.template, "{}", case.title);
        }
        assert_eq!(control_id(&CASES[0].message(date(2027, 12, 31))).unwrap(), "S20271231-01");
    }

    #[test]
    fn control_ids_are_used_once_but_where_that_is_tried() {
        let mut seen = HashSet::new();
        for case in &CASES {
            let Some(id) = control_id(case.template).filter(|id| !id.is_empty()) else { continue };
            let again = case.expected.is_repeat || case.expected.reuses_control_id;
            assert_eq!(seen.insert(id), !again, "{}", case.title);
        }
    }
}
