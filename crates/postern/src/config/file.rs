//! The configuration file as it is written. The comments here are the reference: `docs/config.md`
//! is generated from them.

use std::collections::BTreeMap;

use postern_model::FieldClass;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod budgets;
mod certificates;
mod metrics;
mod scim;

pub(crate) use self::{
    budgets::{AccountBudgetsFile, BudgetFile, Count},
    certificates::{CertificateNameFile, CertificateUseFile, CertificatesFile},
    metrics::MetricsFile,
    scim::{ScimFile, ScimGroupFile},
};

/// The configuration of one gateway: one TOML file. Paths are relative to the file's folder,
/// durations are a number and one of `ms`, `s`, `m`, `h`, `d`, amounts of memory a number and one
/// of `B`, `KiB`, `MiB`, `GiB`. A key that is not listed here is an error.
///
/// `postern reload`, or SIGHUP, has the running gateway read the file again, with what it names:
/// all of it is in force then, or none. `listen`, `workers`, `[data]`, `[ledger]`, `[witness]`,
/// `[scim]`, `[metrics]` and `[watch]`, but for `suspend_on`, need a restart: where they differ
/// nothing is taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) gateway: GatewayFile,
    pub(crate) upstream: UpstreamFile,
    #[serde(default)]
    pub(crate) data: DataFile,
    /// What a person may do in general, by the role that `people.toml` gives them: one section
    /// `[roles.NAME]` for each role.
    #[serde(default)]
    pub(crate) roles: BTreeMap<String, RoleFile>,
    #[serde(default)]
    pub(crate) budgets: Vec<AccountBudgetsFile>,
    #[serde(default)]
    pub(crate) tables: Vec<TableFile>,
    #[serde(default)]
    pub(crate) reasons: Vec<ReasonFile>,
    pub(crate) approvals: Option<ApprovalsFile>,
    pub(crate) end_users: Option<EndUsersFile>,
    pub(crate) sign_in: Option<SignInFile>,
    pub(crate) certificates: Option<CertificatesFile>,
    pub(crate) scim: Option<ScimFile>,
    pub(crate) metrics: Option<MetricsFile>,
    #[serde(default)]
    pub(crate) policy: PolicyFile,
    #[serde(default)]
    pub(crate) watch: WatchFile,
    #[serde(default)]
    pub(crate) ledger: LedgerFile,
    #[serde(default)]
    pub(crate) witness: WitnessFile,
    #[serde(default)]
    pub(crate) evidence: EvidenceFile,
}

/// What is added to evidence for people who have no ledger.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EvidenceFile {
    /// A time-stamping authority (RFC 3161), as `http://HOST[:PORT][/PATH]`. It is sent a hash of
    /// the evidence, and its token says that the evidence was there at that time. Without it there
    /// is no token; where the authority doesn't answer nothing is exported.
    pub(crate) tsa: Option<String>,
}

/// Where clients connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GatewayFile {
    /// The address and port that clients connect to. Anything but a loopback address needs
    /// `tls_certificate` and `tls_key`.
    pub(crate) listen: String,
    /// The certificate chain that clients are shown, as a PEM file. With it, connections without
    /// TLS are refused, except on loopback addresses.
    pub(crate) tls_certificate: Option<String>,
    /// The certificate's private key, as a PEM file.
    pub(crate) tls_key: Option<String>,
    /// How many threads serve connections; 0 stands for one per processor core.
    pub(crate) workers: u16,
    /// For how long a client has a connection to the server: as long as it is connected
    /// (`session`), or from the beginning of each transaction to its end (`transaction`), so that
    /// many clients share a few. What needs one connection, such as PREPARE in SQL, keeps it until
    /// the client says DISCARD ALL. A pass-through role has its own in any case.
    pub(crate) pool: PoolFile,
    /// The accounts that may connect to a database named `postern`, by psql, and ask there how the
    /// gateway is doing: `SHOW STATS`, `SHOW CLIENTS`, `SHOW POOLS`.
    pub(crate) administrators: Vec<String>,
    pub(crate) limits: LimitsFile,
}

