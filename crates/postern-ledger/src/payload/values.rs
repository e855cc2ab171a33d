//! Keyed hashes of values in an entry: see "Values" in `docs/design/ledger.md`.

use crate::{
    Group, Values,
    bytes::{Cursor, DecodeError, put_varint},
};

/// As many columns of a group can have values.
pub(crate) const COLUMNS_MAX: usize = 64;

/// Appends values, which are in the order of their groups and subjects.
pub(super) fn encode(values: &[Values], groups: &[Group], out: &mut Vec<u8>) {
    put_varint(out, values.len() as u64);
    let mut at = 0;
    for one in values {
        let before = groups.iter().take(one.group).map(|group| group.subjects.len());
        let index = before.sum::<usize>() + one.subject;
        put_varint(out, index.saturating_sub(at) as u64);
        at = index;
        let bits = one.hashes.iter().map(|(column, _)| 1u64.checked_shl((*column).into()));
        put_varint(out, bits.flatten().fold(0, |all, bit| all | bit));
        one.hashes.iter().for_each(|(_, hash)| out.extend_from_slice(hash));
    }
}

pub(super) fn decode(
    cursor: &mut Cursor<'_>,
    groups: &[Group],
) -> Result<Vec<Values>, DecodeError> {
    let sizes = groups.iter().map(|group| (group.subjects.len() as u64, group.clear.len() as u64));
    let sizes: Vec<Size> = sizes.collect();
    let mut values: Vec<Values> = Vec::new();
    each(cursor, &sizes, |(group, subject), column, hash, is_first| {
        if is_first {
            values.push(Values { group, subject, hashes: Vec::new() });
        }
        if let Some(last) = values.last_mut() {
            last.hashes.push((column, *hash));
        }
    })?;
    Ok(values)
}

/// How many subjects a group has, and how many clear columns.
pub(super) type Size = (u64, u64);

/// Reads values, and whether they fit into groups of these sizes. `take` gets group and subject by
/// their places, the column, the hash, and whether it is the first of a new list.
pub(super) fn each(
    cursor: &mut Cursor<'_>,
    sizes: &[Size],
    mut take: impl FnMut((usize, usize), u8, &[u8; 6], bool),
) -> Result<(), DecodeError> {
    let count = cursor.count()?;
    if count == 0 {
        // That would be a second form of an entry without values.
        return Err(DecodeError::Unknown);
    }
    let mut sizes = sizes.iter().enumerate();
    let (mut group, mut size) = sizes.next().ok_or(DecodeError::Row)?;
    let mut subject = 0u64;
    for _ in 0..count {
        subject = subject.checked_add(cursor.varint()?).ok_or(DecodeError::Number)?;
        while subject >= size.0 {
            subject -= size.0;
            (group, size) = sizes.next().ok_or(DecodeError::Row)?;
        }
        let place = usize::try_from(subject).map_err(|_| DecodeError::Number)?;
        let mut bits = cursor.varint()?;
        if bits == 0 || (size.1 < COLUMNS_MAX as u64 && bits >> size.1 != 0) {
            return Err(DecodeError::Unknown);
        }
        let mut is_first = true;
        while bits != 0 {
            let column = u8::try_from(bits.trailing_zeros()).map_err(|_| DecodeError::Number)?;
            take((group, place), column, &cursor.array()?, is_first);
            bits &= bits - 1;
            is_first = false;
        }
    }
    Ok(())
}
