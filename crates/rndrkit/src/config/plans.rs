//! Reads `[[plans]]`: the order is the rank; each wrong value is reported with its place in the list.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use rndrkit_domain::plan::{Plan, PlanId, RateLimit};
use rndrkit_domain::text::Name;

use super::parse;
use super::reader::Reader;
use super::tables::TableReader;

/// More plans than any price list has; they are shown on one page and held in memory whole.
const PLANS_MAX: usize = 100;
/// Lists of keys are shown whole.
const ACTIVE_KEYS: RangeInclusive<u64> = 0..=1_000;
/// A million a second, above what one process decides.
const REQUESTS_PER_MINUTE: RangeInclusive<u64> = 1..=60_000_000;
/// Keeps the time in which the slowest bucket fills within what a 64-bit count of nanoseconds holds.
const BURST: RangeInclusive<u64> = 1..=1_000_000;

const FIELDS: [&str; 6] = ["id", "name", "api_access", "active_keys", "requests_per_minute", "burst"];

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Vec<Plan>> {
    let tables = TableReader::all(reader, "plans", &FIELDS)?;
    if tables.is_empty() || tables.len() > PLANS_MAX {
        reader.reject("plans", format!("there must be 1 to {PLANS_MAX} [[plans]]"));
        return None;
    }
    let plans: Vec<Option<Plan>> = tables.iter().map(|table| read_plan(table, reader)).collect();
    for (index, table) in tables.iter().enumerate() {
        if TableReader::repeats(&tables, index, "id") {
            table.reject(reader, "id", "another plan has this id");
        }
    }
    plans.into_iter().collect()
}

fn read_plan(table: &TableReader<'_>, reader: &mut Reader<'_>) -> Option<Plan> {
    let id_rule = "must be 1 to 32 characters a-z, 0-9 and _, beginning with a letter";
    let id = table.required(reader, "id", id_rule, |text| PlanId::parse(text).ok());
    let name = table.required(reader, "name", "must be 1 to 64 characters", |text| Name::parse(text).ok());
    let api_access = table.required(reader, "api_access", "must be true or false", parse::boolean);
    let active_keys = table.number(reader, "active_keys", &ACTIVE_KEYS);
    let per_minute = table.number(reader, "requests_per_minute", &REQUESTS_PER_MINUTE);
    let burst = table.number(reader, "burst", &BURST);
    let rate_limit = RateLimit { per_minute: NonZeroU32::new(per_minute?)?, burst: NonZeroU32::new(burst?)? };
    Some(Plan {
        id: id?,
        name: name?.as_str().to_owned(),
        api_access: api_access?,
        active_keys: active_keys?,
        rate_limit,
    })
}
