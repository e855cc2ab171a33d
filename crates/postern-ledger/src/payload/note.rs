//! The stored form of notes: fields in the order of the type [`Note`].

use std::sync::Arc;

use postern_model::{Actor, Severity, Subject, Timestamp};

use super::{Decoder, Encoder, Texts};
use crate::{Found, Note, bytes::DecodeError, dictionary::Kind, epoch::Turn};

/// The ledger was put back with less than others had seen.
pub(crate) const LOST: u8 = 21;

impl Encoder<'_> {
    pub(super) fn text(&mut self, text: &str) {
        let number = self.dictionary.text(text);
        self.varint(u64::from(number));
    }

    fn actor(&mut self, actor: &Actor) {
        self.name(actor.as_str());
    }

    pub(crate) fn note(&mut self, note: &Note) {
        self.kind = match note {
            Note::LoggedIn { actor, connection, client } => {
                self.acting(actor);
                self.varint(*connection);
                self.passing_name(client);
                2
            }
            Note::LoginRefused { actor, client, why } => {
                self.acting(actor);
                self.passing_name(client);
                self.text(why);
                3
            }
            Note::LoggedOut { actor, connection } => self.logged_out(actor, *connection),
            Note::Refused { actor, connection, fingerprint, statement, rule } => {
                self.acting(actor);
                self.varint(*connection);
                self.fingerprint(*fingerprint);
                self.name(statement);
                self.name(rule);
                5
            }
            Note::Suspended { actor, by, why } => self.standing(6, actor, by, why),
            Note::Resumed { actor, by, why } => self.standing(7, actor, by, why),
            Note::Found(found) => self.found(found),
            Note::Configured { hash, by } => {
                self.bytes(hash);
                self.acting(by);
                9
            }
            Note::Started { version } => self.started(version),
            Note::Stopped => 11,
            Note::Read { by, what } => {
                self.acting(by);
                self.text(what);
                12
            }
            Note::Opened { actor, connection, relation, subject, fingerprint, statement } => {
                self.acting(actor);
                self.varint(*connection);
                self.name(relation);
                self.optional_subject(subject.as_ref());
                self.fingerprint(*fingerprint);
                self.name(statement);
                13
            }
            Note::Asked { by, actor, subject, since, until } => {
                self.acting(by);
                self.asked(actor.as_ref(), subject.as_ref(), [*since, *until])
            }
            Note::Erased { by, subject, why } => {
                let number = self.dictionary.subject(subject.as_str());
                self.erased(by, number, why)
            }
            Note::Person { actor, by, was, now } => self.person(actor, by, [was, now]),
            Note::Approval { actor, by, act, number, subject, until, why } => {
                self.approval((actor, by), (act, *number), (subject, *until), why)
            }
            Note::Lost { by, entries, seen, root, why } => {
                self.lost(by, [*entries, *seen], root, why)
            }
            Note::Epoch { number, commitment } => self.begun(*number, commitment),
            Note::Forgotten { by, before, until } => self.forgotten(by, *before, *until),
            Note::Case(act) => self.case(act),
            Note::Complained(told) => self.complained(told),
            Note::Planted(planted) => self.planted(planted),
            Note::DecoyHit(hit) => self.decoy_hit(hit),
        };
    }

    fn lost(&mut self, by: &Actor, sizes: [u64; 2], root: &[u8; 32], why: &str) -> u8 {
        self.acting(by);
        sizes.into_iter().for_each(|size| self.varint(size));
        self.bytes(root);
        self.text(why);
        LOST
    }

    fn begun(&mut self, epoch: u16, commitment: &[u8; 32]) -> u8 {
        self.varint(u64::from(epoch));
        self.bytes(commitment);
        18
    }

    fn forgotten(&mut self, by: &Actor, before: u16, until: Timestamp) -> u8 {
        self.acting(by);
        self.varint(u64::from(before));
        self.bytes(&until.0.to_le_bytes());
        19
    }

    /// Says that a customer's name was taken away, of which this is the number.
    pub(crate) fn erasure(&mut self, by: &Actor, number: u32, why: &str) {
        self.kind = self.erased(by, number, why);
    }

    fn erased(&mut self, by: &Actor, number: u32, why: &str) -> u8 {
        self.acting(by);
        self.varint(u64::from(number));
        self.text(why);
        15
    }

    fn standing(&mut self, kind: u8, actor: &Actor, by: &Actor, why: &str) -> u8 {
        self.acting(actor);
        self.actor(by);
        self.text(why);
        kind
    }

    fn logged_out(&mut self, actor: &Actor, connection: u64) -> u8 {
        self.acting(actor);
        self.varint(connection);
        4
    }

    fn started(&mut self, version: &str) -> u8 {
        self.name(version);
        10
    }

    fn person(&mut self, actor: &Actor, by: &Actor, texts: [&str; 2]) -> u8 {
        self.acting(actor);
        self.actor(by);
        for text in texts {
            let number = self.dictionary.lasting_text(text);
            self.varint(u64::from(number));
        }
        16
    }

    fn approval(
        &mut self,
        (actor, by): (&Actor, &Actor),
        (act, number): (&str, u64),
        (subject, until): (&Subject, Timestamp),
        why: &str,
    ) -> u8 {
        self.acting(actor);
        self.actor(by);
        self.name(act);
        self.varint(number);
        let subject = self.dictionary.subject(subject.as_str());
        self.varint(u64::from(subject));
        self.bytes(&until.0.to_le_bytes());
        self.text(why);
        17
    }

    fn optional_subject(&mut self, subject: Option<&Subject>) {
        let number = subject.map(|subject| self.dictionary.subject(subject.as_str()));
        self.optional(number);
    }

    fn asked(
        &mut self,
        actor: Option<&Actor>,
        subject: Option<&Subject>,
        [since, until]: [Option<Timestamp>; 2],
    ) -> u8 {
        let number = actor.map(|actor| self.dictionary.name(actor.as_str()));
        self.optional(number);
        self.optional_subject(subject);
        self.bound(since, i64::MIN);
        self.bound(until, i64::MAX);
        14
    }

    /// A moment, or what stands for there being none.
    fn bound(&mut self, bound: Option<Timestamp>, none: i64) {
        self.bytes(&bound.map_or(none, |time| time.0).to_le_bytes());
    }

    fn found(&mut self, found: &Found) -> u8 {
        self.bytes(&found.time.0.to_le_bytes());
        self.varint(found.actors.len() as u64);
        found.actors.iter().for_each(|actor| self.actor(actor));
        self.name(&found.kind);
        self.u8(match found.severity {
            Severity::Info => 0,
            Severity::Low => 1,
            Severity::Medium => 2,
            Severity::High => 3,
            Severity::Critical => 4,
        });
        self.u8(found.alert.into());
        self.bytes(&found.score.to_bits().to_le_bytes());
        self.varint(found.subjects_at_risk);
        self.varint(found.evidence.len() as u64);
        found.evidence.iter().for_each(|id| self.text(id));
        self.text(&found.why);
        8
    }
}

