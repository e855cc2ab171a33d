//! `people.toml`, read at the start and again whenever it changes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use postern_gateway::Handle;
use postern_people::People;

use super::read_text;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) fn read(path: &Path) -> anyhow::Result<People> {
    let text = read_text(path, "the list of people")?;
    People::parse(&text).with_context(|| format!("`{}` can't be used", path.display()))
}

/// Follows the file until this is dropped.
#[derive(Debug)]
pub(super) struct Following {
    _end: mpsc::Sender<()>,
}

impl Following {
    pub(super) fn start(path: PathBuf, handle: Handle) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let follow = move || {
            let mut seen = modified(&path);
            while ended.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                handle.enforce_people();
                let now = modified(&path);
                if now == seen {
                    continue;
                }
                seen = now;
                match read(&path) {
                    Ok(people) => {
                        handle.replace_people(Arc::new(people));
                        tracing::info!("the list of people was read again");
                    }
                    Err(error) => tracing::error!(
                        error = format!("{error:#}"),
                        "the list of people stays as it was"
                    ),
                }
            }
        };
        thread::Builder::new().name("postern-people".to_owned()).spawn(follow)?;
        Ok(Self { _end: end })
    }
}

fn modified(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
