//! The command line, tried with the real binary in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod cli;
mod crash;
mod init;
mod ledger;
mod person;
mod raw;
mod served;
mod support;
mod trace;
