//! Whoever checks the record without trusting Postern: the verifier in Python, `verifier/`, which
//! shares no code with it. The binary carries it, so that the demo has it wherever it runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::Context as _;
use serde_json::Value;

/// Its files, as they stand in the source.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../verifier/", $name)))),*]
    };
}

const FILES: [(&str, &str); 13] = files![
    "__main__.py",
    "dictionary.py",
    "entry.py",
    "evidence.py",
    "ledger.py",
    "note.py",
    "proof.py",
    "ranges.py",
    "sets.py",
    "stamp.py",
    "stored.py",
    "tree.py",
    "values.py",
];

/// The verifier, ready to run.
#[derive(Debug)]
pub(super) struct Auditor {
    interpreter: &'static str,
    folder: PathBuf,
}

/// What it said.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) holds: bool,
    /// What holds, as it was printed; nothing if it doesn't.
    pub(super) summary: Value,
    /// Why it does not hold.
    pub(super) why: String,
}

impl Auditor {
    /// Puts the verifier into a folder; `None` where there is no Python with the one library that
    /// it needs.
    pub(super) fn new(folder: PathBuf) -> io::Result<Option<Self>> {
        let Some(interpreter) = interpreter() else { return Ok(None) };
        fs::create_dir_all(&folder)?;
        for (name, text) in FILES {
            fs::write(folder.join(name), text)?;
        }
        Ok(Some(Self { interpreter, folder }))
    }

    /// Has all of a ledger verified, with the key that it must be signed by and a checkpoint that
    /// it must continue.
    pub(super) fn verify(
        &self,
        ledger: &Path,
        key: &str,
        against: &Path,
    ) -> anyhow::Result<Judgement> {
        let mut command = self.command();
        command.arg(ledger).args(["--key", key, "--against"]).arg(against);
        judgement(&run(&mut command)?)
    }

    /// Has evidence checked, likelihoods included.
    pub(super) fn check_evidence(&self, file: &Path, key: &str) -> anyhow::Result<Judgement> {
        judgement(&run(self.command().arg("--evidence").arg(file).args(["--key", key]))?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.interpreter);
        command.arg(&self.folder).stdin(Stdio::null());
        command
    }
}

fn run(command: &mut Command) -> anyhow::Result<Output> {
    command.output().context("can't run the second verifier")
}

/// Exit code 0: it holds, 1: it does not. Anything else is no judgement.
fn judgement(output: &Output) -> anyhow::Result<Judgement> {
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().next().unwrap_or_default().to_owned();
    match output.status.code() {
        Some(0) => {
            let summary = serde_json::from_slice(&output.stdout);
            let summary = summary.context("the second verifier's summary can't be read")?;
            Ok(Judgement { holds: true, summary, why })
        }
        Some(1) => Ok(Judgement { holds: false, summary: Value::Null, why }),
        _ => anyhow::bail!("the second verifier failed: {why}"),
    }
}

fn interpreter() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|name| {
        let mut command = Command::new(name);
        command.args(["-c", "import cryptography"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is new must come with the binary.
    #[test]
    fn all_of_the_verifier_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifier");
        let mut names = Vec::new();
        for file in fs::read_dir(folder).unwrap() {
            names.push(file.unwrap().file_name().into_string().unwrap());
        }
        // The comparison is for the project's own tests.
        names.retain(|name| name.ends_with(".py") && name != "compare.py");
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name));
    }
}
