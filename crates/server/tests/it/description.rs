//! `/openapi.json` against what really comes back: every member described, and every described member there.

use http::StatusCode;
use rndrkit_domain::usage::UsageCounts;
use rndrkit_server::{ServerSettings, openapi_document};
use serde_json::{Value, json};

use crate::app::{Answer, App};

/// Whether `value` is what `schema` says. The part of JSON Schema that the description uses, no more.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = members(document, schema);
    let types: Vec<&str> = match &schema["type"] {
        Value::String(only) => vec![only],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if let Some(choices) = schema["oneOf"].as_array() {
        let null = |choice: &&Value| choice["type"] == "null";
        let choice = choices.iter().find(|choice| null(choice) == value.is_null());
        return check(document, choice.unwrap_or_else(|| panic!("{place}: {value}")), value, place);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&kind), "{place} is {kind}, described as {types:?}");
    for item in value.as_array().into_iter().flatten() {
        check(document, &schema["items"], item, &format!("{place}[]"));
    }
    let Some(object) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(object.contains_key(name), "{place}.{name} is described and not there");
    }
    for (name, member) in object {
        let described = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        let described = described.unwrap_or_else(|| panic!("{place}.{name} is there and not described"));
        check(document, described, member, &format!("{place}.{name}"));
    }
}

/// The schema itself: references followed, parts put together.
fn members(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap();
        return members(document, target);
    }
    let Some(parts) = schema["allOf"].as_array() else { return schema.clone() };
    let mut whole = json!({ "type": "object", "properties": {}, "required": [] });
    for part in parts {
        let part = members(document, part);
        for (name, property) in part["properties"].as_object().unwrap() {
            whole["properties"][name] = property.clone();
        }
        for name in part["required"].as_array().into_iter().flatten() {
            whole["required"].as_array_mut().unwrap().push(name.clone());
        }
    }
    whole
}

struct Described {
    document: Value,
}

impl Described {
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let response = &self.document["paths"][path][method]["responses"][answer.status.as_u16().to_string()];
        let content_type = answer.header("content-type");
        let schema = &response["content"][content_type]["schema"];
        assert!(schema.is_object(), "{method} {path}: {} {content_type} is not described", answer.status);
        check(&self.document, schema, &answer.value(), &format!("{method} {path} {}", answer.status));
    }
}

#[tokio::test]
async fn answers_have_the_described_members_and_no_others() {
    let app = App::start().await;
    let described = Described { document: openapi_document(&ServerSettings::default()) };
    let create = json!({ "email": "a@example.com", "plan": "agency" });
    let answer = app.operator("POST", "/v1/accounts").json(&create).send().await;
    described.check("post", "/v1/accounts", &answer);
    let account = answer.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned();
    let create = json!({ "name": "CI", "expires_at": "2027-01-01T00:00:00Z" });
    let keys = format!("/v1/accounts/{account}/keys");
    let answer = app.operator("POST", &keys).json(&create).header("idempotency-key", "one").send().await;
    described.check("post", "/v1/accounts/{id}/keys", &answer);
    let key = answer.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned();
    let counts = UsageCounts { allowed: 1, ..UsageCounts::default() };
    app.count(&account, &key, "2026-11-23T11:00:00Z", counts).await;
    let token = json!({ "name": "billing", "scope": "read" });

    let calls: [(&str, &str, String, Value); 16] = [
        ("get", "/v1/accounts", "/v1/accounts".to_owned(), Value::Null),
        ("get", "/v1/accounts/{id}", format!("/v1/accounts/{account}"), Value::Null),
        ("patch", "/v1/accounts/{id}", format!("/v1/accounts/{account}"), json!({ "external_id": "x" })),
        (
            "post",
            "/v1/accounts/{id}/links",
            format!("/v1/accounts/{account}/links"),
            json!({ "kind": "invite" }),
        ),
        ("get", "/v1/accounts/{id}/keys", keys.clone(), Value::Null),
        ("get", "/v1/accounts/{id}/usage", format!("/v1/accounts/{account}/usage"), Value::Null),
        ("get", "/v1/keys/{id}", format!("/v1/keys/{key}"), Value::Null),
        ("post", "/v1/tokens", "/v1/tokens".to_owned(), token),
        ("get", "/v1/tokens", "/v1/tokens".to_owned(), Value::Null),
        ("get", "/v1/audit-log", "/v1/audit-log".to_owned(), Value::Null),
        ("post", "/v1/accounts", "/v1/accounts".to_owned(), json!({ "email": "x", "name": "" })),
        ("post", "/v1/accounts", "/v1/accounts".to_owned(), json!({ "email": "a@example.com" })),
        ("delete", "/v1/keys/{id}", format!("/v1/keys/{key}"), Value::Null),
        ("get", "/v1/keys/{id}", format!("/v1/keys/{key}"), Value::Null),
        ("delete", "/v1/accounts/{id}", format!("/v1/accounts/{account}"), Value::Null),
        ("delete", "/v1/accounts/{id}", "/v1/accounts/acc_x".to_owned(), Value::Null),
    ];
    for (method, template, path, body) in calls {
        let answer = app.operator(&method.to_uppercase(), &path).json(&body).send().await;
        described.check(method, template, &answer);
    }
}
