//! From a judged tree to the text that is sent.
//!
//! A tree is printed, the text is read again, and both trees are compared: what PostgreSQL reads
//! is what was judged. In the place of a leaf the printed tree holds a name; the leaf's own text,
//! which was printed and proven in the same way, is put there afterwards. In the grammar a table's
//! name and a sub-select in parentheses stand in the same places of a FROM clause and bind alike
//! (`table_ref` in PostgreSQL's `gram.y`), so the whole text is read as the whole tree. The leaves
//! of a table are few, whatever is asked of it, and so are remembered.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pg_query::{
    Node, NodeEnum,
    protobuf::{AStar, ParseResult, RawStmt},
};

use crate::{
    analyse::shape,
    refusal::{Judged, refuse},
    utility,
};

/// The texts of leaves that were proven before, the latest of each table.
///
/// They depend on nothing but their trees. An analysis without them gives the same result.
#[derive(Default)]
pub struct LeafTexts {
    known: Mutex<Known>,
}

/// Trees and their texts by the tables' OIDs, the one used last in front.
type Known = HashMap<u32, Vec<(Node, Arc<str>)>>;

/// Of each table. One has a leaf for each set of columns that is asked of it, with the key sets in
/// each place among those of the statement.
const KNOWN_MAX: usize = 8;

impl fmt::Debug for LeafTexts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LeafTexts").finish_non_exhaustive()
    }
}

impl LeafTexts {
    fn text(&self, leaf: &LeafSelect) -> Judged<Arc<str>> {
        if leaf.particular {
            return proven(&leaf.select);
        }
        let known = |known: &mut Known| {
            let known = known.get_mut(&leaf.table)?;
            let place = known.iter().position(|(tree, _)| *tree == leaf.select)?;
            let found = known.remove(place);
            let text = found.1.clone();
            known.insert(0, found);
            Some(text)
        };
        if let Some(text) = known(&mut self.lock()) {
            return Ok(text);
        }
        let text = proven(&leaf.select)?;
        let mut known = self.lock();
        let known = known.entry(leaf.table).or_default();
        known.truncate(KNOWN_MAX - 1);
        known.insert(0, (leaf.select.clone(), text.clone()));
        Ok(text)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Each entry is whole at any moment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sub-select of a leaf, which is printed apart from its statement.
#[derive(Debug)]
pub(crate) struct LeafSelect {
    /// The name that stands for it.
    pub(crate) name: String,
    /// The protected table's OID.
    pub(crate) table: u32,
    pub(crate) select: Node,
    /// It holds a value of this statement: there is no use in remembering it.
    pub(crate) particular: bool,
}

/// The text of a statement with the leaves in their places.
///
/// `reserved` begins every leaf's name and nothing else in the text.
pub(crate) fn with_leaves(
    node: &mut NodeEnum,
    leaves: &[LeafSelect],
    reserved: &str,
    texts: Option<&LeafTexts>,
) -> Judged<String> {
    let outline = written(node)?;
    let mut parts = outline.split(reserved);
    let mut sql = parts.next().unwrap_or_default().to_owned();
    let mut placed = BTreeSet::new();
    for part in parts {
        let named = |leaf: &&LeafSelect| {
            let number = leaf.name.strip_prefix(reserved);
            number.and_then(|number| part.strip_prefix(number)).is_some()
        };
        let leaf = leaves.iter().find(named).filter(|leaf| placed.insert(&leaf.name));
        let rest = leaf.and_then(|leaf| part.strip_prefix(leaf.name.strip_prefix(reserved)?));
        let (Some(leaf), Some(rest)) = (leaf, rest) else {
            return internal("a leaf is not where it was put");
        };
        let text = match texts {
            Some(texts) => texts.text(leaf)?,
            None => proven(&leaf.select)?,
        };
        sql.extend(["(", &text, ")", rest]);
    }
    if placed.len() == leaves.len() { Ok(sql) } else { internal("a leaf was left out") }
}

fn proven(select: &Node) -> Judged<Arc<str>> {
    match select.node.clone() {
        Some(mut node) => written(&mut node).map(Arc::from),
        None => internal("a leaf without a query"),
    }
}

/// Lends the tree to what takes a list of statements: a copy would cost as much as the text.
fn deparsed(node: &mut NodeEnum) -> pg_query::Result<String> {
    let lent = Node { node: Some(mem::replace(node, NodeEnum::AStar(AStar {}))) };
    let statement = RawStmt { stmt: Some(Box::new(lent)), stmt_location: 0, stmt_len: 0 };
    let mut whole = ParseResult { version: 0, stmts: vec![statement] };
    let sql = pg_query::deparse(&whole, pg_query::DeparseOptions::default());
    if let Some(back) = whole.stmts.pop().and_then(|raw| raw.stmt).and_then(|stmt| stmt.node) {
        *node = back;
    }
    sql
}

/// The statement's text, proven to be read as the same tree again.
pub(crate) fn written(node: &mut NodeEnum) -> Judged<String> {
    let Ok(sql) = deparsed(node) else {
        return internal("the statement can't be written");
    };
    let mut again = read_again(&sql)?;
    if !utility::clear_locations(&mut again) {
        shape(&mut again, "")?;
    }
    if again != *node {
        return internal("the written statement is not the same statement");
    }
    Ok(sql)
}

/// The text of a definition, and nothing else of it proven.
pub(crate) fn printed(node: &mut NodeEnum) -> Judged<String> {
    match deparsed(node) {
        Ok(sql) => Ok(sql),
        Err(_) => internal("the statement can't be written"),
    }
}

/// The tree of a text that was written.
pub(crate) fn read_again(sql: &str) -> Judged<NodeEnum> {
    let Ok(parsed) = pg_query::parse(sql, 0) else {
        return internal("the written statement can't be read");
    };
    let mut statements = parsed.protobuf.stmts.into_iter();
    let node = statements.next().and_then(|raw| raw.stmt).and_then(|node| node.node);
    match (node, statements.next()) {
        (Some(node), None) => Ok(node),
        _ => internal("the written statement is not one statement"),
    }
}

pub(crate) fn internal<T>(what: &str) -> Judged<T> {
    refuse(
        "rewriting",
        format!("the statement can't be rewritten safely: {what}"),
        "write it in a simpler form",
    )
}
