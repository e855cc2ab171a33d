//! From a text to verdicts: split, bound, parse, judge.

use std::{collections::BTreeSet, mem, thread};

use pg_query::{
    Node, NodeEnum,
    protobuf::{AStar, ConstraintsSetStmt, RawStmt, ScanToken, Token},
};
use postern_model::StatementFingerprint;

use crate::{
    Act, Catalogue, Context, Decider, Effect, Guarded, KeyColumn, Leaf, Local, Lookup, LookupKind,
    Mode, Named, Plain, Refusal, Rules, Statement, SyntaxError, Template, Verdict, copy,
    definitions, end_user, explain, locks, named, nesting, path,
    print::{internal, printed, with_leaves, written},
    query::{Analysis, Facts},
    refusal::{Judged, refuse, unknown_kind},
    resolve::Resolver,
    setting,
    shape::Shape,
    syntax,
    taint::{Rows, Taint},
    ticket,
    utility::{self, Utility},
};

/// Judges each statement of `sql`; an empty text gives one [`Local::Empty`].
pub fn analyse(
    sql: &str,
    catalogue: &Catalogue,
    rules: &Rules,
    context: Context<'_>,
) -> Result<Vec<Statement>, SyntaxError> {
    nesting::length(sql)?;
    // A text without any token makes `scan_tokens` read a null pointer.
    if sql.bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b) {
        return Ok(empty());
    }
    let tokens = pg_query::scan_tokens(sql).map_err(|error| syntax::error(&error, sql, &[]))?;
    let judge = || judge(sql, &tokens, catalogue, rules, context);
    let word = |token: &ScanToken| {
        let (start, end) = (usize::try_from(token.start), usize::try_from(token.end));
        start.ok().zip(end.ok()).and_then(|(start, end)| sql.get(start..end)).unwrap_or("U&")
    };
    let names_view = || tokens.iter().any(|token| catalogue.may_name_view(word(token)));
    // Sub-selects may be joined one around the other.
    let selects = tokens.iter().filter(|token| token.token == Token::Select as i32).count();
    let shallow = nesting::depth(&tokens)? <= nesting::DEPTH_SHALLOW && selects <= SELECTS_SHALLOW;
    if shallow && !names_view() {
        return judge();
    }
    thread::scope(|scope| {
        let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, judge);
        // Without a thread, or if the analysis stops unexpectedly, nothing is sent.
        match worker.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(statements)) => statements,
            Ok(Err(_)) | Err(_) => Err(nesting::too_deep()),
        }
    })
}

fn empty() -> Vec<Statement> {
    vec![Statement {
        verdict: Verdict::Local(Local::Empty),
        fingerprint: StatementFingerprint(0),
        normalized: String::new(),
    }]
}

/// So many selects, put one around the other, are as deep as what a usual thread takes.
const SELECTS_SHALLOW: usize = 8;

/// Enough for the deepest tree that `pg_query` decodes, unoptimised. Only what is touched is used.
const STACK_BYTES: usize = 64 << 20;

fn judge(
    sql: &str,
    tokens: &[ScanToken],
    catalogue: &Catalogue,
    rules: &Rules,
    context: Context<'_>,
) -> Result<Vec<Statement>, SyntaxError> {
    let parsed = pg_query::parse(sql, 0);
    let parsed = parsed.map_err(|error| syntax::error(&error, sql, tokens))?;
    if parsed.protobuf.stmts.is_empty() {
        return Ok(empty());
    }
    let statements = parsed.protobuf.stmts;
    // What a statement defines, the next ones of the text may name.
    let mut own = context.own.cloned();
    let mut judged = Vec::with_capacity(statements.len());
    for raw in statements {
        let text = slice(sql, &raw);
        let fingerprint = pg_query::fingerprint(text, 0, 0).map_or(0, |found| found.value);
        let context = Context { text: sql, own: own.as_ref(), ..context }.on_its_path();
        let resolver = Resolver { catalogue, rules, context };
        let begins = raw.stmt_location;
        let normalized = normalized((sql, tokens), &raw, context.is_shape);
        let verdict = match verdict(raw, text, resolver) {
            Verdict::Refused(refusal) => {
                Verdict::Refused(context.explained(placed(refusal, begins, resolver)))
            }
            judged => judged,
        };
        if let Verdict::Plain(plain) = &verdict
            && !plain.changes.is_empty()
        {
            let own = own.get_or_insert_default();
            plain.changes.iter().for_each(|change| {
                own.apply(change);
            });
        }
        let fingerprint = StatementFingerprint(fingerprint);
        judged.push(Statement { normalized, fingerprint, verdict });
    }
    Ok(judged)
}

