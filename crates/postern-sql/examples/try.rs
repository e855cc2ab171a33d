use std::io::BufRead;
use postern_model::FieldClass;
use postern_sql::*;
fn col(name: &str, class: FieldClass, lookup: bool) -> ColumnRule {
    ColumnRule { name: name.into(), class, show: Show::Keyed(KeySet(0)), lookup, mask: None }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let json = std::fs::read_to_string(&args[1]).unwrap();
    let keys = args.get(2).cloned().unwrap_or("{}".into());
    let mode = if args.get(3).is_some_and(|a| a == "accounted") { Mode::Accounted } else { Mode::Restricted };
    let cat = Catalogue::from_json(&json).unwrap();
    let rules = Rules { mode, functions: vec![], relations: vec![], tables: vec![
        TableRule { schema: "public".into(), table: "customers".into(), subject: "id".into(),
            clear: ["created_at","plan","country"].map(String::from).to_vec(),
            columns: vec![col("name",FieldClass::Name,false),col("email",FieldClass::Email,true),col("phone",FieldClass::Phone,true),
                col("address",FieldClass::Address,false),col("notes",FieldClass::FreeText,false),col("metadata",FieldClass::FreeText,false)], insert: InsertRule::Refuse },
        TableRule { schema: "public".into(), table: "tickets".into(), subject: "customer_id".into(),
            clear: ["id","number","subject","status","assignee","channel","created_at"].map(String::from).to_vec(),
            columns: vec![col("body",FieldClass::FreeText,false)], insert: InsertRule::Allow },
    ]};
    let path = vec!["public".to_string()];
    for line in std::io::stdin().lock().lines() {
        let sql: String = serde_json::from_str(&line.unwrap()).unwrap();
        let context = Context { search_path: &path, prefix: "pk7f3a_" };
        let started = std::time::Instant::now();
        let out = analyse(&sql, &cat, &rules, context);
        let us = started.elapsed().as_micros() as u64;
        let v = match out {
            Err(e) => serde_json::json!([{"kind":"syntax","message":e.message,"us":us}]),
            Ok(list) => serde_json::Value::Array(list.into_iter().map(|s| match s.verdict {
                Verdict::Refused(r) => serde_json::json!({"kind":"refused","rule":r.rule,"message":r.message,"us":us}),
                Verdict::Plain(p) => serde_json::json!({"kind":"plain","sql":p.sql,"us":us}),
                Verdict::Local(l) => serde_json::json!({"kind":"local","what":format!("{l:?}"),"us":us}),
                Verdict::Guarded(g) => serde_json::json!({"kind":"guarded","sql":g.sql.render_literal(|_| keys.clone()),"visible":g.visible_columns,
                    "keys":g.keys.iter().map(|k|k.leaf).collect::<Vec<_>>(),"lookups":format!("{:?}",g.lookups),
                    "leaves":format!("{:?}",g.leaves.iter().map(|l|(l.relation.clone(),l.clear.clone(),l.masked.clone())).collect::<Vec<_>>()),"us":us,"norm":s.normalized}),
            }).collect()),
        };
        println!("{v}");
    }
}
