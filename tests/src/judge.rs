//! Judges that other people wrote, as processes: of FHIR R4 the HAPI FHIR validator and npm `fhir`, of HL7 v2 HAPI and
//! `hl7apy`.
//!
//! In come documents; out goes what each judge objects to. Promised: a judge that cannot be made, ends early or leaves
//! a document without an answer is an error, never a verdict. What a judge tolerates, and why, stands in its own source
//! under `tests/peers`. Refused: nothing.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use adapters::Format;
use serde_json::{Value, json};

use crate::Fallible;
use crate::folder::workspace;
use crate::peer::{bounded, built, java, prepare};

/// Longer than any judge needs for all that the mappings emit, in seconds.
const SECONDS: &str = "300";

/// A judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The HAPI FHIR validator with all definitions of R4.
    HapiFhir,
    /// npm `fhir`: the only one that reads references to wrong types.
    NpmFhir,
    /// HAPI's typed classes for each version's structures, its rules for data types.
    Hapi,
    /// `hl7apy`, strict.
    Hl7apy,
}

/// All of them.
pub const JUDGES: [Judge; 4] = [Judge::HapiFhir, Judge::NpmFhir, Judge::Hapi, Judge::Hl7apy];

/// A document, and how verdicts call it.
#[derive(Clone, Debug)]
pub struct Document {
    /// Unlike that of every other.
    pub name: String,
    /// What it is written in.
    pub format: Format,
    /// The document itself.
    pub text: String,
}

/// What a judge objects to.
#[derive(Clone, Debug)]
pub struct Objection {
    /// The document's name.
    pub document: String,
    /// Who says so.
    pub judge: Judge,
    /// Where, as the judge writes it; `hl7apy` does not say.
    pub location: String,
    /// What is wrong.
    pub message: String,
}

impl Judge {
    /// The format that it knows.
    pub fn format(self) -> Format {
        match self {
            Judge::HapiFhir | Judge::NpmFhir => Format::FhirJson,
            Judge::Hapi | Judge::Hl7apy => Format::Hl7v2,
        }
    }

    fn command(self) -> Fallible<Command> {
        prepare()?;
        let sources = workspace().join("tests/peers");
        let mut command;
        match self {
            Judge::HapiFhir => command = java("java-fhir", "FhirJudge"),
            Judge::NpmFhir => {
                command = Command::new("node");
                command.env("NODE_PATH", built().join("node/node_modules")).arg(sources.join("node/judge.js"));
            }
            Judge::Hapi => {
                command = java("java", "Peer");
                command.arg("issues");
            }
            Judge::Hl7apy => {
                command = Command::new(built().join("python/bin/python"));
                command.arg(sources.join("python/judge.py"));
            }
        }
        Ok(command)
    }

    /// What it objects to in those of the documents that are in its format.
    pub fn objections(self, documents: &[Document]) -> Fallible<Vec<Objection>> {
        let own: Vec<&Document> = documents.iter().filter(|document| document.format == self.format()).collect();
        if own.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.ask(&own)?;
        let mut waiting: BTreeSet<&str> = own.iter().map(|document| document.name.as_str()).collect();
        let mut objections = Vec::new();
        for answer in &answers {
            let name = answer.get("name").and_then(Value::as_str).unwrap_or_default();
            if !waiting.remove(name) {
                return Err(format!("{self:?} answers for {name:?}, of which it was not asked").into());
            }
            let issues = answer.get("issues").and_then(Value::as_array).ok_or("an answer without issues")?;
            objections.extend(issues.iter().filter_map(|issue| self.objection(name, issue)));
        }
        match waiting.first() {
            Some(name) => Err(format!("{self:?} has no answer for {name} and {} others", waiting.len() - 1).into()),
            None => Ok(objections),
        }
    }

    fn objection(self, document: &str, issue: &Value) -> Option<Objection> {
        let text = |name: &str| issue.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let refuses = matches!(text("severity").as_str(), "error" | "fatal") && issue.get("tolerated").is_none();
        refuses.then(|| Objection {
            document: document.to_owned(),
            judge: self,
            location: text("location"),
            message: text("message"),
        })
    }

    /// Its answers, in any order.
    fn ask(self, documents: &[&Document]) -> Fallible<Vec<Value>> {
        let mut command = bounded(&self.command()?, SECONDS);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().ok_or("the judge has no input")?;
        let lines: String = documents
            .iter()
            .map(|document| format!("{}\n", json!({ "name": document.name, "document": document.text })))
            .collect();
        // It answers while it is asked; a judge that ends early is seen by its exit code.
        let asking = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let output = child.wait_with_output()?;
        let asked = asking.join().map_err(|_| "asking the judge failed")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{self:?} ended with {}: {why}", output.status).into());
        }
        asked?;
        let answers = String::from_utf8(output.stdout)?;
        answers.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// What the judges object to, all of them at once.
pub fn objections(documents: &[Document]) -> Fallible<Vec<Objection>> {
    prepare()?;
    let verdicts = std::thread::scope(|scope| {
        let judging: Vec<_> = JUDGES.map(|judge| scope.spawn(move || judge.objections(documents))).into();
        let join = |one: std::thread::ScopedJoinHandle<'_, Fallible<Vec<Objection>>>| {
            one.join().unwrap_or_else(|_| Err("a judge's thread failed".into()))
        };
        judging.into_iter().map(join).collect::<Fallible<Vec<_>>>()
    })?;
    Ok(verdicts.into_iter().flatten().collect())
}
