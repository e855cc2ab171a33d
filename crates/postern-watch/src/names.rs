//! Names as numbers: everything that is looked up for each access is an index into a list.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use postern_model::Text;

/// A map that is never iterated where order could matter; its hasher has no random key, so that
/// two runs do the same.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// A hasher of names: eight bytes at a time are folded in by a multiplication. Without a random key
/// no hasher withstands somebody who picks names so that they collide; these are given by the
/// systems that are watched, not by those who are.
#[derive(Debug, Default)]
pub(crate) struct Fold(u64);

impl Fold {
    fn fold(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.fold(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.fold(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.fold(u64::from(value));
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }
}

/// No such thing.
pub(crate) const NONE: u32 = u32::MAX;

/// Texts and their numbers, in the order in which they were first met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: Map<Text, u32>,
    texts: Vec<Text>,
}

impl Names {
    /// The text's number; a new one if it was not met before.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(NONE);
        let text: Text = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(NONE)
    }

    pub(crate) fn known(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    pub(crate) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("?", |text| text)
    }
}
