#![no_main]

#[path = "../../../adapters/tests/harness/mod.rs"]
#[expect(dead_code, reason = "one law of several")]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::escape(data));
