//! The reader's half of the dictionary: the rows that entries have brought so far.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use roaring::RoaringBitmap;

use super::{Kind, NameDigest, SALT_BYTES, StoredRow};
use crate::{
    bytes::DecodeError,
    payload::{Account, Head, Texts},
};

/// What a reader keeps of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Keep {
    /// All texts.
    #[default]
    Texts,
    /// All texts, and which customers were there in earlier epochs, for who goes on writing.
    Earlier,
    /// How many there are, which is enough to verify, whatever the dictionary's length.
    Counts,
}

/// The reader's half: texts by number.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(super) subjects: Column,
    pub(super) names: Column,
    texts: Column,
    keep: Keep,
    /// What stands for each text that is not kept.
    blank: Arc<str>,
    /// How many customers and names there were when the present epoch began.
    pub(super) epoch_start: [u32; 2],
    pub(super) earlier: HashMap<Arc<str>, Earlier>,
    /// The first number of each customer who has several.
    first: HashMap<u32, u32>,
    /// The numbers of names that are sealed.
    pub(super) passing: BTreeSet<u32>,
    /// A customer whose rows are kept as they are stored, and those rows.
    watched: Option<(Arc<str>, Vec<StoredRow>)>,
    /// Salts of the customers of the present epoch, if they are kept.
    pub(super) subject_salts: Option<Vec<[u8; SALT_BYTES]>>,
    /// The names that are kept for ever, of those that came since the pass began.
    lasting: HashSet<NameDigest>,
    /// The numbers of the other names.
    fleeting: RoaringBitmap,
}

/// Why a row can't be the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotNext {
    /// It has another number than the next of its kind.
    Number,
    /// It is of a name that has a row already.
    Twice,
}

