//! From the configuration to what the gateway is told.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::Context as _;
use postern_gateway::{
    CertificateName, CertificateUse, ClientCertificates, Limits, MoreBudgets, Pooling, Role,
    Settings as GatewaySettings, SignIn, Upstream, UpstreamHost, approval_reasons,
};
use postern_ledger::{Counter, Limit};
use postern_model::Grade;
use postern_session::{
    ColumnSettings, Enforcement, HoldLimits, InsertRule, Kind, ReasonGrade, ReasonSettings,
    TableSettings, TakeRule, Values,
};
use rustls::{
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoClientAuth, danger::ClientCertVerifier},
};

use crate::{
    config::{self, Count, Insert, Pool, RoleKind, Settings, Strength, UpstreamTls},
    files,
};

pub(super) fn gateway(settings: &Settings) -> anyhow::Result<GatewaySettings> {
    let limits = &settings.gateway.limits;
    let certificates = settings.certificates.as_ref().map(certificates).transpose()?;
    let asking = certificates.as_ref().map(ClientCertificates::asking);
    Ok(GatewaySettings {
        listen: settings.gateway.listen,
        workers: settings.gateway.workers,
        tls: settings.gateway.tls.as_ref().map(|files| server_tls(files, asking)).transpose()?,
        upstream: upstream(&settings.upstream)?,
        limits: Limits {
            connections_max: limits.connections_max,
            message_bytes_max: limits.message_bytes_max,
            login_timeout: limits.login_timeout,
            drain: limits.drain,
            statement_timeout: limits.statement_timeout,
            idle_in_transaction_timeout: limits.idle_in_transaction_timeout,
            spare_max: limits.spare_max,
            spare_time: limits.spare_time,
            server_max: limits.server_max,
            queue_time: limits.queue_time,
            server_lifetime: limits.server_lifetime,
            prepared_max: limits.prepared_max,
            hold: HoldLimits {
                rows_max: limits.hold_rows_max,
                bytes_max: limits.hold_bytes_max,
                value_rows_max: if settings.value_hashes { VALUE_ROWS_MAX } else { 0 },
                ..HoldLimits::default()
            },
        },
        roles: {
            let more = Arc::new(more_budgets(settings));
            let roles = settings.roles.iter();
            roles.map(|one| (one.name.clone(), role(one, &more))).collect()
        },
        tables: settings.tables.iter().map(table).collect(),
        reasons: reasons(settings),
        approvals: settings.approvals,
        tokens: settings.end_users.clone(),
        administrators: settings.gateway.administrators.clone(),
        sign_in: settings.sign_in.as_ref().map(|sign_in| SignIn {
            tokens: sign_in.tokens.clone(),
            by_default: sign_in.ask == config::Ask::Token,
        }),
        certificates,
    })
}

/// Of larger results no hashes of values are recorded.
const VALUE_ROWS_MAX: u64 = 64;

/// How many statements may be stopped in a role that says nothing of it, in the shortest of the
/// role's windows: who is locked out by it is so for no longer than by any of them.
const STOPS_MAX: u64 = 50;

fn limits(budgets: &[config::Budget]) -> Vec<Limit> {
    let limits = budgets.iter().map(|budget| Limit {
        counter: match budget.count {
            Count::ClearSubjects => Counter::ClearSubjects,
            Count::WeakSubjects => Counter::WeakSubjects,
            Count::MaskedSubjects => Counter::MaskedSubjects,
            Count::Lookups => Counter::Lookups,
            Count::LookupMisses => Counter::LookupMisses,
            Count::Stops => Counter::Stops,
        },
        window: budget.window,
        max: budget.max,
    });
    let mut limits: Vec<Limit> = limits.collect();
    let shortest = limits.iter().map(|limit| limit.window).min();
    if let Some(window) = shortest
        && limits.iter().all(|limit| limit.counter != Counter::Stops)
    {
        limits.push(Limit { counter: Counter::Stops, window, max: STOPS_MAX });
    }
    limits
}

