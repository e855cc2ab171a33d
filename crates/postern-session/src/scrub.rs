//! What a client may see of the server's errors and notices.
//!
//! An error of a statement that protected data took part in keeps its severity, its SQLSTATE and
//! the condition's name, or its message if that is one that says nothing but why the server gave
//! up; everything else can quote a value (`Failing row contains (...)`). Notices of such a
//! statement don't come here: there can be one for each row. Other messages lose only their
//! positions, which count in the rewritten text, and what they call a setting.

use bytes::BytesMut;
use postern_wire::{ReportFields, SqlState, encode};

pub(crate) fn scrub(
    tag: u8,
    fields: &ReportFields<'_>,
    guarded: bool,
    out: &mut BytesMut,
) -> Result<(), encode::EncodeError> {
    if !guarded {
        let kept = fields.0.iter().filter(|(code, _)| !matches!(code, b'P' | b'p' | b'q'));
        let mut kept = whole(tag, kept.copied().collect());
        let message = fields.message().filter(|message| message.contains(OWN_COPY));
        let named = message.map(|message| message.replace(OWN_COPY, "\""));
        let told = kept.iter_mut().find(|(code, _)| *code == b'M');
        if let (Some(named), Some(told)) = (&named, told) {
            told.1 = named;
        }
        return encode::report_fields(out, tag, &ReportFields(kept));
    }
    let sqlstate = fields.sqlstate().unwrap_or(SqlState::INTERNAL_ERROR);
    let sqlstate = sqlstate.as_str();
    let why = fields.field(b'M').and_then(|sent| GAVE_UP.into_iter().find(|known| *known == sent));
    let message = why.map_or_else(
        || format!("statement on protected data: {}", condition(sqlstate)),
        str::to_owned,
    );
    let mut kept: Vec<(u8, &str)> =
        fields.0.iter().filter(|(code, _)| matches!(code, b'S' | b'V' | b'C')).copied().collect();
    kept.push((b'M', &message));
    encode::report_fields(out, tag, &ReportFields(whole(tag, kept)))
}

/// What a setting of the database's own is called that a session reads; it doesn't know of that.
const OWN_COPY: &str = "\"postern.own.";

/// With the fields that every report has: drivers give up a connection on one without them.
fn whole(tag: u8, mut fields: Vec<(u8, &str)>) -> Vec<(u8, &str)> {
    let is_code = |text: &str| SqlState::parse(text).is_some();
    fields.retain(|(code, text)| *code != b'C' || is_code(text));
    let (severity, sqlstate) = if tag == b'E' { ("ERROR", "XX000") } else { ("NOTICE", "00000") };
    for (code, text) in [(b'S', severity), (b'C', sqlstate), (b'M', "the server says no more")] {
        if !fields.iter().any(|(known, _)| *known == code) {
            fields.push((code, text));
        }
    }
    fields
}

/// Whether a report says nothing but why the server gave up.
pub(crate) fn gave_up(fields: &ReportFields<'_>) -> bool {
    fields.message().is_some_and(|message| GAVE_UP.contains(&message))
}

/// Messages that hold no value, by which a person tells a limit from their own Ctrl-C.
const GAVE_UP: [&str; 5] = [
    "canceling statement due to lock timeout",
    "canceling statement due to statement timeout",
    "canceling statement due to user request",
    "terminating connection due to administrator command",
    "terminating connection due to idle-in-transaction timeout",
];

/// The condition's name, from PostgreSQL documentation, appendix A; the class's where the
/// condition is a rare one.
fn condition(sqlstate: &str) -> &'static str {
    match sqlstate {
        "00000" => "successful completion",
        "21000" => "cardinality violation",
        "22001" => "string data right truncation",
        "22003" => "numeric value out of range",
        "22007" => "invalid datetime format",
        "22008" => "datetime field overflow",
        "22012" => "division by zero",
        "22023" => "invalid parameter value",
        "22P02" => "invalid text representation",
        "23502" => "not null violation",
        "23503" => "foreign key violation",
        "23505" => "unique violation",
        "23514" => "check violation",
        "25001" => "active sql transaction",
        "25006" => "read only sql transaction",
        "25P02" => "the transaction is aborted, commands are ignored until its end",
        "26000" => "invalid sql statement name",
        "34000" => "invalid cursor name",
        "40001" => "serialization failure",
        "40P01" => "deadlock detected",
        "42501" => "insufficient privilege",
        "42601" => "syntax error",
        "42702" => "ambiguous column",
        "42703" => "undefined column",
        "42804" => "datatype mismatch",
        "42803" => "grouping error",
        "42883" => "undefined function",
        "42P01" => "undefined table",
        "42P18" => "indeterminate datatype",
        "53100" => "disk full",
        "53200" => "out of memory",
        "54000" => "program limit exceeded",
        "54001" => "statement too complex",
        "55P03" => "lock not available",
        "57014" => "query canceled",
        "57P01" => "admin shutdown",
        _ => match sqlstate.get(..2) {
            Some("01") => "warning",
            Some("08") => "connection exception",
            Some("0A") => "feature not supported",
            Some("22") => "data exception",
            Some("23") => "integrity constraint violation",
            Some("25") => "invalid transaction state",
            Some("42") => "syntax error or access rule violation",
            Some("53") => "insufficient resources",
            Some("54") => "program limit exceeded",
            Some("55") => "object not in prerequisite state",
            Some("57") => "operator intervention",
            _ => "failed",
        },
    }
}
