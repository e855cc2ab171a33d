use std::fs;

use super::*;

fn check(text: &[u8], expected: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leak.csv");
    fs::write(&path, text).unwrap();
    let told = match read_leak(&path) {
        Ok(leak) => leak.rows.iter().map(tell).collect(),
        Err(error) => vec![error.to_string().replace(&*path.to_string_lossy(), "leak.csv")],
    };
    assert_eq!(told, expected);
}

fn tell(row: &LeakRow) -> String {
    let mut told = row.subject.as_ref().map_or(String::new(), |s| format!("{s}; "));
    for (field, value) in &row.fields {
        told += &format!("{field}={} ", value.expose());
    }
    told.trim_end().to_owned()
}

#[test]
fn lists_are_read_whatever_their_separator_and_encoding() {
    check(
        b"Name,EMAIL,age,subject\n\"Doe, Jo\",j@x.y,3,c1\n,k@x.y\n",
        &["c1; name=Doe, Jo email=j@x.y", "email=k@x.y"],
    );
    check(b"\xef\xbb\xbfphone;ticket\n1;T-2\n", &["phone=1 ticket=T-2"]);
    check(b"email\tphone\na@b.c\t2\n", &["email=a@b.c phone=2"]);
    check(b"name\nM\xfcller\n", &["name=Müller"]);
    check(b"\xff\xfen\0a\0m\0e\0\n\0\xfc\0", &["name=ü"]);
    check(b"Full name|E-Mail|Mobile phone\nJo|j@x.y|\n||\n", &["name=Jo email=j@x.y"]);
}

#[test]
fn a_list_without_a_known_column_is_refused() {
    let refused =
        "`leak.csv` has no header that names any of subject, name, email, phone or ticket";
    check(b"a,b\n1,2\n", &[refused]);
    check(b"", &[refused]);
}

#[test]
fn values_are_read_and_bad_lines_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.jsonl");
    let good = r#"{"ts":"2026-01-01T00:00:00Z","subject":"c1","field":"Email","value":"a@b.c"}"#;
    fs::write(&path, format!("{good}\n{{}}\n")).unwrap();
    let (values, problems) = read_values(&path).unwrap();
    assert_eq!(values.len(), 1);
    assert_eq!((&*values[0].field, values[0].value.expose().as_str()), ("email", "a@b.c"));
    assert_eq!((problems.lines, problems.bad, problems.shown[0].line), (2, 1, 2));
}