fn more_budgets(settings: &Settings) -> MoreBudgets {
    let people = settings.people.iter();
    MoreBudgets {
        contractors: limits(&settings.contractors),
        people: people.map(|(actor, budgets)| (actor.clone(), limits(budgets))).collect(),
    }
}

fn role(role: &config::Role, more: &Arc<MoreBudgets>) -> Role {
    let mut budgets = limits(&role.budgets);
    let enforcement = match role.enforcement {
        config::Enforcement::Observe => Enforcement::Observe,
        config::Enforcement::Warn => Enforcement::Warn,
        config::Enforcement::Enforce => Enforcement::Enforce,
    };
    if !enforcement.is_enforced() {
        budgets.clear();
    }
    // Nothing of who is passed through is counted, and an application's accounts read nothing.
    let counts = matches!(role.kind, RoleKind::Restricted | RoleKind::Accounted);
    let more = if counts && enforcement.is_enforced() { more.clone() } else { Arc::default() };
    Role {
        enforcement,
        kind: match role.kind {
            // For nobody, until it names somebody.
            RoleKind::Restricted | RoleKind::Application => Kind::Restricted,
            RoleKind::Accounted => Kind::Accounted,
            RoleKind::PassThrough => Kind::PassThrough,
        },
        pooling: match role.pool {
            // What a text leaves there that nobody looks into is nobody else's to find.
            _ if !enforcement.is_enforced() => Pooling::Session,
            Pool::Session => Pooling::Session,
            Pool::Transaction => Pooling::Transaction,
        },
        budgets: budgets.into(),
        more,
        speaks_for: role.kind == RoleKind::Application,
    }
}

fn table(table: &config::Table) -> TableSettings {
    TableSettings {
        schema: table.schema.clone(),
        table: table.table.clone(),
        subject: table.subject.clone(),
        clear: table.clear.clone(),
        columns: table
            .columns
            .iter()
            .map(|column| ColumnSettings {
                name: column.name.clone(),
                class: column.class,
                lookup: column.lookup,
                mask: column.mask.clone(),
            })
            .collect(),
        insert: match (table.insert, &table.insert_columns) {
            (Insert::Refuse, _) => InsertRule::Refuse,
            (Insert::Allow, None) => InsertRule::Allow,
            (Insert::Allow, Some(columns)) => InsertRule::Columns(columns.clone()),
        },
        update: table.update.clone(),
        update_own: table.update_own.clone(),
        delete: table.delete == Insert::Allow,
    }
}

fn take(take: &config::Take) -> TakeRule {
    let values = |columns: &[(String, Vec<String>)]| {
        let each = columns
            .iter()
            .map(|(column, values)| Values { column: column.clone(), values: values.clone() });
        each.collect()
    };
    TakeRule { pool: values(&take.pool), order: take.order.clone(), sets: values(&take.set) }
}

fn reason(reason: &config::Reason) -> ReasonSettings {
    ReasonSettings {
        name: reason.name.clone(),
        schema: reason.schema.clone(),
        table: reason.table.clone(),
        subject: reason.subject.clone(),
        actor: reason.actor.clone(),
        ticket: reason.ticket.clone(),
        condition: reason.condition.clone().unwrap_or_else(|| "true".to_owned()),
        grade: match &reason.strength {
            Strength::Weak => ReasonGrade::Always(Grade::Weak),
            Strength::Strong => ReasonGrade::Always(Grade::Strong),
            Strength::StrongWhen(condition) => ReasonGrade::StrongWhen(condition.clone()),
        },
        take: reason.take.as_ref().map(take),
    }
}

/// Those that are read, and those that people give.
pub(crate) fn reasons(settings: &Settings) -> Vec<ReasonSettings> {
    let read = settings.reasons.iter().map(reason);
    let given = settings.approvals.iter().flat_map(|_| approval_reasons());
    read.chain(given).collect()
}