impl Default for GatewayFile {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:6432".to_owned(),
            tls_certificate: None,
            tls_key: None,
            workers: 0,
            pool: PoolFile::Session,
            administrators: Vec::new(),
            limits: LimitsFile::default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PoolFile {
    Session,
    Transaction,
}

/// What a client may use of the gateway. Everything has a limit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsFile {
    /// How many clients may be connected at once; more are refused with SQLSTATE 53300.
    pub(crate) connections_max: u32,
    /// The longest message that a client or the server may send. A longer one ends the connection.
    pub(crate) message_bytes_max: String,
    /// How many rows are held back until the ledger has them, in one connection.
    pub(crate) hold_rows_max: u32,
    /// How much memory those rows may take, in one connection.
    pub(crate) hold_bytes_max: String,
    /// How long a client may take to log in.
    pub(crate) login_timeout: String,
    /// How long running statements may go on when the gateway is asked to stop, and transactions
    /// when the configuration has changed.
    pub(crate) drain: String,
    /// How long a transaction may stand idle before it is rolled back and the connection ended.
    pub(crate) idle_in_transaction_timeout: String,
    /// How long one statement of a restricted or accounted role may run, unless the client sets
    /// another time, of up to an hour.
    pub(crate) statement_timeout: String,
    /// How many connections to the server each core keeps when their sessions have ended: made as
    /// new with DISCARD ALL, for another session of the same account that asks for the same
    /// settings. 0 keeps none.
    pub(crate) spare_max: usize,
    /// How long each is kept, and how long one that clients share stays without any.
    pub(crate) spare_time: String,
    /// How many connections to the server the clients share where `pool` is `transaction`; each
    /// core has its part of them.
    pub(crate) server_max: u32,
    /// How long a statement waits for one of them before it is refused with SQLSTATE 53300.
    pub(crate) queue_time: String,
    /// How old one of them may become. One that is older is replaced between two transactions.
    pub(crate) server_lifetime: String,
    /// How many prepared statements each of them keeps. Others are prepared again when they are
    /// used.
    pub(crate) prepared_max: u32,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            connections_max: 1_000,
            message_bytes_max: "16MiB".to_owned(),
            hold_rows_max: 1_024,
            hold_bytes_max: "4MiB".to_owned(),
            login_timeout: "10s".to_owned(),
            drain: "10s".to_owned(),
            idle_in_transaction_timeout: "60s".to_owned(),
            statement_timeout: "60s".to_owned(),
            spare_max: 8,
            spare_time: "30s".to_owned(),
            server_max: 20,
            queue_time: "30s".to_owned(),
            server_lifetime: "1h".to_owned(),
            prepared_max: 200,
        }
    }
}

