//! Sets of record numbers in their smallest form.

use roaring::RoaringBitmap;

use crate::bytes::{Cursor, DecodeError, put_varint};

mod elias_fano;

const GAPS: u8 = 1;
const ROARING: u8 = 2;
const ELIAS_FANO: u8 = 3;

/// Below this the other forms are never shorter than the gaps.
const WORTH_TRYING: usize = 8;

/// Appends a set; `numbers` ascend strictly.
pub(crate) fn encode(numbers: &[u32], out: &mut Vec<u8>) {
    let mut best = gaps(numbers);
    if numbers.len() >= WORTH_TRYING {
        for other in [elias_fano::encode(numbers), bitmap(numbers, best.len())] {
            if let Some(other) = other.filter(|other| other.len() < best.len()) {
                best = other;
            }
        }
    }
    out.extend_from_slice(&best);
}

fn gaps(numbers: &[u32]) -> Vec<u8> {
    let mut out = vec![GAPS];
    put_varint(&mut out, numbers.len() as u64);
    let mut next = 0;
    for &number in numbers {
        put_varint(&mut out, u64::from(number).saturating_sub(next));
        next = u64::from(number) + 1;
    }
    out
}

/// The bitmap, if it is shorter than `shorter_than`.
fn bitmap(numbers: &[u32], shorter_than: usize) -> Option<Vec<u8>> {
    let mut bitmap: RoaringBitmap = numbers.iter().copied().collect();
    bitmap.optimize();
    let bytes = bitmap.serialized_size();
    let mut out = vec![ROARING];
    put_varint(&mut out, bytes as u64);
    let shorter = out.len() + bytes < shorter_than;
    (shorter && bitmap.serialize_into(&mut out).is_ok()).then_some(out)
}

/// Reads a set, ascending.
pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Vec<u32>, DecodeError> {
    match cursor.u8()? {
        GAPS => {
            let mut numbers = Vec::with_capacity(cursor.clone().count()?);
            gaps_in(cursor, |number| numbers.push(number))?;
            Ok(numbers)
        }
        ROARING => {
            let count = cursor.count()?;
            let mut bytes = cursor.take(count)?;
            let bitmap =
                RoaringBitmap::deserialize_from(&mut bytes).map_err(|_| DecodeError::Set)?;
            // A run of the whole range is 4 bytes long and four thousand million numbers: what no
            // writer wrote is refused before it is unpacked.
            if bitmap.len() > NUMBERS_MAX {
                return Err(DecodeError::Set);
            }
            if bytes.is_empty() { Ok(bitmap.iter().collect()) } else { Err(DecodeError::LeftOver) }
        }
        ELIAS_FANO => elias_fano::decode(cursor),
        _ => Err(DecodeError::Unknown),
    }
}

/// How many numbers a set has, and the largest if it has any, where the set is one that [`decode`]
/// reads. What is nearly always there, a few numbers as gaps, takes no memory.
pub(crate) fn skim(cursor: &mut Cursor<'_>) -> Result<(u64, Option<u32>), DecodeError> {
    let mut ahead = cursor.clone();
    if ahead.u8()? != GAPS {
        let numbers = decode(cursor)?;
        return Ok((numbers.len() as u64, numbers.last().copied()));
    }
    let mut count = 0;
    let last = gaps_in(&mut ahead, |_| count += 1)?;
    *cursor = ahead;
    Ok((count, last))
}

/// Reads the gaps behind their tag; the largest number, if there is any.
fn gaps_in(cursor: &mut Cursor<'_>, mut each: impl FnMut(u32)) -> Result<Option<u32>, DecodeError> {
    let mut last = None;
    let mut next = 0u64;
    for _ in 0..cursor.count()? {
        let number = next.checked_add(cursor.varint()?).ok_or(DecodeError::Number)?;
        let number32 = u32::try_from(number).map_err(|_| DecodeError::Number)?;
        each(number32);
        last = Some(number32);
        next = number + 1;
    }
    Ok(last)
}

/// How many records one set may hold.
pub(crate) const NUMBERS_MAX: u64 = 1 << 22;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn check_round_trip(numbers: &[u32]) -> usize {
        let mut out = Vec::new();
        encode(numbers, &mut out);
        let mut cursor = Cursor::new(&out);
        assert_eq!(decode(&mut cursor).unwrap(), numbers);
        cursor.end().unwrap();
        out.len()
    }

    #[test]
    fn a_range_takes_tens_of_bytes() {
        let bytes = check_round_trip(&(100_000..110_000).collect::<Vec<_>>());
        assert!(bytes < 40, "{bytes} bytes");
    }

    #[test]
    fn a_single_record_takes_at_most_seven_bytes() {
        assert_eq!(check_round_trip(&[]), 2);
        assert_eq!(check_round_trip(&[u32::MAX]), 7);
    }

    #[test]
    fn ten_thousand_random_records_of_twelve_million_take_little() {
        // A multiplicative walk spreads the numbers as well as chance does.
        let numbers: BTreeSet<u32> =
            (0..10_000u64).map(|i| (i * 7_654_321 % 11_999_989) as u32).collect();
        let bytes = check_round_trip(&numbers.iter().copied().collect::<Vec<_>>());
        assert!(bytes < 15_500, "{bytes} bytes");
    }

    #[test]
    fn each_form_is_taken_where_it_is_the_shortest() {
        let tag = |numbers: &[u32]| {
            let mut out = Vec::new();
            encode(numbers, &mut out);
            out[0]
        };
        let even: Vec<u32> = (0..100).map(|number| 1000 * number).collect();
        assert_eq!(tag(&[5, 6, 900]), GAPS);
        assert_eq!(tag(&(5_000..90_000).collect::<Vec<_>>()), ROARING);
        assert_eq!(tag(&even), ELIAS_FANO);
    }

    proptest! {
        #[test]
        fn a_set_is_read_back(
            numbers in prop::collection::btree_set(any::<u32>(), 0..300),
            dense in prop::collection::btree_set(0..2000u32, 0..600),
        ) {
            check_round_trip(&numbers.into_iter().collect::<Vec<_>>());
            check_round_trip(&dense.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(
            tag in 0..5u8,
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            bytes.insert(0, tag);
            let (mut one, mut other) = (Cursor::new(&bytes), Cursor::new(&bytes));
            let numbers = decode(&mut one);
            let known = |numbers: &Vec<u32>| (numbers.len() as u64, numbers.last().copied());
            let known = numbers.as_ref().map(known).map_err(|&error| error);
            prop_assert_eq!(skim(&mut other), known);
            if let Ok(numbers) = numbers {
                prop_assert!(numbers.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(one.len(), other.len());
            }
        }
    }
}
