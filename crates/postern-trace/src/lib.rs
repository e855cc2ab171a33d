//! From leaked records to the account they came from.