/// The PostgreSQL server (13 to 18) that is guarded, and the one credential that the gateway uses
/// there. Nobody else needs to know it. Without `password_file` and `password_env` the server must
/// let this user in without a password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamFile {
    /// The server's host name or address, or the folder of its Unix socket.
    pub(crate) host: String,
    /// The server's port.
    #[serde(default = "port_default")]
    pub(crate) port: u16,
    /// The database that is guarded.
    pub(crate) database: String,
    /// The role that the gateway connects as. It must be able to read what it guards and need not
    /// be a superuser.
    pub(crate) user: String,
    /// A file that holds the password and nothing else; nobody but its owner should be able to
    /// read it.
    pub(crate) password_file: Option<String>,
    /// The environment variable that holds the password, instead of `password_file`.
    pub(crate) password_env: Option<String>,
    /// The schemas in which a table that is named without one is looked for.
    #[serde(default = "search_path_default")]
    pub(crate) search_path: Vec<String>,
    /// The tables that hold nothing of customers, as `schema.table` or `schema.*`. With this list a
    /// table that is neither in it nor in `tables` is refused to judged roles, so that a copy of a
    /// protected table, made under another name, is too. Without it every table that is not in
    /// `tables` may be read.
    pub(crate) unprotected: Option<Vec<String>>,
    /// Functions of your own that judged roles may call, as `schema.name`; each stands for all of
    /// that name. It is for you to know that they read and tell nothing of customers: the gateway
    /// does not look into them.
    #[serde(default)]
    pub(crate) functions: Vec<String>,
    /// Relations that judged roles may read although the gateway can't tell what they read, as
    /// `schema.name`: foreign tables, those of extensions, namesakes of protected tables, views
    /// that are refused.
    #[serde(default)]
    pub(crate) relations: Vec<String>,
    /// Whether the connection to the server is encrypted: `disable` or `require`. There is nothing
    /// between: encryption that an attacker can switch off protects nothing. Over a Unix socket it
    /// never is.
    #[serde(default)]
    pub(crate) tls: TlsFile,
    /// The certificates, as a PEM file, that the server's certificate must descend from; the
    /// server's name is checked too. `require` needs it.
    pub(crate) tls_ca: Option<String>,
}

fn port_default() -> u16 {
    5432
}

fn search_path_default() -> Vec<String> {
    vec!["public".to_owned()]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TlsFile {
    #[default]
    Disable,
    Require,
}

/// Where Postern keeps what must not be lost: the ledger, `people.toml` and the control socket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataFile {
    /// The folder. Only the account that runs Postern should be able to read it.
    pub(crate) folder: String,
    /// How much space must stay free there. With less, protected data is no longer shown until
    /// there is room again; everything else goes on.
    pub(crate) min_free: String,
    /// With less free than this Postern warns, in its log and in `postern status`.
    pub(crate) warn_free: String,
}

impl Default for DataFile {
    fn default() -> Self {
        Self {
            folder: "postern-data".to_owned(),
            min_free: "256MiB".to_owned(),
            warn_free: "1GiB".to_owned(),
        }
    }
}

