//! A configuration as the rest of the program sees it: typed, absolute, free of contradictions.
//! Only `check` makes one; start with [`Settings`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postern_ledger::{BulkOptions, Retention};
use postern_model::{Actor, FieldClass, Secret, Subject};
use postern_people::{ApprovalRules, Tokens};
use postern_rules::{Rules, RulesError};

use crate::{
    peer::{PeerAt, PeerTls},
    witnessing::WitnessAt,
};

pub(crate) use super::file::{
    AskFile as Ask, CertificateNameFile as CertificateName, CertificateUseFile as CertificateUse,
    Count, EnforcementFile as Enforcement, Insert, PoolFile as Pool, RoleKind,
    TlsFile as UpstreamTls, WhenLostFile as WhenLost,
};

/// Where a running gateway takes orders, in the data folder.
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

/// A configuration that holds together: typed values, absolute paths, every name that is used
/// declared.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The file that it was read from.
    pub(crate) path: PathBuf,
    /// The file's text, as the ledger's record of the configuration wants its hash.
    pub(crate) text: Arc<str>,
    pub(crate) gateway: Gateway,
    pub(crate) upstream: Upstream,
    pub(crate) data: Data,
    /// By name, ordered.
    pub(crate) roles: Vec<Role>,
    /// Budgets of contractors, and of single accounts, whatever their role.
    pub(crate) contractors: Vec<Budget>,
    pub(crate) people: BTreeMap<Actor, Vec<Budget>>,
    pub(crate) tables: Vec<Table>,
    pub(crate) reasons: Vec<Reason>,
    /// How long others may be let in; `None` if nobody may be.
    pub(crate) approvals: Option<ApprovalRules>,
    /// By which tokens applications name end users; `None` if none do.
    pub(crate) end_users: Option<Arc<Tokens>>,
    /// By which tokens people log in; `None` if nobody does.
    pub(crate) sign_in: Option<SignIn>,
    /// How people log in by certificates; `None` if they don't.
    pub(crate) certificates: Option<Certificates>,
    /// How a directory says who works here; `None` if none does.
    pub(crate) scim: Option<Scim>,
    /// Where a monitoring system fetches figures, on this machine; `None`: nowhere.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) policy: Policy,
    pub(crate) watch: Watch,
    /// The ledger's second copy; `None` if nothing waits for one.
    pub(crate) peer: Option<PeerSettings>,
    /// For how long the ledger names customers; `None`: for ever.
    pub(crate) retention: Option<Retention>,
    /// Whether hashes of clear values are recorded.
    pub(crate) value_hashes: bool,
    /// Where segments go that are never written again; `None`: they stay.
    pub(crate) older_segments: Option<PathBuf>,
    pub(crate) witness: Witnessing,
    /// The time-stamping authority for evidence.
    pub(crate) tsa: Option<String>,
}

/// Where the ledger's second copy is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    pub(crate) at: PeerAt,
    /// Files of this side; there are some exactly if the address is not of this machine.
    pub(crate) tls: Option<PeerTls>,
    pub(crate) when_lost: WhenLost,
    pub(crate) patience: Duration,
}

/// How people log in by tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignIn {
    pub(crate) tokens: Arc<Tokens>,
    /// What who says nothing of it is asked for.
    pub(crate) ask: Ask,
}

/// How people log in by certificates. PEM files; they were there when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) crl: Option<PathBuf>,
    pub(crate) name: CertificateName,
    pub(crate) used: CertificateUse,
}

/// How a directory says who works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scim {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) rules: postern_scim::Rules,
}

/// Who is asked to cosign the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Witnessing {
    pub(crate) witnesses: Vec<WitnessAt>,
    /// At least 1.
    pub(crate) enough: usize,
    pub(crate) every: Duration,
    /// What waits for them; `None`: nothing does.
    pub(crate) bulk: Option<BulkOptions>,
}

#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<ServerTls>,
    /// Threads that serve connections; at least 1.
    pub(crate) workers: usize,
    /// Who may ask how the gateway is doing.
    pub(crate) administrators: Vec<Actor>,
    pub(crate) limits: Limits,
}

/// PEM files; both were there when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerTls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) message_bytes_max: usize,
    pub(crate) hold_rows_max: usize,
    pub(crate) hold_bytes_max: usize,
    pub(crate) login_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) idle_in_transaction_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) spare_max: usize,
    pub(crate) spare_time: Duration,
    pub(crate) server_max: usize,
    pub(crate) queue_time: Duration,
    pub(crate) server_lifetime: Duration,
    pub(crate) prepared_max: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// A host name, an address, or a folder with a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) password: Option<Secret<String>>,
    /// Schemas, for names without one.
    pub(crate) search_path: Vec<String>,
    /// Tables without customers' data, as `schema.table` or `schema.*`.
    pub(crate) unprotected: Option<Vec<String>>,
    /// Functions that the administrator vouches for, as `schema.name`.
    pub(crate) functions: Vec<String>,
    /// Relations that the administrator vouches for, as `schema.name`.
    pub(crate) relations: Vec<String>,
    pub(crate) tls: UpstreamTls,
    /// A PEM file with the certificates to trust.
    pub(crate) tls_ca: Option<PathBuf>,
}

