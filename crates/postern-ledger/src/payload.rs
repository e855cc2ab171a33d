//! The stored form of entries: see "Entries" in `docs/design/ledger.md`.

use std::{sync::Arc, time::Duration};

use postern_merkle::Hash;
use postern_model::{Actor, Grade, Reason, StatementFingerprint, Subject, Timestamp};

use crate::{
    Body, Counter, Disclosed, Entry, Group, Limit, LookedUp, Observed,
    bytes::{Cursor, DecodeError, put_varint},
    dictionary::{Dictionary, Kind, binding},
    epoch::Turn,
    set,
};

mod investigation;
mod note;
mod skim;
mod values;
pub(crate) use self::{
    note::LOST,
    skim::{Named, skim},
    values::COLUMNS_MAX,
};
#[cfg(test)]
mod tests;

/// The version that is written.
const VERSION: u8 = 2;
/// The one in which the account stands in the body, and the binding in the head.
const FIRST_VERSION: u8 = 1;
const DISCLOSED: u8 = 1;
/// A disclosure while policy is not enforced, with what enforcement would have done behind it.
const OBSERVED: u8 = 20;
/// The same two with hashes of values behind them.
const DISCLOSED_VALUES: u8 = 22;
const OBSERVED_VALUES: u8 = 23;

/// What the leaf of an entry shows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) account: Account,
}

/// Whose act an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// Said in the body, as in the first version.
    InBody,
    /// The number of the account's name; nobody's if there is none.
    Shown(Option<u32>),
}

impl Open {
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let version = cursor.u8()?;
        let kind = cursor.u8()?;
        let sequence = cursor.u64()?;
        let time = Timestamp(cursor.i64()?);
        let account = match version {
            FIRST_VERSION => Account::InBody,
            VERSION => match cursor.varint()?.checked_sub(1) {
                None => Account::Shown(None),
                Some(number) => {
                    let number = u32::try_from(number).map_err(|_| DecodeError::Number)?;
                    Account::Shown(Some(number))
                }
            },
            _ => return Err(DecodeError::Unknown),
        };
        Ok(Self { version, kind, sequence, time, account })
    }
}

/// What every entry begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) open: Open,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    /// How many dictionary rows this entry brings.
    pub(crate) rows: u64,
    /// What they must hash to; `None` if there are none.
    pub(crate) binding: Option<Binding>,
}

/// What an entry itself says of its rows' hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    Whole(Hash),
    /// How it starts, so that the place of damage can be named; all of it is in the leaf.
    Start([u8; 4]),
}

impl Binding {
    pub(crate) fn fits(self, found: &Hash) -> bool {
        match self {
            Self::Whole(hash) => hash == *found,
            Self::Start(start) => found.0.starts_with(&start),
        }
    }
}

impl Head {
    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let open = Open::decode(cursor)?;
        let rows = cursor.varint()?;
        let binding = match (rows, open.account) {
            (0, _) => None,
            (_, Account::InBody) => Some(Binding::Whole(Hash(cursor.array()?))),
            (_, Account::Shown(_)) => Some(Binding::Start(cursor.array()?)),
        };
        Ok(Self { open, sequence: open.sequence, time: open.time, rows, binding })
    }
}

/// An entry, and what it charges the budgets.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) entry: Entry,
    pub(crate) charges: Option<Charges>,
    /// The subject whose name the entry says was erased.
    pub(crate) erased: Option<u32>,
    /// What it says of epochs.
    pub(crate) turn: Option<Turn>,
}

/// What a disclosure counts in its actor's budgets, by numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Charges {
    pub(crate) actor: u32,
    pub(crate) subjects: Vec<(Option<Grade>, Vec<u32>)>,
    /// One for each lookup that was charged: whether it found anything.
    pub(crate) lookups: Vec<bool>,
    /// The statement ran until a limit stopped it.
    pub(crate) stop: bool,
}

/// What the numbers in an entry stand for.
pub(crate) trait Texts {
    fn text(&self, kind: Kind, number: u32) -> Result<Arc<str>, DecodeError>;
}