/// One role, as `[roles.NAME]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleFile {
    /// `restricted`: sees clear values of those customers only for whom there is a reason, masks
    /// otherwise. `accounted`: sees everything, and each record is metered and recorded; a
    /// protected column that decides what comes (`WHERE email LIKE …`) counts as a look-up.
    /// `pass_through`: neither judged nor recorded; such a role must not be able to read any
    /// protected table. `application`: the shared account of an application that names the end user
    /// of each request (`[end_users]`); it has no access of its own to protected tables.
    pub(crate) kind: RoleKind,
    /// Whether policy is enforced for a restricted role. `enforce`: yes. `observe`: not yet;
    /// nothing is masked or refused and no budget stops anything, all that leaves is recorded, and
    /// with it what enforcement would have done. What can't be accounted, which would be refused,
    /// is sent to the server as it is, and its entry says that what left is not known. `warn`: the
    /// same, and the client is told in a NOTICE. People of such a role have their own connections
    /// to the server, whatever `pool` says.
    #[serde(default)]
    pub(crate) enforcement: EnforcementFile,
    /// Another `pool` than that of `[gateway]`.
    pub(crate) pool: Option<PoolFile>,
    /// How much each person of this role may read. When a budget is spent the result is cut off at
    /// that record.
    #[serde(default)]
    pub(crate) budgets: Vec<BudgetFile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleKind {
    Restricted,
    Accounted,
    PassThrough,
    Application,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EnforcementFile {
    Observe,
    Warn,
    #[default]
    Enforce,
}

/// One protected table. A column that is neither in `clear` nor under `columns` is masked, so that
/// a column that is added to the table later is protected until somebody decides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableFile {
    /// The table, with its schema: `public.customers`. A materialized view or foreign table
    /// that holds customers' records is declared in the same way; a view needs no section.
    pub(crate) name: String,
    /// The column that says whose record a row is: the customer's key.
    pub(crate) subject: String,
    /// The columns that anybody may see. A generated column that is computed from a protected
    /// one is masked all the same.
    #[serde(default)]
    pub(crate) clear: Vec<String>,
    /// The protected columns: one section `[tables.columns.NAME]` for each.
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, ColumnFile>,
    /// Whether restricted roles may insert rows, with plain values. In a table of a reason a new
    /// row may name the person who inserts it and nobody else, and the reason that it makes is a
    /// weak one.
    #[serde(default)]
    pub(crate) insert: Insert,
    /// With `insert = "allow"`, the columns that may be given a value; without it all.
    pub(crate) insert_columns: Option<Vec<String>>,
    /// The columns that restricted roles may change, in rows of customers for whom there is a
    /// reason. A column that a reason reads can't be among them, nor can the subject's. No trigger
    /// may change the subject's column of a row: what is recorded is whose the row is then. One
    /// that `order` or `pool` of a queue names is changed in rows only that somebody has.
    #[serde(default)]
    pub(crate) update: Vec<String>,
    /// The columns that a reason's `where` reads, such as a ticket's status, and that restricted
    /// roles may change all the same: in rows only that are the person's own by that reason at
    /// that moment, so that a change can end a reason and never make one.
    #[serde(default)]
    pub(crate) update_own: Vec<String>,
    /// Whether rows may be deleted: by restricted roles those of customers for whom there is a
    /// reason, by accounted ones all. Policy has to permit it too.
    #[serde(default)]
    pub(crate) delete: Insert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Insert {
    #[default]
    Refuse,
    Allow,
}

/// One protected column, as `[tables.columns.NAME]` after its table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnFile {
    /// What kind of personal data it holds; policy speaks of classes.
    pub(crate) class: Class,
    /// Whether a restricted role may search for one exact value of it, as when a caller gives
    /// their e-mail address. Every such look-up is counted.
    #[serde(default)]
    pub(crate) lookup: bool,
    /// The text that stands in place of the value; it must be a valid value of the column's type.
    /// Without it there is one for each class and type.
    pub(crate) mask: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Name,
    Email,
    Phone,
    Address,
    Identifier,
    CaseNumber,
    FreeText,
    Secret,
}

impl From<Class> for FieldClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Name => Self::Name,
            Class::Email => Self::Email,
            Class::Phone => Self::Phone,
            Class::Address => Self::Address,
            Class::Identifier => Self::Identifier,
            Class::CaseNumber => Self::CaseNumber,
            Class::FreeText => Self::FreeText,
            Class::Secret => Self::Secret,
        }
    }
}

/// What entitles a person to a customer: rows of a table of your own that connect the two. The
/// gateway reads them on its own connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonFile {
    /// The reason's name; it stands in every ledger entry that rests on it.
    pub(crate) name: String,
    /// The table that is read, with its schema. It must be one of `tables`: whoever can write it
    /// can make reasons.
    pub(crate) table: String,
    /// Its column that holds the customer's key.
    pub(crate) subject: String,
    /// Its column that holds the person's account name.
    pub(crate) actor: String,
    /// Its column by which people state the reason for a statement: the ticket's number, as
    /// `/*postern.ticket='T-123'*/` at the statement's end. What is stated has to be a reason of
    /// theirs at that moment, else the statement is refused; then it shows this customer in clear
    /// and no other, and the ticket is in its entries. Without the column nothing can be stated.
    pub(crate) ticket: Option<String>,
    /// The rows that count, as an SQL condition over the table's columns; without it all do.
    #[serde(rename = "where")]
    pub(crate) condition: Option<String>,
    /// How good the reason is: `strong` if the customer caused it, `weak` if the person or a
    /// colleague could have made it alone. Weak is assumed.
    pub(crate) grade: Option<GradeFile>,
    /// The rows for which the reason is strong, as an SQL condition, instead of `grade`.
    pub(crate) strong_when: Option<String>,
    pub(crate) take: Option<TakeFile>,
}

