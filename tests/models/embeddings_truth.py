"""BERT in numpy and float32, from a safetensors file. Standard input: a line of JSON, {"ids": [[...], ...], "heads": N, "epsilon":
E}, then the file. Standard output: the mean of the tokens' vectors of each text, with a length of 1, float32."""
import json
import math
import struct
import sys

import numpy as np


def read(stream):
    size = struct.unpack("<Q", stream.read(8))[0]
    header, body = json.loads(stream.read(size)), stream.read()
    return {name.removeprefix("bert."): np.frombuffer(body, "<f4", count=(b - a) // 4, offset=a).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__" and t["dtype"] == "F32"
            for a, b in [t["data_offsets"]]}


def norm(w, stem, x, epsilon):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + np.float32(epsilon)) * w[stem + ".weight"] + w[stem + ".bias"]


def linear(w, stem, x):
    return x @ w[stem + ".weight"].T + w[stem + ".bias"]


def attention(w, stem, x, heads):
    q, k, v = (linear(w, stem + "self." + part, x).reshape(len(x), heads, -1).transpose(1, 0, 2)
               for part in ("query", "key", "value"))
    scores = q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(q.shape[-1]))
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    return linear(w, stem + "output.dense", (scores @ v).transpose(1, 0, 2).reshape(x.shape))


STEP, LAST = 1e-3, 6.0
GRID = np.arange(0, LAST + 2 * STEP, STEP)
ERF, SLOPE = np.array([math.erf(x) for x in GRID]), 2 / math.sqrt(math.pi) * np.exp(-GRID * GRID) * STEP


def erf(x):
    """By cubics between values of math.erf and its slope: within 1e-13."""
    at = np.minimum(np.abs(x), LAST) / STEP
    i = at.astype(np.int64)
    t = at - i
    value = (ERF[i] * (1 + 2 * t) + SLOPE[i] * t) * (1 - t) ** 2 + (ERF[i + 1] * (3 - 2 * t) - SLOPE[i + 1] * (1 - t)) * t * t
    return np.sign(x) * value


def gelu(x):
    return (x / 2 * (1 + erf(x.astype(np.float64) / math.sqrt(2)))).astype(np.float32)


def embed(w, ids, heads, epsilon):
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(w, "embeddings.LayerNorm", x + w["embeddings.position_embeddings.weight"][:len(ids)], epsilon)
    for i in range(sum(name.endswith("attention.self.query.weight") for name in w)):
        layer = "encoder.layer.%d." % i
        x = norm(w, layer + "attention.output.LayerNorm", x + attention(w, layer + "attention.", x, heads), epsilon)
        hidden = gelu(linear(w, layer + "intermediate.dense", x))
        x = norm(w, layer + "output.LayerNorm", x + linear(w, layer + "output.dense", hidden), epsilon)
    mean = x.mean(0)
    return mean / np.sqrt((mean ** 2).sum())


asked = json.loads(sys.stdin.buffer.readline())
weights = read(sys.stdin.buffer)
for text in asked["ids"]:
    sys.stdout.buffer.write(embed(weights, text, asked["heads"], asked["epsilon"]).astype("<f4").tobytes())