/// With the place of what does not exist. The tree that is judged has no places, so that it can be
/// compared with what is written; the scout goes over one that has them.
fn placed(refusal: Refusal, begins: i32, resolver: Resolver<'_>) -> Refusal {
    if !matches!(refusal.sqlstate, "42P01" | "42703") {
        return refusal;
    }
    let again = || {
        let statements = pg_query::parse(resolver.context.text, 0).ok()?.protobuf.stmts;
        let raw = statements.into_iter().find(|raw| raw.stmt_location == begins)?;
        let mut node = raw.stmt?.node?;
        run(&mut Analysis::scout(resolver), &mut node).err()
    };
    match again() {
        Some(found) if found.message == refusal.message => found,
        _ => refusal,
    }
}

fn verdict(raw: RawStmt, text: &str, resolver: Resolver<'_>) -> Verdict {
    let Some(mut node) = raw.stmt.and_then(|node| node.node) else {
        return Verdict::Local(Local::Empty);
    };
    if ticket::is_shown(&node) {
        return Verdict::Named(Named { name: String::new(), act: Act::ShowTicket });
    }
    if let Some(judged) = utility::judge(&mut node, resolver.context, Some(resolver.catalogue)) {
        let (effect, change) = match judged {
            Ok(Utility::Local(local)) => return Verdict::Local(local),
            Ok(Utility::Instead(plain)) => return Verdict::Plain(*plain),
            Ok(Utility::Forward(effect, change)) => (effect, change),
            Err(refusal) => return Verdict::Refused(refusal),
        };
        return match written(&mut node) {
            Ok(sql) => Verdict::Plain(Plain {
                changes: change.into_iter().collect(),
                ..Plain::new(sql, effect, 0)
            }),
            Err(refusal) => Verdict::Refused(refusal),
        };
    }
    if let NodeEnum::ConstraintsSetStmt(set) = &node {
        return constraints(set, resolver).unwrap_or_else(Verdict::Refused);
    }
    setting::named_by_its_row(&mut node);
    if let Some(said) = end_user::call(&node).or_else(|| ticket::call(&node)) {
        return said.map_or_else(Verdict::Refused, Verdict::Plain);
    }
    if let Some(set) = path::call(&node, resolver.context) {
        return set.map_or_else(Verdict::Refused, Verdict::Plain);
    }
    let judged = if let Some(named) = named::judge(&node, text, resolver) {
        named.map(Verdict::Named)
    } else {
        if let Some(judged) = definitions::judge(&node, resolver) {
            return judged.unwrap_or_else(Verdict::Refused);
        }
        match &node {
            NodeEnum::CopyStmt(copy) => copy::judge(copy, resolver),
            NodeEnum::ExplainStmt(explain) => explain::judge(explain, resolver),
            NodeEnum::LockStmt(lock) => locks::judge(lock, resolver),
            _ => query_verdict(node, resolver),
        }
    };
    judged.unwrap_or_else(Verdict::Refused)
}

/// `SET CONSTRAINTS`. One that is checked at COMMIT only would say there, where no search is
/// charged, what a restricted role's value collides with: for such a role all are checked at once,
/// as without the statement.
fn constraints(set: &ConstraintsSetStmt, resolver: Resolver<'_>) -> Judged<Verdict> {
    if set.deferred && resolver.rules.mode == Mode::Restricted {
        return Ok(Verdict::Local(Local::Tag("SET CONSTRAINTS")));
    }
    let sql = printed(&mut NodeEnum::ConstraintsSetStmt(set.clone()))?;
    if sql.contains(resolver.context.prefix) {
        return refuse("reserved_name", "the name is reserved", "use another name");
    }
    Ok(Verdict::Plain(Plain::new(sql, Effect::Setting, 0)))
}

/// Statements on rows: two runs of the analysis, then the text.
pub(crate) fn query_verdict(node: NodeEnum, resolver: Resolver<'_>) -> Judged<Verdict> {
    judged_query(node, resolver, true)
}

/// The same of what is sent as a text without anything of the actor's if nothing in it is
/// protected.
pub(crate) fn text_verdict(node: NodeEnum, resolver: Resolver<'_>) -> Judged<Verdict> {
    judged_query(node, resolver, false)
}

