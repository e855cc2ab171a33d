use serde_json::Value;

use super::*;

/// The fixture with these names for what is `customers` and for its column `email` there.
fn catalogue(table: &str, email: &str) -> Catalogue {
    let mut json: Value = serde_json::from_str(include_str!("../analyse/fixture.json")).unwrap();
    let relations = json["relations"].as_array_mut().unwrap();
    let customers = relations.iter_mut().find(|relation| relation["name"] == "customers").unwrap();
    customers["name"] = table.into();
    let columns = customers["columns"].as_array_mut().unwrap();
    let column = columns.iter_mut().find(|column| column["name"] == "email").unwrap();
    column["name"] = email.into();
    Catalogue::from_json(&json.to_string()).unwrap()
}

fn protected<'a>(table: &'a str, clear: &'a [String]) -> ProtectedTable<'a> {
    ProtectedTable { schema: "public", table, subject: "id", clear }
}

/// How what was `customers` is protected, by which table's rule, and whether its e-mail is kept
/// whatever it is called: it was so under `before`, was renamed, and `after` came into force.
fn check(before: (&str, &[&str]), now: (&str, &str), after: (&str, &[&str]), expected: &str) {
    let owned = |clear: &[&str]| clear.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (was_clear, is_clear) = (owned(before.1), owned(after.1));
    let (before, after) = ([protected(before.0, &was_clear)], [protected(after.0, &is_clear)]);
    let mut seen = Identities::default();
    let first = catalogue("customers", "email").remembering(&mut seen, &before);
    let oid = first.relation_oids().find(|oid| first.relation(*oid).unwrap().name == "customers");
    let renamed = catalogue(now.0, now.1);
    seen.reconfigured(&renamed, &before, &after);
    let read = renamed.remembering(&mut seen, &after);
    let relation = read.relation(oid.unwrap()).unwrap();
    let email = relation.columns.iter().find(|column| column.name == now.1).unwrap();
    let by = relation.protected_by.as_ref().map_or("nothing", |(_, table)| table);
    let kept = if email.kept { ", the e-mail kept" } else { "" };
    assert_eq!(format!("{by}{kept}"), expected, "{now:?} {after:?}");
}

#[test]
fn what_both_configurations_say_is_remembered_and_what_is_new_counts_as_it_stands() {
    let (same, none): ((&str, &[&str]), &[&str]) = (("customers", &["plan"]), &[]);
    // Nothing new: what was renamed is protected as before, under a clear name too.
    check(same, ("customers", "email"), same, "customers");
    check(same, ("clients", "email"), same, "customers");
    check(same, ("customers", "contact"), ("customers", &["plan", "city"]), "customers");
    check(
        ("customers", &["mail"]),
        ("customers", "mail"),
        ("customers", &["mail"]),
        "customers, the e-mail kept",
    );
    check(
        ("customers", &["mail"]),
        ("clients", "mail"),
        ("customers", &["mail", "plan"]),
        "customers, the e-mail kept",
    );
    // Named anew, the table or the column: that is what is meant.
    check(same, ("clients", "email"), ("clients", none), "clients");
    check(same, ("customers", "mail"), ("customers", &["mail"]), "customers");
    check(same, ("customers", "email"), ("customers", &["email"]), "customers");
    // Not named any more.
    check(same, ("customers", "email"), ("others", none), "nothing");
    check(same, ("clients", "email"), ("others", none), "nothing");
}