impl<T: Texts> Decoder<'_, T> {
    pub(super) fn text(&mut self) -> Result<Arc<str>, DecodeError> {
        let number = self.cursor.varint()?;
        self.lookup(Kind::Text, number)
    }

    fn optional_subject(&mut self) -> Result<Option<Subject>, DecodeError> {
        let number = self.cursor.varint()?;
        let text = number.checked_sub(1).map(|number| self.lookup(Kind::Subject, number));
        Ok(text.transpose()?.map(Subject::new))
    }

    pub(super) fn note(&mut self, kind: u8) -> Result<Note, DecodeError> {
        // Fields are evaluated in the order in which they are written here.
        Ok(match kind {
            2 => Note::LoggedIn {
                actor: self.acting()?,
                connection: self.cursor.varint()?,
                client: self.name()?,
            },
            3 => Note::LoginRefused {
                actor: self.acting()?,
                client: self.name()?,
                why: self.text()?,
            },
            4 => Note::LoggedOut { actor: self.acting()?, connection: self.cursor.varint()? },
            5 => Note::Refused {
                actor: self.acting()?,
                connection: self.cursor.varint()?,
                fingerprint: self.fingerprint()?,
                statement: self.name()?,
                rule: self.name()?,
            },
            6 => Note::Suspended { actor: self.acting()?, by: self.actor()?, why: self.text()? },
            7 => Note::Resumed { actor: self.acting()?, by: self.actor()?, why: self.text()? },
            8 => Note::Found(self.found()?),
            9 => Note::Configured { hash: self.cursor.array()?, by: self.acting()? },
            10 => Note::Started { version: self.name()? },
            11 => Note::Stopped,
            12 => Note::Read { by: self.acting()?, what: self.text()? },
            13 => Note::Opened {
                actor: self.acting()?,
                connection: self.cursor.varint()?,
                relation: self.name()?,
                subject: self.optional_subject()?,
                fingerprint: self.fingerprint()?,
                statement: self.name()?,
            },
            14 => Note::Asked {
                by: self.acting()?,
                actor: self.optional_name()?.map(Actor::new),
                subject: self.optional_subject()?,
                since: self.bound(i64::MIN)?,
                until: self.bound(i64::MAX)?,
            },
            15 => Note::Erased {
                by: self.acting()?,
                subject: self.erased_subject()?,
                why: self.text()?,
            },
            16 => Note::Person {
                actor: self.acting()?,
                by: self.actor()?,
                was: self.text()?,
                now: self.text()?,
            },
            17 => self.decided()?,
            18 => self.epoch()?,
            19 => self.forgotten()?,
            LOST => self.lost()?,
            _ => self.investigation(kind)?,
        })
    }

    fn decided(&mut self) -> Result<Note, DecodeError> {
        Ok(Note::Approval {
            actor: self.acting()?,
            by: self.actor()?,
            act: self.name()?,
            number: self.cursor.varint()?,
            subject: self.subject()?,
            until: Timestamp(self.cursor.i64()?),
            why: self.text()?,
        })
    }

    fn lost(&mut self) -> Result<Note, DecodeError> {
        Ok(Note::Lost {
            by: self.acting()?,
            entries: self.cursor.varint()?,
            seen: self.cursor.varint()?,
            root: self.cursor.array()?,
            why: self.text()?,
        })
    }

    fn epoch_number(&mut self) -> Result<u16, DecodeError> {
        u16::try_from(self.cursor.varint()?).map_err(|_| DecodeError::Number)
    }

    fn epoch(&mut self) -> Result<Note, DecodeError> {
        let (number, commitment) = (self.epoch_number()?, self.cursor.array()?);
        self.turn = Some(Turn::Begun { epoch: number, commitment });
        Ok(Note::Epoch { number, commitment })
    }

    fn forgotten(&mut self) -> Result<Note, DecodeError> {
        let by = self.acting()?;
        let (before, until) = (self.epoch_number()?, Timestamp(self.cursor.i64()?));
        self.turn = Some(Turn::Forgotten { before, until });
        Ok(Note::Forgotten { by, before, until })
    }

    fn bound(&mut self, none: i64) -> Result<Option<Timestamp>, DecodeError> {
        let time = self.cursor.i64()?;
        Ok((time != none).then_some(Timestamp(time)))
    }

    pub(super) fn subject(&mut self) -> Result<Subject, DecodeError> {
        let number = self.cursor.varint()?;
        self.lookup(Kind::Subject, number).map(Subject::new)
    }

    fn erased_subject(&mut self) -> Result<Subject, DecodeError> {
        let number = self.cursor.varint_u32()?;
        self.erased = Some(number);
        Ok(Subject::new(self.rows.text(Kind::Subject, number)?))
    }

    fn found(&mut self) -> Result<Found, DecodeError> {
        Ok(Found {
            time: Timestamp(self.cursor.i64()?),
            actors: self.list(Self::actor)?,
            kind: self.name()?,
            severity: match self.cursor.u8()? {
                0 => Severity::Info,
                1 => Severity::Low,
                2 => Severity::Medium,
                3 => Severity::High,
                4 => Severity::Critical,
                _ => return Err(DecodeError::Unknown),
            },
            alert: self.cursor.bool()?,
            score: f64::from_bits(self.cursor.u64()?),
            subjects_at_risk: self.cursor.varint()?,
            evidence: self.list(Self::text)?,
            why: self.text()?,
        })
    }
}
