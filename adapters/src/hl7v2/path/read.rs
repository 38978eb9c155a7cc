//! Reads the text of a path, with positions for the errors.

use super::{
    COMPONENT_MAX, FIELD_MAX, FieldStep, GROUPS_MAX, GroupStep, OCCURRENCE_MAX, Occurrence, PATH_BYTES_MAX, Part, Path,
    PathError, REPETITION_MAX, Repetition,
};

pub(super) fn path(text: &str) -> Result<Path, PathError> {
    if text.len() > PATH_BYTES_MAX {
        return Err(error(0, text.len(), format!("a path has at most {PATH_BYTES_MAX} bytes")));
    }
    let mut reader = Reader { text, at: 0 };
    let path = reader.path()?;
    if reader.rest().is_empty() { Ok(path) } else { Err(reader.unexpected_end(&path)) }
}

fn error(at: usize, len: usize, message: impl Into<String>) -> PathError {
    PathError { at, len, message: message.into(), help: None }
}

impl PathError {
    fn helped(self, help: impl Into<String>) -> PathError {
        PathError { help: Some(help.into()), ..self }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at = self.at.saturating_add(wanted.len_utf8());
        }
        found
    }

    fn take_while(&mut self, test: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|letter| !test(letter)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.take_while(|letter| letter == ' ');
    }

    /// What stands here, for an error: one letter, or the end.
    fn here(&self) -> (usize, usize, String) {
        match self.peek() {
            Some(letter) => (self.at, letter.len_utf8(), format!("`{letter}`")),
            None => (self.at, 0, "the end".to_owned()),
        }
    }

    fn path(&mut self) -> Result<Path, PathError> {
        let mut groups = Vec::new();
        loop {
            let start = self.at;
            let name = self.take_while(|letter| letter.is_alphanumeric() || letter == '_');
            self.check_name(name, start)?;
            let occurrence = self.occurrence()?;
            let is_segment = is_segment_name(name);
            if self.peek() == Some('.') && !is_segment && segment_and_number(name).is_none() {
                self.take('.');
                groups.push(GroupStep { name: name.to_owned(), occurrence });
                if groups.len() > GROUPS_MAX {
                    return Err(error(start, name.len(), format!("a path has at most {GROUPS_MAX} groups")));
                }
                continue;
            }
            if !is_segment {
                return Err(self.no_segment(name, start));
            }
            let field = self.field()?;
            return Ok(Path { groups, segment: name.to_owned(), occurrence, field });
        }
    }

    fn check_name(&self, name: &str, start: usize) -> Result<(), PathError> {
        if name.is_empty() {
            let (at, len, found) = self.here();
            return Err(error(at, len, format!("a segment or group is expected here, not {found}"))
                .helped("a path begins with a segment, as in PID-3.1, or with a group, as in ORDER.ORC-2"));
        }
        let upper = name.to_ascii_uppercase();
        if upper != name && upper.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            return Err(error(start, name.len(), format!("`{name}` is not written in capital letters"))
                .helped(format!("write {}", self.replaced(start, name.len(), &upper))));
        }
        if !name.is_ascii() || !name.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            return Err(error(start, name.len(), format!("`{name}` is no name of a segment or group"))
                .helped("a segment has three capital letters or digits, as PID or PV1"));
        }
        Ok(())
    }

    fn no_segment(&self, name: &str, start: usize) -> PathError {
        let here = error(start, name.len(), format!("`{name}` is no segment"));
        if let Some((segment, number)) = segment_and_number(name) {
            return here.helped(format!("write {}", self.replaced(start, name.len(), &format!("{segment}-{number}"))));
        }
        if self.peek().is_none() && name.len() > 3 {
            return here.helped(format!("a path ends in a segment, as in {name}.ORC-2"));
        }
        here.helped("a segment has three capital letters or digits, as PID or PV1")
    }

    /// `[2]` or `[*]` after a segment or group.
    fn occurrence(&mut self) -> Result<Occurrence, PathError> {
        self.no_round_bracket()?;
        if !self.take('[') {
            return Ok(Occurrence::Unsaid);
        }
        self.blanks();
        let occurrence = match self.peek() {
            Some('*') => {
                self.take('*');
                Occurrence::Every
            }
            Some('.') => {
                let (at, len, _) = self.here();
                return Err(error(at, len, "a condition chooses among repetitions of a field, not among segments")
                    .helped("write the field first, as in PID-3[.5 = \"NI\"]"));
            }
            _ => Occurrence::Number(self.number(OCCURRENCE_MAX, "a repetition")?),
        };
        self.close()?;
        Ok(occurrence)
    }

    fn field(&mut self) -> Result<Option<FieldStep>, PathError> {
        if self.peek() == Some('.') {
            return Err(self.dot_for_hyphen());
        }
        if !self.take('-') {
            return Ok(None);
        }
        let number = self.small_number(FIELD_MAX, "a field")?;
        let repetition = self.repetition()?;
        let part = self.part()?;
        Ok(Some(FieldStep { number, repetition, part }))
    }

    /// `PID.3.1` is how others write it.
    fn dot_for_hyphen(&self) -> PathError {
        let here = error(self.at, 1, "a field follows its segment after a hyphen");
        let meant = self.replaced(self.at, 1, "-");
        match path(&meant) {
            Ok(meant) => here.helped(format!("write {meant}")),
            Err(_) => here.helped("write a hyphen between segment and field, as in PID-3"),
        }
    }

    fn repetition(&mut self) -> Result<Repetition, PathError> {
        self.no_round_bracket()?;
        if !self.take('[') {
            return Ok(Repetition::Unsaid);
        }
        self.blanks();
        let repetition = match self.peek() {
            Some('*') => {
                self.take('*');
                Repetition::Every
            }
            Some('.') => self.condition()?,
            _ => Repetition::Number(self.number(REPETITION_MAX, "a repetition")?),
        };
        self.close()?;
        Ok(repetition)
    }

    /// `.5 = "NI"`
    fn condition(&mut self) -> Result<Repetition, PathError> {
        let part = self.part()?;
        self.blanks();
        let (at, len, found) = self.here();
        let equal = if self.take('!') {
            if !self.take('=') {
                return Err(error(at, len, "`!` stands before `=`").helped("write != or ="));
            }
            false
        } else if self.take('=') {
            self.take('=');
            true
        } else {
            return Err(error(at, len, format!("`=` or `!=` is expected here, not {found}"))
                .helped("a condition looks like [.5 = \"NI\"]"));
        };
        self.blanks();
        let text = self.quoted()?;
        Ok(Repetition::Where { part, equal, text })
    }

    /// A text in quotation marks, with `\"` and `\\` inside.
    fn quoted(&mut self) -> Result<String, PathError> {
        let (start, len, found) = self.here();
        if !self.take('"') {
            return Err(error(start, len, format!("a text in quotation marks is expected here, not {found}"))
                .helped("a condition looks like [.5 = \"NI\"]"));
        }
        let mut text = String::new();
        let mut escaped = false;
        for letter in self.rest().chars() {
            self.at = self.at.saturating_add(letter.len_utf8());
            match letter {
                '"' if !escaped => return Ok(text),
                '\\' if !escaped => escaped = true,
                letter => {
                    if escaped && letter != '"' && letter != '\\' {
                        text.push('\\');
                    }
                    text.push(letter);
                    escaped = false;
                }
            }
        }
        Err(error(start, self.at.saturating_sub(start), "the quotation mark is not closed"))
    }

    /// `.4` or `.4.1` or nothing.
    fn part(&mut self) -> Result<Part, PathError> {
        if !self.take('.') {
            return Ok(Part::Whole);
        }
        let component = self.small_number(COMPONENT_MAX, "a component")?;
        if !self.take('.') {
            return Ok(Part::Component(component));
        }
        Ok(Part::Subcomponent(component, self.small_number(COMPONENT_MAX, "a subcomponent")?))
    }

    fn small_number(&mut self, max: u16, what: &str) -> Result<u16, PathError> {
        self.number(u32::from(max), what).map(|number| u16::try_from(number).unwrap_or(max))
    }

    fn number(&mut self, max: u32, what: &str) -> Result<u32, PathError> {
        let start = self.at;
        let digits = self.take_while(|letter| letter.is_ascii_digit());
        if digits.is_empty() {
            let (at, len, found) = self.here();
            return Err(error(at, len, format!("the number of {what} is expected here, not {found}")));
        }
        match digits.parse::<u32>() {
            Ok(0) => Err(error(start, digits.len(), format!("the number of {what} begins at 1"))),
            Ok(number) if number <= max => Ok(number),
            Ok(_) | Err(_) => Err(error(start, digits.len(), format!("the number of {what} is at most {max}"))),
        }
    }

    fn close(&mut self) -> Result<(), PathError> {
        self.blanks();
        let (at, len, found) = self.here();
        if self.take(']') { Ok(()) } else { Err(error(at, len, format!("`]` is expected here, not {found}"))) }
    }

    /// `PID-3(2)` is how the standard's documents write it.
    fn no_round_bracket(&self) -> Result<(), PathError> {
        if self.peek() != Some('(') {
            return Ok(());
        }
        let meant = self.text.replace('(', "[").replace(')', "]");
        Err(error(self.at, 1, "a repetition stands in square brackets").helped(format!("write {meant}")))
    }

    /// Something follows the end of a path.
    fn unexpected_end(&self, path: &Path) -> PathError {
        let rest = self.rest();
        let at_end = error(self.at, rest.len(), format!("`{rest}` does not belong to the path"));
        match (&path.field, self.peek()) {
            (Some(FieldStep { part: Part::Subcomponent(..), .. }), Some('.')) => {
                at_end.helped("nothing is below a subcomponent")
            }
            (Some(FieldStep { part: Part::Component(_) | Part::Subcomponent(..), .. }), Some('[')) => {
                at_end.helped("a repetition is chosen after the field, as in PID-3[2].1")
            }
            _ => at_end,
        }
    }

    /// The whole text with a part of it replaced.
    fn replaced(&self, at: usize, len: usize, by: &str) -> String {
        let before = self.text.get(..at).unwrap_or_default();
        let after = self.text.get(at.saturating_add(len)..).unwrap_or_default();
        format!("{before}{by}{after}")
    }
}

/// Three capital letters or digits, the first a letter.
fn is_segment_name(name: &str) -> bool {
    name.len() == 3
        && name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
}

/// `PID3`, which somebody writes for `PID-3`; no group has such a name.
fn segment_and_number(name: &str) -> Option<(&str, &str)> {
    let (segment, number) = name.split_at_checked(3)?;
    let is_number = !number.is_empty() && number.chars().all(|letter| letter.is_ascii_digit());
    (is_segment_name(segment) && is_number).then_some((segment, number))
}
