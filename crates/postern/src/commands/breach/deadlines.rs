//! Until when whom has to be told: dated data, and no legal advice.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::Context as _;
use postern_model::Timestamp;
use serde::Deserialize;

use crate::cli::Told;

const OWN: &str = include_str!("deadlines.toml");
const HOUR: Duration = Duration::from_secs(3_600);

/// See `deadlines.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deadlines {
    /// When it was written down.
    pub(super) written: String,
    pub(super) rules: Vec<Rules>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) name: String,
    places: Vec<String>,
    pub(super) source: String,
    authority: Duty,
    persons: Duty,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Duty {
    hours: Option<u32>,
    days: Option<u32>,
    business_days: Option<u32>,
    #[serde(default)]
    pub(super) who: String,
    pub(super) says: String,
}

impl Deadlines {
    /// Those in the file, or those that come with Postern.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return toml::from_str(OWN).context("the deadlines that come with Postern");
        };
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("can't read `{}`", path.display()))?;
        toml::from_str(&text).with_context(|| format!("`{}` has no deadlines", path.display()))
    }

    /// The rules for a place: its own, or those of its country.
    pub(super) fn of(&self, place: &str) -> Option<&Rules> {
        let place = place.trim().to_uppercase();
        let exact = self.rules.iter().find(|rules| rules.places.contains(&place));
        let country = place.split('-').next().unwrap_or_default();
        exact.or_else(|| self.rules.iter().find(|rules| rules.places.iter().any(|p| p == country)))
    }

    /// How many of these places have each rules, and how many have none.
    pub(super) fn sorted<'p>(
        &self,
        places: impl Iterator<Item = (&'p str, usize)>,
    ) -> (BTreeMap<&str, usize>, BTreeMap<String, usize>) {
        let (mut found, mut none) = (BTreeMap::new(), BTreeMap::new());
        for (place, count) in places {
            match self.of(place) {
                Some(rules) => *found.entry(rules.name.as_str()).or_default() += count,
                None => *none.entry(place.trim().to_owned()).or_default() += count,
            }
        }
        (found, none)
    }
}

impl Rules {
    pub(super) fn duty(&self, told: Told) -> &Duty {
        match told {
            Told::Authority => &self.authority,
            Told::Persons => &self.persons,
        }
    }
}

impl Duty {
    /// When the time is over; `None` where the law names none.
    pub(super) fn due(&self, aware: Timestamp) -> Option<Timestamp> {
        if let Some(hours) = self.hours {
            return Some(aware.after(HOUR * hours));
        }
        if let Some(days) = self.days {
            return Some(aware.after(HOUR * 24 * days));
        }
        let mut left = self.business_days?;
        let mut due = aware;
        while left > 0 {
            due = due.after(HOUR * 24);
            // Day 0 of 1970 was a Thursday.
            let is_weekend = matches!((due.day() + 3).rem_euclid(7), 5 | 6);
            left -= u32::from(!is_weekend);
        }
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(rules: &str, told: Told, aware: &str) -> Option<String> {
        let all = Deadlines::read(None).unwrap();
        let rules = all.rules.iter().find(|of| of.name == rules).unwrap();
        let due = rules.duty(told).due(postern_feed::parse_time(aware).unwrap());
        due.map(|due| due.to_string())
    }

    #[test]
    fn times_run_from_when_somebody_became_aware() {
        let check = |rules, told, aware, expected: Option<&str>| {
            assert_eq!(due(rules, told, aware).as_deref(), expected, "{rules}");
        };
        let friday = "2026-11-27T10:00:00Z";
        check("EU", Told::Authority, friday, Some("2026-11-30T10:00:00.000000Z"));
        check("EU", Told::Persons, friday, None);
        check("US-CA", Told::Persons, friday, Some("2026-12-27T10:00:00.000000Z"));
        check("US-CA", Told::Authority, friday, None);
        // Monday, Tuesday, Wednesday.
        check("BR", Told::Authority, friday, Some("2026-12-02T10:00:00.000000Z"));
    }

    #[test]
    fn a_place_has_its_own_rules_or_those_of_its_country() {
        let all = Deadlines::read(None).unwrap();
        let name = |place| all.of(place).map(|rules| rules.name.as_str());
        assert_eq!(name("de"), Some("EU"));
        assert_eq!(name("DE-BY"), Some("EU"));
        assert_eq!(name("US-NY"), Some("US-NY"));
        assert_eq!(name("US-AK"), None, "no state's rules are another's");
        assert_eq!(name(""), None);
    }
}
