use std::fmt::Debug;

use postern_model::{Event, Finding};

use crate::{naming::Named, world::World};

/// One way of looking. The world has already taken the event when a detector sees it, and is the
/// same for all of them; what a detector remembers beyond that is its own.
pub(crate) trait Detector: Debug + Send + Sync {
    /// Takes an event and appends what it raises.
    fn observe(&mut self, event: (&Event, &Named), world: &World, findings: &mut Vec<Finding>);
}
