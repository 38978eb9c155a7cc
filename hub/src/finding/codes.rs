//! The mistakes in configuration files that have a number: `HUB0100` to `HUB0199`.
//!
//! In comes a kind of mistake; out go its number, its title and its page `docs/errors/HUBnnnn.md`.
//! Promised: a number is never given to another mistake. Refused: a finding without a number.

use std::fmt;

/// The number of a kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    number: u16,
}

impl Code {
    /// The number alone.
    pub const fn number(self) -> u16 {
        self.number
    }

    /// The page that says what happened and what to do.
    pub fn page(self) -> String {
        format!("docs/errors/{self}.md")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HUB{:04}", self.number)
    }
}

macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal;)+) => {
        $(#[doc = $title] pub const $name: Code = Code { number: $number };)+

        impl Code {
            /// What the kind of mistake is, in a few words.
            pub const fn title(self) -> &'static str {
                match self.number {
                    $($number => $title,)+
                    // Codes are made by this macro only.
                    _ => "",
                }
            }
        }

        /// Every code of this module, in the order of the numbers.
        pub const ALL: &[Code] = &[$($name),+];
    };
}

codes! {
    FILE_UNREADABLE = 100, "a file of configuration cannot be read";
    SYNTAX = 101, "the file is not TOML";
    UNKNOWN_KEY = 102, "a key that is not known here";
    WRONG_TYPE = 103, "a value of the wrong type";
    MISSING_KEY = 104, "a key that must be there is missing";
    BAD_VALUE = 105, "a value that is not possible here";
    DUPLICATE = 106, "a name that is used twice";
    TOO_LARGE = 107, "a file or a value over its limit";

    EXPRESSION = 110, "an expression that cannot be read";
    SOURCE_PATH = 111, "a source path that cannot be read";
    TARGET_PATH = 112, "a target path that cannot be read";
    UNKNOWN_FUNCTION = 113, "a function that does not exist";
    ARGUMENT_COUNT = 114, "a function with too few or too many arguments";
    ARGUMENT_TYPE = 115, "an argument of the wrong type";
    UNKNOWN_TABLE = 116, "a table that does not exist";
    WRITTEN_TWICE = 117, "a target that is written twice";
    MANY_INTO_ONE = 118, "a repeating source put into a single target";
    COMMAND = 119, "a command that the domain does not know";
    NOT_IN_MESSAGE = 120, "a segment or group that the message does not have";
    MAY_FAIL = 121, "a condition that can fail";
    UNUSED = 122, "something that nothing uses";
    NO_ELEMENT = 123, "an element that the resource does not have";
    ELEMENT_TYPE = 124, "a value of another type than its element";
    ELEMENT_MISSING = 125, "an element that must be there and may not be written";
    NOT_IN_VALUE_SET = 126, "a code outside the value set of its element";
    NOT_IN_SEGMENT = 127, "a field or component that the standard does not have";
    IDLE = 128, "a rule, or a part of one, that never does anything";

    UNKNOWN_MAPPING = 130, "a route names a mapping that does not exist";
    UNKNOWN_SOURCE = 131, "a route names a source that does not exist";
    UNKNOWN_DESTINATION = 132, "a route names a destination that does not exist";
    MAPPING_SOURCE = 133, "a mapping that cannot read what the source sends";
    MAPPING_TARGET = 134, "a document that the destination cannot take";
    ADDRESS_TAKEN = 135, "two listeners on one address";
    CYCLE = 136, "routes that lead back to where they begin";
    NEEDS_MAPPING = 137, "a route to a channel without a mapping";
    PLAIN_NETWORK = 138, "a listener on the network without TLS";
    TEST_FILE = 139, "a test whose file cannot be read";

    NOT_IN_TABLE = 140, "a code outside the HL7 table of its field";
    FIELD_TYPE = 141, "a value of another type than its field";
    FIELD_MISSING = 142, "a field that must be there and may not be written";
    SEGMENT_MISSING = 143, "a segment or group that must be there and is not written";
    TOO_LONG = 144, "a text that is longer than its field";
    OUT_OF_ORDER = 145, "a segment that has no place where the file puts it";
    OUTLINE = 146, "an outline that cannot be read";
    UNKNOWN_FRAGMENT = 147, "a fragment that does not exist";
    FRAGMENT_UNFIT = 148, "a fragment that does not fit where it is used";
    BASE = 149, "a mapping that cannot build on another in this way";

    VALUE_MISSING = 150, "a value that a mapping requires is missing in the message";
    VALUE_INVALID = 151, "a value in the message that a function cannot read";
    CODE_UNKNOWN = 152, "a code in the message that a table does not have";
    CODE_HELD = 153, "a code in the message that waits for a row in a table";
    NOTHING_TO_MAP = 154, "a message without the group that a mapping repeats over";
    OUTPUT_TOO_LARGE = 155, "an output over its limit";
    WRONG_FORMAT = 156, "a document of another format than the mapping reads";

    BROKER_LOGIN = 170, "a broker that refuses the user or the password";
    VIRTUAL_HOST = 171, "a virtual host that RabbitMQ refuses";
    OTHER_QUEUE = 172, "a queue that exists with other arguments";
    BROKER_PERMISSION = 173, "something that a broker does not permit";
    BROKER_ACCESS = 174, "an access to a broker that cannot be used";
    TOPIC_MISSING = 175, "a topic that Kafka does not have";
    TOO_FEW_REPLICAS = 176, "a topic with too few replicas in sync";
    BROKER_UNKNOWN = 177, "a channel on a broker that is not set";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_stay_in_the_range_of_this_module() {
        assert!(ALL.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!(ALL.iter().all(|code| (100..200).contains(&code.number)));
    }

    #[test]
    fn every_code_has_a_page_that_begins_with_it_and_its_title() {
        for code in ALL {
            let path = format!("{}/../{}", env!("CARGO_MANIFEST_DIR"), code.page());
            let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let mut title = code.title().chars();
            let heading = title.next().map(|first| first.to_uppercase().chain(title).collect::<String>());
            assert!(page.starts_with(&format!("# {code}: {}\n", heading.unwrap_or_default())), "{path}");
            assert!(page.contains("## What to do"), "{path}");
        }
    }
}