/// How people take what waits in a queue, as `[reasons.take]` after its reason: a row of the
/// reason's table that names nobody. An `UPDATE` that sets the reason's `actor` to the person's own
/// account gets the next row in the queue's order, whichever it asks for, and is refused if it asks
/// for a certain one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeFile {
    /// The columns that the queue is ordered by, the oldest first: `["created_at"]`. Rows that are
    /// equal in them follow each other by their primary key, which the table must have.
    pub(crate) order: Vec<String>,
    /// What a row that waits has in other columns, one of the values in each:
    /// `pool = { status = ["open"] }`.
    #[serde(default)]
    pub(crate) pool: BTreeMap<String, Vec<String>>,
    /// What may be set along with `actor`, and to which values: `set = { status = ["open"] }`.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GradeFile {
    Weak,
    Strong,
}

/// Access to single customers that another person approves (`postern ask`, `postern approve`), and
/// that somebody takes at once and answers for afterwards (`postern break-glass`, `postern
/// review`). Without this section there is neither. What is approved is a strong reason named
/// `approval`, what is taken a weak one named `break_glass`; policy is asked about both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApprovalsFile {
    /// The longest that somebody may ask for.
    pub(crate) longest: String,
    /// How long access lasts that is taken at once.
    pub(crate) break_glass: String,
    /// How soon somebody else has to have looked at that.
    pub(crate) review_within: String,
}

impl Default for ApprovalsFile {
    fn default() -> Self {
        Self {
            longest: "8h".to_owned(),
            break_glass: "1h".to_owned(),
            review_within: "1d".to_owned(),
        }
    }
}

/// How an application says whom its statements are for: by a signed token (a JWT) of the end
/// user's, `SET LOCAL postern.actor = 'TOKEN'` or `SELECT set_config('postern.actor', $1, true)`,
/// for the transaction; without LOCAL, or with `false`, until another is named. Its statements are
/// then judged, recorded and charged as those of the account that the token names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndUsersFile {
    /// Who signs the tokens, as their `iss` says it.
    pub(crate) issuer: String,
    /// For whom they are, as their `aud` says it, or one of them.
    pub(crate) audience: String,
    /// The issuer's public keys, a JSON Web Key Set (RFC 7517): a file, or the address of the
    /// issuer's (`https://…`, its `jwks_uri`), from which it is fetched at the start and then
    /// again. Keys for RSA, ECDSA (P-256, P-384) and Ed25519 are taken. After a change of the file
    /// say `postern reload`.
    pub(crate) keys: String,
    /// The certificates, as a PEM file, that the certificate of that address must descend from.
    pub(crate) keys_ca: Option<String>,
    /// How soon keys of an address are fetched again; sooner where the answer says so
    /// (`Cache-Control: max-age`), or when a token is by a key that is not known.
    #[serde(default = "keys_refresh_default")]
    pub(crate) keys_refresh: String,
    /// For how long fetched keys count when they can't be fetched again. Then no token is taken.
    #[serde(default = "keys_grace_default")]
    pub(crate) keys_grace: String,
    /// The claim that holds the account's name in `people.toml`.
    #[serde(default = "EndUsersFile::account")]
    pub(crate) account: String,
    /// The longest that a token may count, from its `iat` to its `exp`. Both must be there.
    #[serde(default = "EndUsersFile::longest")]
    pub(crate) longest: String,
    /// How far the issuer's clock may be off.
    #[serde(default = "EndUsersFile::leeway")]
    pub(crate) leeway: String,
}

fn keys_refresh_default() -> String {
    "10m".to_owned()
}

fn keys_grace_default() -> String {
    "1h".to_owned()
}