/// Reads what follows the head.
pub(crate) fn decode(
    head: &Head,
    body: Cursor<'_>,
    rows: &impl Texts,
) -> Result<Decoded, DecodeError> {
    let kind = head.open.kind;
    let account = head.open.account;
    let mut decoder = Decoder { cursor: body, rows, account, erased: None, turn: None };
    let (body, charges) = if is_disclosure(kind) {
        let (mut disclosed, charges) = decoder.disclosed()?;
        if matches!(kind, OBSERVED | OBSERVED_VALUES) {
            disclosed.observed = Some(decoder.observed()?);
        }
        if matches!(kind, DISCLOSED_VALUES | OBSERVED_VALUES) {
            disclosed.values = values::decode(&mut decoder.cursor, &disclosed.groups)?;
        }
        (Body::Disclosed(disclosed), Some(charges))
    } else {
        (Body::Noted(decoder.note(kind)?), None)
    };
    // An account that stands for nothing would be a second form of the same entry.
    if let Account::Shown(Some(_)) = decoder.account {
        return Err(DecodeError::Unknown);
    }
    let (erased, turn) = (decoder.erased, decoder.turn);
    decoder.cursor.end()?;
    let entry = Entry { sequence: head.sequence, time: head.time, body };
    Ok(Decoded { entry, charges, erased, turn })
}

fn is_disclosure(kind: u8) -> bool {
    matches!(kind, DISCLOSED | OBSERVED | DISCLOSED_VALUES | OBSERVED_VALUES)
}

/// What kind of entry it is, in words.
pub(crate) fn kind_name(kind: u8) -> Result<&'static str, DecodeError> {
    Ok(match kind {
        DISCLOSED | DISCLOSED_VALUES => "disclosed",
        2 => "logged_in",
        3 => "login_refused",
        4 => "logged_out",
        5 => "refused",
        6 => "suspended",
        7 => "resumed",
        8 => "found",
        9 => "configured",
        10 => "started",
        11 => "stopped",
        12 => "read",
        13 => "opened",
        14 => "asked",
        15 => "erased",
        16 => "person",
        17 => "approval",
        18 => "epoch",
        19 => "forgotten",
        OBSERVED | OBSERVED_VALUES => "observed",
        21 => "lost",
        24 => "case",
        25 => "complained",
        26 => "planted",
        27 => "decoy_hit",
        _ => return Err(DecodeError::Unknown),
    })
}

/// Reads a body, with the dictionary at hand.
struct Decoder<'a, T> {
    cursor: Cursor<'a>,
    rows: &'a T,
    /// What the head shows and the body has not taken yet.
    account: Account,
    erased: Option<u32>,
    turn: Option<Turn>,
}