fn upstream(upstream: &config::Upstream) -> anyhow::Result<Upstream> {
    let port = upstream.port;
    let host = if upstream.host.starts_with('/') {
        UpstreamHost::Unix { folder: upstream.host.clone().into(), port }
    } else {
        UpstreamHost::Tcp { host: upstream.host.clone(), port }
    };
    let tls = match upstream.tls {
        UpstreamTls::Disable => None,
        UpstreamTls::Require => Some(client_tls(upstream.tls_ca.as_deref())?),
    };
    Ok(Upstream {
        host,
        database: upstream.database.clone(),
        user: upstream.user.clone(),
        password: upstream.password.clone(),
        tls,
        search_path: upstream.search_path.clone(),
        unprotected: upstream.unprotected.clone(),
        functions: upstream.functions.clone(),
        relations: upstream.relations.clone(),
    })
}

/// TLS as a server, which asks for clients' certificates if there is somebody to take them.
pub(super) fn server_tls(
    files: &config::ServerTls,
    asking: Option<Arc<dyn ClientCertVerifier>>,
) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let shown = files.certificate.display();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("can't read the certificate `{shown}`"))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("can't read the key `{}`", files.key.display()))?;
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(asking.unwrap_or_else(|| Arc::new(NoClientAuth)))
        .with_single_cert(chain, key)
        .with_context(|| format!("the certificate `{shown}` and its key can't be used"))?;
    tls.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(Arc::new(tls))
}

/// The certificates that people may show.
fn certificates(files: &config::Certificates) -> anyhow::Result<ClientCertificates> {
    let name = match files.name {
        config::CertificateName::Cn => CertificateName::CommonName,
        config::CertificateName::Email => CertificateName::Email,
        config::CertificateName::Dns => CertificateName::Dns,
        config::CertificateName::Uri => CertificateName::Uri,
    };
    let used = match files.used {
        config::CertificateUse::Required => CertificateUse::Required,
        config::CertificateUse::Beside => CertificateUse::Beside,
        config::CertificateUse::Offered => CertificateUse::Offered,
    };
    let mut revoked = Vec::new();
    if let Some(crl) = &files.crl {
        let unread = || format!("can't read the revoked certificates in `{}`", crl.display());
        let lists = CertificateRevocationListDer::pem_file_iter(crl);
        for list in lists.with_context(unread)? {
            revoked.push(list.with_context(unread)?);
        }
        anyhow::ensure!(!revoked.is_empty(), unread());
    }
    let roots = roots(&files.ca)?;
    ClientCertificates::new(roots, revoked, provider(), (name, used))
        .with_context(|| format!("the certificates in `{}` can't be used", files.ca.display()))
}

fn roots(ca: &Path) -> anyhow::Result<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(ca)
        .with_context(|| format!("can't read the certificates in `{}`", ca.display()))?;
    for certificate in read {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

fn client_tls(ca: Option<&Path>) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let ca = ca.context("TLS to the database server needs `tls_ca`, the certificate to trust")?;
    let roots = roots(ca)?;
    let tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(tls))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// 32 random bytes that stay the same over restarts: read from the file, or made and written.
pub(super) fn secret(path: &Path) -> anyhow::Result<[u8; 32]> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let bytes = text.trim().as_bytes().chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).ok()?;
                u8::from_str_radix(pair, 16).ok()
            });
            let bytes: Option<Vec<u8>> = bytes.collect();
            bytes
                .and_then(|bytes| bytes.try_into().ok())
                .with_context(|| format!("`{}` is not a key of 64 hex digits", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key: [u8; 32] = rand::random();
            files::create_private(path, &hex(&key))
                .with_context(|| format!("can't write the key `{}`", path.display()))?;
            Ok(key)
        }
        Err(error) => {
            Err(error).with_context(|| format!("can't read the key `{}`", path.display()))
        }
    }
}

/// As two hex digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of a configuration, with its policy and rules.
pub(super) fn hash(settings: &Settings) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(settings.text.as_bytes());
    if let config::Policy::File { text, .. } = &settings.policy {
        hasher.update(text.as_bytes());
    }
    for text in settings.watch.rules.iter().flat_map(|rules| &rules.texts) {
        hasher.update(text.text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}
