//! From the file as written to settings that hold together.
//!
//! A check notes what is wrong and goes on, so that one run reports everything. What it returns
//! after a problem is a stand-in that nobody sees: settings come out only if nothing was wrong.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use postern_ledger::{Quorum, QuorumError};
use postern_model::{Actor, Secret, Subject};
use postern_people::{APPROVAL, ApprovalRules, BREAK_GLASS};
use postern_rules::{PREFIX, Rules};
use postern_watch::WatchConfig;

use super::{
    ConfigError, Loaded,
    error::{Problem, Source},
    file::{
        ApprovalsFile, CertificatesFile, DataFile, EvidenceFile, File, GatewayFile, LimitsFile,
        PolicyFile, ReasonFile, TlsFile, UpstreamFile, WatchFile, WitnessFile,
    },
    place::Place,
    settings::{
        Certificates, Data, Gateway, Limits, Policy, ServerTls, Settings, Upstream, Watch,
        WatchRules, Witnessing,
    },
    units,
};
use crate::{rules::RuleFiles, witnessing::WitnessAt};

mod end_users;
mod ledger;
mod metrics;
mod rules;
mod scim;
mod writes;

pub(super) fn check(file: File, path: &Path, source: &Source) -> Result<Loaded, ConfigError> {
    let folder = folder_of(path);
    let mut checker = Checker { source, folder, problems: Vec::new(), warnings: Vec::new() };

    checker.writes(&file);
    let pool = file.gateway.pool;
    let encrypted = file.gateway.tls_certificate.is_some();
    let roles = checker.roles(file.roles, (pool, &file.tables));
    let (contractors, people) = checker.more_budgets(&file.budgets);
    let guarded = file.upstream.database.clone();
    let settings = Settings {
        path: path.to_owned(),
        text: source.text.as_str().into(),
        gateway: checker.gateway(file.gateway, &guarded),
        upstream: checker.upstream(file.upstream),
        data: checker.data(file.data),
        end_users: checker.end_users(file.end_users, &roles),
        sign_in: file.sign_in.and_then(|file| checker.sign_in(file)),
        certificates: file.certificates.map(|section| checker.certificates(section, encrypted)),
        scim: file.scim.map(|file| checker.scim(file, &roles)),
        metrics: file.metrics.map(|file| checker.metrics(&file)),
        roles,
        contractors,
        people,
        tables: checker.tables(&file.tables),
        reasons: checker.reasons(&file.reasons, &file.tables),
        approvals: file.approvals.map(|section| checker.approvals(&section, &file.reasons)),
        policy: checker.policy(file.policy),
        watch: checker.watch(file.watch),
        retention: checker.retention(&file.ledger),
        value_hashes: file.ledger.value_hashes.unwrap_or(file.ledger.retention.is_some()),
        older_segments: checker.older_segments(&file.ledger),
        peer: checker.peer(file.ledger),
        witness: checker.witness(file.witness),
        tsa: checker.tsa(file.evidence),
    };
    if checker.problems.is_empty() {
        return Ok(Loaded { settings, warnings: checker.warnings });
    }
    let mut problems = checker.problems;
    problems.sort_by_key(Problem::line);
    Err(ConfigError::Wrong { path: path.to_owned(), problems })
}

/// What paths in the file are relative to.
fn folder_of(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    std::path::absolute(&folder).unwrap_or(folder)
}

