//! CERT r4.2's logon records: a thousand made-up people over 17 months, of whom 70 are insiders.
//! Those of the first scenario begin to log on after hours, which logon records can show; the other
//! two scenarios can't be seen in them.
//!
//! Source: Glasser, Lindauer, "Bridging the gap: a pragmatic approach to generating insider threat
//! data" (2013).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use postern_watch::Streams;

use super::{ExternalError, text};

/// Days from which on something is raised.
const BURN_IN: i64 = 60;
/// Hours of work: a logon before or after is one after hours.
const WORK: std::ops::Range<usize> = 7..19;
/// How fast it fades at which hours somebody logs on, as in the detectors' signal `odd_hours`; days
/// until that is known, and the share of days below which an hour is an odd one.
const FADED: f32 = 0.98;
const KNOWN: f32 = 20.0;
const NEVER: f32 = 0.05;
/// A usual share of such days below this is not believed.
const LEAST: f64 = 0.004;
/// Days from one alarm of a person to the next that is counted.
const APART: i64 = 7;

/// The set.
#[derive(Debug, Clone)]
pub struct Cert {
    people: Vec<String>,
    /// Day, person, the hours with a logon as bits; in the order of days.
    days: Vec<(i64, usize, u32)>,
    /// The insiders of the first scenario: person, first and last day.
    insiders: Vec<(usize, i64, i64)>,
    /// Those of the others.
    others: BTreeSet<usize>,
    rows: usize,
}

/// What is asked of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Whether there was a logon outside fixed hours of work.
    AfterHours,
    /// Whether there was a logon at an hour at which the person never logs on.
    OddHour,
}

/// At which hours a person logs on.
#[derive(Debug, Clone, Default)]
struct Habit([f32; 24]);

impl Habit {
    /// The answer of a day with logons in these hours, which are learned from.
    fn ask(&mut self, asked: Asked, hours: u32) -> bool {
        let all: f32 = self.0.iter().sum();
        let on = |hour: usize| hours & (1 << hour) != 0;
        let odd = |hour: usize| {
            let near: f32 = [hour + 23, hour, hour + 1].iter().map(|hour| self.0[hour % 24]).sum();
            all >= KNOWN && near < NEVER * all
        };
        let yes = (0..24).filter(|hour| on(*hour)).any(|hour| match asked {
            Asked::AfterHours => !WORK.contains(&hour),
            Asked::OddHour => odd(hour),
        });
        for (hour, count) in self.0.iter_mut().enumerate() {
            *count = *count * FADED + f32::from(u8::from(on(hour)));
        }
        yes
    }
}

/// What is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Logons {
    pub found: usize,
    pub insiders: usize,
    /// Days from the first deed to the alarm, in the median of those found.
    pub delay: Option<i64>,
    pub false_alarms: usize,
    pub days: i64,
}

impl Cert {
    /// Reads all files whose names end in `Logon.csv`, and `answers/insiders.csv`.
    ///
    /// # Errors
    /// If one can't be read or is not of the published form.
    pub fn read(folder: &Path) -> Result<Self, ExternalError> {
        let at = |source| ExternalError::Read { path: folder.to_owned(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            if path.to_string_lossy().to_lowercase().ends_with("logon.csv") {
                files.push(path);
            }
        }
        files.sort();
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut days: BTreeMap<(i64, usize), u32> = BTreeMap::new();
        let mut rows = 0;
        for path in files {
            let (path, lines) = text(path)?;
            for (number, line) in lines.lines().enumerate() {
                if line.trim().is_empty() || line.starts_with("id,") {
                    continue;
                }
                let Some((day, hour, person, on)) = logon(line) else {
                    let why = "no date, person, computer and activity".to_owned();
                    return Err(ExternalError::Line { path, line: number + 1, why });
                };
                rows += 1;
                let next = numbers.len();
                let person = *numbers.entry(person.to_owned()).or_insert(next);
                *days.entry((day, person)).or_default() |= u32::from(on) << hour;
            }
        }
        let (insiders, others) = insiders(folder, &numbers)?;
        let mut people = vec![String::new(); numbers.len()];
        numbers.into_iter().for_each(|(name, number)| people[number] = name);
        let days = days.into_iter().map(|((day, person), hours)| (day, person, hours)).collect();
        Ok(Self { people, days, insiders, others, rows })
    }

    /// Rows and people.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.people.len())
    }

