//! Feeds of events from files and from the ledger.
