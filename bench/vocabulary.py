"""vocabulary.py: writes a GGUF file with a large byte-level BPE vocabulary, to measure its load.

The model has one layer of zeros, which take no room on the disk. The tokens are the 256 bytes and what the merges make
of them: pairs of tokens drawn by a fixed seed, short ones more often. They are some eight bytes long, about as real
ones are.
"""
import random
import struct

WIDTH = 64
LONGEST = 10 # bytes of a token
U32, F32, STRING, ARRAY = 4, 6, 8, 9 # types of values
TENSOR_F32, TENSOR_F16 = 0, 1


def byte_characters():
    """GPT-2's: the character that stands for each byte in a vocabulary."""
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def grow(n):
    """The tokens and the merges of a vocabulary of n tokens."""
    draw = random.Random(1)
    tokens = byte_characters()
    letters = [tokens[b] for b in range(0x61, 0x7b)] + [tokens[0x20]]
    pieces, merges, known = list(letters), [], set(tokens)
    while len(tokens) < n:
        left = pieces[int(len(pieces) * draw.random() ** 4)]
        right = pieces[int(len(pieces) * draw.random() ** 4)]
        whole = left + right
        if whole in known or len(whole) > LONGEST:
            continue
        known.add(whole)
        tokens.append(whole)
        pieces.append(whole)
        merges.append(left + " " + right)
    return tokens, merges


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, kind, value):
    return string(key) + struct.pack("<I", kind) + value


def u32(key, value):
    return pair(key, U32, struct.pack("<I", value))


def text(key, value):
    return pair(key, STRING, string(value))


def strings(key, values):
    return pair(key, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(map(string, values)))


def metadata(tokens, merges):
    return [
        text("general.architecture", "llama"),
        u32("llama.block_count", 1),
        u32("llama.context_length", 512),
        u32("llama.embedding_length", WIDTH),
        u32("llama.feed_forward_length", WIDTH),
        u32("llama.attention.head_count", 1),
        pair("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
        text("tokenizer.ggml.model", "gpt2"),
        text("tokenizer.ggml.pre", "gpt-2"),
        strings("tokenizer.ggml.tokens", tokens),
        strings("tokenizer.ggml.merges", merges),
        u32("tokenizer.ggml.bos_token_id", 0),
        u32("tokenizer.ggml.eos_token_id", 0),
    ]


def tensors(n_tokens):
    square = [WIDTH, WIDTH]
    yield "token_embd.weight", [WIDTH, n_tokens], TENSOR_F16
    yield "output_norm.weight", [WIDTH], TENSOR_F32
    for name in ("attn_norm", "ffn_norm"):
        yield "blk.0.%s.weight" % name, [WIDTH], TENSOR_F32
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        yield "blk.0.%s.weight" % name, square, TENSOR_F16


def write(path, n_tokens):
    tokens, merges = grow(n_tokens)
    pairs, table, offset = metadata(tokens, merges), b"", 0
    listed = list(tensors(n_tokens))
    for name, shape, kind in listed:
        table += string(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, kind, offset)
        size = 4 if kind == TENSOR_F32 else 2
        for side in shape:
            size *= side
        offset += (size + 31) // 32 * 32
    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, len(listed), len(pairs)) + b"".join(pairs) + table)
        f.truncate((f.tell() + 31) // 32 * 32 + offset)
