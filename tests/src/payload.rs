//! What a message says, as a function of its id: nothing is stored to compare with, any place can work it out again.

use crate::random::mix;

/// Patients that every sender writes for often, so that lanes have a queue.
pub const HOT_PATIENTS: u64 = 5;
/// Patients that come up now and then.
const COLD_PATIENTS: u64 = 4_000;
/// How many of 100 messages are for a hot patient.
const HOT_PERCENT: u64 = 70;
/// How far back a cancellation looks for the order that it cancels.
const LOOK_BACK: u32 = 64;

/// Names one message: who sends it, and its number there. Numbers of a sender only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Which sender.
    pub sender: u16,
    /// Its number there, from 1.
    pub number: u32,
}

/// The first orders of a sender, in the order in which they are sent.
pub fn orders(sender: u16, count: usize) -> Vec<Id> {
    (1..).map(|number| Id::new(sender, number)).filter(|id| id.is_order()).take(count).collect()
}

/// The first orders of a sender for patient 0, in the order in which they are sent.
pub fn orders_of_one_patient(sender: u16, count: usize) -> Vec<Id> {
    let all = (1..).map(|number| Id::new(sender, number));
    all.filter(|id| id.is_order() && id.patient() == 0).take(count).collect()
}

/// What a message is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new order: the hub must take it and make a prescription of it.
    Order,
    /// Cancels an order of the same patient and sender that was sent before.
    Cancel(Id),
    /// A training message (MSH-11 is T), which the source does not take: the hub must refuse it.
    Training,
}

impl Id {
    /// Names message `number` of `sender`.
    pub fn new(sender: u16, number: u32) -> Id {
        Id { sender, number }
    }

    /// MSH-10.
    pub fn control_id(self) -> String {
        format!("ORA{}-{:07}", self.sender, self.number)
    }

    /// Reads MSH-10.
    pub fn from_control_id(text: &str) -> Option<Id> {
        let (sender, number) = text.strip_prefix("ORA")?.split_once('-')?;
        Some(Id { sender: sender.parse().ok()?, number: number.parse().ok()? })
    }

    /// ORC-2.1, for orders.
    pub fn order_number(self) -> String {
        format!("OR{}-{:07}", self.sender, self.number)
    }

    fn mixed(self) -> u64 {
        mix((u64::from(self.sender) << 32) | u64::from(self.number))
    }

    /// The number of its patient: hot ones are below [`HOT_PATIENTS`] and shared by all senders.
    pub fn patient(self) -> u64 {
        let mixed = self.mixed();
        if mixed % 100 < HOT_PERCENT {
            (mixed >> 16) % HOT_PATIENTS
        } else {
            HOT_PATIENTS + (mixed >> 16) % COLD_PATIENTS
        }
    }

    /// What it is there for.
    pub fn kind(self) -> Kind {
        match self.number % 16 {
            5 => Kind::Training,
            9 => self.order_before().map_or(Kind::Order, Kind::Cancel),
            _ => Kind::Order,
        }
    }

    /// Whether it is a new order.
    pub fn is_order(self) -> bool {
        self.kind() == Kind::Order
    }

    /// The last order of the same sender and patient before this one, if it is not cancelled in between.
    fn order_before(self) -> Option<Id> {
        let first = self.number.saturating_sub(LOOK_BACK).max(1);
        let before = (first..self.number).rev().map(|number| Id::new(self.sender, number));
        before.filter(|id| id.patient() == self.patient()).find(|id| !matches!(id.number % 16, 5 | 9)).filter(|order| {
            // Two cancellations of one order would make the second one a refusal.
            !(order.number + 1..self.number)
                .map(|number| Id::new(self.sender, number))
                .any(|id| id.number % 16 == 9 && id.patient() == self.patient())
        })
    }

    /// Whether the sender asks for an accept acknowledgement (CA) instead of the original one (AA).
    pub fn is_enhanced(self) -> bool {
        self.mixed() & (1 << 40) != 0
    }

    /// Days of treatment, so that bodies differ in content too.
    pub fn days(self) -> u64 {
        1 + self.mixed() % 30
    }

