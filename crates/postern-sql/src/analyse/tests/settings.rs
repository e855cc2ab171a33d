//! Which settings are read.

use super::{Mode, analyse, catalogue, names, refused, rules};
use crate::{Context, Parameter, Verdict};

#[test]
fn of_the_settings_those_are_shown_that_show_shows() {
    let judged = |sql: &str| {
        let path = names(&["public"]);
        let context = Context::new(&path, super::PREFIX);
        let mut statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        match statements.remove(0).verdict {
            Verdict::Plain(plain) => plain.sql,
            other => panic!("{other:?}"),
        }
    };
    for (sql, alias) in [
        ("SELECT setting FROM pg_settings WHERE name = 'data_directory'", "pg_settings"),
        ("SELECT s.setting FROM pg_catalog.pg_settings s", "s"),
        ("SELECT setting FROM pg_show_all_settings() WHERE name = 'x'", "pg_show_all_settings"),
        ("SELECT * FROM pg_catalog.pg_settings AS s", "s"),
    ] {
        let told = judged(sql);
        let read = format!("WHERE pg_catalog.lower({alias}.name) OPERATOR(pg_catalog.=) ANY(");
        assert!(told.contains(&read), "{told}");
        assert!(!told.contains("data_directory,"), "{told}");
    }
    // Where a configuration file lies is nobody's.
    assert!(judged("SELECT sourcefile FROM pg_settings").starts_with("SELECT NULL::"));
    refused("function", &["SELECT pg_show_all_settings()"]);
    refused("not_understood", &["SELECT pg_settings FROM pg_settings"]);
}

#[test]
fn a_setting_that_a_parameter_names_is_looked_at() {
    let path = names(&["public"]);
    let context = Context::new(&path, super::PREFIX);
    for sql in [
        "SELECT current_setting($1)",
        "SELECT pg_catalog.current_setting($1::varchar, true)",
        "SELECT relname FROM pg_class WHERE relam::text <> current_setting($1::text)",
    ] {
        let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
        let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
        for (name, may) in [
            (Some("default_table_access_method"), true),
            (Some("data_directory"), false),
            (Some("postern.actor"), false),
            (None, false),
        ] {
            let given = [Parameter { value: name.map(str::as_bytes) }];
            assert_eq!(guarded.checks.run("ana", &given).is_ok(), may, "{sql} of {name:?}");
        }
        assert_eq!(guarded.checks.text_parameters().len(), 1, "it is a text");
    }
    refused(
        "setting",
        &[
            "SELECT current_setting($1::char(3))",
            "SELECT current_setting($1::int::text)",
            "SELECT current_setting($1 || 'x')",
            "SELECT *, current_setting($1) FROM json_each('{}')",
            "PREPARE p AS SELECT current_setting($1)",
            "DECLARE c CURSOR FOR SELECT current_setting($1)",
        ],
    );
    refused("write", &["SELECT current_setting($1), $1"]);
}
