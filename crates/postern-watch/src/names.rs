//! Names as numbers: everything that is looked up for each access is an index into a list.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::BuildHasherDefault,
    sync::Arc,
};

/// A map that is never iterated where order could matter; its hasher has no random key, so that
/// two runs do the same.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// No such thing.
pub(crate) const NONE: u32 = u32::MAX;

/// Texts and their numbers, in the order in which they were first met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: Map<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Names {
    /// The text's number; a new one if it was not met before.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(NONE);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        number
    }

    pub(crate) fn known(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    pub(crate) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("?", |text| text)
    }
}