fn judged_query(mut node: NodeEnum, resolver: Resolver<'_>, names: bool) -> Judged<Verdict> {
    let known = matches!(
        node,
        NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_)
    );
    if !known {
        return Err(unknown_kind(&node));
    }
    let parameters = shape(&mut node, resolver.context.prefix)?;
    let read = node.clone();
    let mut scout = Analysis::scout(resolver);
    run(&mut scout, &mut node)?;
    // INVARIANT: hidden parameters come after all of the client's. One that the analysis did not
    // see would be numbered as the first hidden one, and the client would give its value.
    if scout.parameters != parameters {
        return internal("a parameter stands where it is not read");
    }
    if scout.leaves.is_empty() {
        let checked = !scout.checks.is_empty();
        if (names && scout.names_actor() || checked)
            && let Some(guarded) = without_leaves(read, scout.facts.clone(), resolver)?
        {
            return Ok(Verdict::Guarded(guarded));
        }
        if checked {
            return refuse(
                "setting",
                "a setting can't be read by a parameter's name beside columns that are not known",
                "name the columns that you need",
            );
        }
        let sql = written(&mut node)?;
        let effect = if scout.changes() { Effect::Write } else { Effect::Query };
        let plain = Plain::new(sql, effect, scout.parameters);
        let (opens_definition, draws) = (scout.opens_definition(), scout.draws());
        return Ok(Verdict::Plain(Plain { opens_definition, draws, ..plain }));
    }
    let mut facts = scout.facts;
    if !facts.shared.is_empty() {
        let mut scout = Analysis::scout_knowing(resolver, facts.shared);
        run(&mut scout, &mut read.clone())?;
        facts = scout.facts;
    }
    node = read;
    let mut analysis = Analysis::knowing(resolver, facts.clone(), true);
    let rows = run(&mut analysis, &mut node)?;
    if analysis.facts != facts {
        return internal("the two runs of the analysis differ");
    }
    let texts = resolver.context.leaf_texts;
    let sql = with_leaves(&mut node, &analysis.selects, &analysis.leaf_names(), texts)?;
    guarded(&sql, &rows, &analysis).map(Verdict::Guarded)
}

/// A statement without protected tables that names the session's user, and has the actor's name in
/// the place, or whose parameters are looked at. `None` where its columns can't be told.
fn without_leaves(
    mut node: NodeEnum,
    facts: Facts,
    resolver: Resolver<'_>,
) -> Judged<Option<Guarded>> {
    let mut analysis = Analysis::knowing(resolver, facts.clone(), false);
    let rows = run(&mut analysis, &mut node)?;
    if rows.open.is_some() {
        return Ok(None);
    }
    if analysis.facts != facts || !analysis.leaves.is_empty() {
        return internal("the two runs of the analysis differ");
    }
    let sql = written(&mut node)?;
    guarded(&sql, &rows, &analysis).map(Some)
}

fn run(analysis: &mut Analysis<'_>, node: &mut NodeEnum) -> Judged<Rows> {
    let rows = match node {
        NodeEnum::SelectStmt(select) => return analysis.whole_select(select),
        NodeEnum::InsertStmt(insert) => analysis.insert(insert)?,
        NodeEnum::UpdateStmt(update) => analysis.update(update)?,
        NodeEnum::DeleteStmt(delete) => analysis.delete(delete)?,
        NodeEnum::MergeStmt(merge) => analysis.merge_rows(merge)?,
        _ => return Err(unknown_kind(node)),
    };
    analysis.close(&rows)?;
    Ok(rows)
}

fn guarded(sql: &str, rows: &Rows, analysis: &Analysis<'_>) -> Judged<Guarded> {
    if rows.open.is_some() {
        return refuse(
            "star",
            "`*` over a function or an expression can't be used beside a protected table",
            "name the columns that you need",
        );
    }
    let marker = format!("{}h", analysis.resolver.context.prefix);
    let Some(template) = Template::cut(sql, &marker, &analysis.holes) else {
        return internal("a key set is not where it was put");
    };
    let mut used = Taint::default();
    for column in &rows.columns {
        used.add(&column.taint);
    }
    let origins = rows.columns.iter().map(|column| column.origin);
    let sources = rows.columns.iter().map(|column| {
        let source = column.source?;
        let name = &analysis.leaves.get(source.leaf)?.column(source.attribute)?.name;
        Some((source.leaf, name.as_str().into()))
    });
    let lookups = analysis.facts.lookups.iter().filter_map(|(index, lookup)| {
        let leaf = analysis.leaves.get(*index)?;
        Some(Lookup {
            relation: leaf.full_name(),
            column: leaf.column(lookup.attribute)?.name.as_str().into(),
            leaf: *index,
            value: lookup.value.clone(),
            kind: LookupKind::Compared,
        })
    });
    let target = analysis.target.leaf.and_then(|index| Some((index, analysis.leaves.get(index)?)));
    let stored = analysis.target.stored.iter().filter_map(|(attribute, value)| {
        let (index, leaf) = target?;
        Some(Lookup {
            relation: leaf.full_name(),
            column: leaf.column(*attribute)?.name.as_str().into(),
            leaf: index,
            value: value.clone(),
            kind: LookupKind::Stored,
        })
    });
    let decided_by: BTreeSet<Decider> = decided_by(analysis).collect();
    Ok(Guarded {
        sql: template,
        visible_columns: rows.columns.len(),
        keys: rows.keys.iter().map(|key| KeyColumn { leaf: key.leaf, many: key.many }).collect(),
        leaves: described(analysis, &used),
        origins: origins.collect(),
        sources: sources.collect(),
        lookups: lookups.chain(stored).collect(),
        decided_by: decided_by.into_iter().collect(),
        worked: worked(analysis),
        asked: analysis.questions.asked.clone(),
        asked_first: analysis.asks_first(rows),
        bounded: (0..analysis.leaves.len()).all(|leaf| analysis.bounded.contains(&leaf)),
        checks: analysis.checks.clone(),
        mask_checks: analysis.mask_checks.clone(),
        writes: analysis.target.leaf.is_some(),
        relies: analysis.target.relies.iter().copied().collect(),
        opens: analysis.target.opens,
        silent: analysis.target.silent,
        sequential: analysis.sequential,
        passed: analysis.passed,
        client_parameters: analysis.parameters,
        changes: analysis.changes(),
    })
}