/// How people log in by a signed token instead of a password: an ID token or access token (a JWT)
/// of the issuer's, given where the client asks for the password. It names an account of
/// `people.toml`, which has to be the user name, and lets its holder in until it expires, from one
/// address. It is taken over TLS, and from this machine. A session that has begun goes on when the
/// token expires.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInFile {
    /// Who signs the tokens, as their `iss` says it.
    pub(crate) issuer: String,
    /// For whom they are, as their `aud` says it, or one of them: for ID tokens the client's ID.
    pub(crate) audience: String,
    /// The issuer's public keys, as in `[end_users]`.
    pub(crate) keys: String,
    /// As in `[end_users]`.
    pub(crate) keys_ca: Option<String>,
    /// As in `[end_users]`.
    #[serde(default = "keys_refresh_default")]
    pub(crate) keys_refresh: String,
    /// As in `[end_users]`.
    #[serde(default = "keys_grace_default")]
    pub(crate) keys_grace: String,
    /// The claim that holds the account's name in `people.toml`.
    #[serde(default = "EndUsersFile::account")]
    pub(crate) account: String,
    /// The longest that a token may count, from its `iat` to its `exp`. Both must be there.
    #[serde(default = "EndUsersFile::longest")]
    pub(crate) longest: String,
    /// How far the issuer's clock may be off.
    #[serde(default = "EndUsersFile::leeway")]
    pub(crate) leeway: String,
    /// What a client is asked for that does not say it: `password`, or `token`. It says it by
    /// `options=-c postern.sign_in=token`, or `password`.
    #[serde(default)]
    pub(crate) ask: AskFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AskFile {
    #[default]
    Password,
    Token,
}

impl EndUsersFile {
    fn account() -> String {
        "sub".to_owned()
    }

    fn longest() -> String {
        "1h".to_owned()
    }

    fn leeway() -> String {
        "10s".to_owned()
    }
}

/// The decision: who may see which field of which customer for which reason.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyFile {
    /// A Cedar policy; without it the one that comes with Postern, which shows a customer in clear
    /// to whoever has a reason for that customer.
    pub(crate) file: Option<String>,
}

/// What is watched, and what happens when something is found.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WatchFile {
    /// How many false alarms a team accepts: alerts in a day for every hundred people watched.
    pub(crate) alerts_per_100_agents_per_day: f64,
    /// The kinds of finding that suspend an account at once; `docs/detection.md` lists them.
    /// Findings of low severity suspend nobody.
    pub(crate) suspend_on: Vec<String>,
    /// The kinds of finding that are not looked for.
    pub(crate) off: Vec<String>,
    /// Days from the first access on in which what is usual is learned and nothing that rests on
    /// statistics is raised.
    pub(crate) learning_days: u16,
    /// The keys of planted customers: nobody has a reason to read them.
    pub(crate) decoys: Vec<String>,
    /// A folder of rules of your own, in Sigma; their hits are findings. `docs/rules.md` says how
    /// they are written, `postern rules test` tries them. `suspend_on` and `off` may name each as
    /// `rule:` and its `id`.
    pub(crate) rules: Option<String>,
}

impl Default for WatchFile {
    fn default() -> Self {
        Self {
            alerts_per_100_agents_per_day: 0.1,
            suspend_on: Vec::new(),
            off: Vec::new(),
            learning_days: 7,
            decoys: Vec::new(),
            rules: None,
        }
    }
}

/// Who says that the ledger's history was not rewritten: `postern witness` on other machines, or
/// any other witness of C2SP tlog-witness. Without one the ledger is "unwitnessed": whoever has its
/// key could rewrite it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WitnessFile {
    /// The witnesses, each as its URL, a blank and its key, as `postern witness` prints them.
    pub(crate) witnesses: Vec<String>,
    /// How many of them have to have cosigned an entry for it to be witnessed.
    pub(crate) enough: u16,
    /// How often they are asked; at once where something waits for them.
    pub(crate) every: String,
    /// So many records may leave to one account before the witnesses have seen their entries. What
    /// is more is recorded and waits until they have, so that no larger list can be taken out of
    /// the history afterwards. Without it nothing waits. For all of a larger result to wait it must
    /// be less than `hold_rows_max`.
    pub(crate) unwitnessed_max: Option<u32>,
    /// How long a result waits for them before it is refused.
    pub(crate) patience: String,
}