#[derive(Debug, Default)]
pub(super) struct Column {
    len: u32,
    /// `None`: erased. Empty if texts are not kept.
    pub(super) texts: Vec<Option<Arc<str>>>,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn keeping(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    /// The same, of who goes on writing hashes of values.
    pub(crate) fn with_salts(self) -> Self {
        Self { subject_salts: Some(Vec::new()), ..self }
    }

    /// All texts, and the rows of a customer as they are stored.
    pub(crate) fn watching(subject: &str) -> Self {
        Self { watched: Some((subject.into(), Vec::new())), ..Self::default() }
    }

    /// The rows of the customer who is watched.
    pub(crate) fn watched(&self) -> &[StoredRow] {
        self.watched.as_ref().map(|(_, rows)| rows.as_slice()).unwrap_or_default()
    }

    fn column(&self, kind: Kind) -> &Column {
        match kind {
            Kind::Subject => &self.subjects,
            Kind::Name => &self.names,
            Kind::Text => &self.texts,
        }
    }

    /// As if so many of each kind had been taken, of which no text is known.
    pub(crate) fn counted([subjects, names, texts]: [u32; 3]) -> Self {
        let column = |len| Column { len, texts: Vec::new() };
        Self {
            subjects: column(subjects),
            names: column(names),
            texts: column(texts),
            ..Self::keeping(Keep::Counts)
        }
    }

    /// Forgets the names of subjects.
    pub(crate) fn erase(&mut self, subjects: &BTreeSet<u32>) {
        for (number, text) in (0..).zip(&mut self.subjects.texts) {
            if subjects.contains(&number) {
                *text = None;
            }
        }
    }

    /// Whether a subject's name is there.
    pub(crate) fn has_name_of(&self, subject: u32) -> bool {
        let index = usize::try_from(subject).ok();
        index.and_then(|index| self.subjects.texts.get(index)).is_some_and(Option::is_some)
    }

    /// Whether the name of any of the first customers, so many, is there.
    pub(crate) fn has_name_before(&self, subjects: u32) -> bool {
        let count = usize::try_from(subjects).unwrap_or(usize::MAX);
        self.subjects.texts.iter().take(count).any(Option::is_some)
    }

    /// Forgets the names of the first customers, so many, and who was last there before that
    /// epoch.
    pub(crate) fn forget(&mut self, subjects: u32, epoch: u16) {
        let count = usize::try_from(subjects).unwrap_or(usize::MAX);
        self.subjects.texts.iter_mut().take(count).for_each(|text| *text = None);
        self.earlier.retain(|_, earlier| earlier.last >= epoch);
    }

    /// What comes from now on belongs to the epoch behind that one.
    pub(crate) fn end_epoch(&mut self, epoch: u16) {
        if self.keep == Keep::Earlier {
            let [first, _] = self.epoch_start;
            let start = usize::try_from(first).unwrap_or(usize::MAX);
            let texts = self.subjects.texts.get(start..).unwrap_or_default();
            let of_epoch = (first..).zip(texts);
            let of_epoch = of_epoch.filter_map(|(number, text)| Some((text.clone()?, number)));
            to_earlier(&mut self.earlier, of_epoch, epoch);
        }
        self.subject_salts.iter_mut().for_each(Vec::clear);
        self.epoch_start = [self.subjects.len, self.names.len];
    }

    /// The number that budgets count a customer by.
    pub(crate) fn counted_as(&self, subject: u32) -> u32 {
        self.first.get(&subject).copied().unwrap_or(subject)
    }

    /// How many there are of each kind: subjects, names, texts.
    pub(crate) fn counts(&self) -> [u32; 3] {
        [self.subjects.len, self.names.len, self.texts.len]
    }

    /// Whether the account in an entry's head is a name that is kept for ever, if there is one. Of
    /// names that came before the pass began it is not known, and they count as such.
    pub(crate) fn has_account_of(&self, head: &Head) -> bool {
        match head.open.account {
            Account::Shown(Some(name)) => !self.fleeting.contains(name),
            Account::Shown(None) | Account::InBody => true,
        }
    }

    /// Takes the next row, if it can be that.
    pub(crate) fn push(&mut self, row: StoredRow) -> Result<(), NotNext> {
        if self.keep == Keep::Earlier && row.epoch.is_some() {
            self.note_sealed(&row);
        }
        if let (Kind::Subject, Some(salts)) = (row.kind, &mut self.subject_salts) {
            salts.push(row.salt);
        }
        if let (Kind::Subject, Some((name, rows))) = (row.kind, &mut self.watched)
            && row.text.as_ref() == Some(name)
        {
            rows.push(row.clone());
        }
        if self.column(row.kind).len != row.number {
            return Err(NotNext::Number);
        }
        if row.kind == Kind::Name {
            self.note_name(&row)?;
        }
        let column = match row.kind {
            Kind::Subject => &mut self.subjects,
            Kind::Name => &mut self.names,
            Kind::Text => &mut self.texts,
        };
        column.len = column.len.saturating_add(1);
        if self.keep != Keep::Counts {
            column.texts.push(row.text);
        }
        Ok(())
    }

    /// A name has one number, so that whoever asks for an account's acts gets all of them.
    fn note_name(&mut self, row: &StoredRow) -> Result<(), NotNext> {
        match row.name {
            Some(name) if !self.lasting.insert(name) => return Err(NotNext::Twice),
            Some(_) => {}
            None => {
                self.fleeting.insert(row.number);
            }
        }
        Ok(())
    }

    fn note_sealed(&mut self, row: &StoredRow) {
        let earlier = row.text.as_ref().and_then(|text| self.earlier.get(text));
        match (row.kind, earlier) {
            (Kind::Subject, Some(earlier)) => {
                self.first.insert(row.number, earlier.first);
            }
            (Kind::Name, _) => {
                self.passing.insert(row.number);
            }
            (Kind::Subject, None) | (Kind::Text, _) => {}
        }
    }
}

impl Texts for Rows {
    /// What a number stands for; of an erased row no more than that it was erased.
    fn text(&self, kind: Kind, number: u32) -> Result<Arc<str>, DecodeError> {
        let column = self.column(kind);
        if number >= column.len {
            return Err(DecodeError::Row);
        }
        if self.keep == Keep::Counts {
            return Ok(self.blank.clone());
        }
        let text = usize::try_from(number).ok().and_then(|index| column.texts.get(index));
        let text = text.ok_or(DecodeError::Row)?;
        Ok(text.clone().unwrap_or_else(|| format!("erased {number}").into()))
    }
}

/// A customer of earlier epochs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier {
    /// The number that budgets count it by: the first that it had.
    pub(super) first: u32,
    /// The last epoch that it was in.
    pub(super) last: u16,
}

/// Takes those whom an epoch had to those of earlier ones.
pub(super) fn to_earlier(
    earlier: &mut HashMap<Arc<str>, Earlier>,
    subjects: impl Iterator<Item = (Arc<str>, u32)>,
    epoch: u16,
) {
    for (subject, first) in subjects {
        earlier.entry(subject).or_insert(Earlier { first, last: epoch }).last = epoch;
    }
}
