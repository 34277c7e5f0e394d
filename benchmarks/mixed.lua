-- A mixed load for wrk: three messages of one picture, one of 16, one JSON request, in turn.
--   wrk -t 2 -c 16 -d 30s --latency -s benchmarks/mixed.lua URL/v2/models/NAME -- FOLDER
-- FOLDER has what `python benchmarks/soak.py SHIP --bodies FOLDER` writes.
local turn, requests = 0, {}

local function read(folder, name)
  local file = assert(io.open(folder .. "/" .. name, "rb"))
  local body = file:read("*a")
  file:close()
  return body
end

function init(args)
  local folder = assert(args[1], "give the folder of the bodies after --")
  local one, many = read(folder, "one"), read(folder, "sixteen")
  local function message(body) return wrk.format("POST", wrk.path .. "/message", nil, body) end
  requests = { message(one), message(many), message(one), message(one) }
  requests[5] = wrk.format("POST", wrk.path .. "/infer", nil, read(folder, "infer"))
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local wrong = summary.errors.status + summary.errors.timeout + summary.errors.connect
  io.write(string.format("p50 %.1f ms, p99 %.1f ms, not answered with 200: %d\n",
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, wrong))
end
