//! What people do with findings, what customers tell, and the customers that are planted.

use std::sync::Arc;

use postern_model::{Actor, Subject, Timestamp};

/// What a person did with a case, which is findings under investigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseAct {
    pub by: Actor,
    /// The entry of the case's first finding.
    pub number: u64,
    /// What was done, in a word.
    pub act: Arc<str>,
    /// The kinds of finding that the act judges.
    pub kinds: Vec<Arc<str>>,
    /// The roles of the accounts of whom they were found.
    pub roles: Vec<Arc<str>>,
    pub why: Arc<str>,
}

/// A customer told of a contact that is suspicious to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complained {
    /// Who wrote it down.
    pub by: Actor,
    pub subject: Subject,
    /// When they were contacted.
    pub at: Timestamp,
    /// `scam_call`, `phishing` or `other`.
    pub kind: Arc<str>,
    /// The fields that the caller knew.
    pub fields: Vec<Arc<str>>,
    /// Who called, as the customer tells.
    pub caller: Arc<str>,
}

/// Planted customers were committed to, before anybody could see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    pub by: Actor,
    /// SHA-256 of the plan.
    pub digest: [u8; 32],
    /// How many there are in it.
    pub count: u64,
}

/// Somebody used what only the record of a planted customer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoyHit {
    /// Who wrote it down.
    pub by: Actor,
    pub subject: Subject,
    /// `mail`, `call` or `other`.
    pub how: Arc<str>,
    pub why: Arc<str>,
}
