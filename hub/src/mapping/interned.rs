//! What many expressions have alike.
//!
//! In come texts of paths and patterns; out go what they were read to, once for a whole configuration: mappings that
//! share fragments have the same expressions hundreds of times. Promised: equal texts give one and the same thing.
//! Refused: what cannot be read, each time anew, for each place is told.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use adapters::hl7v2::{Path, PathError};
use regex::Regex;

use super::functions::pattern::{self, PatternError};

/// Paths and patterns of one configuration.
#[derive(Debug, Default)]
pub(super) struct Interned {
    paths: RefCell<HashMap<String, Arc<Path>>>,
    patterns: RefCell<HashMap<String, Arc<Regex>>>,
}

impl Interned {
    /// The path of a text.
    pub fn path(&self, text: &str) -> Result<Arc<Path>, PathError> {
        find(&self.paths, text, Path::parse)
    }

    /// The pattern of a text.
    pub fn pattern(&self, text: &str) -> Result<Arc<Regex>, PatternError> {
        find(&self.patterns, text, pattern::compile)
    }
}

fn find<T, E>(
    known: &RefCell<HashMap<String, Arc<T>>>,
    text: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Arc<T>, E> {
    if let Some(found) = known.borrow().get(text) {
        return Ok(Arc::clone(found));
    }
    let found = Arc::new(read(text)?);
    known.borrow_mut().insert(text.to_owned(), Arc::clone(&found));
    Ok(found)
}
