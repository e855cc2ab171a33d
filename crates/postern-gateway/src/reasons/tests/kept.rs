//! Readings that are kept by what has changed are what a whole reading would be, whatever the
//! transactions do meanwhile.

use std::sync::{Mutex, atomic::AtomicI64};

use postern_session::Held;
use postern_testkit::PostgresServer;
use tokio_postgres::Client;

use super::*;

const SCHEMA: &str = "
    CREATE TABLE tickets (id int PRIMARY KEY, customer_id int, assignee text, status text,
        opened timestamptz NOT NULL DEFAULT '2020-01-01', urgent bool);
    CREATE TABLE calls (customer_id int, agent text, starts timestamptz);
    INSERT INTO tickets SELECT n, n, CASE n % 3 WHEN 0 THEN 'ana' WHEN 1 THEN 'ben' END, 'open'
        FROM generate_series(1, 30) n;";

/// A clock that stands unless it is moved.
#[derive(Debug, Default)]
struct Standing(AtomicI64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

impl Standing {
    fn wait(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

struct World {
    postgres: PostgresServer,
    settings: Vec<ReasonSettings>,
    clock: Standing,
    reasons: Reasons,
    active: Vec<Active>,
    names: [Actor; 2],
}

impl World {
    fn start(settings: Vec<ReasonSettings>) -> Self {
        let postgres = PostgresServer::start(postern_testkit::Options::default()).unwrap();
        postgres.psql(SCHEMA).unwrap();
        postgres.psql(&changes_sql(&settings, postgres.superuser())).unwrap();
        let (reasons, _requests) = Reasons::new(None);
        let names = ["ana", "ben"].map(Actor::new);
        let active = names.iter().map(|name| reasons.keep(name)).collect();
        Self { postgres, settings, clock: Standing::default(), reasons, active, names }
    }

    async fn client(&self) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.postgres.socket_dir()).port(self.postgres.port());
        config.user(self.postgres.superuser()).dbname("postgres");
        config.options("-c search_path=pg_catalog");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn reader<'a>(&'a self, client: &'a Client) -> Reader<'a> {
        Reader::prepare(client, &self.settings, &self.clock).await.unwrap()
    }

    /// Has those read who are not kept; two looks are needed before anybody is.
    async fn ask(&self, reader: &mut Reader<'_>) {
        let asked = self.names.clone().map(|actor| Request { actor, done: oneshot::channel().0 });
        reader.read_asked(&self.reasons, asked.into()).await.unwrap();
    }

    async fn begin(&self, reader: &mut Reader<'_>) {
        for _ in 0..3 {
            self.ask(reader).await;
        }
    }

    fn are_kept(&self) -> bool {
        self.active.iter().all(|active| active.entitled().lasts(self.clock.now()))
    }

    fn subjects(&self) -> [Vec<String>; 2] {
        [0, 1].map(|who| held(&self.active[who]))
    }

    /// What is kept is what the server says.
    async fn check(&self, reader: &mut Reader<'_>) {
        reader.read_all(&self.reasons).await.unwrap();
        let kept = self.subjects();
        let client = self.client().await;
        let mut whole = self.reader(&client).await;
        let (reasons, _requests) = Reasons::new(None);
        let active: Vec<Active> = self.names.iter().map(|name| reasons.keep(name)).collect();
        let asked = self.names.clone().map(|actor| Request { actor, done: oneshot::channel().0 });
        whole.read_asked(&reasons, asked.into()).await.unwrap();
        for ((active, kept), name) in active.iter().zip(kept).zip(&self.names) {
            assert_eq!(kept, held(active), "{}", name.as_str());
        }
    }
}

/// Subjects and why, in order.
fn held(active: &Active) -> Vec<String> {
    let (held, _) = active.entitled().without(|_, _| false);
    let said = |(subject, reason): &Held| format!("{} {reason:?}", subject.as_str());
    let mut held: Vec<String> = held.iter().map(said).collect();
    held.sort();
    held
}

fn open_ticket() -> ReasonSettings {
    let strong = ReasonGrade::StrongWhen("urgent".to_owned());
    ReasonSettings { ticket: Some("id".to_owned()), grade: strong, ..reason("status = 'open'") }
}

fn has(world: &World, who: usize, subject: &str) -> bool {
    world.active[who].entitled().best(subject, world.clock.now()).is_some()
}

#[tokio::test]
async fn what_changes_is_read_and_nothing_else() {
    let world = World::start(vec![open_ticket()]);
    let client = world.client().await;
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    assert!(world.are_kept());
    let ben = world.active[1].entitled();
    world.postgres.psql("UPDATE tickets SET assignee = 'ana' WHERE id = 2").unwrap();
    assert!(!has(&world, 0, "2"));
    world.check(&mut reader).await;
    assert!(
        has(&world, 0, "2") && world.active[0].entitled().for_ticket("2", Timestamp(0)).is_some()
    );
    assert!(Arc::ptr_eq(&ben, &world.active[1].entitled()), "nothing of his has changed");
    for sql in [
        "UPDATE tickets SET status = 'closed' WHERE id = 2",
        "UPDATE tickets SET urgent = true WHERE id = 3",
        "UPDATE tickets SET customer_id = 77 WHERE id IN (3, 4)",
        "DELETE FROM tickets WHERE id IN (6, 7)",
        "INSERT INTO tickets VALUES (100, 5, 'ben', 'open'), (101, 5, 'ben', 'open')",
        "DELETE FROM tickets WHERE id = 100",
        "SET session_replication_role = replica; DELETE FROM tickets WHERE id = 101",
    ] {
        world.postgres.psql(sql).unwrap();
        world.check(&mut reader).await;
        assert!(world.are_kept(), "{sql}");
    }
    assert!(!has(&world, 0, "2") && !has(&world, 1, "5") && has(&world, 1, "77"));
}

#[tokio::test]
async fn what_is_kept_counts_a_second_from_the_last_look() {
    let world = World::start(vec![open_ticket()]);
    let client = world.client().await;
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    world.clock.wait(Duration::from_millis(900));
    assert!(!world.active[0].rests(world.clock.now()));
    reader.read_all(&world.reasons).await.unwrap();
    world.clock.wait(READING_LASTS);
    assert!(has(&world, 0, "3"));
    world.clock.wait(Duration::from_micros(1));
    assert!(!has(&world, 0, "3") && world.active[0].rests(world.clock.now()));
}

/// A number is given when a transaction first writes, and says nothing of when it commits.
#[tokio::test]
async fn a_transaction_that_commits_late_is_not_missed() {
    let world = World::start(vec![open_ticket()]);
    let (client, early, prepared) =
        (world.client().await, world.client().await, world.client().await);
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    early.batch_execute("BEGIN; DELETE FROM public.tickets WHERE id = 3").await.unwrap();
    let nested = "BEGIN; SAVEPOINT a; UPDATE public.tickets SET assignee = 'ana' WHERE id = 4;
        SAVEPOINT b; DELETE FROM public.tickets WHERE id = 6; ROLLBACK TO b";
    prepared.batch_execute(nested).await.unwrap();
    for id in 12..20 {
        world.postgres.psql(&format!("DELETE FROM tickets WHERE id = {id}")).unwrap();
        world.check(&mut reader).await;
    }
    assert!(has(&world, 0, "3") && !has(&world, 0, "4"));
    early.batch_execute("COMMIT").await.unwrap();
    world.check(&mut reader).await;
    assert!(!has(&world, 0, "3"));
    prepared.batch_execute("COMMIT").await.unwrap();
    world.check(&mut reader).await;
    assert!(has(&world, 0, "4") && has(&world, 0, "6") && world.are_kept());
}

#[tokio::test]
async fn random_transactions_leave_what_a_whole_reading_finds() {
    let more = ReasonSettings { name: "urgent".into(), ..reason("urgent") };
    let world = World::start(vec![open_ticket(), more]);
    let client = world.client().await;
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    let clients = [world.client().await, world.client().await, world.client().await];
    let mut seed = 20_261_127_u64;
    let mut random = |below: u64| {
        // Xorshift: the same run each time.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut open = [false; 3];
    for step in 0..400 {
        let which = random(3);
        let at = usize::try_from(which).unwrap();
        // Each has rows of its own, so that none waits for another.
        let id = 3 * random(10) + which + 1;
        let actor = ["'ana'", "'ben'", "NULL", "'cai'"][usize::try_from(random(4)).unwrap()];
        let sql = match random(8) {
            0 if open[at] => "COMMIT".to_owned(),
            1 if open[at] => "ROLLBACK".to_owned(),
            2 if !open[at] => "BEGIN".to_owned(),
            3 if open[at] => "SAVEPOINT s".to_owned(),
            4 => format!("DELETE FROM public.tickets WHERE id = {id}"),
            5 => format!(
                "INSERT INTO public.tickets (id, customer_id, assignee, status, urgent)
                 VALUES ({id}, {}, {actor}, 'open', {}) ON CONFLICT DO NOTHING",
                random(5),
                random(2) == 0
            ),
            6 => format!("UPDATE public.tickets SET status = 'closed' WHERE id = {id}"),
            _ => format!(
                "UPDATE public.tickets SET assignee = {actor}, status = 'open',
                urgent = NOT urgent, customer_id = {} WHERE id = {id}",
                random(5)
            ),
        };
        clients[at].batch_execute(&sql).await.unwrap();
        open[at] = match sql.as_str() {
            "BEGIN" => true,
            "COMMIT" | "ROLLBACK" => false,
            _ => open[at],
        };
        if random(3) == 0 {
            if random(10) == 0 {
                world.clock.wait(Duration::from_secs(11));
            }
            world.check(&mut reader).await;
            assert!(world.are_kept(), "step {step}: {sql}");
        }
    }
}

/// After each of these nothing is kept: not what a trigger did not tell, not after it is back.
#[tokio::test]
async fn what_could_change_unseen_ends_what_is_kept() {
    let world = World::start(vec![open_ticket()]);
    let install = changes_sql(&world.settings, world.postgres.superuser());
    let client = world.client().await;
    for sql in [
        "ALTER TABLE tickets DISABLE TRIGGER ALL; DELETE FROM tickets WHERE id = 3;
         ALTER TABLE tickets ENABLE ALWAYS TRIGGER postern_tells_changes;
         ALTER TABLE tickets ENABLE ALWAYS TRIGGER postern_tells_changes_all",
        "ALTER TABLE tickets ENABLE TRIGGER postern_tells_changes",
        "DROP TRIGGER postern_tells_changes_all ON tickets",
        "TRUNCATE tickets",
        "ALTER TABLE tickets ALTER assignee TYPE text USING 'ben'",
        "ALTER TABLE tickets ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE more () INHERITS (tickets)",
        "CREATE RULE no AS ON INSERT TO postern.reason_changes DO INSTEAD NOTHING",
        "GRANT DELETE ON postern.reason_changes TO PUBLIC",
        "DO $$ BEGIN EXECUTE (SELECT format('CREATE OR REPLACE FUNCTION postern.%I() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
            AS $f$ BEGIN RETURN NULL; END $f$', proname)
            FROM pg_proc WHERE proname LIKE 'tell%'); END $$",
        "DELETE FROM postern.reason_marks",
        "BEGIN; ALTER TABLE tickets RENAME assignee TO other; ALTER TABLE tickets RENAME status TO assignee;
         ALTER TABLE tickets RENAME other TO status; COMMIT",
        "DROP SCHEMA postern CASCADE",
    ] {
        world.postgres.psql("DROP TABLE IF EXISTS more; DROP RULE IF EXISTS no ON postern.reason_changes;
            REVOKE ALL ON postern.reason_changes FROM PUBLIC;
            ALTER TABLE tickets DISABLE ROW LEVEL SECURITY").unwrap();
        world.postgres.psql(&install).unwrap();
        world.postgres.psql("VACUUM postern.reason_changes").unwrap();
        let mut reader = world.reader(&client).await;
        world.begin(&mut reader).await;
        assert!(world.are_kept(), "before {sql}");
        world.postgres.psql(sql).unwrap();
        // The look finds it, and from then on they are read whole.
        world.clock.wait(KEPT_FOR + Duration::from_micros(1));
        reader.read_all(&world.reasons).await.unwrap();
        assert!(!has(&world, 0, "6") && !has(&world, 1, "1"), "{sql}");
        world.ask(&mut reader).await;
        assert!(!world.are_kept(), "{sql}");
        world.check(&mut reader).await;
    }
}

/// The function of a trigger was another when the transaction began that commits after it is back.
#[tokio::test]
async fn nothing_is_kept_before_all_have_ended_that_ran_when_the_watch_began() {
    let world = World::start(vec![open_ticket()]);
    let (client, other) = (world.client().await, world.client().await);
    other.batch_execute("BEGIN; CREATE TABLE public.other ()").await.unwrap();
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    assert!(!world.are_kept() && has(&world, 0, "3"));
    other.batch_execute("COMMIT").await.unwrap();
    world.begin(&mut reader).await;
    assert!(world.are_kept());
}

#[tokio::test]
async fn what_was_forgotten_before_it_was_seen_is_read_again() {
    let world = World::start(vec![open_ticket()]);
    let client = world.client().await;
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    world.postgres.psql("DELETE FROM tickets WHERE id = 3").unwrap();
    // Somebody forgets as if ten seconds had gone, twice.
    for _ in 0..2 {
        world
            .postgres
            .psql(
                "UPDATE postern.reason_marks SET marked = '-infinity';
            SELECT postern.forget_reason_changes()",
            )
            .unwrap();
    }
    let left = world.postgres.psql("TABLE postern.reason_changes").unwrap();
    assert_eq!(left.trim(), "");
    reader.read_all(&world.reasons).await.unwrap();
    world.ask(&mut reader).await;
    assert!(!has(&world, 0, "3"));
}

#[tokio::test]
async fn a_reason_that_hangs_on_more_than_its_row_is_read_whole() {
    let fresh = |condition: &str| ReasonSettings { name: "timed".into(), ..reason(condition) };
    for condition in [
        "opened > now() - interval '1 hour'",
        "opened::date = current_date",
        "EXISTS (SELECT FROM public.calls c WHERE c.customer_id = tickets.customer_id)",
        "public.is_ours(customer_id)",
        "assignee = current_setting('application_name')",
    ] {
        let world = World::start(vec![open_ticket()]);
        let ours =
            "CREATE FUNCTION is_ours(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'";
        world.postgres.psql(ours).unwrap();
        let client = world.client().await;
        let settings = [open_ticket(), fresh(condition)];
        let mut reader = Reader::prepare(&client, &settings, &world.clock).await.unwrap();
        world.begin(&mut reader).await;
        assert!(has(&world, 0, "3") && !world.are_kept(), "{condition}");
        // What is kept of the other reason is there, with what has changed.
        world.postgres.psql("DELETE FROM tickets WHERE id = 3").unwrap();
        world.ask(&mut reader).await;
        assert!(!has(&world, 0, "3") && has(&world, 0, "6"), "{condition}");
        let horizon = world.active[0].entitled().horizon().is_some();
        assert!(horizon, "{condition}");
        world.clock.wait(KEPT_FOR + Duration::from_micros(1));
        reader.read_all(&world.reasons).await.unwrap();
        assert!(!has(&world, 0, "6"), "{condition}");
    }
}

#[tokio::test]
async fn approvals_begin_and_end_in_what_is_kept() {
    let world = World::start(vec![open_ticket()]);
    let approvals = Arc::new(Mutex::new(postern_people::Approvals::default()));
    let (reasons, _requests) = Reasons::new(Some(approvals.clone()));
    let ana = reasons.keep(&world.names[0]);
    let client = world.client().await;
    let mut reader = world.reader(&client).await;
    for _ in 0..3 {
        let actor = world.names[0].clone();
        let asked = vec![Request { actor, done: oneshot::channel().0 }];
        reader.read_asked(&reasons, asked).await.unwrap();
    }
    assert!(
        ana.entitled().lasts(Timestamp(0)) && ana.entitled().best("99", Timestamp(0)).is_none()
    );
    {
        let mut approvals = approvals.lock().unwrap();
        let hour = Duration::from_secs(3_600);
        let rules =
            postern_people::ApprovalRules { longest: hour, break_glass: hour, review_within: hour };
        let deed = approvals
            .break_glass(
                (world.names[0].clone(), postern_model::Subject::new("99")),
                (world.names[0].clone(), "a fire".into()),
                &rules,
                Timestamp(0),
            )
            .unwrap();
        approvals.apply(&deed, Timestamp(0));
    }
    reader.read_all(&reasons).await.unwrap();
    assert!(ana.entitled().best("99", Timestamp(0)).is_some());
    world.clock.wait(Duration::from_secs(30 * 24 * 3_600));
    reader.read_all(&reasons).await.unwrap();
    assert!(ana.entitled().best("99", world.clock.now()).is_none());
    assert!(ana.entitled().best("3", world.clock.now()).is_some());
}

/// What was kept up to a moment of a clock that was ahead is not kept when nobody looks any more.
#[tokio::test]
async fn nothing_is_kept_by_a_clock_that_was_set_back() {
    let world = World::start(vec![open_ticket()]);
    let client = world.client().await;
    world.clock.wait(Duration::from_secs(3_600));
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    assert!(world.are_kept() && has(&world, 0, "3"));
    world.clock.0.store(0, Ordering::Relaxed);
    assert!(world.are_kept());
    drop(reader);
    assert!(!world.are_kept() && !has(&world, 0, "3"));
}

/// Should a change be missed for a cause that nobody has thought of, it is not for long.
#[tokio::test]
async fn whoever_is_kept_is_read_whole_now_and_then() {
    let world = World::start(vec![open_ticket()]);
    let client = world.client().await;
    let mut reader = world.reader(&client).await;
    world.begin(&mut reader).await;
    let unseen =
        "BEGIN; DELETE FROM tickets WHERE id = 3; DELETE FROM postern.reason_changes; COMMIT";
    world.postgres.psql(unseen).unwrap();
    reader.read_all(&world.reasons).await.unwrap();
    assert!(has(&world, 0, "3") && world.are_kept());
    world.clock.wait(WHOLE_EVERY);
    reader.read_all(&world.reasons).await.unwrap();
    assert!(!has(&world, 0, "3") && world.are_kept());
}