impl Default for WitnessFile {
    fn default() -> Self {
        Self {
            witnesses: Vec::new(),
            enough: 1,
            every: "10s".to_owned(),
            unwitnessed_max: None,
            patience: "30s".to_owned(),
        }
    }
}

/// When what is disclosed counts as recorded, and for how long customers are named.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LedgerFile {
    /// Where an entry has to be on stable storage before what it discloses is released: `local`, or
    /// `local+peer`, here and at a follower (`postern follow`), which `[ledger.peer]` names.
    pub(crate) durable_on: DurableOn,
    /// For how long the ledger names customers, e.g. `365d`; without it, for ever. What is older
    /// can't be read any more, since its key is destroyed; all proofs stay. At least `31d`, as far
    /// as budgets look back.
    pub(crate) retention: Option<String>,
    /// How much is made unreadable at once: nothing before that is destroyed, and nothing is kept
    /// for longer than both together. `1d` to `366d`; it counts only with `retention`.
    pub(crate) epoch: String,
    /// Whether hashes of the clear values of results of at most 64 rows are recorded, so that
    /// `postern ledger saw-value` can say whether a leaked value is what somebody was shown, even
    /// if it has changed since. They are keyed: who has the ledger's `key`, or the key of an
    /// epoch, and the dictionary finds by trying what has few possible values. If it is left out,
    /// they are where `retention` is set, since their key is destroyed then.
    pub(crate) value_hashes: Option<bool>,
    /// A folder on another volume, to which the gateway moves segments that are never written
    /// again, but for the newest, once a minute; links stand in their place. It has to be there,
    /// and is for this ledger only. Without it they stay in the ledger's folder.
    pub(crate) older_segments: Option<String>,
    pub(crate) peer: Option<PeerFile>,
}

impl Default for LedgerFile {
    fn default() -> Self {
        Self {
            durable_on: DurableOn::default(),
            retention: None,
            epoch: "30d".to_owned(),
            value_hashes: None,
            older_segments: None,
            peer: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) enum DurableOn {
    #[default]
    #[serde(rename = "local")]
    Local,
    #[serde(rename = "local+peer")]
    LocalAndPeer,
}

/// The follower that keeps the ledger's second copy, with `durable_on = "local+peer"`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerFile {
    /// Where it listens: `HOST:PORT`, or `unix:PATH` for a Unix socket of this machine.
    pub(crate) address: String,
    /// What becomes of protected data while the follower is away or catches up: `stop`, it is not
    /// shown until the follower is in step; or `go_on`, it is shown once it is recorded here, and
    /// `postern status` says since when. All else goes on in any case.
    #[serde(default)]
    pub(crate) when_lost: WhenLostFile,
    /// How long the follower may take to answer before it counts as away.
    #[serde(default = "patience_default")]
    pub(crate) patience: String,
    /// The certificate chain that the follower is shown, as a PEM file. A `HOST:PORT` needs it and
    /// the next two; the connection is TLS 1.3, and each side checks the other's certificate.
    pub(crate) tls_certificate: Option<String>,
    /// The certificate's private key, as a PEM file.
    pub(crate) tls_key: Option<String>,
    /// The certificates, as a PEM file, that the follower's certificate must descend from; its name
    /// is checked too.
    pub(crate) tls_ca: Option<String>,
}

fn patience_default() -> String {
    "5s".to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenLostFile {
    #[default]
    Stop,
    GoOn,
}
