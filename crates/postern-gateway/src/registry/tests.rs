use std::collections::BTreeMap;

use postern_people::Approvals;
use postern_policy::Policy;
use postern_session::{Enforcement, HoldLimits, Kind};
use tokio::sync::mpsc;

use super::*;
use crate::{Limits, Pooling, Role, Settings, Upstream, UpstreamHost, regime::Common};

#[derive(Debug)]
struct NoClock;

impl postern_model::Clock for NoClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

fn common() -> Common {
    let approvals = Arc::new(Mutex::new(Approvals::default()));
    Common { clock: Arc::new(NoClock), approvals }
}

fn role(kind: Kind) -> Role {
    Role {
        kind,
        enforcement: Enforcement::Enforce,
        pooling: Pooling::Session,
        budgets: Vec::new().into(),
        more: Arc::default(),
        speaks_for: false,
    }
}

fn settings() -> Settings {
    let folder = "/nowhere".into();
    let second = std::time::Duration::from_secs(1);
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        workers: 1,
        tls: None,
        upstream: Upstream {
            host: UpstreamHost::Unix { folder, port: 5432 },
            database: "support".to_owned(),
            user: "postern".to_owned(),
            password: None,
            tls: None,
            search_path: vec!["public".to_owned()],
            unprotected: None,
            functions: Vec::new(),
            relations: Vec::new(),
        },
        limits: Limits {
            connections_max: 100,
            message_bytes_max: 1 << 20,
            login_timeout: second,
            drain: second,
            statement_timeout: second,
            idle_in_transaction_timeout: second,
            spare_max: 0,
            spare_time: second,
            server_max: 4,
            queue_time: second,
            server_lifetime: second,
            prepared_max: 8,
            hold: HoldLimits::default(),
        },
        roles: BTreeMap::from([
            ("agent".into(), role(Kind::Restricted)),
            ("lead".into(), role(Kind::Restricted)),
        ]),
        tables: Vec::new(),
        reasons: Vec::new(),
        approvals: None,
        tokens: None,
        administrators: Vec::new(),
        sign_in: None,
        certificates: None,
    }
}

fn policy() -> Arc<Policy> {
    Arc::new(Policy::parse(Policy::default_text()).unwrap())
}

fn registry() -> Registry {
    Registry::new(Regime::first(settings(), policy(), &common()).0)
}

fn info(registry: &Registry, role: &str) -> SessionInfo {
    SessionInfo {
        end_user: None,
        connection: registry.connection(),
        actor: Actor::new("ana"),
        role: role.into(),
        client: IpAddr::from([127, 0, 0, 1]),
        since: Timestamp(0),
    }
}

fn session(registry: &Registry, process_id: i32, secret: [u8; 4]) -> Registered<'_> {
    let upstream = CancelKey { process_id, secret: vec![9; 4] };
    let reach = Reach::default();
    reach.set(Some(Cancel::new(upstream)));
    let (info, key) = (info(registry, "agent"), (process_id, secret));
    let commands = mpsc::unbounded_channel().0;
    registry.register(info, &registry.in_force(), (key, reach), commands).unwrap()
}

fn process(registry: &Registry, process_id: i32, secret: &[u8]) -> Option<i32> {
    registry.cancel_key(process_id, secret).map(|(cancel, _)| cancel.key.process_id)
}

#[test]
fn a_cancel_request_needs_process_and_secret_of_one_session() {
    let registry = registry();
    let one = session(&registry, 7, [1; 4]);
    let _two = session(&registry, 8, [2; 4]);
    assert_eq!(process(&registry, 7, &[1; 4]), Some(7));
    assert_eq!(process(&registry, 8, &[2; 4]), Some(8));
    for (process_id, secret) in [(7, vec![2; 4]), (8, vec![1; 4]), (7, vec![1; 3]), (1, vec![1; 4])]
    {
        assert_eq!(process(&registry, process_id, &secret), None);
    }
    drop(one);
    assert_eq!(process(&registry, 7, &[1; 4]), None);
}

