//! What a gateway is told: where it listens, what it guards, how roles are treated.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use postern_ledger::Limit;
use postern_model::{Actor, Secret};
use postern_people::{ApprovalRules, Tokens};
use postern_session::{Enforcement, HoldLimits, Kind, ReasonSettings, TableSettings};
use postern_sql::Rules;

use crate::ClientCertificates;

/// What a gateway is told by whoever composes it; everything is checked already.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many cores serve connections.
    pub workers: usize,
    /// TLS towards clients; `None` answers their request with "no".
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The guarded server.
    pub upstream: Upstream,
    /// What bounds connections and messages.
    pub limits: Limits,
    /// By name.
    pub roles: BTreeMap<Arc<str>, Role>,
    /// The protected tables.
    pub tables: Vec<TableSettings>,
    /// What entitles an actor to a subject; with those of approvals, where there are any.
    pub reasons: Vec<ReasonSettings>,
    /// How people may let others in; `None` if they may not.
    pub approvals: Option<ApprovalRules>,
    /// What says which tokens of applications name somebody; `None` where none does.
    pub tokens: Option<Arc<Tokens>>,
    /// Who may ask how the gateway is doing, by psql.
    pub administrators: Vec<Actor>,
    /// How people log in by tokens; `None` if they don't.
    pub sign_in: Option<SignIn>,
    /// How people log in by certificates, which `tls` then asks for; `None` if they don't.
    pub certificates: Option<ClientCertificates>,
}

/// How people log in by tokens.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub tokens: Arc<Tokens>,
    /// Who does not say whether they have a password or a token is asked for a token.
    pub by_default: bool,
}

/// The guarded server and the gateway's own account on it.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub host: UpstreamHost,
    pub database: String,
    pub user: String,
    pub password: Option<Secret<String>>,
    /// TLS towards the server; `None` is in the clear.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Where names without a schema are looked up, for restricted and accounted roles.
    pub search_path: Vec<String>,
    /// The tables that hold nothing protected; `None` if all do that are not protected.
    pub unprotected: Option<Vec<String>>,
    /// Functions and relations that the administrator vouches for, as `schema.name`.
    pub functions: Vec<String>,
    pub relations: Vec<String>,
}

impl Upstream {
    /// Whether what is known of one's objects holds for the other's.
    pub(crate) fn is_same_database(&self, other: &Self) -> bool {
        (&self.host, &self.database) == (&other.host, &other.database)
    }

    /// Whether nothing differs.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        // Every field is named, so that a new one is thought of.
        let Self {
            host,
            database,
            user,
            password,
            tls,
            search_path,
            unprotected,
            functions,
            relations,
        } = self;
        let same_tls = match (tls, &other.tls) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, Some(_)) | (Some(_), None) => false,
        };
        same_tls
            && (host, database) == (&other.host, &other.database)
            && (user, password) == (&other.user, &other.password)
            && *search_path == other.search_path
            && *unprotected == other.unprotected
            && (functions, relations) == (&other.functions, &other.relations)
    }

    /// Adds to rules what the administrator says of the database's other objects.
    pub fn vouch(&self, rules: &mut Rules) {
        rules.unprotected.clone_from(&self.unprotected);
        rules.functions.clone_from(&self.functions);
        rules.relations.clone_from(&self.relations);
    }
}

/// Where the guarded server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamHost {
    Tcp {
        host: String,
        port: u16,
    },
    /// The socket's folder and the port in its name.
    Unix {
        folder: PathBuf,
        port: u16,
    },
}

/// What bounds connections and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub connections_max: usize,
    /// The longest message of a client or the server.
    pub message_bytes_max: usize,
    /// From the connection to the end of the log-in.
    pub login_timeout: Duration,
    /// How long running statements may go on after the gateway was told to stop.
    pub drain: Duration,
    pub statement_timeout: Duration,
    pub idle_in_transaction_timeout: Duration,
    /// How many connections to the server that no session uses are kept by each core, and how long.
    pub spare_max: usize,
    pub spare_time: Duration,
    /// How many connections to the server the sessions that share may have together.
    pub server_max: usize,
    /// How long a statement waits for one of them.
    pub queue_time: Duration,
    /// How old such a connection may become.
    pub server_lifetime: Duration,
    /// How many prepared statements each of them keeps.
    pub prepared_max: usize,
    pub hold: HoldLimits,
}

/// For how long a session has a connection to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// For as long as it lasts.
    #[default]
    Session,
    /// From a transaction's beginning to its end.
    Transaction,
}

/// How the actors of a role are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub kind: Kind,
    /// Whether policy is enforced for its actors. Where it is not they have connections of their
    /// own and no budgets.
    pub enforcement: Enforcement,
    /// A session of kind `PassThrough` has its connection for as long as it lasts in any case:
    /// what it does is not looked at.
    pub pooling: Pooling,
    /// Its budgets, for each actor.
    pub budgets: Arc<[Limit]>,
    /// Those of some actors beside these.
    pub more: Arc<MoreBudgets>,
    /// Its accounts are applications, which name the end users whom their statements are for.
    pub speaks_for: bool,
}

impl Role {
    /// What limits an actor of this role: all budgets that apply, and of those that count the same
    /// over the same time the smallest.
    pub fn limits(&self, actor: &Actor, is_contractor: bool) -> Arc<[Limit]> {
        let of_contractors = is_contractor.then_some(&self.more.contractors).into_iter().flatten();
        let own = self.more.people.get(actor).into_iter().flatten();
        let mut limits: Vec<Limit> = Vec::new();
        for limit in self.budgets.iter().chain(of_contractors).chain(own) {
            let same =
                |known: &&mut Limit| (known.counter, known.window) == (limit.counter, limit.window);
            match limits.iter_mut().find(same) {
                Some(known) => known.max = known.max.min(limit.max),
                None => limits.push(*limit),
            }
        }
        limits.into()
    }
}

/// Budgets of some actors, whatever their role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MoreBudgets {
    /// Of each whom another company employs.
    pub contractors: Vec<Limit>,
    pub people: BTreeMap<Actor, Vec<Limit>>,
}
