//! Decides what an actor may see, and why.
