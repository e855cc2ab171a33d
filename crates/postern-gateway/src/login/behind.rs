//! The server's side of a session that begins.

use std::{rc::Rc, time::Duration};

use postern_session::Kind;
use postern_sql::written_path;
use postern_wire::SqlState;

use super::{Behind, Door, Entered, LoginError, refused, start};
use crate::{
    Pooling, Settings,
    listen::Core,
    pool::{FitError, Parameters, Pool, Set, TakeError},
    regime::Regime,
    spare::{Owner, Spares},
    upstream::{self, Connected},
};

/// How long a client waits for a catalogue that can't be read at the moment: it is read anew after
/// every trouble with the server, which is over soon most times.
const CATALOGUE_WAIT: Duration = Duration::from_secs(2);
/// How often a server that was full is asked again, and how long it takes to make room.
const ROOM_TRIES: usize = 20;
const ROOM_AFTER: Duration = Duration::from_millis(25);
/// A way to the server, with what that says of its settings.
pub(super) type Found = (Behind, Rc<Parameters>);

impl Door<'_> {
    /// Connects to the server in the actor's place.
    pub(super) async fn find(
        &self,
        (actor, _, role): &Entered,
        settings: start::Settings,
    ) -> Result<Found, LoginError> {
        let Core { regime, spares, pool, .. } = &self.core;
        let found = if role.pooling == Pooling::Transaction && role.kind != Kind::PassThrough {
            turns(pool, settings).await?
        } else {
            // Of two values for one setting the server takes the last: the client's, where it has
            // a say.
            let mut wanted = pinned(&regime.settings, role.kind);
            wanted.extend(settings);
            own(regime, spares, Owner { actor: actor.clone(), settings: wanted }).await?
        };
        // Whoever is not judged needs none.
        if role.kind != Kind::PassThrough && !regime.knows_catalogue(CATALOGUE_WAIT).await {
            let message = "the database's catalogue can't be read at the moment";
            return Err(refused(SqlState::CANNOT_CONNECT_NOW, message));
        }
        Ok(found)
    }
}

/// A connection of the session's own, with what the server says of its settings.
async fn own(regime: &Regime, spares: &Spares, owner: Owner) -> Result<Found, LoginError> {
    let server = connect(regime, spares, &owner).await.map_err(unreachable)?;
    let parameters = Rc::new(server.parameters.clone());
    Ok((Behind::Own(server, owner), parameters))
}

/// The same for a session that shares.
async fn turns(pool: &Rc<Pool>, settings: start::Settings) -> Result<Found, LoginError> {
    let set = Set::new(settings);
    match pool.greeting(&set).await {
        Ok(parameters) => Ok((Behind::Turns(set), parameters)),
        Err(FitError::Refused { sqlstate, message }) => Err(refused(sqlstate, &message)),
        Err(FitError::Take(TakeError::Busy)) => {
            let message = "all connections to the database server are in use";
            Err(refused(SqlState::TOO_MANY_CONNECTIONS, message))
        }
        Err(error @ (FitError::Take(TakeError::Connect(_)) | FitError::Lost)) => {
            Err(unreachable(error))
        }
    }
}

fn unreachable(error: impl std::error::Error + 'static) -> LoginError {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "no connection to the database server"
    );
    refused(SqlState::CANNOT_CONNECT_NOW, "the database server can't be reached")
}

/// A connection that is as new.
async fn connect(
    regime: &Regime,
    spares: &Spares,
    owner: &Owner,
) -> Result<Connected, upstream::ConnectError> {
    if let Some(server) = spares.take(owner) {
        return Ok(server);
    }
    let wanted: Vec<(&str, &str)> =
        owner.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let limit = regime.settings.limits.message_bytes_max;
    let connect = || upstream::connect(&regime.settings.upstream, &wanted, limit);
    let mut connected = connect().await;
    // What is kept for others takes the room, until the server's processes have ended.
    if is_full(&connected) && spares.end_all().await > 0 {
        for _ in 0..ROOM_TRIES {
            tokio::time::sleep(ROOM_AFTER).await;
            connected = connect().await;
            if !is_full(&connected) {
                break;
            }
        }
    }
    connected
}

/// Whether the server takes no more connections.
fn is_full(connected: &Result<Connected, upstream::ConnectError>) -> bool {
    matches!(connected, Err(upstream::ConnectError::Refused { sqlstate, .. })
        if *sqlstate == SqlState::TOO_MANY_CONNECTIONS)
}

/// Settings that judged statements rely on, given at start-up so that RESET comes back to them.
pub(crate) fn pinned(settings: &Settings, kind: Kind) -> Vec<(String, String)> {
    if kind == Kind::PassThrough {
        return Vec::new();
    }
    let limits = &settings.limits;
    let pinned = [
        ("client_encoding", "UTF8".to_owned()),
        ("standard_conforming_strings", "on".to_owned()),
        ("search_path", written_path(&settings.upstream.search_path)),
        // Not serializable, whatever the server's is; a client may choose another one.
        ("default_transaction_isolation", "read committed".to_owned()),
        ("statement_timeout", limits.statement_timeout.as_millis().to_string()),
        (
            "idle_in_transaction_session_timeout",
            limits.idle_in_transaction_timeout.as_millis().to_string(),
        ),
    ];
    pinned.map(|(name, value)| (name.to_owned(), value)).into()
}
