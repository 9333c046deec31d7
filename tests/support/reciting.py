"""Language models of a few hundred kilobytes that recite a text, whatever they are asked.

The architecture is llama with layers that add nothing. The next token depends on the last one alone: after a newline
comes the first piece of the text, after the last piece the end of the answer. Each piece is a token of its own. After a
letter comes the next one, after 'z' a full stop, after that the end; without a text, 'a' comes after a newline. A second
text comes after a tab.
"""

import random
import struct

WIDTH = 128
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9
TAB, NEWLINE = 9, 10
ALPHABET = "abcdefghijklmnopqrstuvwxyz."


def text(s):
    data = s.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def array(key, kind, items):
    return pair(key, ARRAY, struct.pack("<IQ", kind, len(items)) + b"".join(items))


def byte_texts():
    """How byte-level vocabularies write each byte."""
    seen = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 256)]
    unseen = [b for b in range(256) if b not in seen]
    return [chr(b) if b in seen else chr(256 + unseen.index(b)) for b in range(256)]


def pieces_of(words):
    """The text in pieces of six characters, each a token. A piece of one would be the token of a byte."""
    pieces = [words[i : i + 6] for i in range(0, len(words), 6)]
    return pieces if not pieces or len(pieces[-1]) > 1 else [*pieces[:-2], pieces[-2] + pieces[-1]]


def keys_of(pieces, layers, width, context, template):
    texts = byte_texts()
    coded = ["".join(texts[b] for b in piece.encode()) for piece in pieces]
    vocabulary = [*texts, *coded, "<|im_start|>", "<|im_end|>"]
    kinds = [1] * (256 + len(pieces)) + [3, 3]
    numbers = {
        "context_length": context,
        "embedding_length": WIDTH,
        "block_count": layers,
        "feed_forward_length": width,
        "attention.head_count": 2,
    }
    keys = [pair("general.architecture", STRING, text("llama"))]
    keys += [pair(f"llama.{key}", U32, struct.pack("<I", value)) for key, value in numbers.items()]
    keys += [
        pair("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
        pair("tokenizer.ggml.model", STRING, text("gpt2")),
        pair("tokenizer.ggml.pre", STRING, text("gpt-2")),
        array("tokenizer.ggml.tokens", STRING, [text(t) for t in vocabulary]),
        array("tokenizer.ggml.token_type", I32, [struct.pack("<i", kind) for kind in kinds]),
        array("tokenizer.ggml.merges", STRING, []),
        pair("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", len(vocabulary) - 1)),
    ]
    if template:
        keys.append(pair("tokenizer.chat_template", STRING, text(template)))
    return keys, len(vocabulary)


def chain_of(start, first, pieces, end):
    """The tokens of a text in their order: what it comes after, its pieces, the first of which is `first`, and the end."""
    return [start, *range(first, first + len(pieces)), end] if pieces else [start]


def weights_of(chains, vocabulary):
    """Embeddings that are nearly orthogonal, and an output whose row for a token is what the token follows."""
    draw = random.Random(1)
    embedding = [[draw.choice((-1.0, 1.0)) for _ in range(WIDTH)] for _ in range(vocabulary)]
    output = [[0.0] * WIDTH for _ in range(vocabulary)]
    for chain in chains:
        for token, following in zip(chain, chain[1:]):
            output[following] = [a + b for a, b in zip(output[following], embedding[token])]
    return sum(embedding, []), sum(output, [])


def write_model(path, words="", layers=1, width=64, context=4096, template=TEMPLATE, second=""):
    """Writes a model that recites `words`, and `second` after a tab. Wide layers make it slow; they are holes in the
    file. An empty template is none."""
    pieces, more = pieces_of(words), pieces_of(second)
    keys, vocabulary = keys_of(pieces + more, layers, width, context, template)
    end = vocabulary - 1
    chains = [
        [*ALPHABET.encode(), end],
        chain_of(NEWLINE, 256, pieces, end) if pieces else [NEWLINE, *ALPHABET.encode()[:1]],
        chain_of(TAB, 256 + len(pieces), more, end),
    ]
    embedding, output = weights_of(chains, vocabulary)
    tensors = [
        ("token_embd.weight", [WIDTH, vocabulary], embedding),
        ("output_norm.weight", [WIDTH], [1.0] * WIDTH),
        ("output.weight", [WIDTH, vocabulary], output),
    ]
    for i in range(layers):
        tensors += [(f"blk.{i}.{name}.weight", [WIDTH], [1.0] * WIDTH) for name in ("attn_norm", "ffn_norm")]
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors.append((f"blk.{i}.{name}.weight", [WIDTH, WIDTH], None))
        for name, shape in (("gate", [WIDTH, width]), ("up", [WIDTH, width]), ("down", [width, WIDTH])):
            tensors.append((f"blk.{i}.ffn_{name}.weight", shape, None))
    write_file(path, keys, tensors)


def write_file(path, keys, tensors):
    table, offset, places = b"", 0, []
    for name, shape, _ in tensors:
        size = 4
        for side in shape:
            size *= side
        table += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        places.append(offset)
        offset += size + -size % 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + table
    start = len(head) + -len(head) % 32
    with open(path, "wb") as out:
        out.write(head)
        for (_, _, values), place in zip(tensors, places):
            if values is not None:
                out.seek(start + place)
                out.write(struct.pack(f"<{len(values)}f", *values))
        out.truncate(start + offset)
