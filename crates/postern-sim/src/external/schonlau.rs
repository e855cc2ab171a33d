//! The Schonlau masquerade set: 50 people's Unix commands, 15,000 each. The first 5,000 are their
//! own. Of the 100 blocks of 100 that follow, some were typed by somebody else.
//!
//! Source: Schonlau, DuMouchel, Ju, Karr, Theus, Vardi, "Computer intrusion: detecting
//! masquerades", Statistical Science 16 (2001). Naive Bayes as in Maxion, Townsend, "Masquerade
//! detection using truncated command lines" (2002).

use std::{collections::BTreeMap, path::Path};

use postern_watch::Streams;

use super::{ExternalError, text};

/// Commands that are certainly the person's own, and commands of a block.
const OWN: usize = 5_000;
const BLOCK: usize = 100;
const BLOCKS: usize = 100;
/// How often a command is believed to have been seen that never was (Maxion and Townsend).
const UNSEEN: f64 = 0.01;
/// A usual share of new commands below this is not believed.
const LEAST: f64 = 0.004;

/// How a block is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Naive Bayes, the person against all others, learning from blocks that it takes for own.
    Bayes,
    /// The same without knowing what others type: against every command being equally likely.
    BayesAlone,
    /// Ours: whether the share of commands that the person never typed before has risen.
    Share,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Bayes, Self::BayesAlone, Self::Share];

    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bayes => "naive Bayes, updating",
            Self::BayesAlone => "naive Bayes, updating, self only",
            Self::Share => "new commands, our test, self only",
        }
    }
}

/// Shares, of 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    pub hits: f64,
    pub false_alarms: f64,
}

/// The set.
#[derive(Debug, Clone)]
pub struct Schonlau {
    /// For each person, the numbers of the commands.
    people: Vec<Vec<usize>>,
    /// For each person, which blocks are somebody else's.
    foreign: Vec<Vec<bool>>,
    commands: usize,
}

impl Schonlau {
    /// Reads `User1` and so on, as many as `label.txt` has columns.
    ///
    /// # Errors
    /// If a file is missing or not of the published form.
    pub fn read(folder: &Path) -> Result<Self, ExternalError> {
        let (path, labels) = text(folder.join("label.txt"))?;
        let mut foreign: Vec<Vec<bool>> = Vec::new();
        for (number, line) in labels.lines().filter(|line| !line.trim().is_empty()).enumerate() {
            for (person, label) in line.split_whitespace().enumerate() {
                let foreign_block = match label {
                    "0" => false,
                    "1" => true,
                    _ => {
                        let why = format!("`{label}` is neither 0 nor 1");
                        return Err(ExternalError::Line { path, line: number + 1, why });
                    }
                };
                if number == 0 {
                    foreign.push(Vec::new());
                }
                if let Some(blocks) = foreign.get_mut(person) {
                    blocks.push(foreign_block);
                }
            }
        }
        if foreign.is_empty() || foreign.iter().any(|blocks| blocks.len() != BLOCKS) {
            let why = format!("each column has a label for each of {BLOCKS} blocks");
            return Err(ExternalError::Form { path, why });
        }
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut people = Vec::new();
        for person in 1..=foreign.len() {
            let (path, commands) = text(folder.join(format!("User{person}")))?;
            let own: Vec<usize> = commands
                .lines()
                .map(|command| {
                    let next = numbers.len();
                    *numbers.entry(command.trim().to_owned()).or_insert(next)
                })
                .collect();
            if own.len() != OWN + BLOCK * BLOCKS {
                let why = format!("{} commands, where 15000 are expected", own.len());
                return Err(ExternalError::Form { path, why });
            }
            people.push(own);
        }
        Ok(Self { people, foreign, commands: numbers.len() })
    }

    /// People, different commands, blocks that are somebody else's, people who have such.
    pub fn size(&self) -> (usize, usize, usize, usize) {
        let blocks = self.foreign.iter().flatten().filter(|foreign| **foreign).count();
        let people = self.foreign.iter().filter(|blocks| blocks.contains(&true)).count();
        (self.people.len(), self.commands, blocks, people)
    }

    /// What a method reaches when it learns from blocks that score below `bar`.
    pub fn rates(&self, method: Method, bar: f64) -> Rates {
        let (mut hits, mut alarms, mut foreign, mut own) = (0.0, 0.0, 0.0, 0.0);
        let all = self.training();
        for (person, labels) in self.foreign.iter().enumerate() {
            let told = match method {
                Method::Bayes => self.bayes(person, bar, Some(&all)),
                Method::BayesAlone => self.bayes(person, bar, None),
                Method::Share => self.share(person, bar),
            };
            for (alarm, label) in told.iter().zip(labels) {
                let alarm = f64::from(u8::from(*alarm));
                let (count, of) =
                    if *label { (&mut hits, &mut foreign) } else { (&mut alarms, &mut own) };
                *count += alarm;
                *of += 1.0;
            }
        }
        Rates { hits: hits / f64::max(foreign, 1.0), false_alarms: alarms / f64::max(own, 1.0) }
    }

