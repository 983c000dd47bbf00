-- Charges for wrk: each request has its own key; requests are spread over the accounts of the bench.
-- Arguments: first key, number of accounts, and number of keys (0: unlimited; otherwise the keys repeat).
local thread_number = 0

function setup(thread)
  thread:set("thread_number", thread_number)
  thread_number = thread_number + 1
end

function init(args)
  first = tonumber(args[1])
  accounts = tonumber(args[2])
  cycle = tonumber(args[3])
  -- Threads must not share keys; a run has fewer requests than this.
  first = first + thread_number * 20000000
  count = 0
  headers = {
    ["Content-Type"] = "application/json",
    ["Authorization"] = "Bearer bench-billing-token",
    ["Idempotency-Retry"] = "?0",
  }
end

function request()
  local key = first + count
  count = count + 1
  if cycle > 0 and count >= cycle then count = 0 end
  headers["Idempotency-Key"] = '"' .. key .. '"'
  local body = string.format(
    '{"order_id": "00000000-0000-4000-8000-%012d", "account": "account%d", "amount_cents": 1}',
    key, key % accounts)
  return wrk.format("POST", "/charges", headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "failed": %d, "not_2xx": %d, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
