//! Which settings are read.

use super::{Mode, analyse, catalogue, check, check_accounted, judged, names, refused, rules};
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

/// What an administrator, or a function, has written into the database's own settings stays there.
#[test]
fn of_the_databases_own_settings_the_session_reads_what_it_has_written() {
    let check = super::check;
    check(
        "SET app.user_id = 17",
        "plain SELECT pg_catalog.set_config('postern.own.app.user_id', \
         pg_catalog.set_config('app.user_id', '17', false), false)",
    );
    check(
        "SET LOCAL \"Request.jwt.claims\" TO '{\"a\": 1}'",
        "plain SELECT pg_catalog.set_config('postern.own.request.jwt.claims', \
         pg_catalog.set_config('request.jwt.claims', '{\"a\": 1}', true), true)",
    );
    check(
        "RESET app.user_id",
        "plain SELECT pg_catalog.set_config('app.user_id', NULL, false), \
         pg_catalog.set_config('postern.own.app.user_id', NULL, false)",
    );
    check(
        "SELECT set_config('App.b', $1::text, false), set_config('jit', 'off', true)",
        "plain SELECT pg_catalog.set_config('postern.own.app.b', pg_catalog.set_config('app.b', \
         COALESCE($1::pg_catalog.text, ''), false), false), \
         pg_catalog.set_config('jit', 'off', true)",
    );
    check(
        "SELECT current_setting('app.user_id', true), name FROM products",
        "plain SELECT pg_catalog.current_setting('postern.own.app.user_id', true), products.name \
         FROM public.products",
    );
    check(
        "SHOW app.user_id",
        "plain SELECT pg_catalog.current_setting('postern.own.app.user_id') AS \"app.user_id\"",
    );
    // Nothing of a row's, nor what is an extension's or the gateway's.
    refused(
        "function",
        &[
            "SELECT set_config('app.a', name, true) FROM products",
            "SELECT set_config('app.a', current_setting('app.b'), true)",
            "SELECT set_config('postern.own.app.a', 'x', true)",
            "SELECT set_config('app.a', 'x', name = 'a') FROM products",
        ],
    );
    refused(
        "setting",
        &[
            "SET postern.own.app.a = 'x'",
            "SHOW plpgsql.extra_errors",
            "SELECT set_config('app.a', 'x', true) FROM customers",
        ],
    );
    refused("not_understood", &["SET app.a = 'x', 'y'"]);
    let view = "CREATE VIEW v AS SELECT current_setting('app.a')";
    assert_eq!(super::judged(view, Mode::Accounted), "42501 setting");
}

/// As PostgREST begins each request.
#[test]
fn what_may_not_be_set_may_be_set_to_what_it_is() {
    let path = names(&["public"]);
    let context = Context::new(&path, super::PREFIX);
    let sql = "SELECT set_config('search_path', $1, true), set_config('role', $2, true), \
               set_config('request.method', $3, true)";
    let statements = analyse(sql, &catalogue(), &rules(Mode::Restricted), context).unwrap();
    let Verdict::Guarded(guarded) = &statements[0].verdict else { panic!("{statements:?}") };
    let text = guarded.sql.render_parameters(3).0;
    assert!(
        text.starts_with("SELECT pg_catalog.concat($1::pg_catalog.text) AS set_config, "),
        "{text}"
    );
    for (path, role, may) in [
        ("public", "ana", true),
        ("\"public\"", "ana", true),
        ("public", "postgres", false),
        ("other", "ana", false),
        ("pg_catalog", "ana", false),
    ] {
        let given = [path, role, "GET"].map(|v| Parameter { value: Some(v.as_bytes()) });
        assert_eq!(guarded.checks.run("ana", &given).is_ok(), may, "{path} {role}");
    }
    super::check(
        "SELECT set_config('search_path', 'public', true), set_config('role', 'none', true)",
        "plain SELECT pg_catalog.concat('public'::pg_catalog.text) AS set_config, \
         pg_catalog.concat('none'::pg_catalog.text) AS set_config",
    );
    refused(
        "function",
        &["SELECT set_config('search_path', 'other', true), set_config('app.a', 'x', true)"],
    );
}

/// pg_dump asks for a setting so that not all servers have.
#[test]
fn a_setting_that_its_row_names_is_known() {
    let sql = "SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'NAME'";
    let known =
        super::judged(&sql.replace("NAME", "restrict_nonsystem_relation_kind"), Mode::Accounted);
    let called =
        "plain SELECT pg_catalog.set_config('restrict_nonsystem_relation_kind', 'view', false)";
    assert!(known.starts_with(called), "{known}");
    for sql in [
        sql.replace("NAME", "session_replication_role"),
        sql.replace(" = ", " <> "),
        sql.replace("pg_settings", "products"),
    ] {
        assert_eq!(super::judged(&sql, Mode::Accounted), "42501 function", "{sql}");
    }
}

#[test]
fn tables_are_locked_so_that_nobody_waits_or_where_nothing_is_protected() {
    let judged =
        |sql: &str| [Mode::Restricted, Mode::Accounted].map(|mode| super::judged(sql, mode));
    let sql = "LOCK TABLE customers, ONLY public.products IN ACCESS SHARE MODE";
    let told =
        r#"plain LOCK TABLE "public"."customers", ONLY "public"."products" IN ACCESS SHARE MODE"#;
    assert_eq!(judged(sql), [told, told]);
    let told = r#"plain LOCK TABLE "public"."products" IN SHARE MODE NOWAIT"#;
    assert_eq!(judged("LOCK products IN SHARE MODE NOWAIT"), ["42501 lock", told]);
    assert_eq!(judged("LOCK TABLE customers"), ["42501 lock"; 2]);
    for sql in ["LOCK TABLE pg_class IN ACCESS SHARE MODE", "LOCK TABLE cheap IN ACCESS SHARE MODE"]
    {
        assert_eq!(judged(sql), ["42501 not_understood"; 2], "{sql}");
    }
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

/// psql's `\dconfig` asks so. CASE looks at the name before the setting is read, wherever the
/// planner puts the condition of the rows.
#[test]
fn a_setting_that_a_column_names_is_read_if_it_is_listed() {
    for sql in [
        "SELECT s.name, current_setting(s.name) FROM pg_settings s WHERE s.name ~ 'mem'",
        "SELECT n, current_setting(n, true) FROM unnest(ARRAY['work_mem', 'data_directory']) n",
    ] {
        let told = judged(sql, Mode::Restricted);
        let told = told.strip_prefix("plain ").unwrap_or_else(|| panic!("{sql}: {told}"));
        let read = "pg_catalog.current_setting(CASE WHEN pg_catalog.lower(";
        assert!(told.contains(read) && told.contains(" ELSE NULL END"), "{told}");
        assert!(!told.contains("data_directory,"), "{told}");
    }
    refused("setting", &["SELECT current_setting(s.name || '') FROM pg_settings s"]);
}

/// A value that collides shows when it is stored, and not at COMMIT.
#[test]
fn constraints_are_not_deferred_by_a_restricted_role() {
    for sql in ["SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS public.k DEFERRED"] {
        check(sql, "Tag(\"SET CONSTRAINTS\")");
        check_accounted(sql, &format!("plain {sql}"));
    }
    check("SET CONSTRAINTS a, b.c IMMEDIATE", "plain SET CONSTRAINTS a, b.c IMMEDIATE");
    check("SET CONSTRAINTS pk_x IMMEDIATE", "42501 reserved_name");
}
