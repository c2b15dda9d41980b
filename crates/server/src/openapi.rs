//! The OpenAPI 3.1 description of the operator API and of the calls for a key's holder.
//!
//! Calls and shapes come from the handlers' and wire types' own annotations; what holds for all calls
//! (credentials, refusals, addresses) is added here from the route table and the table of error codes.

use std::collections::BTreeMap;

use http::Method;
use rndrkit_api::error::{ErrorCode, Problem};
use rndrkit_api::verify::{VerifyAnswer, VerifyRequest};
use rndrkit_domain::token::Scope;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::api::{self, Access};
use crate::public;
use crate::state::ServerSettings;

#[derive(OpenApi)]
#[openapi(
    paths(
        api::accounts::create,
        api::accounts::list,
        api::accounts::show,
        api::accounts::update,
        api::accounts::delete,
        api::usage::show,
        api::links::create,
        api::keys::create,
        api::keys::list,
        api::keys::show,
        api::keys::update,
        api::keys::rotate,
        api::keys::revoke,
        verify,
        api::tokens::create,
        api::tokens::list,
        api::tokens::delete,
        api::audit_log::list,
        api::health::livez,
        api::health::readyz,
        api::health::metrics,
        api::health::openapi_json,
        public::account,
        public::usage,
        public::revoke_self,
    ),
    components(schemas(Problem))
)]
struct Annotations;

/// Decide on one request: whose key is this, may it, and is there budget left.
///
/// 200 for every definite decision, refusals too: `status`, `headers` and `problem` are what to reply with.
/// 503 when we do not know.
#[utoipa::path(post, path = "/v1/keys/verify",
    operation_id = "keys_verify", tag = "API keys",
    request_body = VerifyRequest,
    responses((status = 200, body = VerifyAnswer)))]
#[expect(dead_code, reason = "the data plane answers this call; here it is only described")]
fn verify() {}

/// The description, as `/openapi.json` serves it.
#[must_use]
pub fn document(settings: &ServerSettings) -> Value {
    let mut document = serde_json::to_value(Annotations::openapi()).unwrap_or_default();
    let info = json!({
        "title": format!("{} API keys", settings.brand_name),
        "version": env!("CARGO_PKG_VERSION"),
        "description": "API keys for your customers: the operator API, and what a key's holder may call.",
    });
    put(&mut document, "", "info", info);
    let schemes = json!({
        "operatorToken": { "type": "http", "scheme": "bearer" },
        "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
        "bearerKey": { "type": "http", "scheme": "bearer" },
    });
    put(&mut document, "/components", "securitySchemes", schemes);
    let needed = needed_scopes();
    if let Some(paths) = document.pointer_mut("/paths").and_then(Value::as_object_mut) {
        for (path, item) in &mut *paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                complete(path, operation, needed.get(&(method.to_uppercase(), path.clone())).copied());
            }
        }
        *paths = with_own_path(std::mem::take(paths), settings);
    }
    document
}

/// Sets a member of the object that `pointer` leads to.
fn put(value: &mut Value, pointer: &str, member: &str, new: Value) {
    if let Some(object) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
        object.insert(member.to_owned(), new);
    }
}

/// The scope of each call that needs a token.
fn needed_scopes() -> BTreeMap<(String, String), Scope> {
    let mut scopes = BTreeMap::new();
    for route in api::operator_routes() {
        if let Access::Scope(scope) = route.access {
            scopes.insert((route.method.to_string(), route.path.to_owned()), scope);
        }
    }
    scopes.insert((Method::POST.to_string(), "/v1/keys/verify".to_owned()), Scope::Verify);
    scopes
}

