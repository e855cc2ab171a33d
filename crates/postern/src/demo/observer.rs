//! The witness, which would be on another machine: `postern witness`, as a process of its own with
//! a key of its own.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

/// A witness that runs.
#[derive(Debug)]
pub(super) struct Observer {
    process: Child,
    /// Its URL and key, as the configuration names it.
    pub(super) witness: String,
}

impl Observer {
    /// Starts it by this command, and waits until it says where it listens.
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("can't start the witness")?;
        let said = process.stdout.take().context("the witness can't be heard")?;
        // From here on it ends with this.
        let mut observer = Self { process, witness: String::new() };
        let mut lines = BufReader::new(said).lines();
        let mut word = |before: &str| -> anyhow::Result<String> {
            let line = lines.next().context("the witness does not start")??;
            let word = line.strip_prefix(before).context("the witness says something else")?;
            Ok(word.to_owned())
        };
        observer.witness = format!("{} {}", word("listening on ")?, word("key ")?);
        Ok(observer)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // It has written down all that it has said; it may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
