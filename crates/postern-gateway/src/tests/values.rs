//! Of what small results show in clear the ledger has hashes, so that a value which leaked is found
//! to be what somebody saw, also when it has changed since.

use postern_ledger::{ValueQuestion, saw_value};
use postern_model::{Secret, Subject};

use super::{rows, world::World};

/// Accounts and columns in which the ledger says that a value of a customer was shown, and how many
/// columns there are of which it does not know.
fn saw(world: &World, subject: &str, value: &[u8]) -> (Vec<String>, usize) {
    let forms = vec![Secret::new(value.to_vec())];
    let (actor, since, until) = (None, None, None);
    let question = ValueQuestion { subject: Subject::new(subject), actor, since, until, forms };
    let (told, _) = saw_value(&world.ledger_path(), &question, true, &mut |_, _| {}).unwrap();
    let same = told.iter().flat_map(|told| {
        let of = |column| format!("{} {}.{column}", told.actor, told.relation);
        told.same.iter().map(of).collect::<Vec<_>>()
    });
    (same.collect(), told.iter().map(|told| told.unknown.len()).sum())
}

#[tokio::test]
async fn a_value_that_has_changed_since_is_found_to_have_been_seen() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "SELECT email, name FROM customers WHERE id < 3 ORDER BY id";
    assert_eq!(rows(&ana.simple_query(sql).await.unwrap())[0], ["one@example.org", "Name 1"]);
    // In the binary format texts are the same, by the extended protocol and through a view.
    let sql = "SELECT mail FROM directory WHERE number = $1";
    assert_eq!(ana.query(sql, &[&3_i64]).await.unwrap().len(), 1);
    let change = "UPDATE customers SET email = 'new@example.org' WHERE id = 1";
    world.dba().await.batch_execute(change).await.unwrap();
    assert_eq!(saw(&world, "1", b"one@example.org").0, ["ana public.customers.email"]);
    assert_eq!(saw(&world, "1", b"Name 1"), (vec!["ana public.customers.name".to_owned()], 0));
    assert_eq!(saw(&world, "1", b"new@example.org").0, [""; 0]);
    assert_eq!(saw(&world, "3", b"mail3@example.org").0, ["ana public.customers.email"]);
    // What was masked was not seen, nor is the mask kept.
    assert_eq!(saw(&world, "2", b"two@example.org"), (vec![], 0));
    assert_eq!(saw(&world, "2", b"***"), (vec![], 0));
}

#[tokio::test]
async fn what_was_computed_or_is_much_is_not_known() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    dba.simple_query("SELECT upper(name) FROM customers WHERE id = 5").await.unwrap();
    assert_eq!(saw(&world, "5", b"NAME 5"), (vec![], 1));
    dba.simple_query("SELECT name FROM customers").await.unwrap();
    assert_eq!(saw(&world, "90", b"Name 90"), (vec![], 1));
    dba.simple_query("SELECT name FROM customers WHERE id <= 64").await.unwrap();
    let (same, unknown) = saw(&world, "64", b"Name 64");
    assert_eq!((same.len(), unknown), (1, 1));
}

/// What a write gives back to who may see it all is shown, too.
#[tokio::test]
async fn what_a_write_returns_is_found() {
    let world = World::start(&[]);
    let dba = world.client("dba").await;
    let sql = "UPDATE customers SET name = 'Uno' WHERE id = 1 RETURNING name";
    assert_eq!(rows(&dba.simple_query(sql).await.unwrap()), [["Uno"]]);
    assert_eq!(saw(&world, "1", b"Uno").0, ["dba public.customers.name"]);
}
