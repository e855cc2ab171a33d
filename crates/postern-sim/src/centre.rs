//! A support centre with ground truth: worlds of honest work with the troubles that real centres
//! have, attackers among them, and a scorer for what detectors find.
//!
//! Generation is pure: the same plan gives the same events. A world is a stream of events in the
//! order in which they were seen, or a folder of feeds with a truth file. Nothing here knows how
//! the detectors work, and the detectors know nothing of this crate.
//!
//! Start with [`Plan`], [`World::make`] and [`score::Score`].

pub mod account_days;
mod attack;
mod chance;
mod log;
mod plain;
mod plan;
pub mod score;
mod staff;
mod stage;
pub mod stream;
mod style;
mod work;
mod world;

pub use self::{
    attack::Attack,
    chance::Chance,
    log::Seen,
    plain::{Plain, findings as plain_findings},
    plan::{Kind, Plan, Style, Trouble},
    world::World,
};
