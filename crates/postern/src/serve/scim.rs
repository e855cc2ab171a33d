//! What a directory says of the people, kept: `people.toml`, which is everybody's, and `scim.json`,
//! which is the directory's own record.

use std::{
    fs, io,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use postern_gateway::Handle;
use postern_ledger::{Ledger, Note};
use postern_model::{Actor, Clock as _};
use postern_people::{People, Standing, Throttle};
use postern_scim::{
    Directory, Edit, Keep, Kind, ScimError, Server, ServerSettings, TokenHash, Tokens,
};

use super::{
    people::{self, Looks, UNKNOWN},
    settings::server_tls,
};
use crate::{clock::SystemClock, config::Settings, files};

/// By whom the directory's changes are, in the ledger. No user of the system is called so.
pub(crate) const DIRECTORY: &str = "directory (scim)";

/// Serves the directory that the settings speak of, if they do.
pub(super) fn start(
    settings: &Settings,
    handle: &Handle,
    ledger: &Arc<Ledger>,
    looks: &Looks,
) -> anyhow::Result<Option<Server>> {
    let Some(scim) = &settings.scim else { return Ok(None) };
    let (people, store) = (settings.data.people(), settings.data.scim());
    let kept = match fs::read_to_string(&store) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("can't read `{}`", store.display()));
        }
    };
    let (handle, looks) = (handle.clone(), looks.clone());
    let keep = Arc::new(Kept { people, store: store.clone(), handle, looks });
    let directory =
        Directory::new(scim.rules.clone(), kept.as_deref(), (keep, Arc::new(SystemClock)))
            .with_context(|| format!("`{}` can't be used", store.display()))?;
    let file = settings.data.scim_tokens();
    let throttle = Mutex::new(Throttle::new(rand::random()));
    let guard = Guard { file, ledger: ledger.clone(), throttle };
    if guard.known().is_empty() {
        tracing::warn!("the SCIM endpoint has no token yet; `postern scim token` makes one");
    }
    let tls = scim.tls.as_ref().map(|files| server_tls(files, None)).transpose()?.map(|tls| {
        let mut tls = rustls::ServerConfig::clone(&tls);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(tls)
    });
    let server =
        Server::start(ServerSettings { listen: scim.listen, tls }, directory, Arc::new(guard))
            .context("the SCIM endpoint can't be served")?;
    tracing::info!(scim = %server.address(), "the SCIM endpoint is open");
    Ok(Some(server))
}

struct Kept {
    people: PathBuf,
    store: PathBuf,
    handle: Handle,
    looks: Looks,
}

fn lost(what: &str, error: impl std::fmt::Display) -> ScimError {
    tracing::error!(%error, "the directory's word could not be kept: {what}");
    // The directory asks again; what is wrong is for the log of this machine.
    ScimError { kind: Kind::Server, detail: format!("{what}; Postern's log says why") }
}

impl Keep for Kept {
    fn people(&self) -> Arc<People> {
        self.handle.people()
    }

    fn edit(&self, edit: &mut Edit<'_>) -> Result<(), ScimError> {
        let _alone = files::lock(&self.people)
            .map_err(|error| lost("the list of people can't be locked", error))?;
        // What somebody else has changed is theirs in the ledger, and in force before.
        let settled = self.looks.look(UNKNOWN, true);
        settled.map_err(|error| lost("the list of people is not settled", error))?;
        let people = people::read(&self.people)
            .map_err(|error| lost("the list of people can't be read", format!("{error:#}")))?;
        let Some(edited) = edit(&people)? else { return Ok(()) };
        let claimed = self.looks.look(DIRECTORY, false);
        claimed.map_err(|error| lost("the list of people is not settled", error))?;
        files::replace_private(&self.people, &edited.to_toml())
            .map_err(|error| lost("the list of people can't be written", error))?;
        self.looks.look(DIRECTORY, true).map_err(|error| lost("it is written, but", error))
    }

    fn save(&self, text: &str) -> Result<(), ScimError> {
        files::replace_private(&self.store, text)
            .map_err(|error| lost("the directory's record can't be written", error))
    }
}

struct Guard {
    file: PathBuf,
    ledger: Arc<Ledger>,
    throttle: Mutex<Throttle>,
}

impl Tokens for Guard {
    fn known(&self) -> Vec<TokenHash> {
        match tokens(&self.file) {
            Ok(tokens) => tokens,
            Err(error) => {
                tracing::error!("no token is taken: {error:#}");
                Vec::new()
            }
        }
    }

    fn refused(&self, from: IpAddr, why: &str) {
        let actor = Actor::new(DIRECTORY);
        let place = from.to_string();
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = throttle.attempt(actor.as_str(), place.as_bytes());
        let now = SystemClock.now();
        // Nobody can guess a token, but many tries must not fill the ledger.
        if throttle.standing(attempt, now) == Standing::Throttled {
            return;
        }
        throttle.failed(attempt, now);
        drop(throttle);
        tracing::warn!(%from, why, "the SCIM endpoint has refused somebody");
        let note = Note::LoginRefused { actor, client: place.into(), why: why.into() };
        let done = |result: Result<u64, postern_ledger::RecordError>| {
            if let Err(error) = result {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a note could not be recorded");
            }
        };
        self.ledger.note(note, Box::new(done));
    }
}

/// The hashes of the tokens, one a line; none if there is no file.
pub(crate) fn tokens(file: &std::path::Path) -> anyhow::Result<Vec<TokenHash>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("can't read `{}`", file.display()));
        }
    };
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let each = lines.map(|(number, line)| {
        TokenHash::parse(line.trim()).with_context(|| {
            format!("line {number} of `{}` is not the hash of a token", file.display())
        })
    });
    each.collect()
}
