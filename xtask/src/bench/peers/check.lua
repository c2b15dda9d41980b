-- The check as people write it for nginx with Lua: SHA-256 of the key, its record (account and plan), whether the
-- plan has access, and a count for the account in this minute. With "redis" a record or a count is asked from Redis
-- at every request; with "memory" it is in one node's shared memory (a record is copied there from Redis once a
-- minute). It notes no last use and counts nothing by key, which the product does.
local digest = require "nginx.sha256"
local client = require "nginx.redis"

local LIMIT = 1000000000
local SECONDS_KEPT = 60

local check = {}

local function open(port)
    local connection = client:new()
    connection:set_timeout(1000)
    if not connection:connect("127.0.0.1", port) then
        return ngx.exit(503)
    end
    return connection
end

local function leave(connection)
    if connection then
        connection:set_keepalive(60000, 256)
    end
end

function check.with(options)
    local known, counts = ngx.shared.known, ngx.shared.counts

    local function record_of(id, connection)
        local record = options.keys == "memory" and known:get(id) or nil
        if record then
            return record, connection
        end
        connection = connection or open(options.port)
        record = connection:get("key:" .. id)
        if not record or record == ngx.null then
            leave(connection)
            return ngx.exit(401)
        end
        if options.keys == "memory" then
            known:set(id, record, SECONDS_KEPT)
        end
        return record, connection
    end

    local function count(account, connection)
        local name = account .. "@" .. math.floor(ngx.time() / 60)
        if options.limits == "memory" then
            return counts:incr(name, 1, 0, 2 * SECONDS_KEPT), connection
        end
        connection = connection or open(options.port)
        connection:init_pipeline(2)
        connection:incr("count:" .. name)
        connection:expire("count:" .. name, 2 * SECONDS_KEPT)
        local answers = connection:commit_pipeline()
        if not answers then
            return ngx.exit(503)
        end
        return answers[1], connection
    end

    return function()
        local secret = ngx.var.http_x_api_key
        if not secret or #secret ~= 40 then
            return ngx.exit(401)
        end
        local hash = digest:new()
        hash:update(secret)
        local record, connection = record_of(hash:final(), nil)
        local account, plan = record:match("^(%w+) (%w+)$")
        if plan ~= "bench" then
            leave(connection)
            return ngx.exit(403)
        end
        local used
        used, connection = count(account, connection)
        leave(connection)
        if used > LIMIT then
            return ngx.exit(429)
        end
    end
end

return check
