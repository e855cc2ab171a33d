//! Whether a text is about roles, privileges or the server itself.
//!
//! Where policy is not enforced, texts run with all that the gateway's own account on the server
//! may do, also when they are sent as the client wrote them. One that gave that account another
//! password, or settings with which nobody can connect, would be a way around the gateway, or the
//! end of it, for good. So such a text is not let through. That keeps from mistakes and from plain
//! attempts: what a DO block or a function does nobody looks into.

use pg_query::protobuf::Token;

use crate::{Refusal, nesting, refusal::refusal};

/// Functions that end what others do, or change how the server runs.
const FUNCTIONS: [&str; 6] = [
    "pg_cancel_backend",
    "pg_promote",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_switch_wal",
    "pg_terminate_backend",
];

/// How statements begin that are about roles and the like, in small letters.
const BEGINNINGS: [&[&str]; 20] = [
    &["alter", "database"],
    &["alter", "default", "privileges"],
    &["alter", "group"],
    &["alter", "role"],
    &["alter", "system"],
    &["alter", "user"],
    &["create", "database"],
    &["create", "group"],
    &["create", "role"],
    &["create", "user"],
    &["drop", "database"],
    &["drop", "group"],
    &["drop", "owned"],
    &["drop", "role"],
    &["drop", "user"],
    &["grant"],
    &["load"],
    &["reassign", "owned"],
    &["revoke"],
    &["security", "label"],
];

/// Words that say so at any place of a statement that makes or changes something.
const PARTS: [&[&str]; 4] =
    [&["grant"], &["owner", "to"], &["authorization"], &["security", "definer"]];

/// Whether a statement of `sql` makes, changes or drops roles, privileges, or settings of roles, of
/// databases or of the server, runs as its definer, or ends what others do: told by its words. A
/// text that can't be read is about nothing.
pub fn governs(sql: &str) -> bool {
    // A text without any token makes `scan_tokens` read a null pointer.
    let is_blank = sql.bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
    if is_blank || nesting::length(sql).is_err() {
        return false;
    }
    let Ok(tokens) = pg_query::scan_tokens(sql) else { return false };
    let tokens = tokens.iter().filter(|token| {
        !matches!(token.token(), Token::SqlComment | Token::CComment | Token::Sconst)
    });
    let words = tokens.filter_map(|token| {
        let (from, to) = (usize::try_from(token.start).ok()?, usize::try_from(token.end).ok()?);
        Some(sql.get(from..to)?.to_ascii_lowercase())
    });
    let words: Vec<String> = words.collect();
    words.split(|word| word == ";").any(|statement| {
        let begins = |with: &[&str]| statement.starts_with_words(with);
        let defines = ["alter", "create"].iter().any(|word| begins(&[word]));
        let at_any = |part: &&[&str]| {
            (0..statement.len())
                .any(|at| statement.get(at..).is_some_and(|s| s.starts_with_words(part)))
        };
        BEGINNINGS.iter().any(|with| begins(with))
            || defines && PARTS.iter().any(at_any)
            || statement.iter().any(|word| FUNCTIONS.contains(&word.trim_matches('"')))
    })
}

trait Words {
    fn starts_with_words(&self, words: &[&str]) -> bool;
}

impl Words for [String] {
    fn starts_with_words(&self, words: &[&str]) -> bool {
        self.len() >= words.len() && self.iter().zip(words).all(|(own, word)| own == word)
    }
}

/// The refusal of such a text.
pub fn governs_refusal() -> Refusal {
    refusal(
        "roles",
        "a text about roles, privileges or the server itself is not let through, though policy is \
         not enforced for this role: it would be run by the gateway's own account",
        "ask the administrator, who connects to the server itself",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_who_may_do_what_is_known() {
        for sql in [
            "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
            "SELECT 1; ALTER USER gate SET local_preload_libraries = 'x'",
            "ALTER ROLE ALL IN DATABASE support SET search_path = x",
            "ALTER DATABASE support SET row_security = off",
            "GRANT SELECT ON customers TO PUBLIC",
            "GRANT gate TO agent",
            "REVOKE ALL ON customers FROM gate",
            "CREATE ROLE other LOGIN",
            "DROP OWNED BY gate",
            "ALTER TABLE customers OWNER TO other",
            "ALTER ROLE gate RENAME TO other",
            "CREATE SCHEMA s AUTHORIZATION other",
            "/* x */ alter -- y
                role gate superuser",
            "CREATE SCHEMA s GRANT SELECT ON t TO PUBLIC CREATE TABLE t (a int)",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "ALTER FUNCTION f() SECURITY DEFINER",
            "ALTER SYSTEM SET fsync = off",
            "LOAD 'x'",
            "SELECT count(PG_Terminate_Backend(pid)) FROM pg_stat_activity",
            "SELECT \"pg_reload_conf\"()",
        ] {
            assert!(governs(sql), "{sql}");
        }
        for sql in [
            "",
            "nonsense",
            "DO $$ BEGIN PERFORM 1; END $$",
            "SELECT 'pg_terminate_backend(1)' -- ALTER ROLE x",
            "CREATE TABLE notes (id int)",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY INVOKER AS 'SELECT 1'",
            "ALTER TABLE notes RENAME TO others",
            "EXPLAIN SELECT 1",
        ] {
            assert!(!governs(sql), "{sql}");
        }
    }
}
