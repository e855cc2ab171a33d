//! What a trace says: verdict, suspects, the hypotheses that are no account, and what it rests on.
//! It holds no judgement of its own. Start with [`Trace`].

use std::fmt;

use postern_model::{Actor, Subject, Text, Timestamp};

/// What a trace comes to. An account is named, never a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// One account, by every condition of the design.
    Attributed,
    /// Several accounts together.
    Coalition,
    /// The source is among a few accounts.
    Narrowed,
    /// No logged access is the source.
    Outside,
    CannotTell,
}

impl Verdict {
    /// The verdict's name in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attributed => "attributed",
            Self::Coalition => "coalition",
            Self::Narrowed => "narrowed",
            Self::Outside => "outside",
            Self::CannotTell => "cannot_tell",
        }
    }
}

/// A hypothesis that is not one account alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OtherSource {
    /// The list has nothing to do with the records here.
    Outside,
    /// The records were taken here on a way that is not logged.
    Unlogged,
    /// A source that several people share: a queue, a report, a service's account.
    Pool(Text),
    Coalition(Vec<Actor>),
    /// Somebody else planted what this account had read.
    Framing(Actor),
}

impl fmt::Display for OtherSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("outside"),
            Self::Unlogged => f.write_str("unlogged"),
            Self::Pool(name) => write!(f, "pool:{name}"),
            Self::Coalition(actors) => {
                let names: Vec<&str> = actors.iter().map(Actor::as_str).collect();
                write!(f, "coalition:{}", names.join("+"))
            }
            Self::Framing(actor) => write!(f, "framing:{actor}"),
        }
    }
}

/// An account as the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    pub actor: Actor,
    /// The smaller of the posteriors under the flat and the sceptical prior.
    pub probability: f64,
    /// Natural logarithm of the likelihood ratio against the best rival of any kind.
    pub log_likelihood_ratio: f64,
    /// Distinct leaked customers that the account had seen.
    pub matched: usize,
}

/// A hypothesis that is no account.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    pub source: OtherSource,
    /// The larger of the posteriors under the flat and the sceptical prior.
    pub probability: f64,
}

/// How much of the list could be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    pub list: usize,
    /// Distinct customers that rows resolved to.
    pub resolved: usize,
    /// Of these, seen by the first suspect.
    pub matched: usize,
}

/// The verbal scale of a likelihood ratio. Source: ENFSI Guideline for Evaluative Reporting in
/// Forensic Science (2015), appendix, its bounds at powers of ten and 10,000 / 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scale {
    None,
    Weak,
    Moderate,
    ModeratelyStrong,
    Strong,
    VeryStrong,
    ExtremelyStrong,
}

impl Scale {
    /// The step of the scale for a natural logarithm of a likelihood ratio.
    pub fn of(log_likelihood_ratio: f64) -> Self {
        let steps = [
            (2.0, Self::None),
            (10.0, Self::Weak),
            (100.0, Self::Moderate),
            (1_000.0, Self::ModeratelyStrong),
            (10_000.0, Self::Strong),
            (1_000_000.0, Self::VeryStrong),
        ];
        let below = |(bound, _): &&(f64, Self)| log_likelihood_ratio < f64::ln(*bound);
        steps.iter().find(below).map_or(Self::ExtremelyStrong, |(_, scale)| *scale)
    }

    /// The words of the scale.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "no support",
            Self::Weak => "weak support",
            Self::Moderate => "moderate support",
            Self::ModeratelyStrong => "moderately strong support",
            Self::Strong => "strong support",
            Self::VeryStrong => "very strong support",
            Self::ExtremelyStrong => "extremely strong support",
        }
    }
}

/// The answer to "where did these records come from?".
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub verdict: Verdict,
    /// The accounts named; empty unless attributed.
    pub actors: Vec<Actor>,
    /// Best first.
    pub suspects: Vec<Suspect>,
    /// Most probable first.
    pub others: Vec<Other>,
    pub rows: Rows,
    /// When the records were probably taken, first and last.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The ids of the access events that the first suspect's matches rest on.
    pub evidence: Vec<String>,
    /// One sentence.
    pub why: String,
    /// What speaks for and against the first suspect, if there is one.
    pub details: Option<Details>,
    /// What would decide the case, where it is not decided.
    pub decide: Vec<String>,
}

/// What must hold of an account before it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It is part of the most probable explanation, and no taste for another account's customers
    /// is.
    Best,
    /// No more than three sources are needed to explain the list.
    Few,
    OpenPosterior,
    ScepticalPosterior,
    /// The posteriors suffice also if it may have been framed.
    Framing,
    /// The likelihood ratio against the best explanation without it.
    Ratio,
    /// Enough different customers speak for it.
    Matches,
    /// Enough kinds of evidence do.
    Kinds,
    /// No account looks so in an innocent leak.
    Chance,
    /// The same holds without any tenth of the rows.
    Tenths,
}

impl Condition {
    /// Every condition, those that are quick to check first.
    pub const ALL: [Self; 10] = [
        Self::Best,
        Self::Few,
        Self::OpenPosterior,
        Self::ScepticalPosterior,
        Self::Framing,
        Self::Ratio,
        Self::Matches,
        Self::Kinds,
        Self::Chance,
        Self::Tenths,
    ];

    /// The condition's name in tables and in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Best => "best explanation",
            Self::Few => "few sources",
            Self::OpenPosterior => "open posterior",
            Self::ScepticalPosterior => "sceptical posterior",
            Self::Framing => "framing excluded",
            Self::Ratio => "likelihood ratio",
            Self::Matches => "five customers",
            Self::Kinds => "two kinds of evidence",
            Self::Chance => "not by chance",
            Self::Tenths => "without any tenth",
        }
    }
}

/// What speaks for and against an account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// Kind of evidence and the natural logarithm of what it contributes to the likelihood ratio
    /// against "outside".
    pub contributions: Vec<(&'static str, f64)>,
    /// Leaked customers that speak for it: it was shown them, in the leaked fields and versions.
    pub speak_for: Vec<Subject>,
    /// Leaked customers that it never was shown.
    pub speak_against: Vec<Subject>,
    /// By field: rows in which it was shown in clear and in the leaked version, and rows of
    /// customers whom it was shown in which it was not.
    pub fields: Vec<(&'static str, usize, usize)>,
    /// The tickets that were claimed as reasons at those readings, and how often.
    pub claims: Vec<(String, usize)>,
    /// When those customers were shown to it, ascending.
    pub readings: Vec<Timestamp>,
    /// How many of those readings nothing explains.
    pub unexplained: usize,
    /// Customers taken in the same way who are not in the list yet: the next to be called.
    pub at_risk: Vec<Subject>,
    /// Conditions for naming it that are not met.
    pub unmet: Vec<Condition>,
}

/// How a case stands after some complaints.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub complaints: usize,
    pub verdict: Verdict,
    /// The most probable account, and how probable it is.
    pub first: Option<(Actor, f64)>,
}