/// The server's numbers come again.
#[test]
fn a_session_that_ends_takes_no_newer_ones_key_with_it() {
    let registry = registry();
    let old = session(&registry, 7, [1; 4]);
    let new = session(&registry, 7, [1; 4]);
    let other = session(&registry, 7, [2; 4]);
    drop(old);
    assert_eq!(process(&registry, 7, &[1; 4]), Some(7));
    drop(new);
    assert_eq!(process(&registry, 7, &[1; 4]), None);
    assert_eq!(process(&registry, 7, &[2; 4]), Some(7));
    drop(other);
    assert_eq!(registry.sessions(), []);
}

/// What a session of a role is told.
fn listening<'a>(
    registry: &'a Registry,
    role: &str,
) -> (Registered<'a>, mpsc::UnboundedReceiver<Command>) {
    let (sender, commands) = mpsc::unbounded_channel();
    let (info, key) = (info(registry, role), (1, [0; 4]));
    let regime = registry.in_force();
    let registered = registry.register(info, &regime, (key, Reach::default()), sender).unwrap();
    (registered, commands)
}

fn told(commands: &mut mpsc::UnboundedReceiver<Command>) -> Vec<String> {
    std::iter::from_fn(|| commands.try_recv().ok()).map(|one| format!("{one:?}")).collect()
}

/// The next regime, with settings that are changed so.
fn next(registry: &Registry, change: impl Fn(&mut Settings)) -> Regime {
    let before = registry.in_force();
    let mut settings = before.settings.clone();
    change(&mut settings);
    before.continued(&settings, &before.policy).unwrap_or_else(|| {
        let (first, _) = std::sync::mpsc::sync_channel(1);
        before.next(settings, before.policy.clone(), &common(), first).0
    })
}

#[test]
fn sessions_end_that_would_be_others_under_the_new_regime_and_those_only() {
    let registry = registry();
    let (_agent, mut agent) = listening(&registry, "agent");
    let (_lead, mut lead) = listening(&registry, "lead");
    // Nothing, and what is for log-ins only.
    assert_eq!(registry.put_in_force(next(&registry, |_| ())), Some(0));
    let door = next(&registry, |settings| {
        settings.limits.connections_max = 7;
        settings.limits.login_timeout *= 2;
        settings.limits.drain *= 2;
        settings.roles.insert("new".into(), role(Kind::Accounted));
    });
    assert_eq!(registry.put_in_force(door), Some(0));
    assert_eq!(registry.in_force().settings.limits.connections_max, 7);
    // One role.
    let other = next(&registry, |settings| {
        settings.roles.insert("lead".into(), role(Kind::Accounted));
    });
    assert_eq!(registry.put_in_force(other), Some(1));
    assert_eq!((told(&mut agent).len(), told(&mut lead)), (0, vec!["Leave(Outdated)".to_owned()]));
    // All; whoever was told is not told again.
    let (_again, mut again) = listening(&registry, "lead");
    let all = next(&registry, |settings| settings.limits.statement_timeout *= 2);
    let number = all.number;
    assert_eq!(registry.put_in_force(all), Some(2));
    assert_eq!(registry.end_outdated(number - 1), 1, "the lead's first session has had its time");
    assert_eq!(told(&mut lead), ["Late"]);
    assert_eq!(told(&mut agent), ["Leave(Outdated)"]);
    assert_eq!(told(&mut again), ["Leave(Outdated)"]);
    assert_eq!(registry.end_outdated(number), 3);
}

#[test]
fn whoever_has_logged_in_under_what_is_not_in_force_any_more_is_not_taken_in() {
    let registry = registry();
    let before = registry.in_force();
    let register = |role: &str| {
        let (info, key) = (info(&registry, role), (1, [0; 4]));
        let commands = mpsc::unbounded_channel().0;
        registry.register(info, &before, (key, Reach::default()), commands).is_some()
    };
    let change = |settings: &mut Settings| {
        settings.roles.remove("lead");
    };
    registry.put_in_force(next(&registry, change)).unwrap();
    assert!(register("agent") && !register("lead"));
    registry.put_in_force(next(&registry, |s| s.upstream.user.push('2'))).unwrap();
    assert!(!register("agent"));
}

#[test]
fn nothing_changes_any_more_when_the_gateway_stops() {
    let registry = registry();
    let (_session, mut commands) = listening(&registry, "agent");
    registry.drain();
    let other = next(&registry, |settings| settings.limits.statement_timeout *= 2);
    assert_eq!(registry.put_in_force(other), None);
    assert_eq!(told(&mut commands), ["Leave(Stopping)"]);
}
