//! What servers send.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    postern_fuzz::backend(bytes);
});
