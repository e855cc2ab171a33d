//! The append-only record of what left, durable before it leaves.
