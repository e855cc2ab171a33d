//! What a refused part of a statement leaves behind in the analysis.

use pg_query::NodeEnum;

use super::*;
use crate::{Catalogue, Context, Rules};

#[test]
fn what_is_refused_leaves_nothing_behind_for_what_is_around_it() {
    let catalogue = Catalogue::from_json(include_str!("../analyse/fixture.json")).unwrap();
    let rules = Rules {
        mode: Mode::Restricted,
        tables: Vec::new(),
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    };
    let path = ["public".to_owned()];
    let context = Context::new(&path, "pk_");
    for sql in [
        "WITH a AS (SELECT 1), b AS (SELECT lo_get(1)) SELECT 1 FROM a",
        "WITH a AS (SELECT 1) SELECT lo_get(1) FROM a",
        "WITH RECURSIVE w AS (SELECT lo_get(1) UNION ALL SELECT 1 FROM w) SELECT 1",
        "WITH RECURSIVE w AS (SELECT 1 AS n UNION ALL SELECT lo_get(1) FROM w WHERE n < 3) SELECT 1",
        "WITH RECURSIVE w AS (DELETE FROM nothing) SELECT 1",
        "SELECT count(*) FROM (SELECT lo_get(1)) s",
        "SELECT max(price), sum(price) OVER w, lo_get(1) FROM products WINDOW w AS ()",
        "SELECT pg_get_expr(nothing, 1) FROM products",
        "SELECT * FROM peeking_at_customers",
    ] {
        let parsed = pg_query::parse(sql, 0).unwrap();
        let statement = parsed.protobuf.stmts.into_iter().next().and_then(|raw| raw.stmt).unwrap();
        let Some(NodeEnum::SelectStmt(mut select)) = statement.node else { panic!("{sql}") };
        let resolver = Resolver { catalogue: &catalogue, rules: &rules, context };
        let mut analysis = Analysis::new(resolver, Facts::default(), false);
        analysis.whole_select(&mut select).unwrap_err();
        let path = analysis.resolver.context.search_path;
        assert_eq!(path, context.search_path, "{sql}");
        let left = (&analysis.commons, &analysis.aggregates, &analysis.windows, &analysis.arm);
        assert_eq!(format!("{left:?}"), EMPTY, "{sql}");
        let left = (analysis.counted, analysis.pending, analysis.prints_expression);
        assert_eq!(left, (false, None, false), "{sql}");
        assert!(analysis.conditions_on.is_none(), "{sql}");
    }
}

const EMPTY: &str =
    "([], [], Windows { named: {}, uses: [] }, Arm { uses: {}, links: {}, filtered: {} })";
