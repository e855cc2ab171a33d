//! `people.toml`, read at the start and again whenever it changes. What changes becomes entries of
//! the ledger, also what changed while no gateway ran.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use postern_gateway::Handle;
use postern_ledger::{Ledger, Note, RecordError};
use postern_model::{Actor, Clock as _, Timestamp};
use postern_people::{People, States, changes};

use super::read_text;
use crate::clock::SystemClock;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a change is taken for that of somebody who has said that they are about to make one.
const CLAIM_LASTS: Duration = Duration::from_secs(2);

/// How long somebody waits for the file to be looked at.
const PATIENCE: Duration = Duration::from_secs(5);

/// By whom a change was made that nobody told of.
pub(super) const UNKNOWN: &str = "unknown";

pub(super) fn read(path: &Path) -> anyhow::Result<People> {
    let text = read_text(path, "the list of people")?;
    People::parse(&text).with_context(|| format!("`{}` can't be used", path.display()))
}

/// Somebody wants the file to be looked at, because they change it.
#[derive(Debug)]
struct Look {
    by: String,
    changed: bool,
    done: mpsc::SyncSender<Result<Vec<Recording>, String>>,
}

/// Tells when a change is recorded.
type Recording = mpsc::Receiver<Result<u64, RecordError>>;

/// Has the file looked at.
#[derive(Debug, Clone)]
pub(super) struct Looks(mpsc::Sender<Look>);

impl Looks {
    /// Has the file looked at now, and lays the changes that it has to `by`; unless it is `changed`
    /// already, those that come soon too. Returns when they are in force and recorded.
    pub(super) fn look(&self, by: &str, changed: bool) -> Result<(), String> {
        let (done, answer) = mpsc::sync_channel(1);
        let look = Look { by: by.to_owned(), changed, done };
        let stops = || "the gateway stops".to_owned();
        self.0.send(look).map_err(|_| stops())?;
        let recording = answer.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(stops()));
        let recording = recording.map_err(|why| format!("not in force: {why}"))?;
        for one in recording {
            match one.recv_timeout(PATIENCE) {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(format!("in force, but not recorded: {error}")),
                Err(_) => return Err("in force, but not recorded in time".to_owned()),
            }
        }
        Ok(())
    }
}

/// What is done with a list of people.
pub(super) struct Effect {
    pub(super) handle: Handle,
    pub(super) ledger: Arc<Ledger>,
    /// Keys the numbers that passwords have in the ledger.
    pub(super) key: [u8; 32],
}

impl Effect {
    pub(super) fn new(handle: &Handle, ledger: &Arc<Ledger>, key: [u8; 32]) -> Self {
        Self { handle: handle.clone(), ledger: ledger.clone(), key }
    }
}

/// Follows the file for as long as somebody can want it to be looked at.
#[derive(Debug)]
pub(super) struct Following {
    path: PathBuf,
    seen: Option<Seen>,
    /// What it was at the last look, if that was another than before.
    changing: Option<Seen>,
    states: States,
    claim: Option<(String, Timestamp)>,
}

/// What tells one content of the file from another, without reading it.
type Seen = (SystemTime, u64, u64);

impl Following {
    /// Follows a file whose content was recorded before as `states`, and is in force as `people`.
    pub(super) fn start(
        (path, people): (PathBuf, &People),
        states: States,
        effect: Effect,
    ) -> io::Result<Looks> {
        let (sender, looks) = mpsc::channel::<Look>();
        let mut following = Self { path, seen: None, changing: None, states, claim: None };
        following.record(people, &effect);
        let follow = move || {
            loop {
                let asked = match looks.recv_timeout(LOOK_EVERY) {
                    Ok(look) => Some(look),
                    Err(mpsc::RecvTimeoutError::Timeout) => None,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                };
                if let Some(look) = &asked {
                    following.claim = Some((look.by.clone(), SystemClock.now()));
                }
                let done = following.look(asked.is_some(), &effect);
                if let Err(error) = &done {
                    tracing::error!(error, "the list of people stays as it was");
                }
                if let Some(look) = asked {
                    if look.changed {
                        following.claim = None;
                    }
                    // Whoever does not wait any more needs no answer.
                    let _ = look.done.send(done);
                }
            }
        };
        thread::Builder::new().name("postern-people".to_owned()).spawn(follow)?;
        Ok(Looks(sender))
    }

    /// Puts the file's content in force if it is another. Unless somebody has `told` of it, it must
    /// have been so at the look before: who writes a file in its place empties it first, and that
    /// would put everybody out.
    fn look(&mut self, told: bool, effect: &Effect) -> Result<Vec<Recording>, String> {
        effect.handle.enforce_people();
        let now = seen(&self.path);
        if now == self.seen {
            return Ok(Vec::new());
        }
        let stands = now == self.changing;
        self.changing = now;
        if !told && !stands {
            return Ok(Vec::new());
        }
        self.seen = now;
        let people = read(&self.path).map_err(|error| format!("{error:#}"))?;
        // Out first, and recorded then: nobody stays in for want of a record.
        effect.handle.replace_people(Arc::new(people.clone()));
        Ok(self.record(&people, effect))
    }

    fn record(&mut self, people: &People, effect: &Effect) -> Vec<Recording> {
        let states = people.states(&effect.key);
        let by = Actor::new(self.claimed().unwrap_or(UNKNOWN));
        let mut recording = Vec::new();
        for change in changes(&self.states, &states) {
            tracing::info!(actor = %change.actor, %by, now = &*change.now, "a person has changed");
            let (actor, was, now) = (change.actor, change.was, change.now);
            let note = Note::Person { actor, by: by.clone(), was, now };
            let (tell, told) = mpsc::sync_channel(1);
            recording.push(told);
            effect.ledger.note(
                note,
                Box::new(move |result| {
                    if let Err(error) = &result {
                        tracing::error!(
                            error = error as &dyn std::error::Error,
                            "a change of the people could not be recorded"
                        );
                    }
                    // There is not always somebody who waits.
                    let _ = tell.send(result);
                }),
            );
        }
        self.states = states;
        recording
    }

    fn claimed(&self) -> Option<&str> {
        let (by, since) = self.claim.as_ref()?;
        (SystemClock.now() <= since.after(CLAIM_LASTS)).then_some(by.as_str())
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
