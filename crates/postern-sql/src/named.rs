//! Statements about what a session keeps by name: prepared statements and cursors in SQL.
//!
//! What they name is the gateway's to find: the name that the client gave never reaches the
//! server. What is sent is put together by the session from the pieces here, each of which was
//! judged and printed by the gateway.

use pg_query::{Node, NodeEnum, protobuf as pb};

use crate::{
    Act, Arguments, Effect, Named, Verdict,
    analyse::{query_verdict, shape},
    ast,
    query::{Analysis, searched_value, skipped},
    refusal::{Judged, not_understood, refuse, too_many},
    resolve::Resolver,
};

/// `None` if the statement is of another kind. `source` is its text, as the client wrote it.
pub(crate) fn judge(
    node: &NodeEnum,
    source: &str,
    resolver: Resolver<'_>,
) -> Option<Judged<Named>> {
    let judged = match node {
        NodeEnum::PrepareStmt(prepare) => {
            let pb::PrepareStmt { name, argtypes, query } = prepare.as_ref();
            parameter_types(argtypes, resolver).and_then(|types| {
                let query = Box::new(inner(query.as_deref(), resolver)?);
                Ok((name, Act::Prepare { types, query, source: source.to_owned() }))
            })
        }
        NodeEnum::ExecuteStmt(pb::ExecuteStmt { name, params }) => {
            arguments(params, resolver).map(|act| (name, act))
        }
        NodeEnum::DeallocateStmt(pb::DeallocateStmt { name, isall: false, location: _ }) => {
            Ok((name, Act::Deallocate))
        }
        NodeEnum::DeclareCursorStmt(declare) => {
            let pb::DeclareCursorStmt { portalname, options, query } = declare.as_ref();
            cursor_options(*options).and_then(|(options, holds)| {
                let query = query.as_deref();
                let selects = |node: &Node| matches!(node.node, Some(NodeEnum::SelectStmt(_)));
                if !query.is_some_and(selects) {
                    return not_understood("a cursor for anything but SELECT");
                }
                let query = Box::new(inner(query, resolver)?);
                // A cursor goes back to what it passed over.
                if matches!(&*query, Verdict::Guarded(guarded) if guarded.passed.is_some()) {
                    return Err(skipped());
                }
                let reads = matches!(&*query,
                    Verdict::Plain(plain) if plain.effect == Effect::Query && !plain.draws);
                if holds && !reads {
                    return outlives();
                }
                Ok((portalname, Act::Declare { options, holds, query }))
            })
        }
        NodeEnum::FetchStmt(fetch) => portion(fetch).map(|(what, jumps)| {
            (&fetch.portalname, Act::Fetch { what, moves: fetch.ismove, jumps })
        }),
        NodeEnum::ClosePortalStmt(pb::ClosePortalStmt { portalname }) if !portalname.is_empty() => {
            Ok((portalname, Act::Close))
        }
        _ => return None,
    };
    Some(judged.map(|(name, act)| Named { name: name.clone(), act }))
}

/// The statement that is prepared, or that a cursor runs.
fn inner(query: Option<&Node>, resolver: Resolver<'_>) -> Judged<Verdict> {
    match query.and_then(|query| query.node.as_ref()) {
        Some(query) => match query_verdict(query.clone(), resolver)? {
            Verdict::Plain(plain) if switches(&plain.sql) => switched_elsewhere(),
            Verdict::Guarded(guarded) if switches(&guarded.sql.render_literal(|_| "")) => {
                switched_elsewhere()
            }
            // A parameter's value is looked at where the protocol binds it.
            Verdict::Guarded(guarded) if !guarded.checks.is_empty() && !guarded.writes => refuse(
                "setting",
                "what reads a setting by a parameter's name can't be prepared in SQL, nor a \
                     cursor be declared for it",
                "write the setting's name",
            ),
            Verdict::Guarded(guarded) if guarded.writes => refuse(
                "protected_write",
                "a write to a protected table can't be prepared in SQL by this role",
                "let the driver prepare the statement by the protocol, or send it as it is",
            ),
            verdict => Ok(verdict),
        },
        None => not_understood("an empty statement"),
    }
}

