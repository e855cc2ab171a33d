//! The binary: configuration, command line, composition root.

fn main() {}
