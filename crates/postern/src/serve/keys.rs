//! Keys of issuers that are fetched by their address: at the start, and then again on a thread for
//! each, for as long as a configuration that names them is in force.

use std::{
    io::Read as _,
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use postern_gateway::{Settings as GatewaySettings, SignIn};
use postern_model::Clock as _;
use postern_people::{FetchedKeys, KeySource, Tokens};

use crate::{clock::SystemClock, https};

/// A longer answer is no key set.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// However often they are wanted, they are not fetched more often.
const FETCH_EVERY_MIN: Duration = Duration::from_secs(10);
/// An issuer that does not answer is asked again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(15);

/// The keys that are being fetched.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Arc<Mutex<Vec<Arc<FetchedKeys>>>>);

impl Keys {
    /// Fetches those that the settings name.
    pub(super) fn start(gateway: &mut GatewaySettings) -> Self {
        let keys = Self::default();
        let fetching = keys.take_up(gateway);
        keys.keep(fetching);
        keys
    }

    /// Has the settings use keys that are fetched already, where there are such, and fetches the
    /// others. An issuer that does not answer is no reason not to go on: until it does its tokens
    /// are refused. What is to be kept if the settings come into force.
    pub(super) fn take_up(&self, gateway: &mut GatewaySettings) -> Vec<Arc<FetchedKeys>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut used = Vec::new();
        if let Some(tokens) = &mut gateway.tokens {
            *tokens = taken_up(tokens, &mut known, &mut used);
        }
        if let Some(SignIn { tokens, .. }) = &mut gateway.sign_in {
            *tokens = taken_up(tokens, &mut known, &mut used);
        }
        used
    }

    /// These are in force now; others end when nobody uses them any more.
    pub(super) fn keep(&self, used: Vec<Arc<FetchedKeys>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = used;
    }
}

fn taken_up(
    tokens: &Arc<Tokens>,
    known: &mut Vec<Arc<FetchedKeys>>,
    used: &mut Vec<Arc<FetchedKeys>>,
) -> Arc<Tokens> {
    let Some(own) = tokens.to_fetch() else { return tokens.clone() };
    let running = known.iter().find(|running| **running == *own).cloned();
    let running = running.unwrap_or_else(|| {
        start(own);
        known.push(own.clone());
        own.clone()
    });
    used.push(running.clone());
    Arc::new(tokens.adopting(&running))
}

/// Fetches them now, and has them fetched from now on.
fn start(keys: &Arc<FetchedKeys>) {
    let wants = keys.wants();
    let next = fetch(keys);
    let url = keys.source().url.clone();
    let keys = Arc::downgrade(keys);
    let follow = move || follow(&keys, &wants, next);
    if let Err(error) = thread::Builder::new().name("postern-keys".to_owned()).spawn(follow) {
        // What was fetched counts for its time.
        tracing::error!(%error, url, "the keys of an issuer will not be fetched again");
    }
}

fn follow(keys: &Weak<FetchedKeys>, wants: &mpsc::Receiver<()>, mut next: Duration) {
    let mut last = now();
    loop {
        match wants.recv_timeout(next) {
            Ok(()) => {
                // Tokens by unknown keys are easily made: they are not looked up one by one.
                let since = now().saturating_duration_since(last);
                thread::sleep(FETCH_EVERY_MIN.saturating_sub(since));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let Some(keys) = keys.upgrade() else { return };
        next = fetch(&keys);
        last = now();
    }
}

fn now() -> Instant {
    Instant::now()
}

/// Fetches them; after how long it is to be done again.
fn fetch(keys: &FetchedKeys) -> Duration {
    let source = keys.source();
    let fetched = answer(source).and_then(|(text, lasts)| {
        let put = keys.put(&text, SystemClock.now());
        put.with_context(|| format!("what `{}` answers is of no use", source.url))?;
        Ok(lasts)
    });
    match fetched {
        Ok(lasts) => {
            tracing::debug!(url = source.url, "the keys of an issuer were fetched");
            lasts.unwrap_or(source.refresh).clamp(FETCH_EVERY_MIN, source.refresh)
        }
        Err(error) => {
            keys.failed();
            let since = keys.fetched_at().map_or_else(|| "never".to_owned(), |at| at.to_string());
            tracing::error!(
                error = format!("{error:#}"),
                url = source.url,
                fetched_last = since,
                "the keys of an issuer could not be fetched; those that are known count for \
                 `keys_grace`, then its tokens are refused"
            );
            AGAIN_AFTER.min(source.refresh)
        }
    }
}

/// What the issuer answers, and for how long it says that it holds.
fn answer(source: &KeySource) -> anyhow::Result<(String, Option<Duration>)> {
    let url = &source.url;
    let agent = https::agent(&source.trusted).context("`keys_ca` can't be used")?;
    let reply = agent.get(url).call();
    let mut reply = reply.with_context(|| format!("`{url}` could not be asked"))?;
    anyhow::ensure!(reply.status() == 200, "`{url}` answers with {}", reply.status());
    let cache = reply.headers().get("cache-control").and_then(|value| value.to_str().ok());
    let lasts = cache.and_then(max_age);
    let mut text = String::new();
    let mut body = reply.body_mut().as_reader().take(ANSWER_BYTES_MAX + 1);
    body.read_to_string(&mut text).with_context(|| format!("the answer of `{url}` broke off"))?;
    anyhow::ensure!(text.len() as u64 <= ANSWER_BYTES_MAX, "the answer of `{url}` is too long");
    Ok((text, lasts))
}

/// The `max-age` of a Cache-Control field (RFC 9111, 5.2.2.1); 0 where it may not be kept.
fn max_age(field: &str) -> Option<Duration> {
    let mut parts = field.split(',').map(|part| part.trim().to_ascii_lowercase());
    let mut age = None;
    for part in parts.by_ref() {
        if part == "no-store" || part == "no-cache" {
            return Some(Duration::ZERO);
        }
        let seconds = part.strip_prefix("max-age=").and_then(|text| text.parse().ok());
        age = age.or(seconds.map(Duration::from_secs));
    }
    age
}

#[cfg(test)]
mod tests;
