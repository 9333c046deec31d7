"""What tests/models/embeddings makes of a Hugging Face directory of a BERT: a GGUF file as llama.cpp's converter names things.

Facts: the GGUF specification, and gguf-py's names of keys and tensors.
"""
import json
import os
import struct

U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
ALIGNMENT = 32
TENSORS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def read_safetensors(path):
    """{name: (shape, bytes)} of float32 tensors."""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        body = f.read()
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__" and t["dtype"] == "F32":
            first, end = t["data_offsets"]
            tensors[name.removeprefix("bert.")] = (t["shape"], body[first:end])
    return tensors


def name_of(tensor):
    """GGUF's name of a tensor; None for one that it leaves out."""
    if tensor in TENSORS:
        return TENSORS[tensor]
    stem, part = tensor.rsplit(".", 1)
    if stem in TENSORS:
        return "%s.%s" % (TENSORS[stem], part)
    if stem.startswith("encoder.layer."):
        number, rest = stem.removeprefix("encoder.layer.").split(".", 1)
        if rest in TENSORS:
            return "blk.%s.%s.%s" % (number, TENSORS[rest], part)
    return None


def text(value):
    value = value.encode()
    return struct.pack("<Q", len(value)) + value


def pair(key, kind, value):
    if kind == STRING:
        packed = text(value)
    elif kind == ARRAY:
        of, items = value
        packed = struct.pack("<IQ", of, len(items))
        packed += b"".join(map(text, items)) if of == STRING else struct.pack("<%di" % len(items), *items)
    else:
        packed = struct.pack({U32: "<I", F32: "<f", BOOL: "<?"}[kind], value)
    return text(key) + struct.pack("<I", kind) + packed


def vocabulary(folder):
    """Tokens as GGUF has them: those that begin a word have U+2581 in front, those that go on with one have no ##."""
    with open(os.path.join(folder, "vocab.txt"), encoding="utf-8") as f:
        words = f.read().splitlines()
    special = [w.startswith("[") and w.endswith("]") for w in words]
    tokens = [w if s else w[2:] if w.startswith("##") else "\u2581" + w for w, s in zip(words, special)]
    return words, tokens, [3 if s and not w.startswith("[unused") else 5 if s else 1 for w, s in zip(words, special)]


def pairs(folder, pooling):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    words, tokens, types = vocabulary(folder)
    found = [
        pair("general.architecture", STRING, "bert"),
        pair("general.name", STRING, os.path.basename(folder)),
        pair("bert.block_count", U32, config["num_hidden_layers"]),
        pair("bert.context_length", U32, config["max_position_embeddings"]),
        pair("bert.embedding_length", U32, config["hidden_size"]),
        pair("bert.feed_forward_length", U32, config["intermediate_size"]),
        pair("bert.attention.head_count", U32, config["num_attention_heads"]),
        pair("bert.attention.layer_norm_epsilon", F32, config["layer_norm_eps"]),
        pair("bert.attention.causal", BOOL, False),
        pair("tokenizer.ggml.model", STRING, "bert"),
        pair("tokenizer.ggml.pre", STRING, "default"),
        pair("tokenizer.ggml.token_type_count", U32, config["type_vocab_size"]),
        pair("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
        pair("tokenizer.ggml.token_type", ARRAY, (I32, types)),
    ]
    if pooling is not None:
        found.append(pair("bert.pooling_type", U32, pooling))
    for key, word in (("unknown", "[UNK]"), ("seperator", "[SEP]"), ("padding", "[PAD]"), ("cls", "[CLS]"), ("mask", "[MASK]")):
        found.append(pair("tokenizer.ggml.%s_token_id" % key, U32, words.index(word)))
    return found


def convert(folder, out, pooling=1, half=False):
    """Writes the GGUF file `out`. `pooling` is the number of its key, None for none; matrices are float16 where `half`."""
    tensors, at, table, data = read_safetensors(os.path.join(folder, "model.safetensors")), 0, [], []
    for name, (shape, content) in tensors.items():
        called = name_of(name)
        if called is None:
            continue
        as_half = half and len(shape) > 1 and called.startswith("blk.")
        if as_half:
            floats = memoryview(content).cast("f")
            content = struct.pack("<%de" % len(floats), *floats)
        table.append(text(called) + struct.pack("<I", len(shape)) + struct.pack("<%dQ" % len(shape), *reversed(shape)) +
                     struct.pack("<IQ", 1 if as_half else 0, at))
        padding = -len(content) % ALIGNMENT
        data += [content, bytes(padding)]
        at += len(content) + padding
    keys = pairs(folder, pooling)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(table), len(keys)) + b"".join(keys) + b"".join(table)
    with open(out, "wb") as f:
        f.write(head + bytes(-len(head) % ALIGNMENT))
        f.writelines(data)
