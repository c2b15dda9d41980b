//! The facts of a refusal as the JSON that is kept of them. Members may be added; none may be missing that the
//! first version wrote.

use std::num::NonZeroU32;

use rndrkit_domain::account::AccountStatus;
use rndrkit_domain::observation::{BucketFacts, Door, MAX_METHOD_CHARS, MAX_PATH_CHARS, RefusalFacts, clean};
use rndrkit_domain::plan::{PlanId, RateLimit};
use rndrkit_domain::text::Name;
use serde_json::{Value as Json, json};

use crate::error::Error;

/// The most that is kept of a plan's name, in characters: as much as of any other name.
const MAX_PLAN_NAME_CHARS: usize = Name::MAX_CHARS;

/// The text. What a caller chose is cut here once more, because the column has an end.
pub(super) fn write(facts: &RefusalFacts, plan_name: Option<&String>) -> String {
    let cut = |text: &Option<String>, most| text.as_ref().map(|text| clean(text, most));
    let bucket = facts.bucket.map(|bucket| {
        json!({
            "per_minute": bucket.limit.per_minute,
            "burst": bucket.limit.burst,
            "before": bucket.before,
            "after": bucket.after,
            "retry_after_seconds": bucket.retry_after_seconds,
            "shared": bucket.shared,
        })
    });
    json!({
        "door": facts.door.as_str(),
        "method": cut(&facts.method, MAX_METHOD_CHARS),
        "path": cut(&facts.path, MAX_PATH_CHARS),
        "plan": facts.plan.as_str(),
        "plan_name": plan_name.map(|name| clean(name, MAX_PLAN_NAME_CHARS)),
        "api_access": facts.api_access,
        "account_status": facts.account_status.map(AccountStatus::as_str),
        "cost": facts.cost,
        "bucket": bucket,
    })
    .to_string()
}

/// Reads the text.
pub(super) fn read(text: &str) -> Result<RefusalFacts, Error> {
    let json: Json = serde_json::from_str(text).map_err(|_| Error::corrupt("the facts of a refusal"))?;
    facts(&json).ok_or_else(|| Error::corrupt("the facts of a refusal"))
}

fn facts(json: &Json) -> Option<RefusalFacts> {
    Some(RefusalFacts {
        door: Door::parse(json.get("door")?.as_str()?)?,
        method: text(json, "method"),
        path: text(json, "path"),
        plan: PlanId::parse(json.get("plan")?.as_str()?).ok()?,
        plan_name: text(json, "plan_name"),
        api_access: json.get("api_access").and_then(Json::as_bool),
        account_status: text(json, "account_status").as_deref().and_then(AccountStatus::parse),
        cost: small(json, "cost")?,
        bucket: match json.get("bucket") {
            None | Some(Json::Null) => None,
            Some(bucket) => Some(read_bucket(bucket)?),
        },
    })
}

fn read_bucket(json: &Json) -> Option<BucketFacts> {
    let number = |name| small(json, name).and_then(NonZeroU32::new);
    Some(BucketFacts {
        limit: RateLimit { per_minute: number("per_minute")?, burst: number("burst")? },
        before: small(json, "before")?,
        after: small(json, "after")?,
        retry_after_seconds: json.get("retry_after_seconds")?.as_u64()?,
        shared: json.get("shared").and_then(Json::as_bool).unwrap_or(false),
    })
}

fn text(json: &Json, name: &str) -> Option<String> {
    json.get(name).and_then(Json::as_str).map(str::to_owned)
}

fn small(json: &Json, name: &str) -> Option<u32> {
    json.get(name)?.as_u64().and_then(|number| u32::try_from(number).ok())
}
