//! Whether a disclosure decodes, without making anything of it.
//!
//! Who verifies a ledger wants to know no more than that. [`skim`] takes no memory, and needs no
//! dictionary: it says which rows have to be there. Where it is in any doubt it says nothing, and
//! the entry is decoded, which says what is wrong. Only disclosures are looked at, which are nearly
//! all entries.

use super::{
    DISCLOSED_VALUES, Head, OBSERVED, OBSERVED_VALUES, VERSION, is_disclosure, stop,
    values::{self, Size},
};
use crate::{
    bytes::{Cursor, DecodeError},
    set,
};

/// The dictionary rows that have to be there: one more than the largest number that is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Named {
    subjects: u64,
    names: u64,
}

impl Named {
    /// Whether they are among so many rows.
    pub(crate) fn are_in(self, [subjects, names, _]: [u32; 3]) -> bool {
        self.subjects <= subjects.into() && self.names <= names.into()
    }
}

/// What a payload names, if it is one that decodes wherever those rows are there.
pub(crate) fn skim(payload: &[u8]) -> Option<Named> {
    let mut cursor = Cursor::new(payload);
    let open = Head::decode(&mut cursor).ok()?.open;
    let mut skimmer =
        Skimmer { cursor, named: Named::default(), sizes: [(0, 0); SIZES], groups: 0 };
    let super::Account::Shown(Some(account)) = open.account else { return None };
    skimmer.row(account.into());
    if open.version != VERSION || !is_disclosure(open.kind) {
        return None;
    }
    skimmer.disclosed().ok()?;
    if matches!(open.kind, OBSERVED | OBSERVED_VALUES) {
        skimmer.observed().ok()?;
    }
    if matches!(open.kind, DISCLOSED_VALUES | OBSERVED_VALUES) {
        skimmer.values()?;
    }
    skimmer.cursor.end().ok()?;
    Some(skimmer.named)
}

/// Of so many groups the sizes are known; entries with values have few.
const SIZES: usize = 16;

struct Skimmer<'a> {
    cursor: Cursor<'a>,
    named: Named,
    sizes: [Size; SIZES],
    groups: usize,
}

/// As those of [`super::Decoder`], field by field.
impl Skimmer<'_> {
    fn row(&mut self, name: u64) {
        self.named.names = self.named.names.max(name.saturating_add(1));
    }

    fn name(&mut self) -> Result<(), DecodeError> {
        let number = self.cursor.varint()?;
        self.row(number);
        Ok(())
    }

    fn optional_name(&mut self) -> Result<(), DecodeError> {
        if let Some(number) = self.cursor.varint()?.checked_sub(1) {
            self.row(number);
        }
        Ok(())
    }

    fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        (0..self.cursor.count()?).try_for_each(|_| item(self))
    }

    fn disclosed(&mut self) -> Result<(), DecodeError> {
        // Connection, hold and fingerprint.
        self.cursor.varint()?;
        self.cursor.varint()?;
        self.cursor.u64()?;
        self.name()?;
        self.optional_name()?;
        // Rows asked for and allowed.
        self.cursor.varint()?;
        self.cursor.varint()?;
        stop(&mut self.cursor)?;
        self.list(Self::group)?;
        self.list(Self::looked_up)
    }

    fn group(&mut self) -> Result<(), DecodeError> {
        self.name()?;
        let clear = self.cursor.clone().varint()?;
        self.list(Self::name)?;
        self.list(Self::name)?;
        match self.cursor.u8()? {
            0 => {}
            1 | 2 => self.name()?,
            _ => return Err(DecodeError::Unknown),
        }
        let (count, last) = set::skim(&mut self.cursor)?;
        if let Some(last) = last {
            self.named.subjects = self.named.subjects.max(u64::from(last) + 1);
        }
        if let Some(size) = self.sizes.get_mut(self.groups) {
            *size = (count, clear);
        }
        self.groups += 1;
        Ok(())
    }

    fn looked_up(&mut self) -> Result<(), DecodeError> {
        self.name()?;
        self.name()?;
        self.cursor.bool()?;
        self.cursor.array::<8>().map(drop)
    }

    fn values(&mut self) -> Option<()> {
        let sizes = self.sizes.get(..self.groups)?;
        values::each(&mut self.cursor, sizes, |_, _, _, _| ()).ok()
    }

    fn observed(&mut self) -> Result<(), DecodeError> {
        self.optional_name()?;
        self.cursor.varint()?;
        self.cursor.bool().map(drop)
    }
}
