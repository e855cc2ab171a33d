//! Names and values as they stand in SQL, under `standard_conforming_strings`.

/// A name in quotes, whatever is in it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal.
pub fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    push_literal(&mut literal, text);
    literal
}

/// Appends a text as a literal.
pub(crate) fn push_literal(out: &mut String, text: &str) {
    out.push('\'');
    for (index, part) in text.split('\'').enumerate() {
        if index > 0 {
            out.push_str("''");
        }
        out.push_str(part);
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_quote_is_doubled() {
        assert_eq!(identifier(r#"a"b'c"#), r#""a""b'c""#);
        assert_eq!(literal(r#"'a"b''"#), r#"'''a"b'''''"#);
        assert_eq!(literal(""), "''");
    }
}
