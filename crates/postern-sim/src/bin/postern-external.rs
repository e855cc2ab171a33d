//! Prints what is reached on data that others made, beside what was published of it.

use std::{
    io::{Write, stdout},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Parser;
use postern_sim::external::{Asked, Cert, Logons, Method, Schonlau};

#[derive(Debug, Parser)]
#[command(about = "The test of a share on labelled data that others made")]
struct Arguments {
    /// The folder with `schonlau/` and `cert/`; either may be missing.
    data: PathBuf,
}

/// Published, in percent: hits and false alarms.
const PUBLISHED: [(&str, f64, f64); 4] = [
    ("naive Bayes, updating", 61.5, 1.3),
    ("naive Bayes, no updating", 66.2, 4.6),
    ("Bayes one-step Markov", 69.3, 6.7),
    ("uniqueness", 39.4, 1.4),
];

fn main() -> anyhow::Result<()> {
    let data = Arguments::parse().data;
    let (first, second) = (data.join("schonlau"), data.join("cert"));
    anyhow::ensure!(
        first.is_dir() || second.is_dir(),
        "`{}` has neither `schonlau` nor `cert` in it",
        data.display()
    );
    if first.is_dir() {
        schonlau(&first)?;
    }
    if second.is_dir() {
        cert(&second)?;
    }
    Ok(())
}

fn schonlau(folder: &Path) -> anyhow::Result<()> {
    let set = Schonlau::read(folder).context("can't read the masquerade set")?;
    let mut out = stdout().lock();
    let (people, commands, blocks, with) = set.size();
    writeln!(
        out,
        "Schonlau: {people} people, {commands} commands, {blocks} foreign blocks of {with}"
    )?;
    writeln!(out, "{:<34} hits %  false alarms %", "method")?;
    for (method, hits, false_alarms) in PUBLISHED {
        writeln!(out, "{:<34} {hits:>6.1}  {false_alarms:>6.1}", format!("published: {method}"))?;
    }
    for method in Method::ALL {
        for allowed in [0.013, 0.046] {
            let rates = set.at(method, allowed);
            let (hits, false_alarms) = (100.0 * rates.hits, 100.0 * rates.false_alarms);
            writeln!(out, "{:<34} {hits:>6.1}  {false_alarms:>6.1}", method.as_str())?;
        }
    }
    Ok(())
}

fn cert(folder: &Path) -> anyhow::Result<()> {
    let set = Cert::read(folder).context("can't read the logon records")?;
    let mut out = stdout().lock();
    let (rows, people) = set.size();
    writeln!(out, "\nCERT r4.2 logons: {rows} rows, {people} people, insiders of scenario 1")?;
    writeln!(out, "{:<26} found  median delay, days  false alarms", "method")?;
    for (method, found, delay, wrong) in [
        ("reference: e-SR A=1000", "24/30", "0", "8"),
        ("reference: e-SR A=10000", "22/30", "-", "0"),
        ("reference: z >= 8", "12/30", "-", "45"),
    ] {
        writeln!(out, "{method:<26} {found:<6} {delay:<19} {wrong}")?;
    }
    for (asked, what) in [(Asked::AfterHours, "outside 7 to 19"), (Asked::OddHour, "odd hours")] {
        for bar in [1_000.0, 10_000.0, 100_000.0] {
            row(&mut out, &format!("{what}, A={bar}"), &set.test(asked, bar))?;
        }
        row(&mut out, &format!("{what}, z >= 8"), &set.z(asked, 8.0))?;
    }
    Ok(())
}

fn row(out: &mut impl Write, name: &str, told: &Logons) -> anyhow::Result<()> {
    let found = format!("{}/{}", told.found, told.insiders);
    let delay = told.delay.map_or("-".to_owned(), |days| days.to_string());
    writeln!(out, "{name:<26} {found:<6} {delay:<19} {} in {} days", told.false_alarms, told.days)?;
    Ok(())
}
