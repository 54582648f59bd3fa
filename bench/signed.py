"""make bench JOB=signed: accepted messages a second by requests that an API key signs (RFC 9421), beside the same by sessions.

The signatures are made before the clock starts (they are good for a minute), so that the figures are the platform's and not the
signer's. A B A B at 32 clients, medians.
"""

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import statistics
import sys
import time
import urllib.parse

import stage

SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
CLIENTS = 32
BODY = '{"text":"' + "privacy " * 128 + '"}'
TEXT = 'function() return string.rep("privacy ", 128) end'

WRK = """
local lines, sent = {}, 0
function init()
  for line in io.lines(%s) do lines[#lines + 1] = line end
end
function request()
  sent = sent + 1
  local path, key, input, signature = lines[sent]:match("^(%%S+)\\t(%%S+)\\t([^\\t]+)\\t([^\\t]+)$")
  return wrk.format("POST", path, {
    ["Content-Type"] = "application/json", ["Content-Digest"] = %s, ["Idempotency-Key"] = key,
    ["Signature-Input"] = input, ["Signature"] = signature,
  }, %s)
end
function done(summary, latency)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def signed(file, url, keyid, secret, conversations, count):
    """A line a request: path, idempotency key, Signature-Input, Signature."""
    authority = urllib.parse.urlparse(url).netloc
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(BODY.encode()).digest()).decode() + ":"
    created, run = int(time.time()), secrets.token_hex(6)
    covered = '("@method" "@authority" "@target-uri" "content-digest" "idempotency-key")'
    parameters = f'{covered};created={created};keyid="{keyid}";alg="hmac-sha256"'
    with open(file, "w") as lines:
        for number in range(count):
            path, key = f"/v1/conversations/{conversations[number % len(conversations)]}/messages", f"{run}-{number}"
            base = (f'"@method": POST\n"@authority": {authority}\n"@target-uri": {url}{path}\n"content-digest": {digest}\n'
                    f'"idempotency-key": {key}\n"@signature-params": {parameters}')
            mac = base64.b64encode(hmac.new(secret, base.encode(), hashlib.sha256).digest()).decode()
            lines.write(f"{path}\t{key}\tbench={parameters}\tbench=:{mac}:\n")
    return digest


def job():
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is missing; Debian's package is called wrk")
    stage.build("--bin", "lethe")
    with stage.started() as (folder, _, run):
        url = run["url"]
        tokens, conversations = stage.conversations(run, 4, 16)
        made = stage.call(url, "POST", "/v1/api-keys", {"name": "Bench", "scopes": ["send"]}, tokens[0], True)
        keyid, text = made["api_key"]["keyid"], made["secret"]
        secret = base64.urlsafe_b64decode(text[-43:] + "=")
        by_session, by_key, lines = folder + "/session.lua", folder + "/key.lua", folder + "/lines"
        open(by_session, "w").write(stage.WRK % (stage.lua(tokens), stage.lua(conversations), TEXT, ""))
        _, rate, _ = stage.wrk(url, by_session, CLIENTS, SECONDS)  # warm-up, and how many to sign
        sessions, keys, tails = [], [], []
        for _ in range(ROUNDS):
            sessions.append(stage.wrk(url, by_session, CLIENTS, SECONDS)[1:])
            digest = signed(lines, url, keyid, secret, conversations, int(rate * SECONDS * 2))
            open(by_key, "w").write(WRK % (repr(lines), repr(digest), "'" + BODY + "'"))
            keys.append(stage.wrk(url, by_key, CLIENTS, SECONDS)[1:])
    middle = lambda figures, of: statistics.median(figure[of] for figure in figures)
    print(f"{CLIENTS} clients: {middle(keys, 0):.0f} signed/s, p99 {middle(keys, 1):.1f} ms; {middle(sessions, 0):.0f}/s by session, "
          f"p99 {middle(sessions, 1):.1f} ms; ratio {middle(keys, 0) / middle(sessions, 0):.2f}")
    return 0
