//! Every message of the corpus and of the fixtures, and a million mutations of them: no panic, no lost byte.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says so by failing")]
#![allow(clippy::print_stdout, reason = "the seed is shown for a repetition")]

mod corpus;
mod harness;

use adapters::hl7v2::edit::Editor;
use adapters::hl7v2::{Index, Path, batch};
use harness::Depth;

const MUTATIONS: u64 = 1_000_000;
/// Change it by `HL7_SEED` to look elsewhere.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

#[test]
fn every_sample_is_read_without_losing_a_byte() {
    let samples = corpus::all();
    for (path, bytes) in &samples {
        harness::message(bytes);
        let mut index = Index::new();
        let message = index.read(bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(message.segment_count() >= 1);
        let mut written = bytes[message.prefix()].to_vec();
        for segment in message.segments() {
            written.extend_from_slice(segment.raw());
            written.extend_from_slice(&bytes[segment.terminator()]);
        }
        assert!(written == *bytes, "{} is written back byte for byte", path.display());
    }
}

#[test]
fn setting_what_is_already_there_changes_no_byte() {
    let mut changed = 0;
    for (path, bytes) in corpus::all() {
        let mut index = Index::new();
        let message = index.read(&bytes).unwrap();
        for name in ["MSH-10", "PID-3", "PID-5[1]", "PID-3[1].1", "OBX[2]-3", "ORC-2.1"] {
            let place = Path::parse(name).unwrap();
            let value = message.find(&message.whole(), &place);
            if value.is_absent() {
                continue;
            }
            let mut editor = Editor::new(&message);
            editor.set_raw(&place, value.raw()).unwrap_or_else(|error| panic!("{} {name}: {error}", path.display()));
            assert!(editor.finish() == bytes, "{} {name}", path.display());
            changed += 1;
        }
    }
    assert!(changed > 200, "only {changed} values were set");
}

#[test]
fn every_envelope_is_taken_apart_without_losing_a_message() {
    let envelopes = corpus::samples(corpus::ENVELOPES);
    assert_eq!(envelopes.len(), 6);
    for (path, bytes) in envelopes {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let envelope = batch::split(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = memchr::memmem::find_iter(&bytes, b"MSH").count();
        assert_eq!(envelope.messages().count(), expected, "{name}");
        for range in envelope.messages() {
            let mut index = Index::new();
            let message = index.read(&bytes[range]).unwrap();
            assert!(message.header().control_id().text().starts_with("B-"), "{name}");
            assert!(message.segments().all(|segment| !["BTS", "FTS", "BHS"].contains(&segment.name())), "{name}");
        }
        assert_eq!(envelope.findings.is_empty(), name != "batch_with_wrong_count", "{name}");
        assert_eq!(batch::is_envelope(&bytes), bytes.starts_with(b"FHS") || bytes.starts_with(b"BHS"), "{name}");
    }
}

#[test]
fn a_million_mutated_messages_are_read_without_a_panic_and_without_losing_a_byte() {
    let seed = std::env::var("HL7_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("HL7_SEED={seed}");
    let samples: Vec<Vec<u8>> = corpus::all().into_iter().map(|(_, bytes)| bytes).collect();
    let workers = 2;
    let read: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let samples = &samples;
                scope.spawn(move || mutate_and_read(samples, seed.wrapping_add(worker), MUTATIONS / workers))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{read} of {MUTATIONS} were still messages");
    assert!(read > MUTATIONS / 2, "mutation leaves most of them messages: {read}");
    assert!(read < MUTATIONS, "mutation also breaks some");
}

#[test]
fn a_hundred_thousand_streams_of_frames_are_the_same_however_they_are_cut() {
    let mut chance = Chance(SEED);
    for _ in 0..100_000 {
        let mut stream = Vec::new();
        for _ in 0..chance.below(6) {
            let body = b"MSH|^~\\&|A|B\rPID|1\r";
            stream.push(0x0B);
            stream.extend_from_slice(&body[..chance.below(body.len() + 1)]);
            stream.extend_from_slice(b"\x1C\r");
        }
        for _ in 0..chance.below(5) {
            let at = chance.below(stream.len() + 1);
            stream.insert(at, FRAMING[chance.below(FRAMING.len())]);
        }
        harness::frame(&stream);
    }
}

/// Bytes that mean something to a decoder of frames.
const FRAMING: &[u8] = b"\x0B\x1C\r\n\0MSH|x";

/// Mutates samples `count` times and reads each result. Returns how many were messages.
fn mutate_and_read(samples: &[Vec<u8>], seed: u64, count: u64) -> u64 {
    let mut chance = Chance(seed | 1);
    let paths = harness::paths();
    let mut index = Index::new();
    let mut mutated = Vec::new();
    let mut read = 0;
    for round in 0..count {
        mutated.clear();
        mutated.extend_from_slice(&samples[chance.below(samples.len())]);
        for _ in 0..=chance.below(4) {
            mutate(&mut mutated, samples, &mut chance);
        }
        let depth = if round % 16 == 0 { Depth::Whole } else { Depth::Segments };
        read += u64::from(harness::read(&mut index, &mutated, &paths, depth));
        if round % 16 == 8 {
            let from = chance.below(mutated.len());
            harness::escape(&mutated[from..mutated.len().min(from + 64)]);
        }
    }
    read
}

/// Bytes that mean something to a reader.
const SPECIAL: &[u8] = b"|^~\\&#\r\n\"\0\x0B\x1C\x80\xC3\xD9\xE1\xFFMSHPZ019.X";

fn mutate(bytes: &mut Vec<u8>, samples: &[Vec<u8>], chance: &mut Chance) {
    if bytes.is_empty() {
        bytes.push(b'M');
    }
    let at = chance.below(bytes.len());
    let length = chance.below(40).min(bytes.len() - at);
    match chance.below(8) {
        0 => bytes[at] = SPECIAL[chance.below(SPECIAL.len())],
        1 => bytes.insert(at, SPECIAL[chance.below(SPECIAL.len())]),
        2 => bytes[at] ^= 1 << chance.below(8),
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let copy = bytes[at..at + length].to_vec();
            let to = chance.below(bytes.len());
            drop(bytes.splice(to..to, copy));
        }
        5 => {
            let other = &samples[chance.below(samples.len())];
            let from = chance.below(other.len());
            let copy = other[from..other.len().min(from + length)].to_vec();
            drop(bytes.splice(at..at + length, copy));
        }
        6 if chance.below(4) == 0 => bytes.truncate(at),
        // Near the header, where delimiters and types are.
        _ => {
            let near = at.min(chance.below(90));
            bytes[near] = SPECIAL[chance.below(SPECIAL.len())];
        }
    }
}

/// Xorshift: the same numbers for the same seed, everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}