    /// Our test of the share of days that are answered with yes, with an alarm at this evidence.
    pub fn test(&self, asked: Asked, bar: f64) -> Logons {
        let mut streams = Streams::new(self.people.len(), 1.0);
        self.judge(asked, |person, day, until, late| {
            let evidence = streams.trial(person, (day, until), late, LEAST);
            if evidence >= bar {
                streams.reset(person);
            }
            evidence >= bar
        })
    }

    /// Standard deviations of the person's own past days, as many tools count.
    pub fn z(&self, asked: Asked, bar: f64) -> Logons {
        let mut past = vec![(0.0, 0.0); self.people.len()];
        self.judge(asked, |person, day, until, late| {
            let (ones, days): &mut (f64, f64) = &mut past[person];
            let late = f64::from(u8::from(late));
            let share = (*ones + 0.5) / (*days + 1.0);
            let z = (late - share) / (share * (1.0 - share)).max(1e-6).sqrt();
            *ones += late;
            *days += 1.0;
            day >= until && z >= bar
        })
    }

    /// Goes through all days, and counts the alarms.
    fn judge(&self, asked: Asked, mut alarm: impl FnMut(usize, i64, i64, bool) -> bool) -> Logons {
        let mut habits = vec![Habit::default(); self.people.len()];
        let first = self.days.first().map_or(0, |(day, ..)| *day);
        let last = self.days.last().map_or(0, |(day, ..)| *day);
        let mut alarms: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        for (day, person, hours) in &self.days {
            let yes = habits[*person].ask(asked, *hours);
            if alarm(*person, *day, first + BURN_IN, yes) {
                let told = alarms.entry(*person).or_default();
                if told.last().is_none_or(|before| day - before >= APART) {
                    told.push(*day);
                }
            }
        }
        let mut delays = Vec::new();
        for (person, from, to) in &self.insiders {
            let told = alarms.get(person).and_then(|told| told.iter().find(|day| **day >= *from));
            delays.extend(told.filter(|day| **day <= to + 1).map(|day| day - from));
        }
        delays.sort_unstable();
        let known = |person: &usize, day: i64| {
            // What the other scenarios' insiders do is neither.
            self.others.contains(person)
                || self.insiders.iter().any(|(insider, from, _)| insider == person && day >= *from)
        };
        let false_alarms = alarms
            .iter()
            .flat_map(|(person, told)| told.iter().filter(|day| !known(person, **day)));
        Logons {
            found: delays.len(),
            insiders: self.insiders.len(),
            delay: delays.get(delays.len() / 2).copied(),
            false_alarms: false_alarms.count(),
            days: last - first + 1 - BURN_IN,
        }
    }
}

/// Day, hour, person, and whether it is a logon. Records come with an id in front or without.
fn logon(line: &str) -> Option<(i64, usize, &str, bool)> {
    let mut cells = line.trim().trim_end_matches(',').split(',').collect::<Vec<_>>();
    if cells.len() == 5 {
        cells.remove(0);
    }
    let [when, person, _, activity] = cells.as_slice() else { return None };
    let (day, hour) = moment(when)?;
    Some((day, hour, person, *activity == "Logon"))
}

/// The day since 1970 and the hour of a `01/02/2010 06:49:00`, month first.
fn moment(text: &str) -> Option<(i64, usize)> {
    let (date, time) = text.split_once(' ')?;
    let mut parts = date.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    let hour = time.split(':').next()?.parse().ok().filter(|hour| *hour < 24)?;
    let text = format!("{year:0>4}-{month:0>2}-{day:0>2}T00:00:00Z");
    Some((postern_feed::parse_time(&text).ok()?.day(), hour))
}