/// Whether a setting is changed in it: what a session has set is known by what it sends, and not by
/// what it executes or fetches.
fn switches(sql: &str) -> bool {
    sql.contains("set_config(")
}

fn switched_elsewhere<T>() -> Judged<T> {
    refuse(
        "setting",
        "what changes a setting can't be prepared in SQL, nor a cursor be declared for it",
        "send set_config() in a statement of its own",
    )
}

/// A cursor that outlives its transaction outlives the reasons that it was read under.
fn outlives<T>() -> Judged<T> {
    refuse(
        "cursor",
        "a cursor that outlives its transaction and reads what is protected is not allowed for \
         this role",
        "leave WITH HOLD out and fetch before COMMIT",
    )
}

/// What is sent of them, and whether the cursor outlives its transaction. `BINARY` is not
/// understood: the keys of a binary row can't be read without its types. `ASENSITIVE` says nothing
/// and older servers don't know it.
fn cursor_options(options: i32) -> Judged<(&'static str, bool)> {
    const BINARY: i32 = 0x01;
    const SCROLL: i32 = 0x02;
    const NO_SCROLL: i32 = 0x04;
    const INSENSITIVE: i32 = 0x08;
    const ASENSITIVE: i32 = 0x10;
    const HOLD: i32 = 0x20;
    const FAST_PLAN: i32 = 0x100;
    if options & BINARY != 0 {
        return refuse(
            "cursor",
            "a binary cursor is not allowed for this role",
            "leave BINARY out; drivers ask for binary values by the protocol",
        );
    }
    let written = match options & !(ASENSITIVE | FAST_PLAN | HOLD) {
        0 => "",
        SCROLL => "SCROLL ",
        NO_SCROLL => "NO SCROLL ",
        INSENSITIVE => "INSENSITIVE ",
        both if both == SCROLL | INSENSITIVE => "INSENSITIVE SCROLL ",
        both if both == NO_SCROLL | INSENSITIVE => "INSENSITIVE NO SCROLL ",
        _ => return not_understood("this option of a cursor"),
    };
    Ok((written, options & HOLD != 0))
}

/// Which rows are fetched, in SQL, and whether rows may be passed over to get there.
fn portion(fetch: &pb::FetchStmt) -> Judged<(String, bool)> {
    use pb::FetchDirection as To;
    let pb::FetchStmt { direction: _, how_many, portalname: _, ismove: _ } = fetch;
    let many = if *how_many == i64::MAX { "ALL".to_owned() } else { how_many.to_string() };
    match fetch.direction() {
        To::FetchForward => Ok((format!("FORWARD {many}"), false)),
        To::FetchBackward => Ok((format!("BACKWARD {many}"), false)),
        To::FetchAbsolute if *how_many != i64::MAX => {
            Ok((format!("ABSOLUTE {how_many}"), !(0..=1).contains(how_many)))
        }
        To::FetchRelative if *how_many != i64::MAX => {
            Ok((format!("RELATIVE {how_many}"), !(-1..=1).contains(how_many)))
        }
        To::FetchAbsolute | To::FetchRelative | To::Undefined => {
            not_understood("this way to fetch")
        }
    }
}

/// More than a statement that is prepared by hand has; a type costs far more than an argument.
const TYPES_MAX: usize = 10_000;

