//! A folder to try the binary in, and what comes out of it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A temporary folder in which the binary runs.
#[derive(Debug)]
pub(crate) struct Bench {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs the binary with arguments that are split at blanks.
    pub(crate) fn run(&self, arguments: &str) -> Run {
        self.run_with(arguments, "")
    }

    /// As [`Self::run`], with something on the standard input.
    pub(crate) fn run_with(&self, arguments: &str, input: &str) -> Run {
        let mut child = Command::new(env!("CARGO_BIN_EXE_postern"))
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("PGPASSWORD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that refuses its arguments doesn't read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code(),
            stdout: self.anonymous(output.stdout),
            stderr: self.anonymous(output.stderr),
        }
    }

    /// The text, with `DIR` for the temporary folder.
    fn anonymous(&self, text: Vec<u8>) -> String {
        let real = fs::canonicalize(self.folder.path()).unwrap();
        let shown = |path: &Path| path.to_str().unwrap().to_owned();
        let text = String::from_utf8(text).unwrap();
        text.replace(&shown(&real), "DIR").replace(&shown(self.folder.path()), "DIR")
    }
}

impl Run {
    /// What a run that must have succeeded said on stdout.
    #[track_caller]
    pub(crate) fn yes(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// What a run that must have ended with this code said: stdout, then stderr.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self.stdout + &self.stderr
    }
}
