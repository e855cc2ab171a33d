//! Numbers and texts to bytes and back; all numbers are little endian.

use crate::source::Seen;

/// Bytes of one reading: the number of its customer or source, its time, access and marks.
pub(crate) const READING: usize = 17;
const WEAK: u8 = 0x10;
const LISTED: u8 = 0x20;

/// Writes numbers and texts one behind the other.
#[derive(Debug, Default)]
pub(super) struct Encoder(pub(super) Vec<u8>);

impl Encoder {
    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    pub(super) fn float(&mut self, value: f64) {
        self.number(value.to_bits());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend(value);
    }

    pub(super) fn numbers(&mut self, values: impl ExactSizeIterator<Item = u64>) {
        self.count(values.len());
        values.for_each(|value| self.number(value));
    }

    pub(super) fn floats(&mut self, values: &[f64]) {
        self.numbers(values.iter().map(|value| value.to_bits()));
    }
}

/// Reads what an [`Encoder`] wrote; `None` where it is not there.
#[derive(Debug)]
pub(super) struct Decoder<'b>(pub(super) &'b [u8]);

impl<'b> Decoder<'b> {
    fn take(&mut self, many: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(many)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(super) fn float(&mut self) -> Option<f64> {
        self.number().map(f64::from_bits)
    }

    pub(super) fn bytes(&mut self) -> Option<&'b [u8]> {
        let many = self.count()?;
        self.take(many)
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn numbers(&mut self) -> Option<Vec<u64>> {
        let many = self.count()?;
        let all = self.take(many.checked_mul(8)?)?;
        Some(all.chunks_exact(8).map(number).collect())
    }

    pub(super) fn floats(&mut self) -> Option<Vec<f64>> {
        Some(self.numbers()?.into_iter().map(f64::from_bits).collect())
    }
}

/// Eight bytes as a number.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// A reading, with the number of its customer or of its source.
pub(super) fn reading(number: u32, seen: &Seen) -> [u8; READING] {
    let marks = |is: bool, bit: u8| if is { bit } else { 0 };
    let mut bytes = [0; READING];
    let parts = [&number.to_le_bytes()[..], &seen.time.to_le_bytes(), &seen.access.to_le_bytes()];
    let marks = seen.shown | marks(seen.weak, WEAK) | marks(seen.listed, LISTED);
    let all = parts.into_iter().flatten().copied().chain([marks]);
    bytes.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
    bytes
}

/// The readings that stand there, each with its number; the customer is left at 0.
pub(crate) fn readings(bytes: &[u8]) -> impl Iterator<Item = (u32, Seen)> {
    bytes.chunks_exact(READING).filter_map(|one| {
        let (number, rest) = one.split_first_chunk::<4>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (access, rest) = rest.split_first_chunk::<4>()?;
        let marks = rest.first().copied()?;
        let seen = Seen {
            subject: 0,
            time: i64::from_le_bytes(*time),
            access: u32::from_le_bytes(*access),
            shown: marks & crate::field::Field::ALL_BITS,
            weak: marks & WEAK != 0,
            listed: marks & LISTED != 0,
        };
        Some((u32::from_le_bytes(*number), seen))
    })
}

/// A number in as few bytes as it needs, seven bits each.
pub(crate) fn push_short(to: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        to.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).unwrap_or(0));
}

/// The numbers that [`push_short`] wrote.
pub(crate) fn shorts(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = bytes.iter();
    std::iter::from_fn(move || {
        let (mut value, mut shift) = (0_u32, 0);
        loop {
            let byte = *rest.next()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte < 0x80 {
                return Some(value);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_and_short_numbers_come_back() {
        for (weak, listed) in [(false, true), (true, false)] {
            let seen = Seen { subject: 0, time: -5, access: u32::MAX, shown: 9, weak, listed };
            let bytes = reading(77, &seen);
            assert_eq!(readings(&bytes).collect::<Vec<_>>(), [(77, seen)]);
        }
        let numbers = [0, 1, 127, 128, 300, u32::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| push_short(&mut bytes, *number));
        assert_eq!(shorts(&bytes).collect::<Vec<_>>(), numbers);
    }
}
