"""tokenize_pre - a vocabulary's file with another pre-tokenizer in it.

with_pre(file, name) gives the bytes of a GGUF file without tensors whose key tokenizer.ggml.pre says `name`.
"""
import struct

KEY = b"tokenizer.ggml.pre"
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


def integer(data, at, form):
    return struct.unpack_from(form, data, at)[0]


def skip(data, at, kind):
    if kind == STRING:
        return at + 8 + integer(data, at, "<Q")
    if kind != ARRAY:
        return at + SIZES[kind]
    item, count, at = integer(data, at, "<I"), integer(data, at + 4, "<Q"), at + 12
    if item != STRING:
        return at + SIZES[item] * count
    for _ in range(count):
        at = skip(data, at, STRING)
    return at


def with_pre(file, name):
    with open(file, "rb") as f:
        data = f.read()
    if integer(data, 8, "<Q") != 0:
        raise ValueError(file + " holds tensors")
    at = 24
    for _ in range(integer(data, 16, "<Q")):
        begin, size = at, integer(data, at, "<Q")
        key = data[at + 8:at + 8 + size]
        kind = integer(data, at + 8 + size, "<I")
        at = skip(data, at + 8 + size + 4, kind)
        if key == KEY:
            pair = struct.pack("<Q", len(KEY)) + KEY + struct.pack("<IQ", STRING, len(name)) + name.encode()
            return data[:begin] + pair + data[at:]
    raise ValueError(file + " names no pre-tokenizer")
