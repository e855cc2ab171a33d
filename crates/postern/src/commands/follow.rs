//! `postern follow`: on another machine, keeps a ledger's second copy, durable before anything is
//! released.

use std::{
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use postern_ledger::{Channel, FollowError, Follower};

use super::ledger::key;
use crate::{
    cli::FollowArgs,
    peer::{Arriving, Listener, PeerTls},
    ui::{self, Outcome},
};

/// How many may be connected at once who have shown a certificate; more are turned away.
const CONNECTIONS_MAX: usize = 16;
/// How many may be connected at once who have not.
const ARRIVING_MAX: usize = 64;
/// How long they may take for it.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// How long to wait when no connection could be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How often there is a warning of those who were not let in.
const WARN_EVERY: Duration = Duration::from_secs(1);
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
    let (door, unwelcome) = (Arc::new(Door::default()), Arc::new(Unwelcome::default()));
    loop {
        let Ok(arriving) = listener.accept() else {
            // Out of descriptors, most likely.
            thread::sleep(ACCEPT_AGAIN_AFTER);
            continue;
        };
        let (follower, connected, broken) = (follower.clone(), connected.clone(), broken.clone());
        let unwelcome = unwelcome.clone();
        let place = door.enter(&arriving);
        thread::spawn(move || {
            let greeted = arriving.greet(GREETING_MAX, PATIENCE);
            // Who has a certificate of ours takes no place from who may not have one.
            drop(place);
            let channel = match greeted {
                Ok(channel) => channel,
                Err(error) => return unwelcome.tell(|| format!("nobody was let in: {error}")),
            };
            if connected.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX {
                serve(channel, &follower, &broken);
            }
            connected.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Those who have connected and are still to say who they are. When there are too many one of them
/// goes, whichever: of a flood, the one who has been there longest is the only one with something
/// to say, and each of its tries has a chance like this.
#[derive(Debug, Default)]
struct Door(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    /// By number, with what ends each.
    all: Vec<(u64, Option<TcpStream>)>,
}

/// Warns of those who are not let in: of one each second, and of how many others there were.
#[derive(Debug, Default)]
struct Unwelcome(Mutex<(Option<Instant>, u64)>);

impl Unwelcome {
    fn tell(&self, text: impl FnOnce() -> String) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, others) = *told;
        if last.is_some_and(|last| last.elapsed() < WARN_EVERY) {
            told.1 += 1;
            return;
        }
        *told = (Some(Instant::now()), 0);
        drop(told);
        let others = if others > 0 { format!(", nor were {others} before") } else { String::new() };
        ui::warning(format!("{}{others}", text()));
    }
}

/// A place at the door.
struct Place {
    door: Arc<Door>,
    number: u64,
}

impl Door {
    fn enter(self: &Arc<Self>, arriving: &Arriving) -> Place {
        // Each change is whole.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.last += 1;
        let number = waiting.last;
        if waiting.all.len() >= ARRIVING_MAX {
            let one = rand::random_range(0..waiting.all.len());
            if let (_, Some(stream)) = waiting.all.swap_remove(one) {
                // Its thread then finds the end of it.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        waiting.all.push((number, arriving.handle()));
        Place { door: self.clone(), number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.door.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.all.retain(|(number, _)| *number != self.number);
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
