//! One client connection as a pure state machine.
