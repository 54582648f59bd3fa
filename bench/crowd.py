"""make bench JOB=crowd: BENCH_TENANTS tenants, one of them flooding: what the flood does to the p99 of the others.

The others send at a steady pace over 16 connections, each request another tenant's, without and with one tenant that sends as
fast as 32 connections can. A B A B, medians.
"""

import concurrent.futures
import os
import secrets
import shutil
import statistics
import subprocess
import sys

import stage

TENANTS = int(os.environ.get("BENCH_TENANTS", "1000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
OTHERS = {"bar": 2.0, "goal": 1.3}
# Log-ins from one address are limited; here one address stands for all tenants.
stage.ENVIRONMENT["LETHE__GATEWAY__RATES__LOG_IN_ADDRESS__REQUESTS"] = "1000000"
stage.ENVIRONMENT["LETHE__IDENTITY__LOG_IN__PER_ADDRESS"] = "1000000"
TEXT = 'function() return string.rep("privacy ", 128) end'
WRK = """
local tokens, conversations = %s, %s
function init()
  sent = 0
  math.randomseed(os.time())
  run = string.format("%%08x%%08x", math.random(0, 2147483647), math.random(0, 2147483647))
end
function request()
  sent = sent + 1
  local who = sent %% #tokens + 1
  return wrk.format("POST", "/v1/conversations/" .. conversations[who] .. "/messages", {
    ["Authorization"] = "Bearer " .. tokens[who], ["Content-Type"] = "application/json", ["Idempotency-Key"] = run .. "-" .. sent,
  }, '{"text":"' .. string.rep("privacy ", 128) .. '"}')
end
function delay() return 40 end
function done(summary, latency)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def tenant(folder, url, number):
    """A tenant by the operator's command: its owner's token and a conversation."""
    slug, email, password = f"bench-{number}", f"owner@bench-{number}.example", secrets.token_urlsafe(16)
    made = subprocess.run([stage.LETHE, "--config", folder + "/.lethe/lethe.toml", "tenant", "create", "--slug", slug, "--name", slug,
                           "--owner-name", "First Owner", "--owner-email", email], check=True, capture_output=True, text=True, env=stage.ENVIRONMENT)
    once = made.stdout.strip().rsplit(" ", 1)[1]
    token = stage.call(url, "POST", "/v1/sessions", {"tenant": slug, "email": email, "password": once})["token"]
    stage.call(url, "PUT", "/v1/self/password", {"current_password": once, "new_password": password}, token)
    contact = stage.call(url, "POST", "/v1/contacts", {"name": slug}, token, True)
    body = {"contact_id": contact["contact_id"], "channel": "live_chat"}
    return token, stage.call(url, "POST", "/v1/conversations", body, token, True)["conversation_id"]


def job():
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is missing; Debian's package is called wrk")
    stage.build("--bin", "lethe")
    with stage.started() as (folder, _, run):
        url = run["url"]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            made = list(pool.map(lambda number: tenant(folder, url, number), range(TENANTS)))
        print(f"{len(made)} tenants", file=sys.stderr, flush=True)
        others, flood = folder + "/others.lua", folder + "/flood.lua"
        tokens, conversations = stage.conversations(run, 4, 16)
        open(others, "w").write(WRK % (stage.lua([token for token, _ in made]), stage.lua([conversation for _, conversation in made])))
        open(flood, "w").write(stage.WRK % (stage.lua(tokens), stage.lua(conversations), TEXT, ""))
        stage.wrk(url, others, 16, SECONDS)  # warm-up: every tenant's keys
        alone, beside, floods = [], [], []
        for _ in range(ROUNDS):
            alone.append(stage.wrk(url, others, 16, SECONDS)[1:])
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                flooding = pool.submit(stage.wrk, url, flood, 32, SECONDS + 2)
                beside.append(stage.wrk(url, others, 16, SECONDS)[1:])
                floods.append(flooding.result()[1])
    middle = lambda figures, of: statistics.median(figure[of] for figure in figures)
    ratio = middle(beside, 1) / middle(alone, 1)
    print(f"{len(made)} tenants at {middle(alone, 0):.0f}/s: p99 {middle(alone, 1):.1f} ms; beside one that floods with {statistics.median(floods):.0f}/s: "
          f"{middle(beside, 0):.0f}/s, p99 {middle(beside, 1):.1f} ms; ratio {ratio:.2f} (bar {OTHERS['bar']}, goal {OTHERS['goal']})")
    return 1 if ratio > OTHERS["bar"] else 0
