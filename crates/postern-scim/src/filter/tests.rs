use proptest::prelude::*;
use serde_json::json;

use super::*;

fn resource() -> Value {
    json!({
        "id": "Ab", "userName": "eva@example.org", "active": true, "displayName": "",
        "members": [{"value": "7", "type": "User"}, {"value": "8", "type": "Robot"}],
        "urn:ietf:params:scim:schemas:extension:postern:2.0:User": {"employer": "Acme"},
        "meta": {"created": "2026-11-26T10:00:00.5Z"},
    })
}

#[test]
fn a_filter_is_as_the_standard_says() {
    let check = |text: &str, expected: bool| {
        assert_eq!(Filter::parse(text).unwrap().matches(&resource()), expected, "{text}");
    };
    check(r#"userName eq "eva@example.org""#, true);
    check(r#"USERNAME EQ "Eva@Example.org""#, true);
    check(r#"userName eq "eva""#, false);
    check(r#"userName ne "eva""#, true);
    check(r#"externalId eq "x""#, false);
    check(r#"id eq "ab""#, false);
    check(r#"userName sw "EVA" and userName ew "org" and userName co "@""#, true);
    check("active eq true", true);
    check(r#"active eq "True""#, true);
    check("active eq false", false);
    check("displayName pr", false);
    check("externalId eq null or externalId pr", true);
    check("not (active eq true)", false);
    // `and` binds closer than `or`.
    check(r#"active eq true or id eq "x" and id eq "y""#, true);
    check(r#"(active eq true or id eq "x") and id eq "y""#, false);
    check(r#"members eq "7""#, true);
    check(r#"members.value eq "9""#, false);
    check(r#"members[value eq "8" and type eq "user"]"#, false);
    check(r#"members[value eq "8" and type eq "robot"]"#, true);
    check(r#"meta.created gt "2026-11-26T11:00:00+02:00""#, true);
    check(r#"meta.created le "2026-11-26T10:00:00Z""#, false);
    check(r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "eva""#, true);
    let employer = "urn:ietf:params:scim:schemas:extension:postern:2.0:User:employer";
    check(&format!(r#"{employer} eq "acme""#), true);
    check(r#"userName eq "a\"b""#, false);
}

#[test]
fn what_is_no_filter_is_refused() {
    let deep = format!("{}id pr{}", "(".repeat(40), ")".repeat(40));
    let not = format!("{}id pr{}", "not (".repeat(40), ")".repeat(40));
    let long = format!("id eq \"{}\"", "x".repeat(3000));
    for text in [
        "",
        "userName",
        "userName eq",
        "userName is \"x\"",
        "userName eq eva",
        "userName eq \"eva",
        "userName eq \"eva\" and",
        "(userName pr",
        "userName pr)",
        "not userName pr",
        "members[value pr",
        "1a pr",
        "a.b.c pr",
        "urn:x pr",
        "userName eq \"\\q\"",
        &deep,
        &not,
        &long,
    ] {
        let error = Filter::parse(text).unwrap_err();
        assert_eq!(error.kind, Kind::Filter, "{text}");
    }
}

#[test]
fn a_path_names_an_attribute() {
    let check = |text: &str, extension: bool, name: &str, part: Option<&str>, filter: bool| {
        let path = Path::parse(text).unwrap();
        let attribute = &path.attribute;
        assert_eq!(attribute.extension.is_some(), extension, "{text}");
        assert_eq!((attribute.name.as_str(), attribute.part.as_deref()), (name, part), "{text}");
        assert_eq!(path.filter.is_some(), filter, "{text}");
    };
    check("active", false, "active", None, false);
    check("name.familyName", false, "name", Some("familyName"), false);
    check("emails[type eq \"work\"].value", false, "emails", Some("value"), true);
    check("members[value eq \"a]b\"]", false, "members", None, true);
    check("urn:ietf:params:scim:schemas:core:2.0:User:active", false, "active", None, false);
    check("urn:a:extension:postern:2.0:User:lastDay", true, "lastDay", None, false);
    check("urn:a:extension:postern:2.0:User", true, "", None, false);
    for text in ["", "a.", ".a", "a[", "a]", "a[b]", "a[b pr]c", "a[b pr].", "urn:b", "a b"] {
        Path::parse(text).unwrap_err();
    }
}

proptest! {
    #[test]
    fn no_text_panics(
        text in "((a|urn:x:2.0:User:b|not|and|or|eq|pr|\\(|\\)|\\[|\\]|\"|\\\\|é|true| ){0,30})"
    ) {
        if let Ok(filter) = Filter::parse(&text) {
            filter.matches(&resource());
        }
        let _ = Path::parse(&text);
    }
}
