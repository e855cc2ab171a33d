//! What clients send first.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    postern_fuzz::first(bytes);
});
