//! What reads a ledger and messages to its follower.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    postern_fuzz::ledger(bytes);
});