/// What the ledger needs to know of the leaves, given what is in the result.
fn described(analysis: &Analysis<'_>, used: &Taint) -> Vec<Leaf> {
    let mode = analysis.resolver.rules.mode;
    let leaves = analysis.leaves.iter().enumerate().map(|(index, leaf)| {
        let described = leaf.describe(index, used, &analysis.facts.spoiled, mode);
        if analysis.target.leaf != Some(index) {
            return described;
        }
        leaf.with_computed(described, &analysis.target.computed, mode)
    });
    leaves.collect()
}

/// Where nothing is masked: the protected columns that do more than come with their record.
fn decided_by<'a>(analysis: &'a Analysis<'_>) -> impl Iterator<Item = Decider> + 'a {
    analysis.deciding.iter().filter_map(|place| decider(analysis, *place))
}

fn decider(analysis: &Analysis<'_>, (leaf, attribute): (usize, i16)) -> Option<Decider> {
    let leaf = analysis.leaves.get(leaf)?;
    let column = leaf.column(attribute)?.name.as_str().into();
    Some(Decider { relation: leaf.full_name(), column })
}

/// The protected columns of which something is computed and that are not masked for all keys.
fn worked(analysis: &Analysis<'_>) -> Vec<Decider> {
    let places = analysis.worked.difference(&analysis.facts.spoiled);
    let columns: BTreeSet<Decider> = places.filter_map(|place| decider(analysis, *place)).collect();
    columns.into_iter().collect()
}

/// Checks a tree; gives the highest parameter number in it.
pub(crate) fn shape(node: &mut NodeEnum, forbidden: &str) -> Judged<usize> {
    let mut whole = Node { node: Some(mem::replace(node, NodeEnum::AStar(AStar {}))) };
    let shape = Shape::new(forbidden);
    let judged = shape.node(&mut whole);
    if let Some(back) = whole.node {
        *node = back;
    }
    judged.map(|()| shape.parameters())
}

/// A statement's own text within the text that holds it.
fn slice<'a>(sql: &'a str, raw: &RawStmt) -> &'a str {
    let (start, end) = bounds(sql, raw);
    sql.get(start..end).unwrap_or(sql)
}

fn bounds(sql: &str, raw: &RawStmt) -> (usize, usize) {
    let start = usize::try_from(raw.stmt_location).unwrap_or_default();
    let length = usize::try_from(raw.stmt_len).unwrap_or_default();
    (start, if length == 0 { sql.len() } else { start.saturating_add(length) })
}

/// The text with `?` for each literal, without comments, white space made one space.
fn normalized((sql, tokens): (&str, &[ScanToken]), raw: &RawStmt, is_shape: bool) -> String {
    let (start, end) = bounds(sql, raw);
    let mut text = String::new();
    let first =
        tokens.partition_point(|token| usize::try_from(token.start).is_ok_and(|at| at < start));
    for token in tokens.iter().skip(first) {
        let (Ok(from), Ok(to)) = (usize::try_from(token.start), usize::try_from(token.end)) else {
            continue;
        };
        if to > end {
            break;
        }
        let word = match token.token() {
            Token::SqlComment | Token::CComment => continue,
            Token::Sconst
            | Token::Usconst
            | Token::Bconst
            | Token::Xconst
            | Token::Iconst
            | Token::Fconst => "?",
            Token::Param if is_shape => "?",
            _ => sql.get(from..to).unwrap_or("?"),
        };
        let tight = matches!(word, "," | ")" | "." | "]" | "::" | ";" | "[")
            || text.ends_with(['(', '.', '['])
            || text.ends_with("::");
        if !text.is_empty() && !tight {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

#[cfg(test)]
mod tests;
