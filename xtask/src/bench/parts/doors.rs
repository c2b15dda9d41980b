//! The gateway beside nginx, and the forward-auth endpoint beside hyper.

use super::{Measured, Setting};
use crate::bench::rounds::{Contestant, Row, Turn, measure};
use crate::bench::tables::{Target, Verdict, contestants, ratio};
use crate::report::Outcome;

/// Keys in rotation.
const KEYS: u32 = 1_000;
/// The plainest of the doors for other proxies.
const AUTHZ_PATH: &str = "/authz/nginx";

const NGINX: &str = "nginx without a check";
const OURS: &str = "rndrkit gateway";
const AUTH_REQUEST: &str = "nginx + auth_request";
const LUA_REDIS: &str = "nginx + Lua + Redis";
const LUA_MEMORY: &str = "nginx + Lua + shared memory";
const HYPER: &str = "hyper, empty 200";
const ENDPOINT: &str = "rndrkit forward auth";

pub(super) fn gateway(setting: &Setting<'_>) -> Outcome<Measured> {
    let peers = setting.peers();
    let upstream = peers.upstream()?;
    let installation = setting.installation("gateway", KEYS, upstream.port, "")?;
    let mut ours = installation.start_pinned(setting.interrupt)?;
    let mut redis = peers.redis(&installation.keys)?;
    let mut authority = peers.authority(&installation.keys)?;
    let mut proxy = peers.proxy(upstream.port)?;
    let mut auth_request = peers.auth_request(upstream.port, authority.port)?;
    let mut lua_redis = peers.lua("redis", upstream.port, redis.port)?;
    let mut lua_memory = peers.lua("memory", upstream.port, redis.port)?;
    let one = |name, port, counted| Contestant { name, port, path: "/", counted };
    let all = [
        one(NGINX, proxy.port, vec![proxy.id()]),
        one(OURS, installation.gateway, vec![ours.id()]),
        one(LUA_MEMORY, lua_memory.port, vec![lua_memory.id()]),
        one(AUTH_REQUEST, auth_request.port, vec![auth_request.id(), authority.id()]),
        one(LUA_REDIS, lua_redis.port, vec![lua_redis.id(), redis.id()]),
    ];
    let rows = measure(&setting.built.helper, &installation.keys, &all, setting.effort, setting.interrupt)?;
    let rate =
        |beside, target| verdict(&rows, "gateway, requests/s, one core", OURS, beside, Turn::rate, target);
    let mut verdicts = vec![
        rate(NGINX, Target::AtLeast(0.95, 1.10)),
        rate(AUTH_REQUEST, Target::AtLeast(2.0, 2.4)),
        rate(LUA_REDIS, Target::AtLeast(3.5, 4.3)),
        rate(LUA_MEMORY, Target::AtLeast(1.1, 1.3)),
    ];
    let cpu = |turn: &Turn| turn.cpu_ms;
    verdicts.push(verdict(&rows, "gateway, CPU for a request", OURS, NGINX, cpu, Target::AtMost(1.05, 0.90)));
    Ok(Measured { text: contestants(&rows, 0), verdicts: verdicts.into_iter().flatten().collect() })
}

pub(super) fn forward_auth(setting: &Setting<'_>) -> Outcome<Measured> {
    let peers = setting.peers();
    let installation = setting.installation("authz", KEYS, 9, "")?;
    let mut ours = installation.start_pinned(setting.interrupt)?;
    let mut floor = peers.floor()?;
    let all = [
        Contestant { name: HYPER, port: floor.port, path: "/", counted: vec![floor.id()] },
        Contestant { name: ENDPOINT, port: installation.authz, path: AUTHZ_PATH, counted: vec![ours.id()] },
    ];
    let rows = measure(&setting.built.helper, &installation.keys, &all, setting.effort, setting.interrupt)?;
    let target = Target::AtLeast(0.90, 1.0);
    let verdict = verdict(&rows, "forward-auth endpoint, requests/s", ENDPOINT, HYPER, Turn::rate, target);
    Ok(Measured { text: contestants(&rows, 0), verdicts: verdict.into_iter().collect() })
}

/// Nothing when either row is void: a wrong answer is no fast answer.
fn verdict(
    rows: &[Row],
    what: &str,
    ours: &str,
    beside: &str,
    number: fn(&Turn) -> f64,
    target: Target,
) -> Option<Verdict> {
    let find = |name: &str| rows.iter().find(|row| row.name == name && row.bad() == 0.0);
    let value = ratio(find(ours)?, find(beside)?, number).median;
    Some(Verdict::new(what, beside, value, target))
}