type Insiders = (Vec<(usize, i64, i64)>, BTreeSet<usize>);

fn insiders(folder: &Path, numbers: &BTreeMap<String, usize>) -> Result<Insiders, ExternalError> {
    let (path, lines) = text(folder.join("answers").join("insiders.csv"))?;
    let (mut first, mut others) = (Vec::new(), BTreeSet::new());
    for (number, line) in lines.lines().enumerate() {
        let cells: Vec<&str> = line.trim().split(',').collect();
        let ["4.2", scenario, _, person, from, to] = cells.as_slice() else { continue };
        let Some(person) = numbers.get(*person) else { continue };
        let (Some((from, _)), Some((to, _))) = (moment(from), moment(to)) else {
            let why = "no start and end".to_owned();
            return Err(ExternalError::Line { path, line: number + 1, why });
        };
        if *scenario == "1" {
            first.push((*person, from, to));
        } else {
            others.insert(*person);
        }
    }
    Ok((first, others))
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use super::*;

    /// Thirty people over 120 days; one logs on at night from day 100 on, another one always did.
    fn small(folder: &Path) {
        let mut lines = String::new();
        for day in 0..120 {
            let date = format!("{:02}/{:02}/2010", 1 + day / 28, 1 + day % 28);
            for person in 0..30 {
                let night = (person == 4 && day >= 100) || person == 9;
                let hour = if night { 2 } else { 8 };
                writeln!(lines, "{date} {hour:02}:00:00,P{person:02},PC-1,Logon,").unwrap();
                writeln!(lines, "{date} 20:00:00,P{person:02},PC-1,Logoff,").unwrap();
            }
        }
        fs::write(folder.join("2010-01_CERT4.2_Logon.csv"), lines).unwrap();
        fs::create_dir(folder.join("answers")).unwrap();
        let answers = "dataset,scenario,details,user,start,end\n\
                       3.1,1,x.csv,P05,04/01/2010 01:00:00,04/09/2010 01:00:00\n\
                       4.2,1,x.csv,P04,4/17/2010 1:00:00,05/09/2010 01:00:00\n\
                       4.2,2,x.csv,P06,04/01/2010 01:00:00,04/09/2010 01:00:00\n";
        fs::write(folder.join("answers").join("insiders.csv"), answers).unwrap();
    }

    #[test]
    fn who_begins_to_come_at_night_is_found_and_who_always_did_is_not() {
        let folder = tempfile::tempdir().unwrap();
        small(folder.path());
        let set = Cert::read(folder.path()).unwrap();
        assert_eq!(set.size(), (7_200, 30));
        assert_eq!((set.insiders.len(), set.others.len()), (1, 1));
        let told = set.test(Asked::AfterHours, 1_000.0);
        assert_eq!((told.found, told.insiders), (1, 1), "{told:?}");
        assert!(told.false_alarms > 0, "of who comes at night always: {told:?}");
        assert!(told.delay.is_some_and(|days| days <= 7), "{told:?}");
        assert_eq!(set.test(Asked::AfterHours, 1e29).found, 0);
        assert_eq!(set.z(Asked::AfterHours, 8.0).found, 1);
        let odd = set.test(Asked::OddHour, 1_000.0);
        assert_eq!((odd.found, odd.false_alarms), (1, 0), "{odd:?}");
    }

    #[test]
    fn what_is_not_of_the_form_is_told() {
        assert_eq!(
            logon("{A-B},01/02/2010 06:49:00,P1,PC-6056,Logon"),
            Some((14_611, 6, "P1", true))
        );
        assert_eq!(logon("01/02/2010 06:49:00,P1,PC-6056,Logoff,"), Some((14_611, 6, "P1", false)));
        assert_eq!(logon("02.01.2010,P1,PC-6056,Logon"), None);
        let folder = tempfile::tempdir().unwrap();
        small(folder.path());
        fs::write(folder.path().join("2010-02_CERT4.2_Logon.csv"), "ok?\n").unwrap();
        let error = Cert::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("2010-02_CERT4.2_Logon.csv`, line 1"), "{error}");
    }
}
