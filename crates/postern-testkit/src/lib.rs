//! Throw-away PostgreSQL servers for tests and the demo.