struct Checker<'a> {
    source: &'a Source,
    /// What relative paths are relative to.
    folder: PathBuf,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Checker<'_> {
    fn wrong(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        let span = place.span(&self.source.text);
        self.problems.push(self.source.problem(span, message.into(), help.into()));
    }

    fn warn(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        let span = place.span(&self.source.text);
        let problem = self.source.problem(span, message.into(), help.into());
        self.warnings.push(problem.into_warning());
    }

    fn gateway(&mut self, file: GatewayFile, guarded: &str) -> Gateway {
        let place = Place::section("gateway");
        let encrypted = file.tls_certificate.is_some() || file.tls_key.is_some();
        let listen = self.listen(&place.key("listen"), &file.listen, encrypted);
        let tls = self.server_tls(&place, file.tls_certificate, file.tls_key);
        let workers = match file.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => usize::from(workers),
        };
        if !file.administrators.is_empty() && guarded == postern_gateway::SHOW_DATABASE {
            let help = "ask by `postern show` on the gateway's machine, or rename the database";
            let message = "administrators ask in a database named as the guarded one";
            self.wrong(&place.key("administrators"), message, help);
        }
        let administrators = file.administrators.into_iter().map(Actor::new).collect();
        let limits = self.limits(&place.key("limits"), &file.limits);
        Gateway { listen, tls, workers, administrators, limits }
    }

    fn listen(&mut self, place: &Place, text: &str, encrypted: bool) -> SocketAddr {
        let Ok(address) = text.parse::<SocketAddr>() else {
            self.wrong(
                place,
                format!("`{text}` is not an address to listen on"),
                "write an IP address and a port, e.g. `127.0.0.1:6432` or `[::]:6432`",
            );
            return SocketAddr::from(([127, 0, 0, 1], 0));
        };
        if !address.ip().is_loopback() && !encrypted {
            self.wrong(
                place,
                format!("`{text}` can be reached from other machines, and there is no TLS"),
                "give `tls_certificate` and `tls_key`, or listen on `127.0.0.1`",
            );
        }
        address
    }

    fn server_tls(
        &mut self,
        place: &Place,
        certificate: Option<String>,
        key: Option<String>,
    ) -> Option<ServerTls> {
        let (certificate, key) = match (certificate, key) {
            (None, None) => return None,
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => {
                self.wrong(
                    &place.key("tls_certificate"),
                    "a certificate without its key",
                    "add `tls_key`, the file with the certificate's private key",
                );
                return None;
            }
            (None, Some(_)) => {
                self.wrong(
                    &place.key("tls_key"),
                    "a key without its certificate",
                    "add `tls_certificate`, the file with the certificate chain",
                );
                return None;
            }
        };
        Some(ServerTls {
            certificate: self.existing(&place.key("tls_certificate"), &certificate),
            key: self.existing(&place.key("tls_key"), &key),
        })
    }

    fn certificates(&mut self, file: CertificatesFile, encrypted: bool) -> Certificates {
        let place = Place::section("certificates");
        if !encrypted {
            self.wrong(
                &place,
                "certificates come by TLS, and the gateway has none",
                "give `tls_certificate` and `tls_key` in `[gateway]`",
            );
        }
        Certificates {
            ca: self.existing(&place.key("ca"), &file.ca),
            crl: file.crl.map(|path| self.existing(&place.key("crl"), &path)),
            name: file.name,
            used: file.used,
        }
    }

    fn limits(&mut self, place: &Place, file: &LimitsFile) -> Limits {
        Limits {
            connections_max: self.positive(&place.key("connections_max"), file.connections_max),
            message_bytes_max: self.memory(
                &place.key("message_bytes_max"),
                &file.message_bytes_max,
                1 << 14..=1 << 30,
            ),
            hold_rows_max: self.positive(&place.key("hold_rows_max"), file.hold_rows_max),
            hold_bytes_max: self.memory(
                &place.key("hold_bytes_max"),
                &file.hold_bytes_max,
                1 << 14..=1 << 30,
            ),
            login_timeout: self.duration(&place.key("login_timeout"), &file.login_timeout),
            drain: self.duration(&place.key("drain"), &file.drain),
            idle_in_transaction_timeout: self.duration(
                &place.key("idle_in_transaction_timeout"),
                &file.idle_in_transaction_timeout,
            ),
            statement_timeout: self
                .duration(&place.key("statement_timeout"), &file.statement_timeout),
            spare_max: file.spare_max,
            spare_time: self.duration(&place.key("spare_time"), &file.spare_time),
            server_max: self.positive(&place.key("server_max"), file.server_max),
            queue_time: self.duration(&place.key("queue_time"), &file.queue_time),
            server_lifetime: self.duration(&place.key("server_lifetime"), &file.server_lifetime),
            prepared_max: self.positive(&place.key("prepared_max"), file.prepared_max),
        }
    }

    fn upstream(&mut self, file: UpstreamFile) -> Upstream {
        let place = Place::section("upstream");
        for (key, value) in
            [("host", &file.host), ("database", &file.database), ("user", &file.user)]
        {
            self.not_empty(&place.key(key), key, value);
        }
        self.distinct(&place.key("search_path"), "schema", &file.search_path);
        let full = |entry: &String| {
            entry
                .split_once('.')
                .is_some_and(|(schema, name)| !schema.is_empty() && !name.is_empty())
        };
        for entry in file.unprotected.iter().flatten().filter(|entry| !full(entry)) {
            self.wrong(
                &place.key("unprotected"),
                format!("`{entry}` is no table with its schema"),
                "write it as `schema.table`, or `schema.*` for all tables of a schema",
            );
        }
        for (key, list) in [("functions", &file.functions), ("relations", &file.relations)] {
            for entry in list.iter().filter(|entry| !full(entry) || entry.ends_with(".*")) {
                self.wrong(
                    &place.key(key),
                    format!("`{entry}` is no name with its schema"),
                    "write it as `schema.name`, each one that you vouch for",
                );
            }
        }
        if file.tls_ca.is_some() && file.tls != TlsFile::Require {
            self.wrong(
                &place.key("tls_ca"),
                "`tls_ca` has no effect unless TLS is required",
                "set `tls = \"require\"`, or leave `tls_ca` out",
            );
        }
        if file.tls_ca.is_none() && file.tls == TlsFile::Require {
            self.wrong(
                &place.key("tls"),
                "TLS is required, but it is not said whom to trust",
                "give `tls_ca`, a PEM file with the certificate authority's certificates",
            );
        }
        Upstream {
            password: self.password(&place, &file),
            tls_ca: file.tls_ca.map(|path| self.existing(&place.key("tls_ca"), &path)),
            host: file.host,
            port: file.port,
            database: file.database,
            user: file.user,
            search_path: file.search_path,
            unprotected: file.unprotected,
            functions: file.functions,
            relations: file.relations,
            tls: file.tls,
        }
    }

    fn password(&mut self, place: &Place, file: &UpstreamFile) -> Option<Secret<String>> {
        let (key, password) = match (&file.password_file, &file.password_env) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                self.wrong(
                    &place.key("password_env"),
                    "the password is to be read from two places",
                    "keep one of `password_file` and `password_env`",
                );
                return None;
            }
            (Some(path), None) => {
                let place = place.key("password_file");
                let text = self.read(&place, path)?;
                (place, text.trim_end_matches(['\r', '\n']).to_owned())
            }
            (None, Some(variable)) => {
                let place = place.key("password_env");
                let Ok(value) = std::env::var(variable) else {
                    self.wrong(
                        &place,
                        format!("the environment variable `{variable}` is not set"),
                        "set it where Postern is started, or use `password_file`",
                    );
                    return None;
                };
                (place, value)
            }
        };
        if password.is_empty() {
            self.wrong(&key, "the password is empty", "put the upstream user's password there");
        }
        Some(Secret::new(password))
    }

    fn data(&mut self, file: DataFile) -> Data {
        let place = Place::section("data");
        self.not_empty(&place.key("folder"), "folder", &file.folder);
        Data {
            folder: self.folder.join(&file.folder),
            min_free_bytes: self.bytes(&place.key("min_free"), &file.min_free).unwrap_or(0),
            warn_free_bytes: self.bytes(&place.key("warn_free"), &file.warn_free).unwrap_or(0),
        }
    }

    fn policy(&mut self, file: PolicyFile) -> Policy {
        let Some(path) = file.file else { return Policy::Shipped };
        let place = Place::section("policy").key("file");
        let Some(text) = self.read(&place, &path) else { return Policy::Shipped };
        if let Err(error) = postern_policy::Policy::parse(&text) {
            self.wrong(
                &place,
                format!("the policy `{path}` can't be used: {error}"),
                "correct that file; without `file` the policy that comes with Postern is used",
            );
        }
        Policy::File { path: self.folder.join(path), text: text.into() }
    }

    fn watch(&mut self, file: WatchFile) -> Watch {
        let place = Place::section("watch");
        let rate = file.alerts_per_100_agents_per_day;
        if !(rate.is_finite() && rate > 0.0) {
            self.wrong(
                &place.key("alerts_per_100_agents_per_day"),
                "the accepted rate of false alarms must be more than nothing",
                "0.1 is one false alarm in ten days for a hundred people",
            );
        }
        let rules = file.rules.as_ref().and_then(|rules| self.rules_in(rules, &file.off));
        let ids = rules.as_ref().and_then(|rules| rules.rules().ok());
        let ids: Vec<String> =
            ids.iter().flat_map(Rules::ids).map(|(id, _)| format!("{PREFIX}{id}")).collect();
        self.kinds(&place.key("suspend_on"), &file.suspend_on, &ids);
        self.kinds(&place.key("off"), &file.off, &ids);
        self.distinct(&place.key("decoys"), "decoy", &file.decoys);
        Watch {
            alerts_per_100_agents_per_day: rate,
            suspend_on: file.suspend_on,
            off: file.off,
            learning_days: file.learning_days,
            decoys: file.decoys.into_iter().map(Subject::new).collect(),
            rules,
        }
    }

    fn rules_in(&mut self, folder: &str, off: &[String]) -> Option<WatchRules> {
        let place = Place::section("watch").key("rules");
        let folder = self.folder.join(folder);
        let read = RuleFiles::read(&folder).and_then(|files| {
            let texts = files.rules;
            let rules = WatchRules { folder, texts, off: off.iter().cloned().collect() };
            rules.rules()?;
            Ok(rules)
        });
        match read {
            Ok(rules) => Some(rules),
            Err(error) => {
                self.wrong(
                    &place,
                    format!("the rules can't be used: {error:#}"),
                    "correct them; docs/rules.md says how, and `postern rules test` tries them",
                );
                None
            }
        }
    }

    fn approvals(&mut self, file: &ApprovalsFile, reasons: &[ReasonFile]) -> ApprovalRules {
        let place = Place::section("approvals");
        for (index, reason) in reasons.iter().enumerate() {
            if matches!(reason.name.as_str(), APPROVAL | BREAK_GLASS) {
                self.wrong(
                    &Place::section("reasons").index(index).key("name"),
                    format!("`{}` is what access is called that a person has given", reason.name),
                    "give the reason another name",
                );
            }
        }
        ApprovalRules {
            longest: self.duration(&place.key("longest"), &file.longest),
            break_glass: self.duration(&place.key("break_glass"), &file.break_glass),
            review_within: self.duration(&place.key("review_within"), &file.review_within),
        }
    }

    fn tsa(&mut self, file: EvidenceFile) -> Option<String> {
        let tsa = file.tsa?;
        if let Err(error) = crate::http::check_url(&tsa) {
            self.wrong(
                &Place::section("evidence").key("tsa"),
                format!("`{tsa}` is no address of a time-stamping authority: {error}"),
                "write it like http://tsa.example/tsr; its token is signed, so TLS adds nothing",
            );
        }
        Some(tsa)
    }

    fn witness(&mut self, file: WitnessFile) -> Witnessing {
        let place = Place::section("witness");
        let mut witnesses = Vec::new();
        for text in &file.witnesses {
            match WitnessAt::parse(text) {
                Ok(witness) => witnesses.push(witness),
                Err(error) => self.wrong(
                    &place.key("witnesses"),
                    format!("`{text}` is not a witness: {error:#}"),
                    "`postern witness` prints its address and its key when it starts",
                ),
            }
        }
        let enough = usize::from(file.enough);
        let keys: Vec<_> = witnesses.iter().map(|witness| witness.key.clone()).collect();
        // How many are enough is a question once there are any.
        let asked = !keys.is_empty() || enough == 0;
        match Quorum::new(keys, enough) {
            Err(error @ QuorumError::Twice { .. }) => self.wrong(
                &place.key("witnesses"),
                error.to_string(),
                "name each witness once: two are two people's machines, with a key each",
            ),
            Err(error @ QuorumError::Enough { .. }) if asked => self.wrong(
                &place.key("enough"),
                error.to_string(),
                "give a number from 1 to that of the witnesses",
            ),
            Ok(_) | Err(_) => {}
        }
        let every = self.duration(&place.key("every"), &file.every);
        let bulk = self.bulk(&place, &file);
        Witnessing { witnesses, enough: enough.max(1), every, bulk }
    }

    fn kinds(&mut self, place: &Place, kinds: &[String], rules: &[String]) {
        self.distinct(place, "finding", kinds);
        for (index, kind) in kinds.iter().enumerate() {
            let mut known: Vec<&str> = postern_watch::kinds().collect();
            known.extend(rules.iter().map(String::as_str));
            if !known.contains(&kind.as_str()) {
                self.wrong(
                    &place.index(index),
                    format!("there is no kind of finding called `{kind}`"),
                    format!("there are: {}", known.join(", ")),
                );
            }
        }
    }
}

