//! What small results show in clear is told as digests.

use postern_model::value_digest;

use super::*;

/// A session that tells of statements of at most two rows.
fn telling() -> Table {
    let mut table = Table::new();
    let mut profile = (*table.session.profile).clone();
    profile.limits.value_rows_max = 2;
    table.session = Session::new(Arc::new(profile));
    table
}

/// What the holds since the last call are told of: row, touch, column among the clear ones, and
/// which of these values it is.
fn values(table: &mut Table, known: &[(&str, &str)]) -> Vec<Vec<(usize, usize, usize, usize)>> {
    let holds = std::mem::take(&mut table.effects)
        .into_iter()
        .filter_map(|effect| if let Effect::Hold(hold) = effect { Some(hold) } else { None });
    let digests = known
        .iter()
        .map(|(column, value)| value_digest("public.customers", column, value.as_bytes()));
    let digests: Vec<_> = digests.collect();
    let of = |value: &crate::ShownValue| {
        let which = digests.iter().position(|digest| *digest == value.digest).unwrap();
        (value.row, value.touch, value.column, which)
    };
    holds.map(|hold| hold.values.iter().map(of).collect()).collect()
}

#[test]
fn what_is_shown_in_clear_is_told_and_nothing_else() {
    let mut table = telling();
    // The order of the result's columns is not that of the table's.
    table.query("SELECT upper(name), email, id, name FROM customers").told();
    table.described(&["upper", "email", "id", "name", "key"]);
    table.rows(&[&["ONE", "a@b.c", "1", "One", "1"], &["***", "***", "2", "***", "2"]]);
    table.completed("SELECT 2").ready(TransactionStatus::Idle);
    let known = [("name", "One"), ("email", "a@b.c"), ("name", "***")];
    let told = values(&mut table, &known);
    let (clear, [name, email]) = (&["name", "email"], [0, 1]);
    assert_eq!(clear.len(), 2);
    assert_eq!(told, [[(0, 0, email, 1), (0, 0, name, 0)]]);
    // `Debug` shows none of it.
    let digest = value_digest("public.customers", "name", b"One");
    assert_eq!(format!("{digest:?}"), "Secret(…)");
}

#[test]
fn null_is_no_value() {
    let mut table = telling();
    table.query("SELECT name FROM customers").told();
    table.server(|out| encode::data_row(out, vec![None, Some(&b"1"[..])]).unwrap());
    table.completed("SELECT 1");
    assert_eq!(values(&mut table, &[]), [[]]);
}

#[test]
fn larger_results_are_not_told_of() {
    let mut table = telling();
    table.query("SELECT name FROM customers").told();
    table.rows(&[&["One", "1"], &["Two", "3"], &["Six", "1"], &["Ten", "3"]]);
    // Not even what comes in a later chunk.
    table.recorded(1, 3).completed("SELECT 4").ready(TransactionStatus::Idle);
    assert_eq!(values(&mut table, &[]), [[], []]);
    table.recorded(2, 1).told();
    table.query("SELECT name FROM customers").told();
    table.rows(&[&["One", "1"], &["Two", "3"]]).completed("SELECT 2");
    let known = [("name", "One"), ("name", "Two")];
    assert_eq!(values(&mut table, &known), [[(0, 0, 0, 0), (1, 0, 0, 1)]]);
    // Where it is not asked for there is nothing.
    let mut table = Table::new();
    table.query("SELECT name FROM customers").told();
    table.rows(&[&["One", "1"]]).completed("SELECT 1");
    assert_eq!(values(&mut table, &[]), [[]]);
}

#[test]
fn each_reference_has_its_own_customers() {
    let mut table = telling();
    let sql = "SELECT b.name, a.name FROM customers a JOIN customers b ON a.id < b.id";
    table.query(sql).told();
    table.described(&["name", "name", "a", "b"]);
    table.rows(&[&["Three", "One", "1", "3"]]).completed("SELECT 1");
    let known = [("name", "One"), ("name", "Three")];
    let mut told = values(&mut table, &known);
    told[0].sort_unstable();
    assert_eq!(told, [[(0, 0, 0, 0), (0, 1, 0, 1)]]);
}

/// It is none of the values that stand in the table.
#[test]
fn what_is_folded_of_several_is_not_told() {
    let mut table = telling();
    table.query("SELECT max(name) FROM customers WHERE id < 9").told();
    table.described(&["max", "keys"]).rows(&[&["One", "1,3"]]).completed("SELECT 1");
    assert_eq!(values(&mut table, &[]), [[]]);
}