impl<T: Texts> Decoder<'_, T> {
    fn lookup(&self, kind: Kind, number: u64) -> Result<Arc<str>, DecodeError> {
        self.rows.text(kind, u32::try_from(number).map_err(|_| DecodeError::Number)?)
    }

    fn name(&mut self) -> Result<Arc<str>, DecodeError> {
        let number = self.cursor.varint()?;
        self.lookup(Kind::Name, number)
    }

    /// The number of whose act it is.
    fn account(&mut self) -> Result<u32, DecodeError> {
        match self.account {
            Account::InBody => self.cursor.varint_u32(),
            Account::Shown(number) => {
                self.account = Account::Shown(None);
                number.ok_or(DecodeError::Unknown)
            }
        }
    }

    /// Whose act it is.
    fn acting(&mut self) -> Result<Actor, DecodeError> {
        let number = self.account()?;
        Ok(Actor::new(self.rows.text(Kind::Name, number)?))
    }

    fn actor(&mut self) -> Result<Actor, DecodeError> {
        Ok(Actor::new(self.name()?))
    }

    fn optional_name(&mut self) -> Result<Option<Arc<str>>, DecodeError> {
        let number = self.cursor.varint()?;
        number.checked_sub(1).map(|number| self.lookup(Kind::Name, number)).transpose()
    }

    fn fingerprint(&mut self) -> Result<StatementFingerprint, DecodeError> {
        Ok(StatementFingerprint(self.cursor.u64()?))
    }

    fn list<I>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<I, DecodeError>,
    ) -> Result<Vec<I>, DecodeError> {
        let count = self.cursor.count()?;
        // Not `with_capacity`: an item may be far larger in memory than its one byte here.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn disclosed(&mut self) -> Result<(Disclosed, Charges), DecodeError> {
        let actor = self.account()?;
        let mut charges = Charges { actor, ..Charges::default() };
        let disclosed = Disclosed {
            actor: Actor::new(self.rows.text(Kind::Name, actor)?),
            connection: self.cursor.varint()?,
            hold: self.cursor.varint()?,
            fingerprint: self.fingerprint()?,
            statement: self.name()?,
            claimed: self.optional_name()?,
            rows: self.cursor.varint()?,
            allowed: self.cursor.varint()?,
            stopped: stop(&mut self.cursor)?,
            groups: self.list(|decoder| decoder.group(&mut charges))?,
            lookups: self.list(Self::looked_up)?,
            observed: None,
            values: Vec::new(),
        };
        if lookups_are_charged(disclosed.stopped) {
            charges.lookups = disclosed.lookups.iter().map(|lookup| lookup.hit).collect();
        }
        charges.stop = disclosed.stopped_running();
        Ok((disclosed, charges))
    }

    fn group(&mut self, charges: &mut Charges) -> Result<Group, DecodeError> {
        let relation = self.name()?;
        let clear = self.list(Self::name)?;
        let masked = self.list(Self::name)?;
        let reason = match self.cursor.u8()? {
            0 => None,
            1 => Some(Reason { name: self.name()?, grade: Grade::Weak }),
            2 => Some(Reason { name: self.name()?, grade: Grade::Strong }),
            _ => return Err(DecodeError::Unknown),
        };
        let numbers = set::decode(&mut self.cursor)?;
        let subject = |&number| Ok(Subject::new(self.rows.text(Kind::Subject, number)?));
        let subjects = numbers.iter().map(subject).collect::<Result<_, _>>()?;
        let group = Group { relation, clear, masked, reason, subjects };
        charges.subjects.push((group.charged(), numbers));
        Ok(group)
    }

    fn observed(&mut self) -> Result<Observed, DecodeError> {
        Ok(Observed {
            rule: self.optional_name()?,
            masked: self.cursor.varint()?,
            unknown: self.cursor.bool()?,
        })
    }

    fn looked_up(&mut self) -> Result<LookedUp, DecodeError> {
        Ok(LookedUp {
            relation: self.name()?,
            column: self.name()?,
            hit: self.cursor.bool()?,
            search: self.cursor.array()?,
        })
    }
}

fn stop(cursor: &mut Cursor<'_>) -> Result<Option<Limit>, DecodeError> {
    if !cursor.bool()? {
        return Ok(None);
    }
    let counter = match cursor.u8()? {
        1 => Counter::ClearSubjects,
        2 => Counter::WeakSubjects,
        3 => Counter::MaskedSubjects,
        4 => Counter::Lookups,
        5 => Counter::LookupMisses,
        6 => Counter::Stops,
        _ => return Err(DecodeError::Unknown),
    };
    let window = Duration::from_micros(cursor.varint()?);
    Ok(Some(Limit { counter, window, max: cursor.varint()? }))
}

/// A statement that a limit on lookups stopped has its lookups in the entry, uncharged.
pub(crate) fn lookups_are_charged(stopped: Option<Limit>) -> bool {
    match stopped.map(|limit| limit.counter) {
        Some(Counter::Lookups | Counter::LookupMisses | Counter::Stops) => false,
        None | Some(Counter::ClearSubjects | Counter::WeakSubjects | Counter::MaskedSubjects) => {
            true
        }
    }
}

/// Writes one entry, numbering its texts.
pub(crate) struct Encoder<'a> {
    body: Vec<u8>,
    kind: u8,
    account: Option<u32>,
    pub(crate) dictionary: &'a mut Dictionary,
}

/// An entry as it is stored, and what its rows hash to.
pub(crate) struct Encoded {
    pub(crate) payload: Vec<u8>,
    pub(crate) binding: Option<Hash>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(dictionary: &'a mut Dictionary) -> Self {
        Self { body: Vec::with_capacity(128), kind: 0, account: None, dictionary }
    }

