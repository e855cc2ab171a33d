//! The rules that statements are judged by here, over the catalogue of the crate's own tests.

use postern_model::FieldClass;
use postern_sql::{ColumnRule, InsertRule, KeySet, Mode, Reach, Rules, Show, TableRule};

pub(crate) fn rules() -> Rules {
    let table = |table: &str, subject: &str, clear: &[&str], columns: &[(&str, FieldClass)]| {
        let columns = columns.iter().map(|(name, class)| ColumnRule {
            name: (*name).to_owned(),
            class: *class,
            show: Show::Keyed(KeySet(0)),
            lookup: *class == FieldClass::Email,
            mask: None,
        });
        TableRule {
            schema: "public".to_owned(),
            table: table.to_owned(),
            subject: subject.to_owned(),
            clear: clear.iter().map(|name| (*name).to_owned()).collect(),
            columns: columns.collect(),
            insert: InsertRule::Refuse,
            update: Vec::new(),
            delete: Reach::Refuse,
            reasons: Vec::new(),
        }
    };
    let customers =
        [("name", FieldClass::Name), ("email", FieldClass::Email), ("phone", FieldClass::Phone)];
    let tickets = [("number", FieldClass::CaseNumber), ("body", FieldClass::FreeText)];
    Rules {
        mode: Mode::Restricted,
        tables: vec![
            table("customers", "id", &["country", "created_at"], &customers),
            table("tickets", "customer_id", &["id", "status", "assignee"], &tickets),
        ],
        functions: Vec::new(),
        relations: Vec::new(),
        unprotected: None,
        reason_names: Vec::new(),
    }
}
