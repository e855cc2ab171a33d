//! A session between a scripted client and a scripted server.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = postern_fuzz::session(bytes);
});
