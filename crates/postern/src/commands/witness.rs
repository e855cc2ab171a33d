//! `postern witness`: on another machine, says of ledgers that they continue what it saw before.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use postern_ledger::{AcceptError, Accepted, Witness, WitnessReply};
use postern_model::Clock as _;

use super::ledger::key;
use crate::{
    cli::WitnessArgs,
    clock::SystemClock,
    http,
    ui::{self, Outcome},
};

/// How many may be connected at once; more are turned away.
const CONNECTIONS_MAX: usize = 64;
/// How long to wait when no connection could be accepted.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

pub(crate) fn run(args: WitnessArgs) -> anyhow::Result<Outcome> {
    let WitnessArgs { dir, name, listen, log, accept_loss } = args;
    let logs = log.iter().map(|path| key(path)).collect::<anyhow::Result<_>>()?;
    let witness = Arc::new(Witness::open(&dir, &name, logs)?);
    if let Some(proof) = accept_loss {
        return accept(&witness, &proof);
    }
    let listener =
        TcpListener::bind(listen).with_context(|| format!("can't listen on {listen}"))?;
    ui::result(format!("listening on http://{}", listener.local_addr()?))?;
    ui::result(format!("key {}", witness.key().to_text()))?;
    let connected = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors, most likely.
            thread::sleep(ACCEPT_AGAIN_AFTER);
            continue;
        };
        if connected.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            connected.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (witness, connected) = (witness.clone(), connected.clone());
        thread::spawn(move || {
            // Who hangs up asks again.
            let _ = serve(stream, &witness);
            connected.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(Outcome::Yes)
}

fn accept(witness: &Witness, proof: &Path) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(proof);
    let text = text.with_context(|| format!("can't read `{}`", proof.display()))?;
    match witness.accept_loss(&text) {
        Ok(Accepted { origin, entries, seen }) => {
            ui::result(format!(
                "`{origin}` was put back with {entries} of the {seen} entries that were seen here; \
                 what continues that is cosigned from now on"
            ))?;
            ui::hint("what was seen is kept in the folder, as `lost-…`");
            Ok(Outcome::Yes)
        }
        Err(error @ AcceptError::Io(_)) => Err(error.into()),
        Err(error) => {
            ui::failure(&error.into());
            Ok(Outcome::No)
        }
    }
}

fn serve(stream: TcpStream, witness: &Witness) -> io::Result<()> {
    http::serve(stream, |request| {
        let WitnessReply { status, content_type, body } = answer(request, witness);
        http::reply(status, content_type, &body)
    })
}

fn answer(request: &http::Request, witness: &Witness) -> WitnessReply {
    let plain = |status, body: &str| WitnessReply {
        status,
        content_type: http::PLAIN,
        body: body.to_owned(),
    };
    if !request.path.ends_with("/add-checkpoint") {
        return plain(404, "only add-checkpoint is here\n");
    }
    if request.method != "POST" {
        return plain(405, "add-checkpoint is posted\n");
    }
    let seconds = SystemClock.now().0 / 1_000_000;
    witness.add_checkpoint(&request.body, u64::try_from(seconds).unwrap_or_default())
}
