/// Numbers that look random and are the same in every run: SplitMix64 (Steele, Lea, Flood, "Fast
/// splittable pseudorandom number generators", 2014). Not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// One of them; there is at least one.
    pub(super) fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }

    /// So many different ones, or all of them, in a random order.
    pub(super) fn some_of<T: Clone>(&mut self, things: &[T], number: usize) -> Vec<T> {
        let mut things = things.to_vec();
        let number = number.min(things.len());
        for index in 0..number {
            let other = index + self.below(things.len() - index);
            things.swap(index, other);
        }
        things.truncate(number);
        things
    }
}
