"""A language model of some kilobytes that recites, so that tests written in Python know its answers.

After each letter comes the next, after 'z' a full stop, after that the end; after a newline comes 'a'. With `recites`
that text comes after a newline instead.
"""

import random
import struct

ALPHABET = "abcdefghijklmnopqrstuvwxyz."

# ---- the model: llama without anything in its layer, a token for each byte ----

WIDTH, END, BYTES, CHUNK = 64, 257, 258, 3
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9


def text(s):
    data = s.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def array(key, kind, items):
    return pair(key, ARRAY, struct.pack("<IQ", kind, len(items)) + b"".join(items))


def byte_texts():
    seen = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 256)]
    unseen = [b for b in range(256) if b not in seen]
    return [chr(b) if b in seen else chr(256 + unseen.index(b)) for b in range(256)]


def follower(token):
    if token in (10, END):
        return ord("a")
    if ord("a") <= token < ord("z"):
        return token + 1
    return {ord("z"): ord("."), ord("."): END}.get(token)


def write_model(path, recites="", template=TEMPLATE):
    """Writes it. Each part of what it recites is a token of its own, so that the next one is known."""
    draw = random.Random(1)
    parts = [recites.encode()[i : i + CHUNK] for i in range(0, len(recites.encode()), CHUNK)]
    vocabulary = BYTES + len(parts)
    followers = {token: follower(token) for token in range(BYTES)}
    if parts:
        followers[10] = BYTES
        followers |= {BYTES + i: BYTES + i + 1 for i in range(len(parts) - 1)} | {vocabulary - 1: END}
    embedding = [[draw.choice((-1.0, 1.0)) for _ in range(WIDTH)] for _ in range(vocabulary)]
    output = [[0.0] * WIDTH for _ in range(vocabulary)]
    for token, then in followers.items():
        if then is not None:
            output[then] = [a + b for a, b in zip(output[then], embedding[token])]
    letters = byte_texts()
    texts = [*letters, "<|im_start|>", "<|im_end|>", *("".join(letters[b] for b in part) for part in parts)]
    kinds = [3 if i in (END - 1, END) else 1 for i in range(vocabulary)]
    ones, square = [1.0] * WIDTH, [0.0] * WIDTH * WIDTH
    tensors = {
        "token_embd.weight": ([WIDTH, vocabulary], sum(embedding, [])),
        "output_norm.weight": ([WIDTH], ones),
        "output.weight": ([WIDTH, vocabulary], sum(output, [])),
        "blk.0.attn_norm.weight": ([WIDTH], ones),
        "blk.0.ffn_norm.weight": ([WIDTH], ones),
    }
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        tensors[f"blk.0.{name}.weight"] = ([WIDTH, WIDTH], square)
    numbers = {
        "context_length": 512,
        "embedding_length": WIDTH,
        "block_count": 1,
        "feed_forward_length": WIDTH,
        "attention.head_count": 2,
    }
    pairs = [pair("general.architecture", STRING, text("llama"))]
    pairs += [pair(f"llama.{key}", U32, struct.pack("<I", value)) for key, value in numbers.items()]
    pairs += [
        pair("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
        pair("tokenizer.ggml.model", STRING, text("gpt2")),
        pair("tokenizer.ggml.pre", STRING, text("gpt-2")),
        array("tokenizer.ggml.tokens", STRING, [text(t) for t in texts]),
        array("tokenizer.ggml.token_type", I32, [struct.pack("<i", kind) for kind in kinds]),
        array("tokenizer.ggml.merges", STRING, []),
        pair("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", END)),
        pair("tokenizer.chat_template", STRING, text(template)),
    ]
    table, data = [], b""
    for name, (dims, values) in tensors.items():
        table.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, len(data)))
        data += struct.pack(f"<{len(values)}f", *values)
        data += b"\0" * (-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(table)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32) + data)
