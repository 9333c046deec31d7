"""measure.py: what bench/answers and bench/streams share: settings, figures with promises, the table, the JSON file.

Settings come from the environment:
    LLAMA_BENCH=COMMAND          llama-bench                  LLAMA_SERVER=COMMAND         llama-server
    LLAMA_BATCHED_BENCH=COMMAND  llama-batched-bench          LLAMA_BENCH_AVX2=COMMAND     llama-bench of a build
    MODELS=DIRECTORY             the files that are measured                               that has AVX2 at most
    LLAMA_MODELS=DIRECTORY       MODELS as those commands see it, where they see another path
    BERTH=build/static/berth     TOOLS=build/dev/bench        JSON=build/bench.json
    ROUNDS=5                     THREADS=2                    FIGURES=PATTERN  a regular expression: figures by name
    QUICK=1                      a few tokens each, to see that everything runs: no promise is judged

A figure is a list of numbers for berth and one for the peer, one a round; within a round berth is asked first and then
the peer, so that a machine that slows down slows both. Of a list the median counts.
"""
import datetime
import functools
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def path_setting(name, *parts):
    return os.environ.get(name) or os.path.join(TOP, *parts)


BERTH = path_setting("BERTH", "build", "static", "berth")
TOOLS = path_setting("TOOLS", "build", "dev", "bench")
JSON = path_setting("JSON", "build", "bench.json")
BENCH, BENCH_AVX2, SERVER, BATCHED = (
    shlex.split(os.environ.get(name, ""))
    for name in ("LLAMA_BENCH", "LLAMA_BENCH_AVX2", "LLAMA_SERVER", "LLAMA_BATCHED_BENCH"))
MODELS = os.environ.get("MODELS", "")
SEEN = os.environ.get("LLAMA_MODELS", MODELS)
ROUNDS = int(os.environ.get("ROUNDS", "5"))
THREADS = os.environ.get("THREADS", "2")
FIGURES = os.environ.get("FIGURES", "")
QUICK = os.environ.get("QUICK", "") not in ("", "0")

SMOL = ("SmolLM2-135M Q4_1", "smollm2-135m-instruct.gguf")
ONE_B = {kind: ("1B " + kind, "random-1b-%s.gguf" % kind) for kind in ("Q4_0", "Q4_K_M", "Q8_0")}


class Failed(Exception):
    """Why something could not be measured."""


def output(command):
    """Returns the output of a command. Raises Failed, with the end of its messages, when it fails."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as why:
        raise Failed("%s: %s" % (command[0], why.strerror)) from why
    if run.returncode != 0:
        raise Failed("%s\n%s" % (" ".join(command), (run.stderr or run.stdout).strip()[-600:]))
    return run.stdout


# ---- the machine, and what a model file costs ----


@functools.cache
def cpu_says(key):
    """Returns the value of `key` in /proc/cpuinfo, or ""."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.split(":")[0].strip() == key), "")


def cpu_model():
    return cpu_says("model name") or os.uname().machine


def limits(cpu):
    """The int8 peak (multiply-adds a second) and the read bandwidth (bytes a second) at this moment, or None."""
    tool = os.path.join(TOOLS, "bench_kernels")
    if not os.path.exists(tool):
        return None
    got = json.loads(output([tool, "--limits", THREADS, cpu]))
    return {"int8": got["int8_gmacs"] and 1e9 * got["int8_gmacs"], "read": 1e9 * got["read_gbs"]}


@functools.cache
def shape(path):
    """What a token costs: multiply-adds in the layers' matrices, bytes of weights, bytes of keys and values.

    A prompt of many tokens needs the output matrix for its last one only, so that is not in the first; a table of
    embeddings that is not the output matrix, too, is not read by a token but for a row, and not in the second."""
    model = json.loads(output([BERTH, "inspect", "--json", path]))
    tensors, keys = model["tensors"], {m["key"].split(".", 1)[1]: m.get("value") for m in model["metadata"]}
    apart = any(t["name"] == "output.weight" for t in tensors)
    head = keys.get("attention.key_length") or keys["embedding_length"] // keys["attention.head_count"]
    return {
        "macs": sum(t["elements"] for t in tensors if t["name"].startswith("blk.") and len(t["shape"]) > 1),
        "bytes": sum(t["bytes"] for t in tensors if not (apart and t["name"] == "token_embd.weight")),
        "kv": keys["block_count"] * 2 * keys["attention.head_count_kv"] * head * 2, # in float16
    }


# ---- figures ----