    /// The message, with CR at the end of each segment.
    pub fn body(self) -> Vec<u8> {
        let control_id = self.control_id();
        let patient = national_id(self.patient());
        let days = self.days();
        let modes = if self.is_enhanced() { "AL|NE" } else { "|" };
        let (control, order, processing) = match self.kind() {
            Kind::Order => ("NW", self.order_number(), "P"),
            Kind::Cancel(order) => ("CA", order.order_number(), "P"),
            Kind::Training => ("NW", self.order_number(), "T"),
        };
        let segments = [
            format!(
                "MSH|^~\\&|WARD|ORACLE_{}|NDPHUB|HEALTHFLOW|20261105093015+0200||RDE^O11^RDE_O11|{control_id}|{processing}|2.5.1|||{modes}|EGY|UNICODE UTF-8",
                self.sender
            ),
            format!("PID|1||{patient}^^^EGNID^NI||حسين^ليلى^مصطفى^^^^L"),
            format!("ORC|{control}|{order}^WARD||GR{order}^WARD||||||||12345^حسن^علي"),
            format!("RXE||6221234567891^AUGMENTIN 1G TAB^GTIN|1||TAB^Tablet^HL70292||||G|{days}|TAB|0"),
            format!("TQ1|1|1^TAB|BID||||20261105||R||{days} يوم"),
            "RXR|PO^Oral^HL70162".to_owned(),
        ];
        let mut body = segments.join("\r");
        body.push('\r');
        body.into_bytes()
    }
}

/// A well-formed national id: century, birth date, governorate, serial, check digit.
pub fn national_id(patient: u64) -> String {
    const GOVERNORATES: [&str; 5] = ["01", "02", "12", "21", "88"];
    let year = 50 + patient % 50;
    let month = 1 + (patient / 50) % 12;
    let day = 1 + (patient / 600) % 28;
    let governorate = GOVERNORATES.iter().cycle().nth(usize::try_from(patient % 5).unwrap_or(0)).unwrap_or(&"01");
    let serial = 1_000 + patient % 9_000;
    let head = format!("2{year:02}{month:02}{day:02}{governorate}{serial:04}");
    let check = luhn(&head);
    format!("{head}{check}")
}

/// The digit that makes the Luhn sum of `head` and itself a multiple of ten.
fn luhn(head: &str) -> u32 {
    let sum: u32 = head
        .chars()
        .rev()
        .filter_map(|digit| digit.to_digit(10))
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
        .sum();
    (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_follows_from_its_id_alone() {
        let id = Id::new(3, 77);
        assert_eq!(id.body(), Id::new(3, 77).body());
        assert_ne!(id.body(), Id::new(3, 78).body());
        assert_eq!(Id::from_control_id(&id.control_id()), Some(id));
        assert_eq!(Id::from_control_id("MSG00001"), None);
    }

    #[test]
    fn a_cancellation_names_an_order_of_its_own_patient_that_was_sent_before_and_only_once() {
        let mut cancelled = std::collections::BTreeSet::new();
        for number in 1..5_000 {
            let id = Id::new(1, number);
            if let Kind::Cancel(order) = id.kind() {
                assert!(order.number < number);
                assert_eq!(order.kind(), Kind::Order);
                assert_eq!(order.patient(), id.patient());
                assert!(cancelled.insert(order), "{order:?} is cancelled twice");
            }
        }
        assert!(cancelled.len() > 100, "only {} cancellations", cancelled.len());
    }

    #[test]
    fn a_national_id_has_fourteen_digits_and_patients_have_their_own() {
        let all: std::collections::BTreeSet<String> = (0..HOT_PATIENTS + COLD_PATIENTS).map(national_id).collect();
        assert_eq!(u64::try_from(all.len()).unwrap(), HOT_PATIENTS + COLD_PATIENTS);
        assert!(all.iter().all(|id| id.len() == 14 && id.bytes().all(|byte| byte.is_ascii_digit())));
        assert_eq!(luhn("7992739871"), 3);
    }
}
