//! `postern follow`: on another machine, keeps a ledger's second copy, durable before anything is
//! released.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use postern_ledger::{Channel, FollowError, Follower};

use super::ledger::key;
use crate::{
    cli::FollowArgs,
    peer::{Listener, PeerTls},
    ui::{self, Outcome},
};

/// How many may be connected at once; more are turned away.
const CONNECTIONS_MAX: usize = 16;
/// How long to wait when no connection could be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long the ledger's side may say nothing: it asks every second whether anybody is there.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(args: FollowArgs) -> anyhow::Result<Outcome> {
    let FollowArgs { dir, log, listen, tls_certificate, tls_key, tls_ca } = args;
    let key = key(&log)?;
    let name = key.name().to_owned();
    let follower = Follower::open(&dir, key)
        .with_context(|| format!("can't open the copy in `{}`", dir.display()))?;
    let tls = match (tls_certificate, tls_key, tls_ca) {
        (Some(certificate), Some(key), Some(ca)) => Some(PeerTls { certificate, key, ca }),
        // The command line has all three or none.
        _ => None,
    };
    let listener = Listener::bind(&listen, tls.as_ref())?;
    ui::result(format!("listening on {}", listener.address()?))?;
    ui::result(format!("following {name}, {} entries", follower.entries()))?;
    let (broken, ended) = mpsc::channel();
    thread::Builder::new()
        .name("postern-follow".to_owned())
        .spawn(move || accept(&listener, &Arc::new(follower), &broken))?;
    // Only what makes the copy useless ends it. Whoever starts it again has all of it checked.
    let error = ended.recv().context("nobody listens any more")?;
    Err(error.into())
}

fn accept(listener: &Listener, follower: &Arc<Follower>, broken: &mpsc::Sender<FollowError>) {
    let connected = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok(channel) = listener.accept(PATIENCE) else {
            // Out of descriptors, most likely.
            thread::sleep(ACCEPT_AGAIN_AFTER);
            continue;
        };
        if connected.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            connected.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (follower, connected, broken) = (follower.clone(), connected.clone(), broken.clone());
        thread::spawn(move || {
            serve(channel, &follower, &broken);
            connected.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn serve(mut channel: Box<dyn Channel>, follower: &Follower, broken: &mpsc::Sender<FollowError>) {
    match follower.serve(&mut *channel) {
        Ok(()) => {}
        Err(error @ FollowError::Poisoned(_)) => {
            // It ends only once.
            let _ = broken.send(error);
        }
        Err(error) => {
            ui::warning(format!("a connection has ended: {:#}", anyhow::Error::from(error)));
        }
    }
}
