#![no_main]

mod configuration;

libfuzzer_sys::fuzz_target!(|text: &str| configuration::judge(text, configuration::MAPPING));
