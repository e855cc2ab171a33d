//! The command line, tried with the real binary in a folder of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

mod approvals;
mod backup;
mod bench;
mod breach;
mod cases;
mod certificates;
mod check_database;
mod cli;
mod complaint;
mod crash;
mod decoys;
mod demo;
mod doctor;
mod evidence;
mod explain_policy;
mod exports;
mod full;
mod init;
mod insiders;
mod ledger;
mod login;
mod metrics;
mod peer;
mod people;
mod person;
mod policy;
mod raw;
mod reload;
mod retention;
mod rules;
mod saw;
mod scim;
mod served;
mod stamped;
mod support;
mod take_over;
mod trace;
mod trouble;
mod volumes;
mod witness;
