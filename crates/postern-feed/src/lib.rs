//! Feeds: the replay format's files to events and back.
//!
//! Detectors and the tracer read events; this crate is the edge where events are JSON Lines. It
//! reads a folder as one stream in the order in which the events were *seen*, so that a replay can
//! never use what was not known yet, and it says of every line that it could not use where it was
//! and why. It decides nothing about what the events mean.
//!
//! Start with [`Folder`] to read, [`EventWriter`] and [`write_findings`] to write.

mod ahead;
mod folder;
mod index;
mod leak;
mod line;
mod problems;
mod source;
mod write;

pub use self::{
    folder::{Arrival, Folder, FolderError, Options},
    index::{open_index, write_index},
    leak::{LeakError, read_leak, read_values},
    line::{event_line, parse_event, parse_time},
    problems::{Bad, Problems},
    source::Source,
    write::{EventWriter, WriteError, write_findings, write_trace},
};
