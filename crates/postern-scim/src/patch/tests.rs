use serde_json::json;

use super::*;
use crate::resource::EXTENSION;

fn eva() -> UserData {
    UserData::from_json(&json!({"userName": "eva", "displayName": "Eva"})).unwrap()
}

fn patched(operations: Value) -> Result<UserData, ScimError> {
    let mut data = eva();
    user(&mut data, &json!({"Operations": operations})).map(|()| data)
}

#[test]
fn each_directorys_way_to_put_somebody_out_is_understood() {
    for operations in [
        json!([{"op": "replace", "path": "active", "value": false}]),
        json!([{"op": "replace", "value": {"active": false}}]),
        json!([{"op": "Replace", "path": "active", "value": "False"}]),
        json!([{"op": "Replace", "path": "active", "value": [{"value": "False"}]}]),
        json!([{"op": "add", "path": "active", "value": false}]),
        json!([{"OP": "replace", "Path": "urn:ietf:params:scim:schemas:core:2.0:User:active",
                "VALUE": false}]),
        json!([{"op": "replace", "path": null, "value": {"ACTIVE": "false", "id": "x"}}]),
    ] {
        let shown = operations.to_string();
        let out = patched(operations);
        if shown.contains("\"id\"") {
            assert_eq!(out.unwrap_err().kind, Kind::Mutability);
        } else {
            assert!(!out.unwrap().active, "{shown}");
        }
    }
}

#[test]
fn parts_of_a_person_are_changed() {
    let changed = patched(json!([
        {"op": "add", "path": "externalId", "value": "0042"},
        {"op": "remove", "path": "displayName"},
        {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "e@example.org"},
        {"op": "replace", "value": {
            "name.familyName": "Ek",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "Support",
            format!("{EXTENSION}:lastDay"): "2026-12-31T00:00:00Z",
        }},
        {"op": "add", "path": EXTENSION, "value": {"schemas": [EXTENSION], "employer": "Acme"}},
        {"op": "replace", "path": "userName", "value": "eva"},
    ]));
    let changed = changed.unwrap();
    assert_eq!(changed.external_id.as_deref(), Some("0042"));
    assert_eq!(changed.display_name, None);
    assert_eq!(changed.employer.as_deref(), Some("Acme"));
    assert_eq!(changed.last_day.map(|day| day.to_string()).as_deref(), Some("2026-12-31"));
    assert!(changed.active);
}

#[test]
fn what_a_person_can_not_be_is_refused() {
    let check = |operation: Value, kind: Kind| {
        let shown = operation.to_string();
        assert_eq!(patched(json!([operation])).unwrap_err().kind, kind, "{shown}");
    };
    check(json!({"op": "replace", "path": "active", "value": "no"}), Kind::Value);
    check(json!({"op": "replace", "path": "active", "value": 0}), Kind::Value);
    check(json!({"op": "replace", "path": "active"}), Kind::Value);
    check(json!({"op": "remove", "path": "active"}), Kind::Value);
    check(json!({"op": "remove"}), Kind::NoTarget);
    check(json!({"op": "move", "path": "active"}), Kind::Syntax);
    check(json!({"op": "replace", "value": false}), Kind::Syntax);
    check(json!({"op": "replace", "path": 7, "value": false}), Kind::Syntax);
    check(json!({"op": "replace", "path": "userName", "value": "Eva"}), Kind::Mutability);
    check(json!({"op": "replace", "path": "salary", "value": "1"}), Kind::Path);
    check(json!({"op": "replace", "path": "active.x", "value": true}), Kind::NoTarget);
    check(json!({"op": "replace", "path": "displayName", "value": "a\nb"}), Kind::Value);
    check(json!({"op": "replace", "path": "displayName", "value": "x".repeat(300)}), Kind::Value);
    let day = format!("{EXTENSION}:lastDay");
    check(json!({"op": "replace", "path": day, "value": "soon"}), Kind::Value);
    let role = format!("{EXTENSION}:role");
    check(json!({"op": "replace", "path": role, "value": "lead"}), Kind::Mutability);
    check(json!(["replace"]), Kind::Syntax);
    assert_eq!(patched(json!([])).unwrap_err().kind, Kind::Syntax);
    assert_eq!(patched(json!({"op": "replace"})).unwrap_err().kind, Kind::Syntax);
    let many: Vec<Value> =
        (0..1001).map(|_| json!({"op": "remove", "path": "displayName"})).collect();
    assert_eq!(patched(many.into()).unwrap_err().kind, Kind::TooMany);
}

#[test]
fn members_come_and_go() {
    let check = |operation: Value, expected: &[&str]| {
        let body = json!({"displayName": "G", "members": [{"value": "a"}, {"value": "b"}]});
        let mut data = GroupData::from_json(&body).unwrap();
        let shown = operation.to_string();
        group(&mut data, &json!({"Operations": [operation]})).unwrap();
        assert_eq!(data.members.iter().collect::<Vec<_>>(), expected, "{shown}");
    };
    check(json!({"op": "add", "path": "members", "value": [{"value": "c"}]}), &["a", "b", "c"]);
    check(json!({"op": "add", "value": {"members": [{"value": "c"}]}}), &["a", "b", "c"]);
    check(json!({"op": "replace", "path": "members", "value": [{"value": "c"}]}), &["c"]);
    check(json!({"op": "remove", "path": "members[value eq \"a\"]"}), &["b"]);
    check(json!({"op": "Remove", "path": "members", "value": [{"value": "b"}]}), &["a"]);
    check(json!({"op": "remove", "path": "members"}), &[]);
    check(json!({"op": "replace", "path": "displayName", "value": "H"}), &["a", "b"]);
    let mut data = GroupData::from_json(&json!({"displayName": "G"})).unwrap();
    for operation in [
        json!({"op": "add", "path": "members", "value": [{"display": "a"}]}),
        json!({"op": "add", "path": "members", "value": 7}),
        json!({"op": "add", "path": "members"}),
        json!({"op": "replace", "path": "members[value eq \"a\"].value", "value": "b"}),
        json!({"op": "remove", "path": "displayName"}),
        json!({"op": "add", "path": "owner", "value": "b"}),
        json!({"op": "add", "path": "urn:x:2.0:Group:y", "value": "b"}),
    ] {
        group(&mut data, &json!({"Operations": [operation]})).unwrap_err();
    }
}
