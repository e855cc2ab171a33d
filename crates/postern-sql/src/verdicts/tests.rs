use pg_query::{Node, NodeEnum};

use super::{NodeVerdict, every_node, verdict};
use crate::{Context, shape::Shape, utility};

/// How the check of shapes speaks of a node that may not stand there at all.
fn refused_as_a_whole(node: &NodeEnum) -> bool {
    let mut whole = Node { node: Some(node.clone()) };
    match Shape::new("").node(&mut whole) {
        Ok(()) => false,
        Err(refusal) => refusal.message.starts_with('`'),
    }
}

#[test]
fn every_node_type_has_one_verdict() {
    let nodes = every_node();
    let named = |node: &NodeEnum| std::mem::discriminant(node);
    let mut seen = Vec::new();
    for (stated, node) in &nodes {
        assert_eq!(verdict(node), *stated, "{node:?}");
        assert!(!seen.contains(&named(node)), "{node:?} is listed twice");
        seen.push(named(node));
    }
}

#[test]
fn what_passes_is_what_the_verdicts_let_pass() {
    let anything = Context::new(&[], "\0");
    for (verdict, mut node) in every_node() {
        let passes = matches!(verdict, NodeVerdict::Expression | NodeVerdict::Clause);
        assert_eq!(refused_as_a_whole(&node), !passes, "{node:?} is {verdict:?}");
        let judged = utility::judge(&mut node, anything, None).is_some();
        // DEALLOCATE judges only the form that pools say.
        let partly = matches!(node, NodeEnum::DeallocateStmt(_));
        assert_eq!(judged, verdict == NodeVerdict::Utility && !partly, "{node:?} is {verdict:?}");
    }
}