    /// The rates at the lowest bar at which no more false alarms come than these.
    pub fn at(&self, method: Method, false_alarms: f64) -> Rates {
        let (mut low, mut high) = match method {
            Method::Bayes | Method::BayesAlone => (-2_000.0, 2_000.0),
            Method::Share => (-3.0, 60.0),
        };
        for _ in 0..16 {
            let middle = (low + high) / 2.0;
            if self.rates(method, middle).false_alarms <= false_alarms {
                high = middle;
            } else {
                low = middle;
            }
        }
        self.rates(method, high)
    }

    /// How often each command is typed in everybody's own part.
    fn training(&self) -> Vec<f64> {
        let mut all = vec![0.0; self.commands];
        self.people.iter().flat_map(|own| own.iter().take(OWN)).for_each(|c| all[*c] += 1.0);
        all
    }

    fn blocks(&self, person: usize) -> impl Iterator<Item = &[usize]> {
        self.people[person][OWN..].chunks(BLOCK)
    }

    fn bayes(&self, person: usize, bar: f64, all: Option<&[f64]>) -> Vec<bool> {
        let mut own = vec![0.0; self.commands];
        self.people[person].iter().take(OWN).for_each(|command| own[*command] += 1.0);
        let others: Vec<f64> = match all {
            Some(all) => all.iter().zip(&own).map(|(all, own)| all - own).collect(),
            None => vec![1.0; self.commands],
        };
        let kinds = self.commands as f64;
        let rest: f64 = others.iter().sum();
        let mut typed = OWN as f64;
        let mut told = Vec::new();
        for block in self.blocks(person) {
            let score: f64 = block
                .iter()
                .map(|command| {
                    let strange = (others[*command] + UNSEEN) / (rest + UNSEEN * kinds);
                    (strange * (typed + UNSEEN * kinds) / (own[*command] + UNSEEN)).ln()
                })
                .sum();
            let alarm = score > bar;
            if !alarm {
                block.iter().for_each(|command| own[*command] += 1.0);
                typed += BLOCK as f64;
            }
            told.push(alarm);
        }
        told
    }

    /// Blocks are days. The evidence begins anew with each, because a masquerader comes and goes.
    fn share(&self, person: usize, bar: f64) -> Vec<bool> {
        let mut streams = Streams::new(1, BLOCK as f64);
        let mut known = vec![false; self.commands];
        let training = (OWN / BLOCK) as i64;
        let mut told = Vec::new();
        let days = self.people[person].chunks(BLOCK).zip(0_i64..);
        for (block, day) in days {
            streams.reset(0);
            let mut highest: f64 = 0.0;
            let mut fresh = Vec::new();
            for command in block {
                let new = !known[*command];
                if new {
                    known[*command] = true;
                    fresh.push(*command);
                }
                highest = highest.max(streams.trial(0, (day, training), new, LEAST));
            }
            if day < training {
                continue;
            }
            let alarm = highest.max(1e-9).ln() > bar;
            if alarm {
                // What somebody else typed is no command of the person's.
                fresh.iter().for_each(|command| known[*command] = false);
            }
            told.push(alarm);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two people with commands of their own; the second one's block 50 is the first one's.
    fn small(folder: &Path) {
        let label = |block: usize| if block == 50 { "0 1\n" } else { "0 0\n" };
        let labels: String = (0..BLOCKS).map(label).collect();
        fs::write(folder.join("label.txt"), labels).unwrap();
        for person in 1..=2 {
            let command = |place: usize| {
                let foreign = person == 2 && place / BLOCK == OWN / BLOCK + 50;
                let who = if foreign { 1 } else { person };
                format!("p{who}-{}\n", place * place % 37 % 11)
            };
            let commands: String = (0..OWN + BLOCK * BLOCKS).map(command).collect();
            fs::write(folder.join(format!("User{person}")), commands).unwrap();
        }
    }

    #[test]
    fn a_block_of_somebody_else_is_told_by_every_method() {
        let folder = tempfile::tempdir().unwrap();
        small(folder.path());
        let set = Schonlau::read(folder.path()).unwrap();
        let (people, commands, blocks, with) = set.size();
        assert_eq!((people, blocks, with), (2, 1, 1));
        assert!(commands > 4, "{commands}");
        for method in Method::ALL {
            let rates = set.at(method, 0.02);
            assert_eq!(rates.hits, 1.0, "{}", method.as_str());
            assert!(rates.false_alarms <= 0.02, "{}: {rates:?}", method.as_str());
            assert_eq!(set.rates(method, 1e9).hits, 0.0);
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_told() {
        let folder = tempfile::tempdir().unwrap();
        small(folder.path());
        fs::write(folder.path().join("User2"), "ls\ncd\n").unwrap();
        let error = Schonlau::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("User2") && error.contains("2 commands"), "{error}");
        fs::write(folder.path().join("label.txt"), "0 x\n").unwrap();
        let error = Schonlau::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 1: `x` is neither 0 nor 1"), "{error}");
    }
}
