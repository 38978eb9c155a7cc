//! How fast the grammar of FHIR is read and asked. Prints one line of JSON; judges nothing.
//!
//! `cargo bench -p adapters --bench fhir_grammar`

#![expect(clippy::print_stdout, reason = "the numbers are what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends at once")]

use std::hint::black_box;
use std::time::Instant;

use adapters::fhir::grammar::{Primitive, Structure, resource, resource_names, structure, value_set};

const ROUNDS: u32 = 2_000;

const PATHS: [&str; 5] = [
    "dosageInstruction[0].doseAndRate[0].doseQuantity.value",
    "groupIdentifier.value",
    "medicationCodeableConcept.coding[1].system",
    "dispenseRequest.validityPeriod.start",
    "extension[0].valueDecimal",
];

fn main() {
    let (request, first_us) = timed(|| resource("MedicationRequest").expect("the resource is in the tables"));
    let (_, types_us) = timed(|| PATHS.map(|path| request.resolve(path).is_ok()));
    let (_, codes_us) = timed(|| value_set("medicationrequest-status").is_some());
    let (elements, all_us) = timed(|| resource_names().filter_map(structure).map(elements_below).sum::<usize>());
    let found = |path: &&str| request.resolve(black_box(path)).is_ok();
    let (_, resolved_us) =
        timed(|| (0..ROUNDS).map(|_| PATHS.iter().filter(|path| found(path)).count()).sum::<usize>());
    let (_, judged_us) = timed(|| (0..ROUNDS).filter(|_| is_date_time(black_box("2026-11-05T09:29:00+02:00"))).count());
    let paths = f64::from(ROUNDS) * 5.0;
    println!(
        "{{\"first_resource_us\":{first_us:.1},\"its_types_us\":{types_us:.1},\"first_value_set_us\":{codes_us:.1},\
         \"all_resources_us\":{all_us:.1},\"elements\":{elements},\"resolve_ns\":{:.0},\"judge_ns\":{:.0}}}",
        resolved_us * 1000.0 / paths,
        judged_us * 1000.0 / f64::from(ROUNDS),
    );
}

fn is_date_time(text: &str) -> bool {
    Primitive::DateTime.judge(text).is_ok()
}

/// What a call gives, and how long it took in microseconds.
fn timed<T>(call: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = call();
    (value, start.elapsed().as_secs_f64() * 1e6)
}

/// The elements of a structure and of its parts.
fn elements_below(within: &'static Structure) -> usize {
    let is_part = |name: &str| name.strip_prefix(within.name()).is_some_and(|rest| rest.starts_with('.'));
    let parts = within.elements().flat_map(|element| &element.types).filter(|kind| is_part(kind.name));
    within.elements().count() + parts.filter_map(|kind| kind.structure()).map(elements_below).sum::<usize>()
}
