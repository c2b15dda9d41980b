//! Every error code with its status and title, and the body that carries it (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:literal, $title:literal;)+) => {
        /// The whole error vocabulary. Codes are stable; titles are for people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode { $($(#[$doc])* #[serde(rename = $word)] $name,)+ }

        impl ErrorCode {
            /// Every code, by status.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The HTTP status it travels with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// One short sentence, the same for every occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// Reads the word.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

// By hand: the derive does not see the words that the macro above gives to serde.
impl utoipa::ToSchema for ErrorCode {}

impl utoipa::PartialSchema for ErrorCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let words = Self::ALL.iter().map(|code| code.as_str());
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("The whole error vocabulary."))
            .enum_values(Some(words))
            .into()
    }
}

error_codes! {
    /// Two keys, a comma in one, two different credentials; a malformed body; a bad cursor.
    InvalidRequest = "invalid_request", 400, "The request is malformed";
    /// No key was sent.
    MissingKey = "missing_key", 401, "API key required";
    /// Not a key of this installation.
    InvalidKey = "invalid_key", 401, "The API key is not valid";
    /// The key was deleted.
    KeyRevoked = "key_revoked", 401, "The API key was revoked";
    /// The key has passed its own end.
    KeyExpired = "key_expired", 401, "The API key has expired";
    /// Operator API: no token was sent.
    MissingToken = "missing_token", 401, "Operator token required";
    /// Operator API: not a token of this installation.
    InvalidToken = "invalid_token", 401, "The operator token is not valid";
    /// The account's plan has no API access.
    PlanRequired = "plan_required", 403, "The plan does not include API access";
    /// The operator suspended the account.
    AccountSuspended = "account_suspended", 403, "The account is suspended";
    /// The token may not do this.
    InsufficientScope = "insufficient_scope", 403, "The token's scope does not allow this";
    /// This address may not ask.
    CallerNotAllowed = "caller_not_allowed", 403, "This address may not ask";
    /// A form that did not come from our own page.
    ForbiddenOrigin = "forbidden_origin", 403, "The form came from another site";
    /// No such thing, or somebody else's.
    NotFound = "not_found", 404, "Not found";
    /// The key is good and nothing is configured behind the path.
    NoUpstream = "no_upstream", 404, "Nothing is configured behind this path";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// As many active keys as the plan allows.
    KeyLimitReached = "key_limit_reached", 409, "The limit of active API keys is reached";
    /// Another account or user has this address.
    EmailTaken = "email_taken", 409, "The e-mail address is taken";
    /// Another account has this external id.
    ExternalIdTaken = "external_id_taken", 409, "The external id is taken";
    /// The first call with this `Idempotency-Key` is still running.
    IdempotencyInProgress = "idempotency_in_progress", 409, "The first call with this key is still running";
    /// More than we read.
    PayloadTooLarge = "payload_too_large", 413, "The body is too large";
    /// Not JSON.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type is not supported";
    /// A dashboard request under a name that is not ours.
    MisdirectedHost = "misdirected_host", 421, "This server does not answer to that name";
    /// Well-formed, but not acceptable; `errors` says where.
    ValidationFailed = "validation_failed", 422, "Some values are not acceptable";
    /// The account's budget is spent.
    RateLimited = "rate_limited", 429, "The account's rate limit is reached";
    /// Too many unknown keys from this address.
    TooManyFailures = "too_many_failures", 429, "Too many unknown keys from this address";
    /// More or longer headers than we read.
    HeadersTooLarge = "headers_too_large", 431, "The request headers are too large";
    /// Our fault.
    Internal = "internal", 500, "Internal error";
    /// The upstream refused or broke the connection.
    UpstreamUnreachable = "upstream_unreachable", 502, "The service behind the gateway cannot be reached";
    /// We cannot know now.
    Unavailable = "unavailable", 503, "Temporarily unavailable";
    /// The upstream took too long.
    UpstreamTimeout = "upstream_timeout", 504, "The service behind the gateway took too long";
}

/// One unacceptable value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the value, such as `/name`.
    pub pointer: String,
    /// What to do about it.
    pub detail: String,
}

/// The body of every refusal: `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// URI of the kind of problem.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The same for every occurrence of the code.
    pub title: String,
    /// Equals the HTTP status.
    pub status: u16,
    /// This occurrence, for people.
    pub detail: String,
    /// URI of this occurrence.
    pub instance: String,
    /// Stable, for programs.
    pub code: ErrorCode,
    /// A plain sentence, for clients that show `error`.
    pub error: String,
    /// The request, as in `X-Rk-Request-Id` and the logs.
    pub request_id: String,
    /// Where to upgrade (`plan_required`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upgrade_url: Option<String>,
    /// Which values (`validation_failed`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
    /// The limit (`key_limit_reached`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u32>,
}

impl Problem {
    /// A problem whose `error` sentence is `detail`.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>, request_id: impl Into<String>) -> Self {
        let (detail, request_id) = (detail.into(), request_id.into());
        // RFC 9457, section 4.2.1: without a more specific page the type is a URN of ours, stable per code.
        Self {
            problem_type: format!("urn:rndrkit:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            error: if code == ErrorCode::MissingKey { code.title().to_owned() } else { detail.clone() },
            detail,
            instance: format!("urn:rndrkit:request:{request_id}"),
            code,
            request_id,
            upgrade_url: None,
            errors: Vec::new(),
            limit: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_and_stand_in_order_of_status() {
        let mut last = 0;
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert!(code.status() >= last, "{}", code.as_str());
            last = code.status();
        }
    }

    #[test]
    fn the_description_lists_the_words_that_are_on_the_wire() {
        let schema = serde_json::to_value(<ErrorCode as utoipa::PartialSchema>::schema()).unwrap();
        let described: Vec<&str> =
            schema["enum"].as_array().unwrap().iter().filter_map(|word| word.as_str()).collect();
        let sent: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(described, sent);
    }

    #[test]
    fn a_missing_key_is_announced_in_the_promised_words() {
        let problem = Problem::new(ErrorCode::MissingKey, "Send your key in X-Api-Key.", "req_1");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["error"], "API key required");
        assert_eq!(json["code"], "missing_key");
        assert_eq!(json["status"], 401);
        assert!(json.get("upgrade_url").is_none());
    }
}
