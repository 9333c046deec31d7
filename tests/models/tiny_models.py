"""What tests/models/architectures and tests/models/logits share: tiny models with random weights, and their logits."""
import array
import glob
import importlib
import json
import math
import os
import re
import struct
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BERTH = os.environ.get("BERTH", os.path.join(TOP, "build", "berth"))
ARCHS = os.environ.get("ARCHS", "")
MOST = 2e-3
IDS = [str((i * 37 + i * i * 11 + 5) % 128) for i in range(64)]  # the files have 128 tokens
NOT_CAUSAL = {"dream", "llada", "llada-moe", "rnd1"}  # a row sees all others: there are no chunks


def architectures():
    """The names of berth's rows that have logits; encoders have none."""
    names = []
    for file in sorted(glob.glob(os.path.join(TOP, "engine", "model", "family_*.c"))):
        if os.path.basename(file) == "family_bert.c":
            continue
        with open(file, encoding="utf-8") as source:
            names += re.findall(r'^ *\{\.name = "([^"]+)"', source.read(), re.M)
    return names


def made_files():
    """Files of architectures that test-llama-archs leaves out: the name, the architecture, and what makes it. A module
    tiny_NAME.py beside this one has FILES, a name to a tuple that begins with the architecture, and make(name, path)."""
    for path in sorted(glob.glob(os.path.join(TOP, "tests", "models", "tiny_*.py"))):
        module = importlib.import_module(os.path.basename(path).removesuffix(".py"))
        for name, fields in sorted(getattr(module, "FILES", {}).items()):
            yield name, fields[0], module.make


def logits(command):
    """The floats that a command prints, or why it failed."""
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if run.returncode != 0:
        return None, "%s: exit status %d: %s" % (
            command[0], run.returncode, run.stderr.decode(errors="replace")[:300])
    values = array.array("f")
    values.frombytes(run.stdout)
    return values, ""


def ours(file, *options):
    return logits([BERTH, "logits", file, "--kv-type", "f32"] + list(options) + IDS)


def copy_without_factors(file, folder):
    """A copy in which the factors of feed-forwards (NAME.scale) are 1: most architectures of the reference leave them
    out, because no real file has them there."""
    tables = subprocess.run([BERTH, "inspect", "--json", file], capture_output=True, check=True).stdout
    with open(file, "rb") as f:
        content = bytearray(f.read())
    for tensor in json.loads(tables)["tensors"]:
        if re.search(r"\.ffn_\w+\.scale$", tensor["name"]):
            count = math.prod(tensor["shape"])
            struct.pack_into("<%df" % count, content, tensor["offset"], *[1.0] * count)
    path = os.path.join(folder, os.path.basename(file))
    with open(path, "wb") as f:
        f.write(content)
    return path


def deviation(values):
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
