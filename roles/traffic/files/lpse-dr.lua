-- Where a request goes, and when it has to wait.
--
--   setenv LPSE_DR_MAP ...  setenv LPSE_DR_SERVER ...  setenv LPSE_DR_BOOT_HOLD seconds  setenv LPSE_DR_SITES "pdc drc"
--   lua-load /etc/haproxy/lpse-dr.lua
--   http-request lua.lpse_dr_gate              sets txn.lpse_dr_site: a site's name, or "maintenance"
--
-- The map has the keys state, target, epoch, hold_until (Unix seconds), operation, and of a switch that is
-- under way prepared and prepared_epoch; pace and pace_until slow uploads down, see paced(). It is changed over the runtime socket; its file, which is always
-- written first, is what a restart begins with.
--
--   open         go on to `target`
--   hold         wait. From `hold_until` on nobody is waited for any more: see expired()
--   maintenance  the maintenance page
--   unknown      only in memory, after a start: see arrived()
--
-- Nothing here changes which site may write. It only refuses to lead clients to one that should not.

local map_path, server_name = os.getenv("LPSE_DR_MAP"), os.getenv("LPSE_DR_SERVER")
local boot_hold = tonumber(os.getenv("LPSE_DR_BOOT_HOLD"))
local sites = {}
for site in string.gmatch(os.getenv("LPSE_DR_SITES"), "%S+") do sites[#sites + 1] = site end

local map = Map.new(map_path, Map._str)
local started          -- seconds, set when the scheduler runs
local known = {}       -- site -> {checked, serving}, as HAProxy's own health checks see it
local epochs = {}      -- site -> {at, number or nil}, as the site itself says
local weighed = nil    -- the hold_until whose end has been weighed at least once
local looking = false  -- whether anybody needs what the sites say of themselves

local function now()
    local t = core.now()
    return t.sec + t.usec / 1000000
end

local function get(key)
    local value = map:lookup(key)
    if value == "-" then return nil end
    return value
end

local function put(key, value) core.set_map(map_path, key, tostring(value)) end

local function server(site)
    local backend = core.backends[site]
    return backend and backend.servers[server_name]
end

-- A server counts as up before its first check; that is not "seen serving".
local function look(site)
    local it = server(site)
    if not it then return { checked = true, serving = false } end
    local stats = it:get_stats()
    local checked = stats.check_status ~= nil and stats.check_status ~= "" and stats.check_status ~= "INI"
    return { checked = checked, serving = checked and string.sub(stats.status, 1, 2) == "UP" }
end

-- The epoch by which a site serves, asked of the site itself; nil where it does not say.
local function ask_epoch(site)
    local it = server(site)
    if not it then return nil end
    local address, port = string.match(it:get_addr(), "^(.*):(%d+)$")
    local socket = core.tcp()
    socket:settimeout(1)
    if not socket:connect(address, tonumber(port)) then return nil end
    socket:send("GET /health HTTP/1.0\r\nHost: " .. address .. "\r\nConnection: close\r\n\r\n")
    local answer = socket:receive("*a")
    socket:close()
    if not answer or not string.match(answer, "^HTTP/1%.%d 200 ") then return nil end
    return tonumber(string.match(answer, '"epoch"%s*:%s*(%d+)') or string.match(answer, '"epoch"%s*:%s*{[^}]*"number"%s*:%s*(%d+)'))
end

-- The sites that serve, once it is known of all of them whether they do: nil before.
local function serving_sites(patience)
    local found = {}
    for _, site in ipairs(sites) do
        local it = known[site]
        if not it or not it.checked then
            if now() < patience then return nil end
        elseif it.serving then
            local said = epochs[site]
            if not said and now() < patience then return nil end
            found[#found + 1] = site
        end
    end
    return found
end

local function epoch_of(site) return epochs[site] and epochs[site].number end

local function contains(list, wanted)
    for _, item in ipairs(list) do
        if item == wanted then return true end
    end
    return false
end

-- After a start: the file's choice is followed once that site is seen serving. The gateway may have been
-- away while the service moved, so a serving site of a higher epoch is believed more than the file.
local function arrived()
    local found = serving_sites(started + 3)
    if not found then return end
    local target, epoch = get("target"), tonumber(get("epoch")) or 0
    local best, highest = nil, -1
    if target and contains(found, target) and (epoch_of(target) or epoch) >= epoch then
        best, highest = target, epoch_of(target) or epoch
    end
    for _, site in ipairs(found) do
        local said = epoch_of(site)
        if site ~= target and said and said > epoch and said > highest then best, highest = site, said end
    end
    if best then
        put("target", best)
        put("epoch", highest)
        put("state", "open")
    end
end

-- A hold whose conductor is gone: to the one site that serves, if it is the present target or the one that
-- was being prepared, and by no older epoch. If none serves, or more than one says so, nobody is led anywhere.
local function expired(hold_until)
    local found = serving_sites(math.max(started, hold_until) + 3)
    if not found then return end
    local epoch = tonumber(get("epoch")) or 0
    local site = found[1]
    if #found == 1 and (site == get("target") or site == get("prepared")) and (epoch_of(site) or epoch) >= epoch then
        put("target", site)
        put("epoch", epoch_of(site) or epoch)
        put("state", "open")
    end
    weighed = hold_until
end

-- Looks at the servers, and settles what nobody else will settle. The only place that changes the map here.
local function attend()
    for _, site in ipairs(sites) do known[site] = look(site) end
    local state = get("state")
    local hold_until = tonumber(get("hold_until")) or 0
    local over = state == "hold" and now() >= hold_until
    if looking ~= (state == "unknown" or over) then
        looking = not looking
        epochs = {}
    end
    if state == "unknown" then
        arrived()
    elseif over then
        expired(hold_until)
    end
    return state == "open" and 200 or 20
end

core.register_task(function()
    started = now()
    if get("state") ~= "hold" and get("state") ~= "maintenance" then put("state", "unknown") end
    while true do
        local fine, pause = pcall(attend)
        if not fine then
            core.Alert("lpse-dr: " .. tostring(pause))
            pause = 200
        end
        core.msleep(pause)
    end
end)

-- One task a site, so that a site that does not answer delays only what is known of itself.
for _, site in ipairs(sites) do
    core.register_task(function()
        while true do
            if looking and known[site] and known[site].serving then
                local table_of_now = epochs
                local fine, number = pcall(ask_epoch, site)
                table_of_now[site] = { at = now(), number = fine and number or nil }
                core.msleep(200)
            else
                core.msleep(20)
            end
        end
    end)
end

-- Returns a site or "maintenance", or nil: wait.
local function choose()
    if not started then return nil end
    local state = get("state")
    if state == "open" then
        local target = get("target")
        if not target or not server(target) then return "maintenance" end
        -- Within the time that a hold was given, a site that is not up yet is waited for.
        if known[target] and not known[target].serving and now() < (tonumber(get("hold_until")) or 0) and not look(target).serving then
            return nil
        end
        return target
    elseif state == "hold" then
        local hold_until = tonumber(get("hold_until")) or 0
        if now() < hold_until or weighed ~= hold_until and now() < math.max(started, hold_until) + 4 then return nil end
        return "maintenance"
    elseif state == "unknown" then
        if now() < started + boot_hold then return nil end
    end
    return "maintenance"
end

-- While documents are being copied ahead of a switch, uploads are let in one after the other, `pace` a second, so that
-- the copying can catch up with them. Ends by itself at `pace_until`. Pages are never slowed down.
local next_upload = 0

local function paced(txn)
    local pace = tonumber(get("pace")) or 0
    if pace <= 0 or now() >= (tonumber(get("pace_until")) or 0) or get("state") ~= "open" then return end
    local method = txn.f:method()
    if method ~= "POST" and method ~= "PUT" then return end
    local mine = math.max(now(), next_upload)
    next_upload = mine + 1 / pace
    while now() < mine and get("state") == "open" and (tonumber(get("pace")) or 0) > 0 do core.msleep(5) end
end

core.register_action("lpse_dr_gate", { "http-req" }, function(txn)
    paced(txn)
    local where = choose()
    while not where do
        core.msleep(5)
        where = choose()
    end
    txn:set_var("txn.lpse_dr_site", where)
end)
