//! Whether a value is what somebody was shown of a customer, by the hashes in the entries.
//!
//! A leaked value need not be what stands in the database today. Where entries have hashes of what
//! was shown ("Values" in `docs/design/ledger.md`), a value that somebody brings is hashed in the
//! same way and compared. Where to start: [`saw_value`].

use std::{path::Path, sync::Arc};

use postern_model::{Actor, Secret, Subject, Timestamp, value_digest};

use crate::{
    About, Body, Damage, DamageKind, Disclosed, Entry, Index, IndexError, Question, Values,
    dictionary::{Rows, StoredRow},
    disk::{Disk, Folder},
    epoch::{Keys, key_name},
    frame::LedgerId,
    identity,
    payload::Decoded,
    scan::Scan,
    values::ValueKey,
};

/// Whether somebody was shown a value of a customer.
#[derive(Debug, Clone)]
pub struct ValueQuestion {
    pub subject: Subject,
    /// By this account only.
    pub actor: Option<Actor>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// The value, in each form in which it may have been sent.
    pub forms: Vec<Secret<Vec<u8>>>,
}

/// What an entry says of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The entry.
    pub sequence: u64,
    pub time: Timestamp,
    pub actor: Actor,
    pub relation: Arc<str>,
    /// Clear columns in which that value stood.
    pub same: Vec<Arc<str>>,
    /// Those in which there were others only.
    pub other: Vec<Arc<str>>,
    /// Those of which the entry has no hash.
    pub unknown: Vec<Arc<str>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SawError {
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The key that the hashes were made with is not there.
    #[error("without `{file}` nobody can say what the hashes of values stand for")]
    NoKey {
        /// The key's file.
        file: String,
    },
}

impl From<Damage> for SawError {
    fn from(damage: Damage) -> Self {
        Self::Index(damage.into())
    }
}

/// What each entry says that shows columns of the customer in clear, in the order of the ledger,
/// and before which moment the ledger names no customer any more. Without the ledger's key, or
/// with `scan`, it is read out of the whole ledger.
pub fn saw_value(
    folder: &Path,
    question: &ValueQuestion,
    scan: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Vec<Told>, Option<Timestamp>), SawError> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::new(folder));
    if !scan {
        match Index::open(folder, progress) {
            Ok(mut index) => {
                let about = About::Subject(question.subject.clone());
                let (since, until) = (question.since, question.until);
                let (entries, rows) = index.entries_with(&Question { about, since, until })?;
                let keys = Keys::load(&*disk).map_err(|error| unreadable(folder, error))?;
                let mut tester = Tester::new(&*disk, question);
                tester.learn(&rows, &keys)?;
                let told = entries.iter().map(|entry| tester.told(entry));
                let told = told.collect::<Result<Vec<_>, _>>()?.concat();
                return Ok((told, index.past_retention()));
            }
            Err(IndexError::NoKey) => {}
            Err(error) => return Err(error.into()),
        }
    }
    from_log(disk, question)
}

fn unreadable(folder: &Path, error: std::io::Error) -> IndexError {
    IndexError::Io { path: folder.to_owned(), error }
}

fn from_log(
    disk: Arc<dyn Disk>,
    question: &ValueQuestion,
) -> Result<(Vec<Told>, Option<Timestamp>), SawError> {
    let key = identity::verifying_key(&*disk)?;
    let rows = Rows::watching(question.subject.as_str());
    let mut scan = Scan::open(disk.clone(), LedgerId::new(&key), rows)?;
    let mut tester = Tester::new(&*disk, question);
    let mut told = Vec::new();
    while let Some((decoded, _)) = scan.next()? {
        if scan.rows().watched().len() > tester.known.len() {
            tester.learn(scan.rows().watched(), scan.keys())?;
        }
        told.extend(tester.told(&decoded)?);
    }
    Ok((told, scan.stage().past_retention()))
}

/// A number of the customer, and what values are hashed with there.
struct Known {
    number: u32,
    salt: [u8; 16],
    /// `None`: it is not there, so that nothing can be said.
    key: Option<ValueKey>,
    file: String,
}

struct Tester<'a> {
    disk: &'a dyn Disk,
    question: &'a ValueQuestion,
    known: Vec<Known>,
}