/// Checks what a file says of the detectors, and nothing else.
pub(super) fn watch(
    file: WatchFile,
    path: &Path,
    source: &Source,
) -> Result<(WatchConfig, Option<WatchRules>), ConfigError> {
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let mut checker = Checker { source, folder, problems: Vec::new(), warnings: Vec::new() };
    let watch = checker.watch(file);
    if checker.problems.is_empty() {
        return Ok((watch.detectors(), watch.rules));
    }
    Err(ConfigError::Wrong { path: path.to_owned(), problems: checker.problems })
}

/// Checks where a file says that the data lies, and nothing else.
pub(super) fn data(file: DataFile, path: &Path, source: &Source) -> Result<Data, ConfigError> {
    let folder = folder_of(path);
    let mut checker = Checker { source, folder, problems: Vec::new(), warnings: Vec::new() };
    let data = checker.data(file);
    if checker.problems.is_empty() {
        return Ok(data);
    }
    Err(ConfigError::Wrong { path: path.to_owned(), problems: checker.problems })
}

/// What several sections need.
impl Checker<'_> {
    fn read(&mut self, place: &Place, path: &str) -> Option<String> {
        let full = self.folder.join(path);
        match fs::read_to_string(&full) {
            Ok(text) => Some(text),
            Err(error) => {
                self.wrong(
                    place,
                    format!("can't read `{}`: {error}", full.display()),
                    "make the file, or let the account that runs Postern read it; relative \
                     paths start at the configuration's folder",
                );
                None
            }
        }
    }

    fn existing(&mut self, place: &Place, path: &str) -> PathBuf {
        if let Err(error) = fs::File::open(self.folder.join(path)) {
            self.wrong(
                place,
                format!("can't read `{}`: {error}", self.folder.join(path).display()),
                "make the file, or let the account that runs Postern read it; relative paths \
                 start at the configuration's folder",
            );
        }
        self.folder.join(path)
    }

    fn not_empty(&mut self, place: &Place, key: &str, value: &str) {
        if value.trim().is_empty() {
            self.wrong(place, format!("`{key}` is empty"), "say something or leave it out");
        }
    }

    fn positive(&mut self, place: &Place, value: u32) -> usize {
        if value == 0 {
            self.wrong(place, "with a limit of 0 nothing works", "write at least 1");
        }
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    fn duration(&mut self, place: &Place, text: &str) -> Duration {
        units::duration(text).unwrap_or_else(|| {
            self.wrong(
                place,
                format!("`{text}` is not a duration"),
                "write a whole number above 0 and one of ms, s, m, h, d, e.g. `1h`",
            );
            Duration::ZERO
        })
    }

    fn bytes(&mut self, place: &Place, text: &str) -> Option<u64> {
        let bytes = units::bytes(text);
        if bytes.is_none() {
            self.wrong(
                place,
                format!("`{text}` is not an amount of memory"),
                "write a whole number and one of B, KiB, MiB, GiB, e.g. `256MiB`",
            );
        }
        bytes
    }

    fn memory(&mut self, place: &Place, text: &str, range: std::ops::RangeInclusive<u64>) -> usize {
        let Some(bytes) = self.bytes(place, text) else { return 0 };
        if !range.contains(&bytes) {
            let (low, high) = (units::bytes_text(*range.start()), units::bytes_text(*range.end()));
            self.wrong(
                place,
                format!("`{text}` is out of range"),
                format!("write something from {low} to {high}"),
            );
        }
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn distinct(&mut self, place: &Place, what: &str, names: &[String]) {
        for (index, name) in names.iter().enumerate() {
            self.not_empty(&place.index(index), what, name);
            if names.iter().take(index).any(|earlier| earlier == name) {
                let message = format!("{what} `{name}` is listed twice");
                self.wrong(&place.index(index), message, "keep one of them");
            }
        }
    }
}
