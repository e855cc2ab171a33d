//! What a rule sees of an event: its line in the feed, and some fields that a rule can't count
//! itself.

use postern_model::{Event, Timestamp};
use serde_json::{Map, Value};

use crate::PRODUCT;

/// Names of days, from Monday, as 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];

/// The fields; `None` only for what no line can be written of.
pub(crate) fn of(event: &Event, seen: Timestamp) -> Option<Value> {
    let (source, line) = postern_feed::event_line(event, seen).ok()?;
    let Value::Object(mut fields) = serde_json::from_str(&line).ok()? else { return None };
    fields.insert("product".to_owned(), PRODUCT.into());
    fields.insert("service".to_owned(), source.as_str().into());
    counts(&mut fields);
    let ts = event.ts();
    fields.insert("hour".to_owned(), (ts.0.rem_euclid(86_400_000_000) / 3_600_000_000).into());
    let day = usize::try_from(ts.day().rem_euclid(7)).unwrap_or_default();
    fields.insert("weekday".to_owned(), DAYS.get(day).copied().unwrap_or_default().into());
    Some(Value::Object(fields))
}

/// How many customers and fields there are, because Sigma compares values and counts none.
fn counts(fields: &mut Map<String, Value>) {
    for (list, count) in
        [("subjects", "subject_count"), ("clear", "clear_count"), ("masked", "masked_count")]
    {
        if fields.contains_key("decision") {
            let number = fields.get(list).and_then(Value::as_array).map_or(0, Vec::len);
            fields.insert(count.to_owned(), number.into());
        }
    }
}
