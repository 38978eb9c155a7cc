//! What is wrong with a file of configuration, and where.
//!
//! In come places in source texts; out go findings with file, line, column, caret and a suggestion,
//! for people (miette) or machines (JSON). Promised: all findings of a load are collected, not only
//! the first, so that one look repairs a file (H7: a configuration is taken whole or not at all).
//! Refused: nothing; a finding never carries message content, only text of configuration files.

pub mod codes;
mod reader;
mod text;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, NamedSource,
    SourceCode, SourceSpan, SpanContents,
};
use serde_json::{Value, json};

pub use codes::Code;
pub(crate) use reader::{Entry, Reader, Scalar, Section};
pub(crate) use text::Text;
pub use text::{Located, SourceText};

/// Columns of a rendered finding before its message is wrapped.
const RENDER_WIDTH: usize = 120;

/// Whether a configuration with this finding may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It may not.
    Error,
    /// It may, but somebody should look.
    Warning,
}

/// One thing that is wrong with a file of configuration.
#[derive(Clone)]
pub struct Finding {
    /// Which kind of mistake; each has a page in `docs/errors/`.
    pub code: Code,
    /// Whether the configuration may run all the same.
    pub severity: Severity,
    /// The file's name as it was given, with `/` between its parts.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    source: Arc<SourceText>,
    span: Range<usize>,
}

impl Finding {
    /// An error at the bytes `span` of `source`.
    pub fn error(code: Code, source: &Arc<SourceText>, span: Range<usize>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Error, code, source, span, message.into())
    }

    /// A warning at the bytes `span` of `source`.
    pub fn warning(code: Code, source: &Arc<SourceText>, span: Range<usize>, message: impl Into<String>) -> Self {
        Finding::new(Severity::Warning, code, source, span, message.into())
    }

    fn new(severity: Severity, code: Code, source: &Arc<SourceText>, span: Range<usize>, message: String) -> Self {
        let span = source.clamp(span);
        let (line, column) = source.line_and_column(span.start);
        let length = source.characters(&span).max(1);
        let file = source.name().to_owned();
        Finding { code, severity, file, line, column, length, message, help: None, source: Arc::clone(source), span }
    }

    /// The same finding with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding with advice, if there is any.
    #[must_use]
    pub fn with_help_if(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// For machines: an object with the public fields.
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code.to_string(),
            "severity": match self.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "length": self.length,
            "message": self.message,
            "help": self.help,
            "page": self.code.page(),
        })
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}:{} {}", self.code, self.file, self.line, self.column, self.message)
    }
}

/// All findings of one load, in the order in which the files were read.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// No findings yet.
    pub fn new() -> Self {
        Findings::default()
    }

    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Adds all of another load.
    pub fn extend(&mut self, others: Findings) {
        self.0.extend(others.0);
    }

    /// Every finding.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the configuration must not run.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Only the errors, if so wished.
    pub(crate) fn without_warnings_if(mut self, wished: bool) -> Self {
        self.0.retain(|finding| !wished || finding.severity == Severity::Error);
        self
    }

    /// Orders by file, place and severity, and drops what was found twice.
    pub(crate) fn settle(&mut self) {
        self.0.sort_by(|a, b| (&a.file, a.span.start, a.code).cmp(&(&b.file, b.span.start, b.code)));
        self.0.dedup_by(|a, b| a.file == b.file && a.span == b.span && a.code == b.code && a.message == b.message);
    }

    /// For people: each finding with its source line, a caret and the suggestion.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(RENDER_WIDTH).with_links(false);
        let mut rendered = String::new();
        for finding in &self.0 {
            if !rendered.is_empty() {
                rendered.push('\n');
            }
            if handler.render_report(&mut rendered, &Report::of(finding)).is_err() {
                rendered.push_str(&format!("{finding:?}\n"));
            }
        }
        rendered
    }

    /// For machines: an array of objects.
    pub fn to_json(&self) -> Value {
        Value::Array(self.0.iter().map(Finding::to_json).collect())
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Findings {}

/// The word of `known` that was probably meant by `word`, as advice.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(word, known).map(|meant| format!("did you mean `{meant}`?"))
}

fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().max(word.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The words of a list, for advice: `a`, `b` or `c`.
pub(crate) fn one_of<'k>(known: impl IntoIterator<Item = &'k str>) -> String {
    let words: Vec<String> = known.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => "nothing is known here".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// A finding as miette wants it.
struct Report<'f> {
    finding: &'f Finding,
    source: NamedSource<Letters>,
}

/// A text whose columns are counted in letters; miette counts bytes.
struct Letters {
    text: String,
    column: usize,
}

impl SourceCode for Letters {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text.read_span(span, lines_before, lines_after)?;
        if lines_before > 0 || lines_after > 0 {
            return Ok(contents);
        }
        // Only the place in the heading is asked for without lines around it.
        let (line, count) = (contents.line(), contents.line_count());
        let column = self.column.saturating_sub(1);
        Ok(Box::new(MietteSpanContents::new(contents.data(), *contents.span(), line, column, count)))
    }
}

impl<'f> Report<'f> {
    fn of(finding: &'f Finding) -> Self {
        let letters = Letters { text: finding.source.text().to_owned(), column: finding.column };
        let source = NamedSource::new(&finding.file, letters);
        Report { finding, source }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.finding, f)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.help.as_ref().map(|help| -> Box<dyn fmt::Display + 'a> { Box::new(help) })
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        (!self.finding.source.text().is_empty()).then_some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.finding.span.start..self.finding.span.end;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(Some("here".to_owned()), span))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<SourceText> {
        Arc::new(SourceText::new("routes.toml", text))
    }

    #[test]
    fn a_finding_knows_its_line_and_its_column_in_characters() {
        let finding = Finding::error(codes::UNKNOWN_KEY, &source("why = \"روشتة\"\nسس = 1\n"), 21..23, "unknown key");
        assert_eq!((finding.line, finding.column, finding.length), (2, 2, 1));
    }

    #[test]
    fn a_rendered_finding_shows_the_line_the_caret_and_the_suggestion() {
        let mut findings = Findings::new();
        findings.push(
            Finding::error(codes::UNKNOWN_KEY, &source("[[route]]\nidd = 1\n"), 10..13, "unknown key `idd`")
                .with_help("did you mean `id`?"),
        );
        let rendered = findings.render(false);
        assert!(rendered.contains("routes.toml:2:1"), "{rendered}");
        assert!(rendered.contains("idd = 1"), "{rendered}");
        assert!(rendered.contains("did you mean `id`?"), "{rendered}");
        assert!(!rendered.contains('\u{1b}'), "no colour was asked for");
        assert!(findings.render(true).contains('\u{1b}'), "colour was asked for");
    }

    #[test]
    fn a_place_outside_the_text_is_moved_inside() {
        let finding = Finding::error(codes::SYNTAX, &source("ab"), 5..9, "cut");
        assert_eq!((finding.line, finding.column, finding.length), (1, 3, 1));
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(
            did_you_mean("indentifier", ["identifier", "quantity"]),
            Some("did you mean `identifier`?".to_owned())
        );
        assert_eq!(did_you_mean("xyz", ["identifier", "quantity"]), None);
    }

    #[test]
    fn findings_are_settled_by_file_and_place_without_repeats() {
        let text = source("a = 1\nb = 2\n");
        let mut findings = Findings::new();
        for span in [6..7, 0..1, 6..7] {
            findings.push(Finding::warning(codes::UNKNOWN_KEY, &text, span, "unknown"));
        }
        findings.settle();
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [1, 2]);
        assert!(!findings.has_errors());
    }
}