/// The types of `PREPARE name (types)`, in SQL.
fn parameter_types(types: &[Node], resolver: Resolver<'_>) -> Judged<Vec<String>> {
    if types.len() > TYPES_MAX {
        return too_many("54023", "types of PREPARE", TYPES_MAX);
    }
    let mut casts = Vec::with_capacity(types.len());
    for node in types {
        let Some(NodeEnum::TypeName(name)) = &node.node else {
            return not_understood("this kind of type");
        };
        casts.push(ast::cast(ast::null(), name.clone()));
    }
    if casts.is_empty() {
        return Ok(Vec::new());
    }
    // Judged as casts are: the same types are allowed. One list, so that its length decides what
    // it costs.
    let mut probe = ast::values(casts);
    judge_list(&mut probe, resolver)?;
    // The client's text has nothing that begins with the prefix: it tells where a type begins.
    let marker = format!("{}t", resolver.context.prefix);
    let mark = |item: &mut Node| match item.node.as_mut() {
        Some(NodeEnum::TypeCast(cast)) => cast.arg = Some(Box::new(ast::constant(&marker))),
        _ => item.node = None,
    };
    listed(&mut probe).for_each(mark);
    let sql = written_list(&mut probe)?;
    let begin = format!("'{marker}'::");
    let mut parts = sql.split(&begin);
    let nothing_before = parts.next() == Some("");
    let parts: Vec<&str> = parts.collect();
    let last = parts.len().saturating_sub(1);
    let named = parts.iter().enumerate().map(|(index, part)| {
        if index == last { Some((*part).to_owned()) } else { Some(part.strip_suffix(", ")?.into()) }
    });
    match named.collect::<Option<Vec<String>>>() {
        Some(texts) if nothing_before && texts.len() == types.len() => Ok(texts),
        _ => not_understood("this kind of type"),
    }
}

/// No statement has more parameters, as the protocol counts them.
const ARGUMENTS_MAX: usize = 65_535;

/// The arguments of EXECUTE are judged and printed as one list: each by itself would be printed
/// and read again by itself.
fn arguments(params: &[Node], resolver: Resolver<'_>) -> Judged<Act> {
    if params.len() > ARGUMENTS_MAX {
        return too_many("54023", "arguments of EXECUTE", ARGUMENTS_MAX);
    }
    let mut values = Vec::with_capacity(params.len());
    for param in params {
        values.push(match searched_value(param) {
            Some(crate::LookupValue::Constant(text)) => Some(text),
            Some(crate::LookupValue::Parameter(_)) => {
                return not_understood("a parameter in EXECUTE");
            }
            None => is_null(param).then(String::new),
        });
    }
    let mut sql = String::new();
    if !params.is_empty() {
        let mut list = ast::values(params.to_vec());
        judge_list(&mut list, resolver)?;
        sql = written_list(&mut list)?;
        if switches(&sql) {
            return switched_elsewhere();
        }
    }
    Ok(Act::Execute(Arguments { sql, values }))
}

fn is_null(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => constant.isnull,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_null),
        _ => false,
    }
}

/// Judges `VALUES (expressions)`.
fn judge_list(node: &mut NodeEnum, resolver: Resolver<'_>) -> Judged<()> {
    shape(node, resolver.context.prefix)?;
    let mut analysis = Analysis::scout(resolver);
    let NodeEnum::SelectStmt(select) = node else { return not_understood("this expression") };
    analysis.whole_select(select)?;
    if !analysis.leaves.is_empty() {
        return not_understood("a sub-select here");
    }
    // What EXECUTE does is known by what it executes.
    if analysis.changes() {
        return refuse(
            "execute",
            "a function that is not PostgreSQL's own can't be called in an argument of EXECUTE",
            "select its value first and write that",
        );
    }
    Ok(())
}

/// The text of the expressions of `VALUES (expressions)`.
fn written_list(node: &mut NodeEnum) -> Judged<String> {
    let sql = crate::print::written(node)?;
    match sql.strip_prefix("VALUES (").and_then(|rest| rest.strip_suffix(')')) {
        Some(list) => Ok(list.to_owned()),
        None => not_understood("this expression"),
    }
}

/// The expressions of `VALUES (expressions)`.
fn listed(node: &mut NodeEnum) -> impl Iterator<Item = &mut Node> {
    let lists = match node {
        NodeEnum::SelectStmt(select) => select.values_lists.as_mut_slice(),
        _ => &mut [],
    };
    lists.iter_mut().flat_map(|list| match list.node.as_mut() {
        Some(NodeEnum::List(list)) => list.items.as_mut_slice(),
        _ => &mut [],
    })
}
