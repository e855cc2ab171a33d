//! PostgreSQL protocol messages, bytes to types and back.
