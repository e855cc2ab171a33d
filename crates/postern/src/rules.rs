//! The folder of rules: its files, read whole. Files that end in `.yml` or `.yaml` are rules, those
//! that end in `.test.toml` are examples for them; anything else is not looked at.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use postern_rules::Text;

/// The most that a file may have.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most files that are read.
const FILES_MAX: usize = 2_000;

/// What is in a folder of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleFiles {
    pub(crate) rules: Vec<Text>,
    pub(crate) examples: Vec<Text>,
}

impl RuleFiles {
    /// Reads the folder, and what is below it, in the order of the names.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut files = Self::default();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            let cant = || format!("can't read the folder of rules `{}`", folder.display());
            for entry in fs::read_dir(&folder).with_context(cant)? {
                let path = entry.with_context(cant)?.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    files.take(&path)?;
                }
            }
        }
        files.rules.sort_by(|one, other| one.name.cmp(&other.name));
        files.examples.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(files)
    }

    fn take(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.display().to_string();
        let is_rule = name.ends_with(".yml") || name.ends_with(".yaml");
        if !is_rule && !name.ends_with(".test.toml") {
            return Ok(());
        }
        let bytes = path.metadata().with_context(|| format!("can't read `{name}`"))?.len();
        ensure!(bytes <= FILE_BYTES_MAX, "`{name}` has more than {FILE_BYTES_MAX} bytes");
        let text = fs::read_to_string(path).with_context(|| format!("can't read `{name}`"))?;
        let files = if is_rule { &mut self.rules } else { &mut self.examples };
        files.push(Text { name, text });
        let count = self.rules.len() + self.examples.len();
        ensure!(count <= FILES_MAX, "there are more than {FILES_MAX} files of rules");
        Ok(())
    }
}
