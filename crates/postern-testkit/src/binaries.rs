//! Where this machine keeps PostgreSQL's programs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Names the folder with the server's programs, before any other place is searched.
const VARIABLE: &str = "POSTERN_PG_BIN";

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Without these a folder isn't one of a server.
const NEEDED: [&str; 2] = ["postgres", "initdb"];

/// PostgreSQL's server programs were not found.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("`{VARIABLE}` is `{folder}`, which has no `{program}`")]
    Chosen { folder: PathBuf, program: &'static str },
    #[error(
        "found no postgresql server in `{VERSIONS}/*/bin` nor in `PATH`; install one (on Debian: \
         apt install postgresql) or set `{VARIABLE}` to the folder of its programs"
    )]
    Nowhere,
}

/// A folder with PostgreSQL's programs.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// `POSTERN_PG_BIN`, else the newest version in `/usr/lib/postgresql`, else `PATH`.
    pub(crate) fn find() -> Result<Self, BinariesError> {
        if let Some(folder) = env::var_os(VARIABLE) {
            let folder = PathBuf::from(folder);
            return match missing(&folder) {
                None => Ok(Self { folder }),
                Some(program) => Err(BinariesError::Chosen { folder, program }),
            };
        }
        let path = env::var_os("PATH").unwrap_or_default();
        newest(Path::new(VERSIONS))
            .or_else(|| env::split_paths(&path).find(|folder| missing(folder).is_none()))
            .map(|folder| Self { folder })
            .ok_or(BinariesError::Nowhere)
    }

    /// The program of this version, else the one that `PATH` has (clients may live elsewhere).
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let program = self.folder.join(name);
        if program.exists() { program } else { PathBuf::from(name) }
    }
}

/// The first needed program that `folder` lacks.
fn missing(folder: &Path) -> Option<&'static str> {
    NEEDED.into_iter().find(|program| !folder.join(program).is_file())
}

/// `VERSION/bin` of the highest version number under `versions` that is complete.
fn newest(versions: &Path) -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(versions)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| missing(folder).is_none())
        .collect();
    found.sort();
    found.pop().map(|(_, folder)| folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::newest;

    #[test]
    fn the_newest_complete_version_is_chosen_by_number() {
        let root = tempfile::tempdir().unwrap();
        for (version, programs) in
            [("9", &["postgres", "initdb"][..]), ("15", &["postgres", "initdb"]), ("16", &["psql"])]
        {
            let bin = root.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            for program in programs {
                fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(newest(root.path()), Some(root.path().join("15/bin")));
        assert_eq!(newest(&root.path().join("none")), None);
    }
}