/// The data folder and what lies in it.
#[derive(Debug, Clone)]
pub(crate) struct Data {
    pub(crate) folder: PathBuf,
    pub(crate) min_free_bytes: u64,
    pub(crate) warn_free_bytes: u64,
}

impl Data {
    /// The ledger's folder.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// Who is who.
    pub(crate) fn people(&self) -> PathBuf {
        self.folder.join("people.toml")
    }

    /// What a directory has said.
    pub(crate) fn scim(&self) -> PathBuf {
        self.folder.join("scim.json")
    }

    /// The hashes of the tokens by which it may say something.
    pub(crate) fn scim_tokens(&self) -> PathBuf {
        self.folder.join("scim.tokens")
    }

    /// Statements whose results were asked for, each by its hash.
    pub(crate) fn queries(&self) -> PathBuf {
        self.folder.join("queries")
    }

    /// Where a running gateway takes orders.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.folder.join(CONTROL_SOCKET)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) name: Arc<str>,
    pub(crate) kind: RoleKind,
    pub(crate) enforcement: Enforcement,
    pub(crate) pool: Pool,
    pub(crate) budgets: Vec<Budget>,
}

impl Role {
    /// What is to be said of it loudly, if it is not.
    pub(crate) fn not_enforced(&self) -> Option<String> {
        let name = &self.name;
        match self.enforcement {
            Enforcement::Enforce => None,
            Enforcement::Observe => Some(format!(
                "policy is NOT ENFORCED for the role `{name}` (observe): its people see every \
                 customer in clear"
            )),
            Enforcement::Warn => Some(format!(
                "policy is NOT ENFORCED for the role `{name}` (warn): its people see every \
                 customer in clear, and are told what they will not see"
            )),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) count: Count,
    pub(crate) window: Duration,
    pub(crate) max: u64,
}

/// A protected table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) table: String,
    /// The column that holds the customer's key.
    pub(crate) subject: String,
    pub(crate) clear: Vec<String>,
    /// By name, ordered; none of them is in `clear`.
    pub(crate) columns: Vec<Column>,
    pub(crate) insert: Insert,
    /// Columns that may be given a value by an insertion; `None` is all.
    pub(crate) insert_columns: Option<Vec<String>>,
    pub(crate) update: Vec<String>,
    pub(crate) update_own: Vec<String>,
    pub(crate) delete: Insert,
}

impl Table {
    /// `schema.table`, as the ledger and the policy name it.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) class: FieldClass,
    pub(crate) lookup: bool,
    pub(crate) mask: Option<String>,
}

/// What entitles an actor to a subject, over one of the protected tables.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    pub(crate) name: Arc<str>,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) subject: String,
    pub(crate) actor: String,
    pub(crate) ticket: Option<String>,
    /// An SQL condition, as written.
    pub(crate) condition: Option<String>,
    pub(crate) strength: Strength,
    pub(crate) take: Option<Take>,
}

/// How rows that wait are taken.
#[derive(Debug, Clone)]
pub(crate) struct Take {
    pub(crate) order: Vec<String>,
    /// Columns and their values.
    pub(crate) pool: Vec<(String, Vec<String>)>,
    /// Columns and the values that they may be set to.
    pub(crate) set: Vec<(String, Vec<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Strength {
    Weak,
    Strong,
    /// Strong for the rows that this SQL condition holds for, weak for the others.
    StrongWhen(String),
}

/// The policy's text and where it came from.
#[derive(Debug, Clone)]
pub(crate) enum Policy {
    Shipped,
    File { path: PathBuf, text: Arc<str> },
}

#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) alerts_per_100_agents_per_day: f64,
    /// Kinds of finding.
    pub(crate) suspend_on: Vec<String>,
    /// Kinds of finding that are not looked for.
    pub(crate) off: Vec<String>,
    pub(crate) learning_days: u16,
    pub(crate) decoys: Vec<Subject>,
    /// Rules of the user's own, which could be read when the configuration was.
    pub(crate) rules: Option<WatchRules>,
}

/// A folder of rules, with what was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchRules {
    pub(crate) folder: PathBuf,
    pub(crate) texts: Vec<postern_rules::Text>,
    /// Kinds of finding that are not raised.
    pub(crate) off: BTreeSet<String>,
}

impl WatchRules {
    /// Rules that have seen nothing yet.
    pub(crate) fn rules(&self) -> Result<Rules, RulesError> {
        Rules::parse(&self.texts, &self.off)
    }
}

impl Watch {
    /// What the detectors are to be made with.
    pub(crate) fn detectors(&self) -> postern_watch::WatchConfig {
        postern_watch::WatchConfig {
            alerts_per_100_agents_per_day: self.alerts_per_100_agents_per_day,
            learning_days: self.learning_days,
            off: self.off.iter().cloned().collect(),
            ..postern_watch::WatchConfig::default()
        }
    }
}
