//! The session's user is who asks, not the role that the gateway has on the server.

use bytes::BytesMut;
use postern_wire::{Parse, encode};

use super::{code, rows, world::World};

#[tokio::test]
async fn the_sessions_user_is_the_account_in_both_protocols() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let ben = world.client("ben").await;
    let sql = "SELECT current_user, session_user, user, current_role";
    for (client, name) in [(&ana, "ana"), (&ben, "ben")] {
        let simple = rows(&client.simple_query(sql).await.unwrap());
        assert_eq!(simple, [[name; 4]]);
        let row = client.query_one(sql, &[]).await.unwrap();
        let column = &row.columns()[0];
        assert_eq!((column.name(), column.type_().name()), ("current_user", "name"));
        assert_eq!(row.get::<_, String>(3), name);
        let given = "SELECT $1::int + 1, current_user WHERE current_user = $2";
        let row = client.query_one(given, &[&6, &name]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, String>(1)), (7, name.to_owned()));
        let several = format!("BEGIN; {sql}; PREPARE who AS SELECT current_user; EXECUTE who");
        let several = rows(&client.simple_query(&several).await.unwrap());
        assert_eq!(several.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), [name, name]);
        let cursor = "DECLARE mine CURSOR FOR SELECT user; FETCH 1 FROM mine; COMMIT";
        assert_eq!(rows(&client.simple_query(cursor).await.unwrap()), [[name]]);
    }
    let own = "SELECT id FROM tickets WHERE assignee = current_user ORDER BY id";
    assert_eq!(rows(&ana.simple_query(own).await.unwrap()), [["1"], ["2"]]);
    assert!(ben.query(own, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn beside_it_errors_say_what_they_say() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let error = ana.query("SELECT current_user, 1 / $1", &[&0_i32]).await.unwrap_err();
    assert_eq!(code(&error), "22012");
    let message = error.as_db_error().unwrap().message().to_owned();
    assert_eq!(message, "division by zero");
    let told = ana.simple_query("SELECT user, 'seven'::int").await.unwrap_err();
    assert!(told.as_db_error().unwrap().message().contains("seven"), "{told}");
    // Nothing was read of anybody.
    assert!(world.disclosures().is_empty());
}

/// A setting that a parameter names is looked at by Bind, and by nothing else.
#[tokio::test]
async fn a_setting_is_read_by_no_way_around_its_name() {
    let world = World::start(&[]);
    let ana = world.client("ana").await;
    let sql = "SELECT current_setting($1)";
    let read = |name: &'static str| {
        let ana = &ana;
        async move { ana.query_one(sql, &[&name]).await }
    };
    assert_eq!(read("server_encoding").await.unwrap().get::<_, String>(0), "UTF8");
    for name in ["hba_file", "data_directory"] {
        assert_eq!(code(&read(name).await.unwrap_err()), "42501", "{name}");
    }
    let mut raw = world.raw("ana").await;
    let mut out = BytesMut::new();
    encode::parse(&mut out, &Parse { name: "one", sql, types: Vec::new() }).unwrap();
    encode::sync(&mut out);
    raw.send(&out).await;
    assert_eq!(raw.answer().await.error, None);
    let executed = raw.query("EXECUTE one('hba_file')").await;
    assert!(executed.error.is_some() && executed.rows.is_empty(), "{}", executed.said);
}

#[tokio::test]
async fn a_copy_holds_the_account_too() {
    let world = World::start(&[]);
    let mut ana = world.raw("ana").await;
    for (options, expected) in [("", "ana\tana\n"), (" (FORMAT csv, HEADER)", "ana,ana\n")] {
        let sql = format!("COPY (SELECT current_user, session_user) TO STDOUT{options}");
        let answer = ana.query(&sql).await;
        assert_eq!(answer.error, None, "{}", answer.said);
        let copied = answer.copied.concat();
        assert!(String::from_utf8(copied).unwrap().ends_with(expected), "{:?}", answer.copied);
    }
}
