-- For wrk: asks for a token as one client after the other of a list made by tests/bench/populate.
--   wrk -t1 -c32 -d5s -s clients.lua http://127.0.0.1:8080 -- LIST [FIRST]
local lines, at = {}, 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        lines[#lines + 1] = line
    end
    at = tonumber(arguments[2] or "0")
end

function request()
    local tenant, id, secret = string.match(lines[at % #lines + 1], "(%S+) (%S+) (%S+)")
    at = at + 1
    local body = "grant_type=client_credentials&scope=https%3A%2F%2Fapi.example.com%2F.default&client_id=" .. id .. "&client_secret=" .. secret
    local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    return wrk.format("POST", "/" .. tenant .. "/oauth2/v2.0/token", headers, body)
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    local text = '{"rate": %.1f, "failed": %d, "p50": %.3f, "p99": %.3f, "max": %.3f}\n'
    io.write(text:format(summary.requests / summary.duration * 1e6, failed, latency:percentile(50) / 1000,
        latency:percentile(99) / 1000, latency.max / 1000))
end