impl<'a> Tester<'a> {
    fn new(disk: &'a dyn Disk, question: &'a ValueQuestion) -> Self {
        Self { disk, question, known: Vec::new() }
    }

    /// Takes the customer's rows, of which those up to now are known.
    fn learn(&mut self, rows: &[StoredRow], keys: &Keys) -> Result<(), SawError> {
        for row in rows.iter().skip(self.known.len()) {
            let (key, file) = match row.epoch {
                // It could not have been opened else.
                Some(epoch) => {
                    let key = keys.key(epoch).ok().map(|key| ValueKey::new(key.as_bytes()));
                    (key, key_name(epoch))
                }
                None => (own_key(self.disk)?, identity::KEY.to_owned()),
            };
            self.known.push(Known { number: row.number, salt: row.salt, key, file });
        }
        Ok(())
    }

    /// What an entry says of the customer.
    fn told(&self, decoded: &Decoded) -> Result<Vec<Told>, SawError> {
        let Decoded { entry, charges: Some(charges), .. } = decoded else { return Ok(Vec::new()) };
        let Entry { sequence, time, body: Body::Disclosed(disclosed) } = entry else {
            return Ok(Vec::new());
        };
        let ValueQuestion { actor, since, until, .. } = self.question;
        let asked = actor.as_ref().is_none_or(|actor| *actor == disclosed.actor)
            && since.is_none_or(|since| *time >= since)
            && until.is_none_or(|until| *time < until);
        let mut told = Vec::new();
        for (index, (_, numbers)) in charges.subjects.iter().enumerate().filter(|_| asked) {
            let Some(group) = disclosed.groups.get(index) else { continue };
            let place = |known: &&Known| numbers.binary_search(&known.number).is_ok();
            let Some(known) = self.known.iter().find(place) else { continue };
            let Ok(place) = numbers.binary_search(&known.number) else { continue };
            // A masked column shows nothing.
            if group.clear.is_empty() {
                continue;
            }
            let [same, other, unknown] = self.compared(disclosed, (index, place), known)?;
            let (actor, relation) = (disclosed.actor.clone(), group.relation.clone());
            let (sequence, time) = (*sequence, *time);
            told.push(Told { sequence, time, actor, relation, same, other, unknown });
        }
        Ok(told)
    }

    /// Clear columns of a group in which the value stood, another, and of which that is not known.
    fn compared(
        &self,
        disclosed: &Disclosed,
        (group, subject): (usize, usize),
        known: &Known,
    ) -> Result<[Vec<Arc<str>>; 3], SawError> {
        let [mut same, mut other, mut unknown] = [const { Vec::new() }; 3];
        let of = |values: &&Values| (values.group, values.subject) == (group, subject);
        let values: Vec<_> = disclosed.values.iter().filter(of).collect();
        let columns = disclosed.groups.get(group).map(|group| (&group.relation, &group.clear));
        let Some((relation, columns)) = columns else { return Ok([same, other, unknown]) };
        for (at, column) in columns.iter().enumerate() {
            let hashes = values.iter().flat_map(|values| &values.hashes);
            let hashes = hashes.filter(|(place, _)| usize::from(*place) == at);
            let hashes: Vec<_> = hashes.map(|(_, hash)| *hash).collect();
            if hashes.is_empty() {
                unknown.push(column.clone());
                continue;
            }
            let file = || known.file.clone();
            let key = known.key.as_ref().ok_or_else(|| SawError::NoKey { file: file() })?;
            let is_it = self.question.forms.iter().any(|form| {
                let digest = value_digest(relation, column, form.expose());
                hashes.contains(&key.hash(&known.salt, digest.expose()))
            });
            if is_it { same.push(column.clone()) } else { other.push(column.clone()) }
        }
        Ok([same, other, unknown])
    }
}

/// What hashes are made with where no epoch has begun; an auditor's copy does not have it.
fn own_key(disk: &dyn Disk) -> Result<Option<ValueKey>, Damage> {
    let verifying = identity::verifying_key(disk)?;
    match identity::key_and_seed(disk, &verifying) {
        Ok((_, seed)) => Ok(Some(ValueKey::new(&seed))),
        Err(Damage { kind: DamageKind::Missing | DamageKind::Unreadable(_), .. }) => Ok(None),
        Err(damage) => Err(damage),
    }
}
