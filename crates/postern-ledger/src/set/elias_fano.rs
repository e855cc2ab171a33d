//! Elias-Fano: of each number the low bits as they are, the high bits as the lengths of steps. Near
//! the least that a random set can take, whatever its density. See "Entries" in
//! `docs/design/ledger.md`.

use super::{ELIAS_FANO, NUMBERS_MAX};
use crate::bytes::{Cursor, DecodeError, put_varint};

/// How many low bits are kept as they are: as many as halve the mean step until it is below two.
fn low_bits(count: u64, last: u32) -> u32 {
    ((u64::from(last) + 1) / count.max(1)).checked_ilog2().unwrap_or(0)
}

/// The lengths of both halves, in bits.
fn lengths(count: u64, last: u32, low: u32) -> (u64, u64) {
    (count * u64::from(low), count + (u64::from(last) >> low))
}

/// The whole set, with its tag; `None` for the empty one. `numbers` ascend strictly.
pub(super) fn encode(numbers: &[u32]) -> Option<Vec<u8>> {
    let (&last, count) = (numbers.last()?, numbers.len() as u64);
    let low = low_bits(count, last);
    let (low_len, high_len) = lengths(count, last, low);
    let (mut lows, mut highs) = (Bits::zero(low_len), Bits::zero(high_len));
    for (index, &number) in (0..).zip(numbers) {
        for bit in (0..low).filter(|bit| number >> bit & 1 == 1) {
            lows.set(index * u64::from(low) + u64::from(bit));
        }
        highs.set((u64::from(number) >> low) + index);
    }
    let mut out = vec![ELIAS_FANO];
    put_varint(&mut out, count);
    put_varint(&mut out, u64::from(last));
    out.extend_from_slice(&lows.bytes);
    out.extend_from_slice(&highs.bytes);
    Some(out)
}

/// Reads what follows the tag.
pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Vec<u32>, DecodeError> {
    let (count, last) = (cursor.varint()?, cursor.varint_u32()?);
    if count == 0 || count > NUMBERS_MAX {
        return Err(DecodeError::Set);
    }
    let low = low_bits(count, last);
    let (low_len, high_len) = lengths(count, last, low);
    let lows = Bits::read(cursor, low_len)?;
    let highs = Bits::read(cursor, high_len)?;
    let mut numbers: Vec<u32> = Vec::new();
    for position in highs.ones() {
        let index = numbers.len() as u64;
        let high = (position - index) << low;
        let number = high | lows.number(index * u64::from(low), low);
        let number = u32::try_from(number).map_err(|_| DecodeError::Set)?;
        if numbers.last().is_some_and(|&before| before >= number) {
            return Err(DecodeError::Set);
        }
        numbers.push(number);
    }
    let whole = numbers.len() as u64 == count && numbers.last() == Some(&last);
    if whole { Ok(numbers) } else { Err(DecodeError::Set) }
}

/// Bits, the lowest of the first byte first.
struct Bits {
    bytes: Vec<u8>,
}

impl Bits {
    fn zero(len: u64) -> Self {
        Self { bytes: vec![0; usize::try_from(len.div_ceil(8)).unwrap_or(0)] }
    }

    fn read(cursor: &mut Cursor<'_>, len: u64) -> Result<Self, DecodeError> {
        let count = usize::try_from(len.div_ceil(8)).map_err(|_| DecodeError::Short)?;
        let bits = Self { bytes: cursor.take(count)?.to_vec() };
        // A set has one form: what fills the last byte is zero.
        let padding = bits.number(len, u32::try_from(count as u64 * 8 - len).unwrap_or(0));
        if padding == 0 { Ok(bits) } else { Err(DecodeError::Set) }
    }

    fn set(&mut self, position: u64) {
        let byte = usize::try_from(position / 8).ok().and_then(|at| self.bytes.get_mut(at));
        if let Some(byte) = byte {
            *byte |= 1 << (position % 8);
        }
    }

    fn get(&self, position: u64) -> u64 {
        let byte = usize::try_from(position / 8).ok().and_then(|at| self.bytes.get(at));
        u64::from(byte.copied().unwrap_or(0) >> (position % 8) & 1)
    }

    fn number(&self, from: u64, width: u32) -> u64 {
        (0..width).fold(0, |number, bit| number | self.get(from + u64::from(bit)) << bit)
    }

    /// Where the ones are.
    fn ones(&self) -> impl Iterator<Item = u64> {
        (0..).zip(&self.bytes).flat_map(|(index, &byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| 8 * index + bit)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u32>, DecodeError> {
        let mut cursor = Cursor::new(&bytes[1..]);
        let numbers = decode(&mut cursor)?;
        cursor.end()?;
        Ok(numbers)
    }

    proptest! {
        #[test]
        fn a_set_is_read_back_and_has_one_form(
            numbers in prop::collection::btree_set(any::<u32>(), 1..300),
            mask in any::<u32>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let numbers: std::collections::BTreeSet<u32> =
                numbers.into_iter().map(|number| number & mask).collect();
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let bytes = encode(&numbers).unwrap();
            prop_assert_eq!(read(&bytes).unwrap(), numbers);
            let mut changed = bytes.clone();
            let bit = flip.index(8 * (bytes.len() - 1)) + 8;
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(others) = read(&changed) {
                prop_assert_eq!(encode(&others).unwrap(), changed);
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_are_read_back() {
        for numbers in [vec![0], vec![u32::MAX], vec![0, u32::MAX], (0..4096).collect()] {
            assert_eq!(read(&encode(&numbers).unwrap()).unwrap(), numbers);
        }
        assert!(encode(&[]).is_none());
    }
}