    /// The payload: head, then what was written so far.
    pub(crate) fn finish(self, sequence: u64, time: Timestamp) -> Encoded {
        let fresh = self.dictionary.take_fresh();
        let binding = (!fresh.is_empty()).then(|| binding(&fresh));
        let mut out = Vec::with_capacity(64 + self.body.len());
        out.extend_from_slice(&[VERSION, self.kind]);
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&time.0.to_le_bytes());
        put_varint(&mut out, self.account.map_or(0, |number| u64::from(number) + 1));
        put_varint(&mut out, fresh.len() as u64);
        if let Some(start) = binding.as_ref().and_then(|binding| binding.0.first_chunk::<4>()) {
            out.extend_from_slice(start);
        }
        out.extend_from_slice(&self.body);
        Encoded { payload: out, binding }
    }

    fn u8(&mut self, value: u8) {
        self.body.push(value);
    }

    fn varint(&mut self, value: u64) {
        put_varint(&mut self.body, value);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    fn fingerprint(&mut self, fingerprint: StatementFingerprint) {
        self.bytes(&fingerprint.0.to_le_bytes());
    }

    /// Whose act it is; it stands in the head.
    fn acting(&mut self, actor: &Actor) {
        self.account = Some(self.dictionary.name(actor.as_str()));
    }

    fn name(&mut self, text: &str) {
        let number = self.dictionary.name(text);
        self.varint(u64::from(number));
    }

    fn passing_name(&mut self, text: &str) {
        let number = self.dictionary.passing_name(text);
        self.varint(u64::from(number));
    }

    /// The number of a text, or what stands for there being none.
    fn optional(&mut self, number: Option<u32>) {
        self.varint(number.map_or(0, |number| u64::from(number) + 1));
    }

    fn names(&mut self, texts: &[Arc<str>]) {
        self.varint(texts.len() as u64);
        texts.iter().for_each(|text| self.name(text));
    }

    /// Writes a disclosure; `subjects` holds the numbers of each group's subjects.
    pub(crate) fn disclosed(&mut self, disclosed: &Disclosed, subjects: &[Vec<u32>]) {
        self.kind = match (disclosed.observed.is_some(), disclosed.values.is_empty()) {
            (false, true) => DISCLOSED,
            (true, true) => OBSERVED,
            (false, false) => DISCLOSED_VALUES,
            (true, false) => OBSERVED_VALUES,
        };
        self.acting(&disclosed.actor);
        self.varint(disclosed.connection);
        self.varint(disclosed.hold);
        self.fingerprint(disclosed.fingerprint);
        self.name(&disclosed.statement);
        let claimed = disclosed.claimed.as_deref();
        let claimed = claimed.map(|ticket| self.dictionary.passing_name(ticket));
        self.optional(claimed);
        self.varint(disclosed.rows);
        self.varint(disclosed.allowed);
        self.stop(disclosed.stopped);
        self.varint(disclosed.groups.len() as u64);
        for (group, numbers) in disclosed.groups.iter().zip(subjects) {
            self.group(group, numbers);
        }
        self.varint(disclosed.lookups.len() as u64);
        for lookup in &disclosed.lookups {
            self.name(&lookup.relation);
            self.name(&lookup.column);
            self.u8(lookup.hit.into());
            self.bytes(&lookup.search);
        }
        if let Some(observed) = &disclosed.observed {
            let rule = observed.rule.as_deref().map(|rule| self.dictionary.name(rule));
            self.optional(rule);
            self.varint(observed.masked);
            self.u8(observed.unknown.into());
        }
        if !disclosed.values.is_empty() {
            values::encode(&disclosed.values, &disclosed.groups, &mut self.body);
        }
    }

    fn stop(&mut self, stopped: Option<Limit>) {
        let Some(limit) = stopped else {
            return self.u8(0);
        };
        self.u8(1);
        self.u8(match limit.counter {
            Counter::ClearSubjects => 1,
            Counter::WeakSubjects => 2,
            Counter::MaskedSubjects => 3,
            Counter::Lookups => 4,
            Counter::LookupMisses => 5,
            Counter::Stops => 6,
        });
        self.varint(u64::try_from(limit.window.as_micros()).unwrap_or(u64::MAX));
        self.varint(limit.max);
    }

    fn group(&mut self, group: &Group, numbers: &[u32]) {
        self.name(&group.relation);
        self.names(&group.clear);
        self.names(&group.masked);
        match &group.reason {
            None => self.u8(0),
            Some(reason) => {
                self.u8(match reason.grade {
                    Grade::Weak => 1,
                    Grade::Strong => 2,
                });
                self.name(&reason.name);
            }
        }
        set::encode(numbers, &mut self.body);
    }
}
