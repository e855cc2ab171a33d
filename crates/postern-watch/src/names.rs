//! Names as numbers: everything that is looked up for each access is an index into a list.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use postern_model::Text;

use crate::ahead::fetch;

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

/// A text as 32 bits, for an [`Index`].
pub(crate) fn tag(text: &str) -> u32 {
    let mut fold = Fold::default();
    fold.write(text.as_bytes());
    fold.fold(text.len() as u64);
    u32::try_from(fold.finish() >> 32).unwrap_or(0)
}

/// Numbers by the tags of their names. The names themselves are kept elsewhere, once, which is half
/// of the memory that a map of names takes; and what is looked for is found with one look into a
/// large table. Open addressing with linear probing, and without tombstones: Knuth, "The Art of
/// Computer Programming", volume 3, 6.4, algorithms L and R.
#[derive(Debug, Default)]
pub(crate) struct Index {
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    number: u32,
}

const EMPTY: Slot = Slot { tag: 0, number: NONE };

impl Index {
    /// The number with that tag of which `is` says that it is the one.
    pub(crate) fn find(&self, tag: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.home(tag);
        loop {
            let slot = self.slots.get(place).filter(|slot| slot.number != NONE)?;
            if slot.tag == tag && is(slot.number) {
                return Some(slot.number);
            }
            place = self.after(place);
        }
    }

    /// The number that stands where one with that tag is looked for at first.
    pub(crate) fn guess(&self, tag: u32) -> u32 {
        self.slots.get(self.home(tag)).map_or(NONE, |slot| slot.number)
    }

    /// Adds a number, which is not there yet and not [`NONE`].
    pub(crate) fn add(&mut self, tag: u32, number: u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let larger = vec![EMPTY; (self.slots.len() * 2).max(16)];
            let old = std::mem::replace(&mut self.slots, larger);
            old.into_iter().filter(|slot| slot.number != NONE).for_each(|slot| self.put(slot));
        }
        self.put(Slot { tag, number });
        self.used += 1;
    }

    fn put(&mut self, new: Slot) {
        let mut place = self.home(new.tag);
        while self.slots.get(place).is_some_and(|slot| slot.number != NONE) {
            place = self.after(place);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = new;
        }
    }

    /// Takes a number out, if it is there.
    pub(crate) fn remove(&mut self, tag: u32, number: u32) {
        let mut hole = self.home(tag);
        loop {
            match self.slots.get(hole) {
                Some(slot) if slot.number == number => break,
                Some(slot) if slot.number != NONE => hole = self.after(hole),
                _ => return,
            }
        }
        self.used -= 1;
        let mut next = hole;
        loop {
            next = self.after(next);
            let Some(slot) = self.slots.get(next).copied() else { return };
            if slot.number == NONE {
                break;
            }
            // What would not be found any more behind an empty slot moves into it.
            let home = self.home(slot.tag);
            let stays = match hole < next {
                true => hole < home && home <= next,
                false => hole < home || home <= next,
            };
            if !stays {
                self.slots.swap(hole, next);
                hole = next;
            }
        }
        if let Some(slot) = self.slots.get_mut(hole) {
            *slot = EMPTY;
        }
    }

    fn home(&self, tag: u32) -> usize {
        usize::try_from((u64::from(tag) * self.slots.len() as u64) >> 32).unwrap_or(0)
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.slots.len() { 0 } else { place + 1 }
    }
}

/// Texts and their numbers, in the order in which they were first met.
#[derive(Debug, Default)]
pub(crate) struct Names {
    index: Index,
    texts: Vec<Text>,
}

impl Names {
    /// The text's number; a new one if it was not met before.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let tag = tag(text);
        if let Some(number) = self.find(tag, text) {
            return number;
        }
        let number = self.count();
        self.texts.push(text.into());
        self.index.add(tag, number);
        number
    }

    /// Has what is looked into for these texts be fetched.
    pub(crate) fn expect<'a>(&self, texts: impl Iterator<Item = &'a str>) {
        let tags: Vec<u32> = texts.map(tag).collect();
        let numbers: Vec<u32> = tags.into_iter().map(|tag| self.index.guess(tag)).collect();
        let text = |number: u32| self.texts.get(number as usize);
        fetch(numbers.into_iter(), |number| u32::try_from(text(number)?.len()).ok());
    }

    fn find(&self, tag: u32, text: &str) -> Option<u32> {
        self.index.find(tag, |number| self.texts.get(number as usize).is_some_and(|is| is == text))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(NONE)
    }

    pub(crate) fn known(&self, text: &str) -> Option<u32> {
        self.find(tag(text), text)
    }

    pub(crate) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("?", |text| text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_index_finds_what_is_in_it_and_nothing_else_whatever_was_taken_out() {
        // Few different tags, so that most collide.
        for tags in [3, 40, 1 << 30] {
            let tag = |number: u32| (number.wrapping_mul(0x9e37_79b9) % tags) * (u32::MAX / tags);
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for turn in 0..3_000_u32 {
                let number = turn.wrapping_mul(0x85eb_ca6b) % 300;
                if model.remove(&number).is_some() {
                    index.remove(tag(number), number);
                } else {
                    index.add(tag(number), number);
                    model.insert(number, ());
                }
                index.remove(tag(1_000), 1_000);
                assert_eq!(index.used, model.len());
            }
            for number in 0..300 {
                let found = index.find(tag(number), |other| other == number);
                assert_eq!(found.is_some(), model.contains_key(&number), "{tags} {number}");
            }
        }
    }

    #[test]
    fn names_have_numbers_in_the_order_in_which_they_were_met() {
        let mut names = Names::default();
        for number in 0..1_000 {
            assert_eq!(names.known(&format!("name{number}")), None);
            assert_eq!(names.number(&format!("name{number}")), number);
        }
        assert!((0..1_000).all(|number| names.number(&format!("name{number}")) == number));
        assert_eq!((names.count(), names.text(17)), (1_000, "name17"));
    }
}
