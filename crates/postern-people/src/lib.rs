//! Who is who: the accounts that may log in, and how they prove that it is them.
//!
//! [`People`] is the content of `people.toml`. A password is never stored: a [`Verifier`] is, in
//! the form that PostgreSQL stores in `pg_authid`, so that verifiers can be taken over from there.
//! [`ScramServer`] is the server's side of a log-in by SCRAM-SHA-256 (RFC 5802, RFC 7677), and
//! [`Throttle`] keeps whoever guesses from guessing on. [`Tokens`] checks whom an application
//! speaks for, and [`Approvals`] is who was let in to a customer by another person.
//!
//! This crate does not decide what an account may see, and it reads no file, clock or random
//! number.

#![deny(clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "tests may panic"))]

mod approvals;
mod people;
mod scram;
mod throttle;
mod token;
mod verifier;

pub use jiff::civil::Date;

pub use self::{
    approvals::{
        APPROVAL, Act, ApprovalRules, Approvals, BREAK_GLASS, Deed, Digesting, NotDone, QueryError,
        QueryResult, SavedQuery, Standing as Approval,
    },
    people::{Account, Change, People, PeopleError, States, changes},
    scram::{ScramError, ScramServer},
    throttle::{Attempt, Standing, Throttle},
    token::{
        EndUser, FetchedKeys, KeySetError, KeySource, Replayed, Replays, TokenError, TokenRules,
        Tokens,
    },
    verifier::{DEFAULT_ITERATIONS, Verifier, VerifierError},
};
