//! What this server says of itself (RFC 7643, 5 to 7).

use serde_json::{Value, json};

use crate::{
    query::COUNT_MAX,
    resource::{EXTENSION, GROUP, USER},
};

const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
const TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

pub(crate) fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": [CONFIG],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": COUNT_MAX},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": false},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "bearer token",
            "description": "the token that `postern scim token` has printed",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

pub(crate) fn resource_types(base: &str) -> Vec<Value> {
    let one = |id: &str, endpoint: &str, description: &str, schema: &str, more: Value| {
        json!({
            "schemas": [TYPE],
            "id": id,
            "name": id,
            "endpoint": endpoint,
            "description": description,
            "schema": schema,
            "schemaExtensions": more,
            "meta": {
                "resourceType": "ResourceType",
                "location": format!("{base}/ResourceTypes/{id}"),
            },
        })
    };
    let extension = json!([{"schema": EXTENSION, "required": false}]);
    vec![
        one("User", "/Users", "people who may have an account", USER, extension),
        one("Group", "/Groups", "groups of people, which give roles", GROUP, json!([])),
    ]
}

/// An attribute with one value of a line.
fn text(name: &str, description: &str, is_exact: bool) -> Value {
    json!({
        "name": name,
        "type": "string",
        "multiValued": false,
        "description": description,
        "required": false,
        "caseExact": is_exact,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    })
}

/// The same with other properties.
fn with(mut attribute: Value, properties: &[(&str, Value)]) -> Value {
    if let Some(attribute) = attribute.as_object_mut() {
        let properties = properties.iter();
        attribute.extend(properties.map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    attribute
}

/// A list of what refers to other resources.
fn references(name: &str, kind: &str, mutability: &str, description: &str) -> Value {
    let part = |name, description| {
        with(
            text(name, description, true),
            &[(
                "mutability",
                if mutability == "readOnly" { "readOnly" } else { "immutable" }.into(),
            )],
        )
    };
    let reference = with(
        part("$ref", "its address"),
        &[("type", "reference".into()), ("referenceTypes", json!([kind]))],
    );
    let mut parts = vec![part("value", "its id"), reference];
    if kind == "Group" {
        parts.push(part("display", "its name"));
    } else {
        parts.push(with(part("type", "what it is"), &[("canonicalValues", json!([kind]))]));
    }
    with(
        text(name, description, false),
        &[
            ("type", "complex".into()),
            ("multiValued", true.into()),
            ("mutability", mutability.into()),
            ("subAttributes", parts.into()),
        ],
    )
}

pub(crate) fn schemas(base: &str) -> Vec<Value> {
    let one = |id: &str, name: &str, description: &str, attributes: Vec<Value>| {
        json!({
            "schemas": [SCHEMA],
            "id": id,
            "name": name,
            "description": description,
            "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
        })
    };
    let required = ("required", true.into());
    let user_name = with(
        text("userName", "the account's name in the ledger", false),
        &[required.clone(), ("mutability", "immutable".into()), ("uniqueness", "server".into())],
    );
    let active = with(
        text("active", "whether the account works; true if not said", false),
        &[required.clone(), ("type", "boolean".into())],
    );
    let group_name = with(
        text("displayName", "by which the configuration knows it", false),
        &[required, ("uniqueness", "server".into())],
    );
    let role = with(
        text("role", "the role that the account has", true),
        &[("mutability", "readOnly".into())],
    );
    vec![
        one(
            USER,
            "User",
            "a person who may have an account",
            vec![
                user_name,
                text("displayName", "the person's name, for the directory's own use", false),
                active,
                references("groups", "Group", "readOnly", "the groups that the person is in"),
            ],
        ),
        one(
            GROUP,
            "Group",
            "a group of people, which may give a role",
            vec![group_name, references("members", "User", "readWrite", "the people in it")],
        ),
        one(
            EXTENSION,
            "PosternUser",
            "what a gateway wants to know of a person",
            vec![
                text("employer", "for whom they work, if not for the company", true),
                text(
                    "lastDay",
                    "the last day, in UTC, on which the account works: 2026-12-31",
                    true,
                ),
                role,
            ],
        ),
    ]
}
