use postern_model::{Complaint, Secret, Subject, Text, Timestamp};

/// Records that turned up where they should not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leak {
    pub rows: Vec<LeakRow>,
}

/// One leaked record: what the list says of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeakRow {
    /// The customer, where the list itself names the key.
    pub subject: Option<Subject>,
    /// Field and value as leaked. An empty value stands for a field that was known to the
    /// thief, though not in which wording: what a complaint tells.
    pub fields: Vec<(Text, Secret<String>)>,
    /// The moment before which the record was taken, if that is known.
    pub before: Option<Timestamp>,
}

/// A value that a protected field had from `ts` on, until the next version of the same field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueVersion {
    pub ts: Timestamp,
    pub subject: Subject,
    pub field: Text,
    pub value: Secret<String>,
}

/// Whom a list names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Each customer, with the fields of theirs that are in it.
    pub customers: Vec<(Subject, Vec<&'static str>)>,
    /// Rows that belong to nobody, or that could belong to several.
    pub unresolved: usize,
}

impl Leak {
    /// Complaints as a leak: each says of one customer that a stranger knew something of them. It
    /// is a weak and noisy list; that many of the callers may have their knowledge from elsewhere
    /// is what the tracer's mixture weight is for.
    pub fn from_complaints<'a>(complaints: impl IntoIterator<Item = &'a Complaint>) -> Self {
        let row = |complaint: &Complaint| LeakRow {
            subject: Some(complaint.subject.clone()),
            fields: complaint
                .fields
                .iter()
                .map(|field| (field.clone(), Secret::new(String::new())))
                .collect(),
            before: Some(complaint.ts),
        };
        Self { rows: complaints.into_iter().map(row).collect() }
    }

    /// Both lists as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }
}
