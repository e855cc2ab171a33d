//! Sets of record numbers in their smallest form.

use roaring::RoaringBitmap;

use crate::bytes::{Cursor, DecodeError, put_varint};

const GAPS: u8 = 1;
const ROARING: u8 = 2;
// 3 is kept for Elias-Fano.

/// Below this a bitmap's own header is longer than the gaps.
const BITMAP_WORTH_TRYING: usize = 8;

/// Appends a set; `numbers` ascend strictly.
pub(crate) fn encode(numbers: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    out.push(GAPS);
    put_varint(out, numbers.len() as u64);
    let mut next = 0;
    for &number in numbers {
        put_varint(out, u64::from(number).saturating_sub(next));
        next = u64::from(number) + 1;
    }
    if numbers.len() < BITMAP_WORTH_TRYING {
        return;
    }
    let mut bitmap: RoaringBitmap = numbers.iter().copied().collect();
    bitmap.optimize();
    let bytes = bitmap.serialized_size();
    let mut as_bitmap = vec![ROARING];
    put_varint(&mut as_bitmap, bytes as u64);
    if as_bitmap.len() + bytes < out.len() - start && bitmap.serialize_into(&mut as_bitmap).is_ok()
    {
        out.truncate(start);
        out.extend_from_slice(&as_bitmap);
    }
}

/// Reads a set, ascending.
pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Vec<u32>, DecodeError> {
    match cursor.u8()? {
        GAPS => {
            let count = cursor.count()?;
            let mut numbers = Vec::with_capacity(count);
            let mut next = 0u64;
            for _ in 0..count {
                let number = next.checked_add(cursor.varint()?).ok_or(DecodeError::Number)?;
                numbers.push(u32::try_from(number).map_err(|_| DecodeError::Number)?);
                next = number + 1;
            }
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
        _ => Err(DecodeError::Unknown),
    }
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
        assert!(bytes < 23_000, "{bytes} bytes");
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
            tag in 0..4u8,
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            bytes.insert(0, tag);
            if let Ok(numbers) = decode(&mut Cursor::new(&bytes)) {
                prop_assert!(numbers.is_sorted_by(|a, b| a < b));
            }
        }
    }
}
