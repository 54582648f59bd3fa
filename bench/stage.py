"""A platform of the bench's own: built, started in a folder that goes away, and asked over HTTP."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVERS = os.environ.get("LETHE_SERVERS", os.path.expanduser("~/.cache/lethe/servers"))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
# Anything but `release` is for trying the bench itself: its figures mean nothing.
PROFILE = os.environ.get("BENCH_PROFILE", "release")
LETHE = os.path.join(TARGET, PROFILE, "lethe")
ENVIRONMENT = {**os.environ, "LETHE_SERVERS": SERVERS, "LD_LIBRARY_PATH": SERVERS + "/pg/lib"}
# A line a call would be measured too: what goes wrong is logged, and nothing else.
ENVIRONMENT["LETHE__TELEMETRY__STDERR_FILTER"] = "warn"


def build(*what):
    release = ["--release"] if PROFILE == "release" else []
    subprocess.run(["cargo", "build", *release, "--workspace", "--locked", *what], check=True, cwd=ROOT)


def call(url, method, path, body=None, token=None, key=False):
    request = urllib.request.Request(url + path, method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", "Bearer " + token)
    if key:
        request.add_header("Idempotency-Key", secrets.token_hex(12))
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def stop(platform):
    if platform.poll() is None:
        platform.send_signal(signal.SIGINT)
        platform.wait(60)


@contextlib.contextmanager
def started():
    """The folder, the process and the contents of `run.json` of a running platform with everything switched on."""
    folder = tempfile.mkdtemp(prefix="lethe-bench-")
    platform = subprocess.Popen([LETHE, "dev", "--folder", folder + "/.lethe", "--port", "0"], stdout=subprocess.DEVNULL,
                                stderr=open(folder + "/err", "w"), env=ENVIRONMENT)
    try:
        run_file = folder + "/.lethe/run.json"
        for _ in range(600):
            if os.path.exists(run_file):
                break
            if platform.poll() is not None:
                sys.exit("bench: the platform did not start:\n" + open(folder + "/err").read())
            time.sleep(0.1)
        yield folder, platform, json.load(open(run_file))
    finally:
        stop(platform)
        shutil.rmtree(folder, ignore_errors=True)


def conversations(run, sessions, count):
    """Tokens of sessions and ids of conversations, each of a contact of its own."""
    url = run["url"]
    login = {"tenant": run["tenant"], "email": run["email"], "password": run["password"]}
    tokens = [call(url, "POST", "/v1/sessions", login)["token"] for _ in range(sessions)]
    opened = []
    for number in range(count):
        contact = call(url, "POST", "/v1/contacts", {"name": f"Bench {number}"}, tokens[0], True)
        body = {"contact_id": contact["contact_id"], "channel": "live_chat"}
        opened.append(call(url, "POST", "/v1/conversations", body, tokens[0], True)["conversation_id"])
    return tokens, opened


def lua(items):
    return "{" + ",".join(f'"{i}"' for i in items) + "}"


def wrk(url, script, clients, seconds):
    """Requests, requests a second and p99 in milliseconds of a wrk script whose `done` prints RESULT."""
    out = subprocess.run(["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds}s", "--timeout", "10s", "-s", script, url],
                         check=True, capture_output=True, text=True).stdout
    line = next(l for l in out.splitlines() if l.startswith("RESULT"))
    requests, micros, p99, refused, broken = (int(x) for x in line.split()[1:])
    if refused or broken:
        sys.exit(f"bench: {refused} answers were not 2xx, {broken} connections broke: the figures would mean nothing")
    return requests, requests / (micros / 1e6), p99 / 1000


def settled(share=0.9, seconds=2, patience=300):
    """Waits until the machine has idled for some seconds: what was loaded is merged, vacuumed and written by then."""
    def times():
        return [int(x) for x in open("/proc/stat").readline().split()[1:9]]
    for _ in range(patience):
        before = times()
        time.sleep(seconds)
        spent = [end - begin for begin, end in zip(before, times())]
        if spent[3] >= share * sum(spent):
            return
    sys.exit("bench: the machine does not come to rest; is something else running on it?")


def paced(milliseconds):
    """Each connection waits so long before a request."""
    return f"function delay() return {milliseconds} end"


# What the scripts of wrk share: tokens, conversations, the function that makes a text, and `paced` or nothing.
WRK = """
local tokens, conversations = %s, %s
local thread_count = 0
function setup(thread)
  thread:set("seed", thread_count)
  thread_count = thread_count + 1
end
function init()
  sent = 0
  math.randomseed(os.time() * 1000 + seed)
  run = string.format("%%08x%%08x", math.random(0, 2147483647), math.random(0, 2147483647))
end
local text = %s
function request()
  sent = sent + 1
  return wrk.format("POST", "/v1/conversations/" .. conversations[sent %% #conversations + 1] .. "/messages", {
    ["Authorization"] = "Bearer " .. tokens[sent %% #tokens + 1],
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = run .. "-" .. seed .. "-" .. sent,
  }, '{"text":"' .. text() .. '"}')
end
%s
function done(summary, latency)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""
