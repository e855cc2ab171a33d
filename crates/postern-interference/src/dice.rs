//! Where all randomness comes from: numbers that a seed decides and that can be played again.
//!
//! Everything that is drawn is remembered. A shrinker makes a list smaller and plays it again: a
//! draw from an exhausted list is 0, and generators put what is simplest at 0.

/// A source of numbers.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
    /// What is played again instead of being drawn.
    replay: Option<Vec<u32>>,
    drawn: Vec<u32>,
}

impl Dice {
    /// Numbers that hang on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, replay: None, drawn: Vec::new() }
    }

    /// The same dice for the same pair, others for another.
    pub fn of_pair(seed: u64, index: u64) -> Self {
        let mut one = Self::new(seed);
        let salt = one.next();
        Self::new(salt ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Numbers that were drawn before, or a part of them.
    pub fn again(drawn: Vec<u32>) -> Self {
        Self { state: 0, replay: Some(drawn), drawn: Vec::new() }
    }

    /// All numbers drawn so far.
    pub fn into_drawn(self) -> Vec<u32> {
        self.drawn
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
        let fresh = u32::try_from((self.next() >> 32) % u64::from(bound)).unwrap_or(0);
        let value = match &self.replay {
            None => fresh,
            Some(old) => old.get(self.drawn.len()).copied().unwrap_or(0).min(bound - 1),
        };
        self.drawn.push(value);
        usize::try_from(value).unwrap_or(0)
    }

    /// True in `percent` of cases; the simplest is false.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent.min(100)
    }

    /// One of `items`; the first is the simplest.
    pub fn pick<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        let index = self.below(items.len());
        &items[index]
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
