//! What clients send after their first message.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    postern_fuzz::frontend(bytes);
});
