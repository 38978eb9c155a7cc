//! Names that `let` and `with` give to expressions.
//!
//! In come names with what they stand for; out goes what a `$name` of an expression means. Promised: a name means
//! what it meant where it was given, at the place of the block that it was given in. A fragment sees its own names
//! only.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::functions::Kind;
use super::plan::{Op, Variable};
use crate::finding::{SourceText, Text};

/// The names that can be seen from one level.
#[derive(Debug, Default)]
pub(super) struct Names {
    own: BTreeMap<String, Named>,
    outer: Option<Rc<Names>>,
    /// The fragments that are being used, the outermost first.
    pub fragments: Vec<String>,
}

/// One name.
#[derive(Debug)]
pub(super) struct Named {
    /// None if there is a mistake in it.
    meaning: Option<Meaning>,
    /// How many blocks stand around the place where it was given.
    pub depth: usize,
    /// Where it was given.
    pub text: Text,
    pub origin: Arc<SourceText>,
    used: Cell<bool>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) struct Meaning {
    pub op: Arc<Op>,
    pub kind: Kind,
    pub is_many: bool,
    pub source: Option<String>,
}

impl Names {
    /// Names inside a level, which sees those of `outer` too.
    pub fn inside(outer: &Rc<Names>) -> Names {
        Names { own: BTreeMap::new(), outer: Some(Rc::clone(outer)), fragments: outer.fragments.clone() }
    }

    /// The names of a fragment, none yet.
    pub fn of_fragment(user: &Names, fragment: &str) -> Names {
        let fragments = user.fragments.iter().cloned().chain([fragment.to_owned()]).collect();
        Names { own: BTreeMap::new(), outer: None, fragments }
    }

    /// Gives a name. False if this level has it already, or the language.
    pub fn give(&mut self, named: Named) -> bool {
        let name = named.text.value.clone();
        let is_taken = Variable::of(&name).is_some() || self.own.contains_key(&name);
        if !is_taken {
            self.own.insert(name, named);
        }
        !is_taken
    }

    pub fn has_own(&self, name: &str) -> bool {
        self.own.contains_key(name)
    }

    /// What a name means here, which from now on counts as used.
    pub fn find(&self, name: &str) -> Option<&Named> {
        let found = self.own.get(name).or_else(|| self.outer.as_deref()?.find(name))?;
        found.used.set(true);
        Some(found)
    }

    /// All that can be seen, as expressions write them.
    pub fn written(&self) -> Vec<String> {
        let outer = self.outer.as_deref().map(Names::written).unwrap_or_default();
        self.own.keys().map(|name| format!("${name}")).chain(outer).collect()
    }

    /// Names of this level that nothing has used.
    pub fn unused(&self) -> impl Iterator<Item = &Named> {
        self.own.values().filter(|named| !named.used.get())
    }
}

impl Named {
    pub fn new(text: Text, origin: &Arc<SourceText>, depth: usize, meaning: Option<Meaning>) -> Named {
        Named { meaning, depth, text, origin: Arc::clone(origin), used: Cell::new(false) }
    }

    pub fn compiled(&self) -> Option<&Meaning> {
        self.meaning.as_ref()
    }
}
