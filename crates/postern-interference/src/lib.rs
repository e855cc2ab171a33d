//! The proof by trial that a client can't learn what it may not see: random schemas, policies and
//! queries over two databases that differ only in protected values of records for which the actor
//! has no reason. Whatever the actor sends, byte for byte the same must come back from both.
//!
//! A *world* (schema, policy, rows; [`make::world`]) hangs on a seed, and so does each *script*
//! that is played over it. An [`arena::Arena`] has two servers and a gateway in front of each, and
//! [`compare::judge`] plays a script and compares; [`campaign::run`] does so very often. The two
//! databases agree on what is released on purpose: the answers to look-ups that are asked. So a
//! value that could be asked for is in both or in neither. Time is not compared.
//!
//! Nothing is sorted, rounded or left out before the comparison. The servers are given no
//! statistics and the same tables, so that they plan alike.

mod accounts;
pub mod arena;
pub mod campaign;
pub mod client;
pub mod compare;
pub mod corpus;
pub mod dice;
mod generate;
mod grammar;
pub mod make;
pub mod schema;
pub mod script;
mod shrink;
#[cfg(test)]
mod tests;
mod values;
