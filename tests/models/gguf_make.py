"""What makes small GGUF files in plain Python: numbers from a seed, and a writer (GGUF 3, float32 tensors).

The same seed gives the same bytes with every version of Python on every machine.
"""
import array
import math
import struct
import sys

ALIGNMENT = 32


class Numbers:
    """Pseudo-random numbers by splitmix64 (Steele, Lea and Flood 2014)."""

    def __init__(self, seed):
        self.state = seed & (2**64 - 1)

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (2**64 - 1)
        z = (z ^ z >> 27) * 0x94D049BB133111EB & (2**64 - 1)
        return z ^ z >> 31

    def floats(self, count, spread=1.0, middle=0.0):
        """So many numbers with this deviation around the middle: the sum of four parts of 16 bits each, which is nearly
        normal and the same everywhere."""
        factor = spread / math.sqrt(4 / 12) / 65536
        out = array.array("f")
        for _ in range(count):
            z = self.bits()
            four = (z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48)
            out.append(middle + factor * (four - 131070))
        return out


def text(value):
    content = value.encode()
    return struct.pack("<Q", len(content)) + content


def typed(value):
    """A value's type and bytes: bool, int (32 bits without sign), float, str, or a list of one of them."""
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, text(value)
    items = [typed(item) for item in value]
    return 9, struct.pack("<IQ", items[0][0], len(items)) + b"".join(content for _, content in items)


def write_gguf(path, keys, tensors):
    """keys: name to value. tensors: name to (shape, floats), the fastest dimension first, as GGUF has it."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    for name, value in keys.items():
        kind, content = typed(value)
        head += text(name) + struct.pack("<I", kind) + content
    at = 0
    for name, (shape, floats) in tensors.items():
        assert math.prod(shape) == len(floats), name
        head += text(name) + struct.pack("<I%dQIQ" % len(shape), len(shape), *shape, 0, at)
        at += (4 * len(floats) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % ALIGNMENT))
        for _, floats in tensors.values():
            content = array.array("f", floats)
            if sys.byteorder == "big":
                content.byteswap()
            out.write(content.tobytes() + bytes(-4 * len(content) % ALIGNMENT))
