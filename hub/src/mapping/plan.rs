//! A compiled mapping: everything that can be known before a message comes.
//!
//! In comes nothing: [`compile`](super::compile) fills these types and [`run`](super::run) walks them.
//! Promised: immutable, shared between threads; paths are read, functions and tables resolved, targets
//! laid out as the tree that is written.

mod formats;

use std::sync::Arc;

use adapters::hl7v2::Path;

pub use self::formats::{MessageType, SourceFormat, TargetFormat};
use super::documents::Settings;
use super::error::Place;
use super::expression::Comparison;
use super::fields::DataType;
use super::functions::Function;
use super::json_path::JsonPath;
use super::parse::DeclaredTest;
use super::tables::Table;

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    /// Its name, which routes use.
    pub name: String,
    /// Its version, which runs record.
    pub version: u64,
    /// What it reads.
    pub from: SourceFormat,
    /// What it writes.
    pub to: TargetFormat,
    /// Where it is declared.
    pub place: Place,
    pub(super) each: Option<(Each, Place)>,
    /// Which of the repetitions give an output.
    pub(super) when: Option<(Op, Place)>,
    pub(super) rules: Vec<Rule>,
    pub(super) command: Option<usize>,
    pub(super) layout: Layout,
    pub(super) systems: Option<Arc<Table>>,
    pub(super) units: Option<Arc<Table>>,
    /// What it says of its formats.
    pub(super) settings: Settings,
    pub(super) tests: Vec<DeclaredTest>,
}

impl Mapping {
    /// How many rules it has, those of blocks and the command too.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Whether its outputs carry a command.
    pub fn names_command(&self) -> bool {
        self.command.is_some()
    }
}

/// `target = 'expression'`, compiled.
#[derive(Debug)]
pub(super) struct Rule {
    pub op: Op,
    pub place: Place,
    /// The target as errors show it, from the root.
    pub target: String,
    /// The first source path of the expression.
    pub source: Option<String>,
}

/// Where the rules of a mapping write to.
#[derive(Debug)]
pub(super) enum Layout {
    Json(Shape),
    Hl7(Segments),
}

/// One place in a JSON target: written by a rule, by the places below it, or by both together.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub rule: Option<usize>,
    pub fields: Vec<(Key, Shape)>,
    /// By index.
    pub items: Vec<Shape>,
    /// Items that blocks add.
    pub blocks: Vec<Block<Items>>,
}

impl Shape {
    pub fn has_parts(&self) -> bool {
        !self.fields.is_empty() || self.is_list()
    }

    pub fn is_list(&self) -> bool {
        !self.items.is_empty() || !self.blocks.is_empty()
    }
}

/// The name of an element, and how it is written.
#[derive(Debug)]
pub(super) struct Key {
    pub name: String,
    /// `"name":`
    pub json: String,
}

/// What each repetition of a block adds to a list.
#[derive(Debug)]
pub(super) enum Items {
    /// One item.
    One(Shape),
    /// Those of the blocks inside.
    OfBlocks(Vec<Block<Items>>),
}

/// `[[for]]`, compiled.
#[derive(Debug)]
pub(super) struct Block<L> {
    pub each: Arc<Each>,
    pub when: Option<Arc<Op>>,
    pub layout: L,
    pub place: Place,
    /// The target as errors show it.
    pub target: String,
}

/// The segments that an HL7 v2 target has, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub parts: Vec<SegmentsPart>,
}

/// A segment, or a block that adds some.
#[derive(Debug)]
pub(super) enum SegmentsPart {
    Segment(SegmentPlan),
    Block(Block<Segments>),
}

/// One segment of an HL7 v2 target.
#[derive(Debug)]
pub(super) struct SegmentPlan {
    pub name: String,
    /// Occurrence among those of its name that the same rules write, from 1.
    pub occurrence: u32,
    pub parts: Vec<PartPlan>,
    /// Repetitions that blocks add to fields.
    pub lists: Vec<FieldList>,
}

/// A block that adds repetitions to a field. They follow those that rules write.
#[derive(Debug)]
pub(super) struct FieldList {
    pub field: u16,
    pub block: Block<Vec<PartPlan>>,
}

/// Where in a segment a rule writes.
#[derive(Debug)]
pub(super) struct PartPlan {
    pub place: adapters::hl7v2::edit::Place,
    /// Whether the file chose the repetition; if not, a list fills the repetitions from the first.
    pub is_one_repetition: bool,
    /// Whether the rule says `null()`.
    pub may_be_null: bool,
    pub rule: usize,
}

/// What a block, or a mapping, repeats over.
#[derive(Debug)]
pub(super) enum Each {
    /// Nothing: once, for the place in hand.
    Here,
    /// A group or segment of an HL7 v2 message, with the groups on the way to it.
    Group { names: Vec<String>, from_root: bool },
    /// The repetitions of a field.
    Field { path: Path, datatype: DataType, from_root: bool },
    /// The items of a list in JSON.
    Items(JsonPath),
}

/// An expression, compiled.
#[derive(Debug)]
pub(super) enum Op {
    Text(String),
    Number(String),
    Boolean(bool),
    Variable(Variable),
    /// What a name stands for, where it was given.
    Name {
        op: Arc<Op>,
        /// How many blocks stood around the name.
        depth: usize,
    },
    /// Text that tells the place in hand from every other of the message.
    Place,
    Field {
        path: Arc<Path>,
        datatype: DataType,
        all: bool,
        from_root: bool,
    },
    /// A part of the repetition in hand: component, subcomponent.
    Part {
        component: u16,
        subcomponent: u16,
        datatype: DataType,
    },
    Json {
        path: Box<JsonPath>,
        all: bool,
        leaf: Leaf,
    },
    Call(Box<Call>),
    /// The value, or nothing when a function cannot read what it is given.
    Attempt(Box<Op>),
    FirstOf(Vec<Op>),
    Joined(Vec<Op>),
    If {
        condition: Box<Op>,
        value: Box<Op>,
        otherwise: Option<Box<Op>>,
    },
    Compare {
        left: Box<Op>,
        comparison: Comparison,
        right: Box<Op>,
    },
    In {
        value: Box<Op>,
        among: Vec<Op>,
    },
    Exists(Box<Op>),
    Not(Box<Op>),
    And(Vec<Op>),
    Or(Vec<Op>),
}

/// What is known of a value in JSON before a document comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Nothing.
    Unknown,
    Text,
    Number,
    Boolean,
    /// A data type of FHIR.
    Structure(&'static str),
}

/// A function and what it is called with.
#[derive(Debug)]
pub(super) struct Call {
    pub function: &'static Function,
    pub arguments: Vec<Op>,
    pub table: Option<Arc<Table>>,
    pub pattern: Option<Arc<regex::Regex>>,
}

/// Something of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    MessageId,
    Source,
    ReceivedAt,
    /// Which repetition of a block is in hand, from 1.
    Index,
}

impl Variable {
    /// As expressions have them.
    pub const WRITTEN: [&'static str; 4] = ["$message_id", "$source", "$received_at", "$index"];

    pub fn of(name: &str) -> Option<Variable> {
        match name {
            "message_id" => Some(Variable::MessageId),
            "source" => Some(Variable::Source),
            "received_at" => Some(Variable::ReceivedAt),
            "index" => Some(Variable::Index),
            _ => None,
        }
    }
}
