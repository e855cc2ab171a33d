use std::collections::BTreeSet;

use super::{Functions, Kind};

#[test]
fn the_list_is_sorted_and_each_line_is_understood() {
    let lines: Vec<&str> =
        include_str!("../functions.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let names: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), lines.len());
    assert_eq!(Functions::load().kinds.len(), lines.len());
}

#[test]
fn nothing_that_acts_or_runs_sql_is_listed() {
    let functions = Functions::load();
    for name in [
        "currval",
        "nextval",
        "setval",
        "lastval",
        "set_config",
        "pg_sleep",
        "lo_get",
        "loread",
        "pg_read_file",
        "pg_ls_dir",
        "query_to_xml",
        "table_to_xml",
        "database_to_xml",
        "ts_stat",
        "ts_rewrite",
        "current_query",
        "pg_notify",
        "pg_advisory_lock",
        "txid_current",
        "dblink",
        "pg_terminate_backend",
        "pg_stat_get_activity",
        "pg_mcv_list_items",
        "cursor_to_xml",
        "pg_get_functiondef",
        "pg_logical_emit_message",
        "json_populate_record",
        "setseed",
        "pg_relation_size",
        "pg_reload_conf",
    ] {
        assert_eq!(functions.kind(name), None, "{name}");
    }
    assert_eq!(functions.kind("count"), Some(Kind::Aggregate));
    assert_eq!(functions.kind("array_agg"), Some(Kind::Collecting));
    assert_eq!(functions.kind("unnest"), Some(Kind::Record));
    assert_eq!(functions.kind("lag"), Some(Kind::Window));
}