/// Adds to one call what its kind has in common: credential, scope, refusals.
fn complete(path: &str, operation: &mut Value, scope: Option<Scope>) {
    let codes = refusals(path, operation, scope);
    if let Some(scope) = scope {
        put(operation, "", "security", json!([{ "operatorToken": [] }]));
        let described =
            operation["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
        put(operation, "", "description", json!(format!("{described}Scope: `{}`.", scope.as_str())));
    } else if path.starts_with(public::DEFAULT_OWN_PATH) {
        put(operation, "", "security", json!([{ "apiKey": [] }, { "bearerKey": [] }]));
    }
    // Up to version 3.1 every response must describe itself.
    for response in operation.pointer_mut("/responses").and_then(Value::as_object_mut).into_iter().flatten() {
        if response.1.get("description").is_none() {
            put(response.1, "", "description", json!("Done."));
        }
    }
    for (status, codes) in codes {
        let response = json!({
            "description": codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "),
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        put(operation, "/responses", &status, response);
    }
}

/// Every refusal that a call can end in, by status.
fn refusals(path: &str, operation: &Value, scope: Option<Scope>) -> BTreeMap<String, Vec<&'static str>> {
    use ErrorCode as Code;
    let mut codes = Vec::new();
    if scope.is_some() {
        codes.extend([Code::MissingToken, Code::InvalidToken, Code::InsufficientScope]);
    } else if path.starts_with(public::DEFAULT_OWN_PATH) {
        codes.extend([Code::MissingKey, Code::InvalidKey, Code::KeyRevoked, Code::KeyExpired]);
        codes.push(Code::TooManyFailures);
        if !path.ends_with("/keys/self") {
            codes.extend([Code::AccountSuspended, Code::PlanRequired, Code::RateLimited]);
        }
    } else {
        return BTreeMap::new();
    }
    codes.extend([Code::InvalidRequest, Code::Internal, Code::Unavailable]);
    let has_body = operation.get("requestBody").is_some();
    if has_body {
        codes.extend([Code::PayloadTooLarge, Code::UnsupportedMediaType]);
    }
    let has_query = operation["parameters"].as_array().into_iter().flatten().any(|p| p["in"] == "query");
    if has_body || has_query {
        codes.push(Code::ValidationFailed);
    }
    if path.contains("{id}") {
        codes.push(Code::NotFound);
    }
    if operation["parameters"].as_array().into_iter().flatten().any(|p| p["name"] == "Idempotency-Key") {
        codes.push(Code::IdempotencyInProgress);
    }
    if path.starts_with("/v1/accounts") && has_body && !path.ends_with("/links") {
        codes.extend(if path.ends_with("/keys") {
            [Code::KeyLimitReached, Code::PlanRequired, Code::AccountSuspended].as_slice()
        } else {
            [Code::EmailTaken, Code::ExternalIdTaken].as_slice()
        });
    }
    if path.ends_with("/rotate") {
        codes.extend([Code::PlanRequired, Code::AccountSuspended]);
    }
    let mut by_status: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().to_string()).or_default().push(code.as_str());
    }
    by_status
}

/// Moves the calls for a key's holder to the configured path, and says on which address they are.
fn with_own_path(paths: Map<String, Value>, settings: &ServerSettings) -> Map<String, Value> {
    let moved = paths.into_iter().map(|(path, mut item)| match path.strip_prefix(public::DEFAULT_OWN_PATH) {
        Some(rest) => {
            put(&mut item, "", "servers", json!([{ "url": settings.public_url }]));
            (format!("{}/{rest}", settings.own_path.trim_end_matches('/')), item)
        }
        None => (path, item),
    });
    moved.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn described() -> BTreeSet<(String, String)> {
        let document = document(&ServerSettings::default());
        let mut calls = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if operation.get("responses").is_some() {
                    calls.insert((method.to_uppercase(), path.clone()));
                }
            }
        }
        calls
    }

    #[test]
    fn the_description_has_exactly_the_calls_that_exist() {
        let mut served: BTreeSet<(String, String)> = api::operator_routes()
            .into_iter()
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        // The router of these three is asked by the tests of the calls themselves; verify is another crate's.
        for (method, path) in [
            ("GET", "/api/rk/account"),
            ("GET", "/api/rk/usage"),
            ("DELETE", "/api/rk/keys/self"),
            ("POST", "/v1/keys/verify"),
        ] {
            served.insert((method.to_owned(), path.to_owned()));
        }
        assert_eq!(described(), served);
    }

    #[test]
    fn every_guarded_call_says_its_credential_its_refusals_and_a_name_of_its_own() {
        let document = document(&ServerSettings::default());
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if method == "servers" {
                    continue;
                }
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(names.insert(name), "{method} {path}: {}", operation["operationId"]);
                if path.starts_with("/v1/") || path.starts_with("/api/") {
                    assert!(operation["security"].is_array(), "{method} {path}");
                    assert!(operation["responses"]["401"].is_object(), "{method} {path}");
                    assert!(operation["responses"]["503"].is_object(), "{method} {path}");
                }
            }
        }
    }

    #[test]
    fn the_description_is_openapi_3_1_and_follows_the_own_path() {
        let settings = ServerSettings { own_path: "/api/keys/".to_owned(), ..ServerSettings::default() };
        let document = document(&settings);
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        assert!(document["paths"]["/api/keys/account"].is_object());
        assert!(document["paths"].get("/api/rk/account").is_none());
    }

    #[test]
    fn every_response_describes_itself() {
        let document = document(&ServerSettings::default());
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "servers")
            {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert!(response["description"].is_string(), "{method} {path} {status}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&ServerSettings::default());
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
