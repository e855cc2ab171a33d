use std::error::Error;

use postern_model::{Clock, Grade, Timestamp};
use postern_session::{ReasonGrade, ReasonSettings};
use postern_testkit::PostgresServer;

use super::*;

#[derive(Debug)]
struct Never;

impl Clock for Never {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

fn reason(condition: &str) -> ReasonSettings {
    ReasonSettings {
        name: "ticket".into(),
        schema: "public".to_owned(),
        table: "tickets".to_owned(),
        subject: "customer_id".to_owned(),
        actor: "assignee".to_owned(),
        ticket: None,
        condition: condition.to_owned(),
        grade: ReasonGrade::Always(Grade::Weak),
        take: None,
    }
}

#[test]
fn whoever_rests_is_not_read_until_they_are_asked_for() {
    let (reasons, _requests) = Reasons::new(None);
    let at = |millis: i64| Timestamp(millis * 1_000);
    let (ana, ben) = (Actor::new("ana"), Actor::new("ben"));
    let (hers, again) = (reasons.keep(&ana), reasons.keep(&ana));
    let _his = reasons.keep(&ben);
    assert!(hers.rests(at(0)) && reasons.actors(at(0)).is_empty(), "nobody has asked for it yet");
    // The keeper has read it, for all of her sessions.
    reasons.are_used(&[ana.clone()].into(), at(0));
    assert!(!again.rests(at(1_400)) && !hers.rests(at(2_800)));
    assert_eq!(reasons.actors(at(4_700)), [ana]);
    // Whoever does not rest is kept for longer than that.
    assert!(hers.rests(at(4_400)) && again.rests(at(4_400)));
    assert!(reasons.actors(at(4_900)).is_empty());
    hers.is_used(at(5_000));
    assert!(!again.rests(at(5_000)));
}

#[tokio::test]
async fn what_fails_in_a_condition_is_told_without_the_value() {
    let postgres = PostgresServer::start(postern_testkit::Options::default()).unwrap();
    let schema = "CREATE TABLE tickets (customer_id text, assignee text, note text);
                  INSERT INTO tickets VALUES ('1', 'ana', 'Jane Roe')";
    postgres.psql(schema).unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host_path(postgres.socket_dir()).port(postgres.port()).user(postgres.superuser());
    let (client, connection) =
        config.dbname("postgres").connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let settings = [reason("note::pg_catalog.int4 > 0")];
    let mut reader = Reader::prepare(&client, &settings, &Never).await.unwrap();
    let (reasons, _requests) = Reasons::new(None);
    let (done, _read) = oneshot::channel();
    let asked = vec![Request { actor: Actor::new("ana"), done }];
    let error = reader.read_asked(&reasons, asked).await.unwrap_err();
    assert_eq!(error.to_string(), "the query of reason `ticket` fails: SQLSTATE 22P02");
    assert!(error.source().is_none(), "its words hold the value");
    assert!(!format!("{error:?}").contains("Jane"), "{error:?}");
}

mod kept;