class Figure:
    """`bound` is ">= 3x" or "<= 0.3x" of the ratio to the peer's figure, or "<= 16" of berth's own figure.
    `more_is_better` is None for what is the machine's figure, not berth's."""

    def __init__(self, name, bound="", more_is_better=True):
        self.name, self.bound, self.more_is_better = name, bound, more_is_better
        self.berth, self.peer = [], []
        self.share = None # of a limit: {"of": "int8" or "read", "berth": [...], "peer": [...]}

    def ratio(self):
        if not self.berth or not self.peer:
            return None
        return statistics.median(self.berth) / statistics.median(self.peer)

    def held(self):
        """True, False, or None where nothing is promised or nothing is there to compare with."""
        if not self.bound or not self.berth or QUICK:
            return None
        relation, number = self.bound.rstrip("x").split()
        value = self.ratio() if self.bound.endswith("x") else statistics.median(self.berth)
        if value is None:
            return None
        return value >= float(number) if relation == ">=" else value <= float(number)

    def note_share(self, limit_of, limit, cost, ours, theirs):
        """One round: how much of a limit the rates took, at `cost` a token."""
        if not limit:
            return
        self.share = self.share or {"of": limit_of, "limit": [], "berth": [], "peer": []}
        self.share["limit"].append(limit)
        for who, rate in (("berth", ours), ("peer", theirs)):
            if rate is not None:
                self.share[who].append(rate * cost / limit)

    def forget_peer(self):
        self.peer = []
        if self.share:
            self.share["peer"] = []

    def as_json(self):
        return {"name": self.name, "more_is_better": self.more_is_better, "berth": self.berth, "peer": self.peer,
                "ratio": self.ratio(), "bound": self.bound, "held": self.held(), "share": self.share,
                "taken": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def wanted(*names):
    """Whether FIGURES picks one of these."""
    return any(re.search(FIGURES, name, re.IGNORECASE) for name in names)


def number(v):
    return "%.0f" % v if abs(v) >= 1000 else "%.1f" % v if abs(v) >= 100 else "%.3g" % v


def times(ratio):
    return "%.2f" % ratio if ratio >= 0.1 else "%.3f" % ratio


def spread(values):
    if not values:
        return "-"
    return "%s (%s to %s)" % (number(statistics.median(values)), number(min(values)), number(max(values)))


def share_text(share):
    if not share:
        return "-"
    parts = ["%.0f %%" % (100 * statistics.median(share[who])) for who in ("berth", "peer") if share[who]]
    return "%s: %s" % (share["of"], ", ".join(parts))


# ---- the run ----

ROW = "%-68s %-26s %-26s %7s %9s %-4s %s"


class Run:
    """One program's figures: printed as they come, and kept in the JSON beside those of others."""

    def __init__(self):
        self.figures, self.status, self.begin = [], 0, time.monotonic()

    def head(self):
        print("%s, %d cores, %s threads, %d rounds; berth and llama.cpp on the same files, in turns"
              % (cpu_model(), os.cpu_count(), THREADS, ROUNDS))
        if QUICK:
            print("QUICK: a few tokens each. These figures mean nothing, and no promise is judged by them.")
        print(ROW % ("figure", "berth", "llama.cpp", "ratio", "promised", "held", "of the machine's limit"), flush=True)

    def model(self, file, name):
        """The file's path, or None and a line that says so."""
        path = os.path.join(MODELS, file)
        if os.path.exists(path):
            return path
        self.say(name, "not measured: %s is not there" % path)
        return None

    def say(self, name, text):
        print("%-68s %s" % (name, text), flush=True)

    def fail(self, name, why):
        self.say(name, "NOT MEASURED: %s" % why)
        self.status = 1

    def take(self, figures, ours, theirs=None, rounds=None, each_round=None):
        """Measures figures that come out of the same run, in turns. `ours` and `theirs` return a list with a number
        for each. `each_round` measures the limits before a round and notes the figures' shares of them after it."""
        for _ in range(rounds or ROUNDS):
            try:
                before = each_round and each_round.limits()
                mine = ours()
            except Failed as why:
                self.fail(figures[0].name, why)
                return
            peers = [None] * len(figures)
            if theirs:
                try:
                    peers = theirs()
                except Failed as why:
                    self.say(figures[0].name, "the peer fails, berth stands alone: %s" % why)
                    theirs, self.status = None, 1
                    for f in figures:
                        f.forget_peer()
            for f, a, b in zip(figures, mine, peers):
                f.berth.append(a)
                if b is not None:
                    f.peer.append(b)
            if each_round:
                each_round.note(before, mine, peers)
        for f in figures:
            self.add(f)

    def add(self, f):
        self.figures.append(f)
        held, ratio = f.held(), f.ratio()
        if held is False:
            self.status = 1
        print(ROW % (f.name, spread(f.berth), spread(f.peer), "-" if ratio is None else "%sx" % times(ratio),
                     f.bound or "-", {True: "yes", False: "NO", None: "-"}[held], share_text(f.share)), flush=True)
        self.write()

    def write(self):
        """Writes the JSON: what is there of other programs stays, figures of the same name are replaced."""
        whole = {}
        if os.path.exists(JSON):
            with open(JSON, encoding="utf-8") as f:
                whole = json.load(f)
        mine = [f.as_json() for f in self.figures]
        names = {f["name"] for f in mine}
        whole["figures"] = [f for f in whole.get("figures", []) if f["name"] not in names] + mine
        for key, value in (("cpu", cpu_model()), ("cores", os.cpu_count()), ("kernel", os.uname().release)):
            whole.setdefault(key, value)
        whole["answers"] = {"threads": int(THREADS), "rounds": ROUNDS, "quick": QUICK,
                            "berth": output([BERTH, "version"]).splitlines()[0]}
        with open(JSON, "w", encoding="utf-8") as f:
            json.dump(whole, f, indent=1)
            f.write("\n")

    def close(self):
        if self.figures:
            print("It took %.0f minutes. Every number is in %s."
                  % ((time.monotonic() - self.begin) / 60, JSON.replace(TOP + os.sep, "")))
        return self.status


def can_measure(program, **peers):
    """Whether there is anything to measure with; says what is missing. `peers`: commands by their variables' names."""
    if not MODELS:
        print("bench: %s: MODELS names no directory of models; nothing is measured" % program)
        return False
    if not os.path.exists(BERTH):
        sys.exit("bench: %s is not there; 'make static' makes it" % BERTH)
    for name, command in peers.items():
        if not command:
            print("bench: %s: %s is not set; what it would be compared with stands alone" % (program, name))
    return True
