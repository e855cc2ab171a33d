//! The words in which a statement is refused: a rule, a message and what to do instead.

use pg_query::NodeEnum;

use crate::Refusal;

/// The result of a step of the analysis; an error refuses the statement.
pub(crate) type Judged<T> = Result<T, Refusal>;

/// A refusal with SQLSTATE 42501.
pub(crate) fn refusal(
    rule: &'static str,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Refusal {
    Refusal { sqlstate: "42501", rule, message: message.into(), hint: hint.into(), position: None }
}

pub(crate) fn refuse<T>(
    rule: &'static str,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Judged<T> {
    Err(refusal(rule, message, hint))
}

/// A construct that the analysis does not understand completely.
pub(crate) fn not_understood<T>(what: &str) -> Judged<T> {
    refuse(
        "not_understood",
        format!("{what} is not allowed for this role"),
        "write the statement without it",
    )
}

/// A statement of a kind that is not analysed.
pub(crate) fn unknown_kind(node: &NodeEnum) -> Refusal {
    let (kind, hint) = match node {
        NodeEnum::TruncateStmt(_) => ("TRUNCATE", "use DELETE"),
        NodeEnum::LockStmt(_) => ("LOCK", "write the statement without it"),
        NodeEnum::ListenStmt(_) | NodeEnum::NotifyStmt(_) => {
            ("LISTEN or NOTIFY", "ask for what has changed instead")
        }
        NodeEnum::CallStmt(_) | NodeEnum::DoStmt(_) => {
            ("running a procedure", "write out the statements that it would run")
        }
        NodeEnum::CreateStmt(_) | NodeEnum::CreateTableAsStmt(_) => (
            "creating a table",
            "use WITH for what one statement needs; changes of the schema go past the gateway",
        ),
        _ => (
            "this kind of statement",
            "SELECT, INSERT, UPDATE, DELETE and MERGE are understood, and of accounted roles \
             definitions of tables, views, indexes, sequences, enums and schemas",
        ),
    };
    refusal("not_understood", format!("{kind} is not allowed for this role"), hint)
}

/// More of something than is looked at.
pub(crate) fn too_many<T>(sqlstate: &'static str, what: &str, max: usize) -> Judged<T> {
    Err(Refusal {
        sqlstate,
        rule: "too_many",
        message: format!("a statement can have at most {max} {what}"),
        hint: "split the statement".to_owned(),
        position: None,
    })
}
