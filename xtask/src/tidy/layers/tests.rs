use super::{Package, check};

/// `"name: used, used; used in tests"` per crate, against parts of the expected messages.
fn assert_problems(crates: &[&str], expected: &[&str]) {
    let names = |list: &str| {
        list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    let workspace: Vec<Package> = crates
        .iter()
        .map(|line| {
            let (name, uses) = line.split_once(':').unwrap();
            let (uses, tests) = uses.split_once(';').unwrap_or((uses, ""));
            let (name, manifest) = (name.to_owned(), format!("crates/{name}/Cargo.toml"));
            Package { name, manifest, uses: names(uses), uses_in_tests: names(tests) }
        })
        .collect();
    let found = check(&workspace);
    assert_eq!(found.len(), expected.len(), "{crates:?}: {found:?}");
    for (problem, expected) in found.iter().zip(expected) {
        assert!(problem.message.contains(expected), "{crates:?}: {problem}, not {expected}");
    }
}

#[test]
fn the_map_is_accepted() {
    assert_problems(
        &[
            "postern-model:",
            "postern-merkle:sha2",
            "postern-wire:bytes;proptest, tokio, tempfile",
            "postern-sql:pg_query, postern-model;postern-testkit, tokio-postgres",
            "postern-session:postern-sql, postern-wire, postern-model",
            "postern-ledger:postern-merkle, postern-model, rustix, rand",
            "postern-gateway:postern-session, postern-ledger, tokio, postgres-protocol",
            "postern-console:postern-ledger, axum",
            "postern:postern-gateway, postern-console, clap, anyhow, postern-testkit",
            "xtask:clap, anyhow",
        ],
        &[],
    );
}

#[test]
fn pure_crates_stay_pure() {
    assert_problems(&["postern-wire:tokio"], &["pure: no `tokio`"]);
    assert_problems(&["postern-watch:tokio-stream"], &["pure: no `tokio-stream`"]);
    assert_problems(&["postern-trace:rand"], &["pure: no `rand`"]);
    assert_problems(&["postern-sql:postern-feed"], &["`postern-feed` is not"]);
}

#[test]
fn strangers_never_meet() {
    assert_problems(&["postern-merkle:postern-model"], &["depends on no other"]);
    assert_problems(
        &["postern-gateway:postern-console", "postern-console:"],
        &["nothing depends on `postern-console`", "must not know `postern-console`"],
    );
    assert_problems(&["postern-feed:;postern"], &["nothing depends on `postern`"]);
    assert_problems(
        &["postern-session:postern-policy", "postern-policy:postern-ledger", "postern-ledger:"],
        &["must not know `postern-ledger`", "`postern-ledger` is not"],
    );
}

#[test]
fn reserved_crates_have_their_users() {
    assert_problems(&["postern-gateway:pg_query"], &["`pg_query` is not for `postern-gateway`"]);
    assert_problems(&["postern-feed:cedar-policy"], &["`cedar-policy` is not"]);
    assert_problems(&["postern-ledger:postern-testkit"], &["`postern-testkit` is not"]);
    assert_problems(&["postern-ledger:;postern-testkit, anyhow"], &[]);
    assert_problems(&["postern-common:"], &["says nothing"]);
}
