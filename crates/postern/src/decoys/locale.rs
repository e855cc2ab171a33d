//! People who do not exist, as they are called in a country, with numbers that nobody has.

use rand::{Rng, seq::IndexedRandom as _};

/// Names and numbers of a country.
#[derive(Debug)]
pub(crate) struct Locale {
    pub(crate) name: &'static str,
    given: &'static [&'static str],
    family: &'static [&'static str],
    /// What numbers begin with, how many digits follow, and from which to which.
    prefix: &'static str,
    digits: usize,
    first: u32,
    last: u32,
}

/// The ranges are set aside by the country's authority for films and books, so that no subscriber
/// ever has one.
pub(crate) const LOCALES: [Locale; 4] = [
    // North American Numbering Plan: 555-0100 to 555-0199.
    Locale {
        name: "en-US",
        given: &[
            "James", "Mary", "Robert", "Patricia", "Michael", "Linda", "David", "Karen", "Daniel",
            "Nancy", "Kevin", "Donna", "Brian", "Carol", "Jason", "Michelle", "Ryan", "Amanda",
        ],
        family: &[
            "Miller", "Davis", "Garcia", "Wilson", "Anderson", "Moore", "Jackson", "Harris",
            "Clark", "Lewis", "Walker", "Young", "Nelson", "Hill", "Campbell", "Mitchell",
            "Carter", "Roberts",
        ],
        prefix: "+1 202 555 ",
        digits: 4,
        first: 100,
        last: 199,
    },
    // Ofcom, telephone numbers for drama use: 07700 900000 to 900999.
    Locale {
        name: "en-GB",
        given: &[
            "Oliver", "Amelia", "Harry", "Isla", "George", "Emily", "Jack", "Sophie", "Thomas",
            "Grace", "William", "Lucy", "Edward", "Alice", "Samuel", "Chloe", "Joseph", "Hannah",
        ],
        family: &[
            "Taylor", "Evans", "Hughes", "Green", "Hall", "Wood", "Clarke", "Turner", "Cooper",
            "Ward", "Morris", "Bailey", "Bennett", "Shaw", "Murphy", "Reid", "Palmer", "Holmes",
        ],
        prefix: "+44 7700 900",
        digits: 3,
        first: 0,
        last: 999,
    },
    // Post- och telestyrelsen: 070-1740605 to 070-1740699.
    Locale {
        name: "sv-SE",
        given: &[
            "Erik", "Anna", "Lars", "Karin", "Anders", "Eva", "Johan", "Maria", "Per", "Kristina",
            "Nils", "Sara", "Oskar", "Elin", "Gustav", "Ida", "Axel", "Maja",
        ],
        family: &[
            "Lindberg",
            "Bergstrom",
            "Lundgren",
            "Sandberg",
            "Forsberg",
            "Holm",
            "Nyman",
            "Ek",
            "Wallin",
            "Hedlund",
            "Sundin",
            "Blom",
            "Norberg",
            "Dahl",
            "Ekstrand",
            "Strand",
            "Ahl",
            "Roos",
        ],
        prefix: "+46 70 1740",
        digits: 3,
        first: 605,
        last: 699,
    },
    // ACMA, numbers for use in creative works: (02) 5550 0000 to 9999.
    Locale {
        name: "en-AU",
        given: &[
            "Jack",
            "Charlotte",
            "Noah",
            "Olivia",
            "Liam",
            "Mia",
            "Lachlan",
            "Ruby",
            "Cooper",
            "Zoe",
            "Angus",
            "Matilda",
            "Hamish",
            "Georgia",
            "Flynn",
            "Imogen",
            "Riley",
            "Tahlia",
        ],
        family: &[
            "Nguyen", "Kelly", "Ryan", "Murray", "Fraser", "Burns", "Wallace", "Doyle", "Barker",
            "Hayes", "Webb", "Gibbs", "Lawson", "Pryor", "Quinn", "Sutton", "Thorne", "Yates",
        ],
        prefix: "+61 2 5550 ",
        digits: 4,
        first: 0,
        last: 9_999,
    },
];

impl Locale {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        LOCALES.iter().find(|locale| locale.name == name)
    }

    /// How many numbers there are.
    pub(crate) fn numbers(&self) -> usize {
        (self.last - self.first + 1) as usize
    }

    /// Given and family name.
    pub(crate) fn person(&self, chance: &mut impl Rng) -> (&'static str, &'static str) {
        let one = |names: &'static [&'static str], chance: &mut _| {
            names.choose(chance).copied().unwrap_or_default()
        };
        (one(self.given, chance), one(self.family, chance))
    }

    /// The number at that place of the range.
    pub(crate) fn phone(&self, place: usize) -> String {
        let digits = self.digits;
        format!("{}{:0digits$}", self.prefix, self.first as usize + place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_the_range_that_is_set_aside() {
        let ends = LOCALES.iter().map(|l| (l.phone(0), l.phone(l.numbers() - 1)));
        let ends: Vec<(String, String)> = ends.collect();
        let expected = [
            ("+1 202 555 0100", "+1 202 555 0199"),
            ("+44 7700 900000", "+44 7700 900999"),
            ("+46 70 1740605", "+46 70 1740699"),
            ("+61 2 5550 0000", "+61 2 5550 9999"),
        ];
        for (found, expected) in ends.iter().zip(expected) {
            assert_eq!((found.0.as_str(), found.1.as_str()), expected);
        }
    }
}
