//! The stored form of what people do with findings: fields in the order of the types.

use postern_model::Timestamp;

use super::{Decoder, Encoder, Texts};
use crate::{CaseAct, Complained, DecoyHit, Note, Planted, bytes::DecodeError};

impl Encoder<'_> {
    pub(super) fn case(&mut self, act: &CaseAct) -> u8 {
        self.acting(&act.by);
        self.varint(act.number);
        self.name(&act.act);
        self.names(&act.kinds);
        self.names(&act.roles);
        self.text(&act.why);
        24
    }

    pub(super) fn complained(&mut self, told: &Complained) -> u8 {
        self.acting(&told.by);
        let subject = self.dictionary.subject(told.subject.as_str());
        self.varint(u64::from(subject));
        self.bytes(&told.at.0.to_le_bytes());
        self.name(&told.kind);
        self.names(&told.fields);
        self.text(&told.caller);
        25
    }

    pub(super) fn planted(&mut self, planted: &Planted) -> u8 {
        self.acting(&planted.by);
        self.bytes(&planted.digest);
        self.varint(planted.count);
        26
    }

    pub(super) fn decoy_hit(&mut self, hit: &DecoyHit) -> u8 {
        self.acting(&hit.by);
        let subject = self.dictionary.subject(hit.subject.as_str());
        self.varint(u64::from(subject));
        self.name(&hit.how);
        self.text(&hit.why);
        27
    }
}

// Fields are evaluated in the order in which they are written here.
impl<T: Texts> Decoder<'_, T> {
    pub(super) fn investigation(&mut self, kind: u8) -> Result<Note, DecodeError> {
        Ok(match kind {
            24 => Note::Case(self.case()?),
            25 => Note::Complained(self.complained()?),
            26 => Note::Planted(self.planted()?),
            27 => Note::DecoyHit(self.decoy_hit()?),
            _ => return Err(DecodeError::Unknown),
        })
    }

    fn case(&mut self) -> Result<CaseAct, DecodeError> {
        Ok(CaseAct {
            by: self.acting()?,
            number: self.cursor.varint()?,
            act: self.name()?,
            kinds: self.list(Self::name)?,
            roles: self.list(Self::name)?,
            why: self.text()?,
        })
    }

    fn complained(&mut self) -> Result<Complained, DecodeError> {
        Ok(Complained {
            by: self.acting()?,
            subject: self.subject()?,
            at: Timestamp(self.cursor.i64()?),
            kind: self.name()?,
            fields: self.list(Self::name)?,
            caller: self.text()?,
        })
    }

    fn planted(&mut self) -> Result<Planted, DecodeError> {
        Ok(Planted {
            by: self.acting()?,
            digest: self.cursor.array()?,
            count: self.cursor.varint()?,
        })
    }

    fn decoy_hit(&mut self) -> Result<DecoyHit, DecodeError> {
        Ok(DecoyHit {
            by: self.acting()?,
            subject: self.subject()?,
            how: self.name()?,
            why: self.text()?,
        })
    }
}
