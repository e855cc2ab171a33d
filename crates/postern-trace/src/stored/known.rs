//! What a tracer knows, wherever it lies.

use std::{borrow::Cow, collections::BTreeMap};

use postern_model::{Subject, Text, Timestamp};

use super::{
    code::Decoder,
    store::{BySubject, Keyed},
};
use crate::{
    background::at,
    field::Field,
    resolve::Resolved,
    tracer::{Tracer, Version},
};

impl Tracer {
    pub(crate) fn subject_number(&self, subject: &Subject) -> Option<u32> {
        match &self.stored {
            Some(stored) => {
                numbers(&stored.numbers.find(&stored.store, subject.as_str().as_bytes())?).next()
            }
            None => self.subjects.find(subject),
        }
    }

    pub(crate) fn subject_name(&self, number: u32) -> Option<Subject> {
        match &self.stored {
            Some(stored) => stored.text(stored.subjects, number).map(Subject::new),
            None => self.subjects.name(number).cloned(),
        }
    }

    /// How many customers are known.
    pub(crate) fn customers(&self) -> usize {
        let stored = self.stored.as_ref().map(|stored| stored.subjects.count);
        stored.map_or(self.subjects.names.len(), |count| usize::try_from(count).unwrap_or(0))
    }

    pub(crate) fn has_accesses(&self) -> bool {
        self.stored.as_ref().map_or(!self.accesses.is_empty(), |s| s.accesses.count > 0)
    }

    /// The id of an access.
    pub(crate) fn access_id(&self, access: u32) -> Option<Text> {
        match &self.stored {
            Some(stored) => stored.text(stored.accesses, access),
            None => self.accesses.get(at(access)).cloned(),
        }
    }

    /// The ticket that was claimed as the reason of an access.
    pub(crate) fn claim(&self, access: u32) -> Option<Text> {
        match &self.stored {
            Some(stored) => stored.text(stored.claims, access)?.strip_prefix('=').map(Text::from),
            None => self.claims.get(at(access)).cloned().flatten(),
        }
    }

    /// The customers who ever had a value.
    pub(crate) fn with_value(&self, field: Field, key: &str) -> Vec<u32> {
        match &self.stored {
            Some(stored) => stored.numbers_of(stored.values, &value_key(field, key)),
            None => {
                let known = self.by_value.get(&(field, key.to_owned()));
                known.into_iter().flatten().copied().collect()
            }
        }
    }

    /// The customers who ever had a value with this start or end.
    pub(crate) fn with_near(&self, field: Field, at_start: bool, key: &str) -> Cow<'_, [u32]> {
        match &self.stored {
            Some(stored) => {
                Cow::Owned(stored.numbers_of(stored.near, &near_key(field, at_start, key)))
            }
            None => {
                let known = self.near.get(&(field, at_start, key.to_owned()));
                Cow::Borrowed(known.map(Vec::as_slice).unwrap_or_default())
            }
        }
    }

    /// The versions of a customer's field, in the order of time.
    pub(crate) fn versions_of(&self, subject: u32, field: Field) -> Cow<'_, [Version]> {
        let Some(stored) = &self.stored else {
            let known = self.versions.get(&(subject, field));
            return Cow::Borrowed(known.map(Vec::as_slice).unwrap_or_default());
        };
        let found = stored.versions.find(&stored.store, &version_key(subject, field));
        let found = found.unwrap_or_default();
        let mut versions = Vec::new();
        let mut rest = Decoder(&found);
        while let (Some(time), Some(text)) = (rest.number(), rest.text()) {
            versions.push((Timestamp(time.cast_signed()), text.to_owned()));
        }
        Cow::Owned(versions)
    }

    /// By field, of how many customers any value is known.
    pub(crate) fn valued(&self) -> BTreeMap<Field, usize> {
        if let Some(stored) = &self.stored {
            return stored.valued.clone();
        }
        let mut known: BTreeMap<Field, usize> = BTreeMap::new();
        for (_, field) in self.versions.keys() {
            *known.entry(*field).or_default() += 1;
        }
        known
    }

    pub(crate) fn has_versions(&self) -> bool {
        self.stored.as_ref().map_or(!self.versions.is_empty(), |stored| !stored.valued.is_empty())
    }

    /// Has what lies elsewhere of the listed customers at hand.
    pub(crate) fn look_at(&mut self, by_subject: &BySubject, list: &Resolved) {
        let mut of = by_subject.keep(list.rows.iter().map(|row| row.subject));
        let pools = self.stored.iter_mut().flat_map(|stored| &mut stored.pool_sets);
        for (source, set) in (0_u32..).zip(self.seen.iter_mut().chain(pools)) {
            set.look_at(of.remove(&source).unwrap_or_default());
        }
    }
}

impl super::Stored {
    fn text(&self, table: super::store::Numbered, number: u32) -> Option<Text> {
        let bytes = table.of(&self.store, number)?;
        std::str::from_utf8(&bytes).ok().map(Text::from)
    }

    fn numbers_of(&self, table: Keyed, key: &[u8]) -> Vec<u32> {
        table.find(&self.store, key).map(|found| numbers(&found).collect()).unwrap_or_default()
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(u32::from_le_bytes)
}

pub(super) fn value_key(field: Field, key: &str) -> Vec<u8> {
    [&[field.bit()], key.as_bytes()].concat()
}

pub(super) fn near_key(field: Field, at_start: bool, key: &str) -> Vec<u8> {
    [&[field.bit(), u8::from(at_start)], key.as_bytes()].concat()
}

pub(super) fn version_key(subject: u32, field: Field) -> Vec<u8> {
    [&[field.bit()][..], &subject.to_le_bytes()].concat()
}
