//! Changes inputs a little, in the same way for the same seed.

/// Small and good enough: SplitMix64, as its authors published it.
#[derive(Debug, Clone)]
pub struct Mutator(u64);

/// Bytes that are lengths, counts, types or ends of strings more often than others.
const LIKELY: [u8; 24] = *b"\0\x01\x02\x03\x04\x05\x07\x08\x7f\x80\xfe\xffDTCZEQPBSdK1";

impl Mutator {
    /// The same seed gives the same changes.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number below that one; 0 where there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        usize::try_from(mixed.checked_rem(limit).unwrap_or(0)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        if self.below(2) == 0 {
            LIKELY.get(self.below(LIKELY.len())).copied().unwrap_or_default()
        } else {
            u8::try_from(self.below(256)).unwrap_or_default()
        }
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// One to four changes; parts of `other` may be put in.
    pub fn change(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = at + self.below(bytes.len() + 1 - at).min(32);
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => {
                    bytes.drain(at..end);
                }
                2 => {
                    let again = bytes.get(at..end).unwrap_or_default().to_vec();
                    bytes.splice(at..at, again);
                }
                3 => {
                    let from = self.below(other.len() + 1);
                    let to = from + self.below(other.len() + 1 - from).min(64);
                    let part = other.get(from..to).unwrap_or_default().to_vec();
                    bytes.splice(at..at, part);
                }
                4 => {
                    let byte = self.byte();
                    bytes.insert(at, byte);
                }
                _ => {
                    let byte = self.byte();
                    if let Some(changed) = bytes.get_mut(at) {
                        *changed = byte;
                    }
                }
            }
        }
        bytes
    }
}
