//! `postern demo`: the theft of 2019 on a throw-away database, and what Postern does about it.

#![cfg_attr(not(test), expect(dead_code, reason = "the acts, which play in it, come next"))]

mod chance;
mod world;
