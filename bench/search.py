"""make bench JOB=search: how soon an acknowledged message is found at half load, and what a search costs through the
platform beside the engine asked directly.

Fills one tenant with BENCH_MESSAGES messages whose words are drawn as people use them, few often and many seldom; finds
the rate at 8 clients; keeps half of it going while a message after the other is sent and searched for until it is found;
then searches through the gateway for words in another form than they were written in, stops the platform, and asks the same queries of the same index by the engine alone.
"""

import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

import stage

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "50000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
PROBES = int(os.environ.get("BENCH_PROBES", "200"))
QUERIES = int(os.environ.get("BENCH_QUERIES", "500"))
VOCABULARY = 20_000
SYLLABLES = "ba be bi bo da de di do ka ke ki ko la le li lo ma me mi mo".split()
SEARCHABLE = {"bar": 1000, "goal": 500}
BESIDE = {"bar": 10, "goal": 4}
# Every third word is one of the smallest of English, the others rarer the greater their number.
TEXT = """function()
  local words = {}
  for i = 1, 30 do
    if i %% 3 == 0 then words[i] = (i %% 2 == 0) and "the" or "of" else
      local n, w = math.floor(%d ^ math.random()), ""
      repeat w = w .. syllables[n %% 20 + 1]; n = math.floor(n / 20) until n == 0
      words[i] = w .. "rings"
    end
  end
  return table.concat(words, " ")
end""" % VOCABULARY


class Client:
    """One connection that stays open, as a front end has it."""

    def __init__(self, url, token):
        self.connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc, timeout=30)
        self.token = token

    def ask(self, path, body, key=None):
        headers = {"Content-Type": "application/json", "Authorization": "Bearer " + self.token}
        if key:
            headers["Idempotency-Key"] = key
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            sys.exit(f"bench: {path} answered {answer.status}: {text[:300]!r}")
        return json.loads(text)


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def word(chance):
    """As the load's texts have them, in another form."""
    number, text = int(VOCABULARY ** chance.random()), ""
    while True:
        text += SYLLABLES[number % 20]
        number //= 20
        if number == 0:
            return text + "ring"


def found(reader, probe, limit):
    """Waits until a message is found."""
    begun = time.monotonic()
    while not reader.ask("/v1/search/messages", {"query": probe, "limit": 1})["hits"]:
        if time.monotonic() - begun > limit:
            sys.exit(f"bench: a message was not found within {limit} s")
        time.sleep(0.01)


def send(writer, conversation, chance):
    """Sends a message with a word of its own, and answers the word."""
    probe = f"probe{chance.getrandbits(48):012x}"
    body = {"text": f"{probe} " + " ".join(word(chance) for _ in range(29))}
    writer.ask(f"/v1/conversations/{conversation}/messages", body, key=probe)
    return probe


def searchable(url, tokens, conversation, chance):
    """Milliseconds from the answer to a message to the search that finds it, `PROBES` times."""
    reader, times = Client(url, tokens[1]), []
    for _ in range(PROBES):
        # A connection each: one that idled while a message was sought may be closed by now.
        probe = send(Client(url, tokens[0]), conversation, chance)
        acknowledged = time.monotonic()
        found(reader, probe, 30)
        times.append((time.monotonic() - acknowledged) * 1000)
    return times


def caught_up(url, token, conversations, chance):
    """Events are taken in their order: when the last message of each conversation is found, so are those before it."""
    client = Client(url, token)
    for probe in [send(client, conversation, chance) for conversation in conversations]:
        found(client, probe, 600)


def directly(folder, tenant, queries):
    """The same questions to the engine in a process of its own. Milliseconds."""
    ask = os.path.join(stage.TARGET, stage.PROFILE, "examples", "ask_engine")
    out = subprocess.run([ask, folder, tenant], input="\n".join(queries), capture_output=True, text=True)
    if out.returncode:
        sys.exit("bench: the engine could not be asked directly: " + out.stderr)
    lines = [line.split() for line in out.stdout.splitlines()]
    return [int(micros) / 1000 for micros, _ in lines], sum(int(hits) for _, hits in lines)


def search():
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is missing; Debian's package is called wrk")
    stage.build("--bin", "lethe", "--example", "ask_engine")
    chance = random.Random(4)
    with stage.started() as (folder, platform, run):
        url = run["url"]
        tokens, conversations = stage.conversations(run, 4, 16)
        script = folder + "/search.lua"

        def load(clients, seconds, pace=""):
            syllables = "local syllables = " + stage.lua(SYLLABLES)
            open(script, "w").write(syllables + stage.WRK % (stage.lua(tokens), stage.lua(conversations), TEXT, pace))
            return stage.wrk(url, script, clients, seconds)

        sent, rates = 0, []
        while sent < MESSAGES:
            requests, rate, _ = load(8, min(SECONDS, 5))
            sent += requests
            rates.append(rate)
        caught_up(url, tokens[0], conversations, chance)
        rate, clients = statistics.median(rates), 8
        # How long each client waits before a request, in milliseconds, is put right after every run, until half is kept.
        half, reached, over = rate / 2, [], threading.Event()

        def keep_loading():
            wait = clients * 1000 / half
            while not over.is_set():
                reached.append(load(clients, SECONDS, stage.paced(max(1, round(wait))))[1])
                wait = max(1, wait + clients * 1000 * (1 / half - 1 / reached[-1]))

        loading = threading.Thread(target=keep_loading)
        loading.start()
        while len(reached) < 3:
            time.sleep(0.1)
        times = searchable(url, tokens, conversations[0], chance)
        over.set()
        loading.join()
        p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
        print(f"messages: {sent:,}; rate at {clients} clients {rate:.0f}/s, kept {statistics.median(reached[3:] or reached):.0f}/s meanwhile")
        print(f"acknowledged to searchable: p50 {p50:.0f} ms, p99 {p99:.0f} ms (bar {SEARCHABLE['bar']}, goal {SEARCHABLE['goal']}), {len(times)} messages")

        caught_up(url, tokens[0], conversations, chance)
        queries = [" ".join(word(chance) for _ in range(1 + number % 2)) for number in range(QUERIES)]
        client, through, given = Client(url, tokens[0]), [], 0
        for warm in queries[: QUERIES // 10]:
            client.ask("/v1/search/messages", {"query": warm})
        for query in queries:
            begun = time.monotonic()
            given += len(client.ask("/v1/search/messages", {"query": query})["hits"])
            through.append((time.monotonic() - begun) * 1000)
        tenant = stage.call(url, "GET", "/v1/tenant", token=tokens[0])["tenant_id"]
        stage.stop(platform)
        alone, hits = directly(folder + "/.lethe/index", tenant, queries)
        print(f"{'search':>8} {'gateway':>9} {'engine':>8} {'more':>7} {'bar':>5} {'goal':>5}   ({len(queries)} queries, {given / len(queries):.0f} hits each; ms)")
        missed = ["searchable"] * (p99 > SEARCHABLE["bar"])
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            ours, theirs = percentile(through, share), percentile(alone, share)
            print(f"{name:>8} {ours:>9.1f} {theirs:>8.2f} {ours - theirs:>7.1f} {BESIDE['bar']:>5} {BESIDE['goal']:>5}")
            if ours - theirs > BESIDE["bar"]:
                missed.append(f"search {name}")
        if hits < given:
            sys.exit(f"bench: the engine found {hits} directly and {given} came through the gateway: not the same index")
        print("missed: " + (", ".join(missed) if missed else "no bar"))
        return 1 if missed else 0
