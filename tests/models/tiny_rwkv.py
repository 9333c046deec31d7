"""Writes tiny files of the RWKV architectures, which llama.cpp's test-llama-archs leaves out.

    make(NAME, PATH)    NAME is one of FILES, "rwkv7-dense.gguf" and so on

A file's bytes depend on nothing but this text: numbers come from a generator of integers and are multiples of a power of
two, so they are exact as float32. The names and shapes of tensors are those that llama.cpp's converter writes and its
loader reads. Between them the files take each way: with and without a gate, with and without the norm of heads, mixing
vectors in one tensor or in several, key-value heads that several heads share, biases, layers that halve their result.
"""
import array
import struct
import sys

LAYERS, WIDTH, HEAD, HIDDEN, VOCABULARY = 3, 128, 64, 256, 128
RANKS = {"decay": 32, "iclr": 24, "value": 16, "gate": 40, "mix": 16}
TEXT, U32, F32, BLOCK = 8, 4, 6, 32


class Numbers:
    """xorshift64* by Marsaglia and Vigna; each number is from -1 to 1, with 16 bits."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        x = self.state
        x ^= x >> 12
        x ^= x << 25 & (1 << 64) - 1
        x ^= x >> 27
        self.state = x
        return ((x * 2685821657736338717 & (1 << 64) - 1) >> 48) / 32768 - 1


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", TEXT) + text(value)
    return text(key) + (struct.pack("<II", U32, value) if isinstance(value, int) else struct.pack("<If", F32, value))


class File:
    def __init__(self, arch, seed):
        self.arch, self.numbers, self.pairs, self.tensors = arch, Numbers(seed), [], []
        self.pairs.append(pair("general.architecture", arch))
        self.pairs.append(pair("tokenizer.ggml.model", "no_vocab"))

    def key(self, name, value):
        self.pairs.append(pair(self.arch + "." + name, value))

    def tensor(self, name, *dims, middle=0.0, spread=1.0):
        """Numbers from middle - spread to middle + spread. `dims` begin with the number of columns."""
        count = 1
        for dim in dims:
            count *= dim
        values = array.array("f", (middle + spread * self.numbers.next() for _ in range(count)))
        if sys.byteorder == "big":
            values.byteswap()
        self.tensors.append((name, dims, values.tobytes()))

    def matrix(self, name, columns, *rows):
        """Products have about the size of their inputs."""
        self.tensor(name, columns, *rows, spread=2 ** -((columns.bit_length() - 2) // 2))

    def norm(self, name, bias=False):
        self.tensor(name + ".weight", WIDTH, middle=1.0, spread=0.25)
        if bias:
            self.tensor(name + ".bias", WIDTH, spread=0.125)

    def write(self, path):
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.pairs)) + b"".join(self.pairs)
        offset = 0
        for name, dims, content in self.tensors:
            head += text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, 0, offset)
            offset += -(-len(content) // BLOCK) * BLOCK
        with open(path, "wb") as out:
            for content in [head] + [content for _, _, content in self.tensors]:
                out.write(content + bytes(-len(content) % BLOCK))


def low_rank(f, stem, rank):
    """RWKV 7's products through a narrow one."""
    f.matrix(stem + "1.weight", WIDTH, rank)
    f.matrix(stem + "2.weight", rank, WIDTH)


def time_mix_7(f, b, layer, gate, norm):
    f.tensor(b + "lerp_fused.weight", WIDTH, 1, 1, 6 if gate else 5, middle=0.5, spread=0.5)
    f.tensor(b + "w0.weight", WIDTH, middle=-2.0, spread=2.0)
    low_rank(f, b + "w", RANKS["decay"])
    f.tensor(b + "a0.weight", WIDTH)
    low_rank(f, b + "a", RANKS["iclr"])
    f.tensor(b + "v0.weight", WIDTH)  # those of the first layer say nothing, and have another shape
    low_rank(f, b + "v", RANKS["value" if layer > 0 else "iclr"])
    if gate:
        low_rank(f, b + "g", RANKS["gate"])
    for name in ("k_k", "k_a", "r_k"):
        f.tensor(b + name + ".weight", WIDTH, middle=0.0 if name == "r_k" else 0.75, spread=0.25)
    for name in ("receptance", "key", "value", "output"):
        f.matrix(b + name + ".weight", WIDTH, WIDTH)
    if norm:
        f.norm(b + "ln", bias=True)


def time_mix_6(f, b, fused, first, kv_heads):
    f.matrix(b + "w1.weight", WIDTH, 5 * RANKS["mix"])
    f.tensor(b + "w2.weight", RANKS["mix"], WIDTH, 5, spread=0.125)
    f.tensor(b + "lerp_x.weight", WIDTH, middle=0.5, spread=0.5)
    if fused:
        f.tensor(b + "lerp_fused.weight", WIDTH, 1, 1, 5, middle=0.5, spread=0.5)
    for letter in "" if fused else "wkvrg":
        f.tensor(b + "lerp_%s.weight" % letter, WIDTH, middle=0.5, spread=0.5)
    f.tensor(b + "decay.weight", WIDTH, middle=-2.0, spread=2.0)
    f.matrix(b + "decay_w1.weight", WIDTH, RANKS["decay"])
    f.matrix(b + "decay_w2.weight", RANKS["decay"], WIDTH)
    for name in ("receptance", "key", "value", "gate", "output"):
        f.matrix(b + name + ".weight", WIDTH, kv_heads * HEAD if name in ("key", "value") else WIDTH)
    if first:
        f.tensor(b + "first.weight", HEAD, WIDTH // HEAD)
        f.norm(b + "ln", bias=True)
    else:
        for name in ("receptance", "key", "value"):
            f.tensor(b + name + ".bias", WIDTH if name == "receptance" else kv_heads * HEAD, spread=0.25)


def channel_mix(f, b, receptance):
    for letter in "kr" if receptance else "k":
        f.tensor(b + "lerp_%s.weight" % letter, WIDTH, middle=0.5, spread=0.5)
    f.matrix(b + "key.weight", WIDTH, HIDDEN)
    f.matrix(b + "value.weight", HIDDEN, WIDTH)
    if receptance:
        f.matrix(b + "receptance.weight", WIDTH, WIDTH)


def dense(f, b):
    f.matrix(b + "ffn_gate.weight", WIDTH, HIDDEN)
    f.matrix(b + "ffn_up.weight", WIDTH, HIDDEN)
    f.matrix(b + "ffn_down.weight", HIDDEN, WIDTH)


def keys_7(f):
    f.key("attention.decay_lora_rank", RANKS["decay"])
    f.key("attention.iclr_lora_rank", RANKS["iclr"])
    f.key("attention.value_residual_mix_lora_rank", RANKS["value"])


def keys_6(f):
    f.key("time_mix_extra_dim", RANKS["mix"])
    f.key("time_decay_extra_dim", RANKS["decay"])


def begin(arch, seed, on_transformer):
    """`on_transformer`: the feed-forwards and norms are those of Qwen 2, and there is one shift of tokens a layer."""
    f = File(arch, seed)
    f.key("block_count", LAYERS)
    f.key("embedding_length", WIDTH)
    f.key("context_length", 4096)
    f.key("feed_forward_length", HIDDEN)
    f.key("vocab_size", VOCABULARY)
    f.key("wkv.head_size", HEAD)
    f.key("attention.head_count", 0)
    f.key("attention.layer_norm_rms_epsilon" if on_transformer else "attention.layer_norm_epsilon", 1e-5)
    if on_transformer:
        f.key("token_shift_count", 1)
    f.tensor("token_embd.weight", WIDTH, VOCABULARY)
    if not on_transformer:
        f.norm("token_embd_norm", bias=True)
    f.norm("output_norm", bias=not on_transformer)
    f.matrix("output.weight", WIDTH, VOCABULARY)
    return f


def rwkv7(f):
    keys_7(f)
    f.key("attention.gate_lora_rank", RANKS["gate"])
    for i in range(LAYERS):
        b = "blk.%d." % i
        f.norm(b + "attn_norm", bias=True)
        time_mix_7(f, b + "time_mix_", i, gate=True, norm=True)
        f.norm(b + "attn_norm_2", bias=True)
        channel_mix(f, b + "channel_mix_", receptance=False)


def arwkv7(f, gate):
    keys_7(f)
    f.key("attention.gate_lora_rank", RANKS["gate"] if gate else 0)
    for i in range(LAYERS):
        b = "blk.%d." % i
        f.norm(b + "attn_norm")
        time_mix_7(f, b + "time_mix_", i, gate=gate, norm=False)
        f.norm(b + "ffn_norm")
        dense(f, b)


def rwkv6(f, fused):
    keys_6(f)
    f.key("rescale_every_n_layers", 2)
    for i in range(LAYERS):
        b = "blk.%d." % i
        f.norm(b + "attn_norm", bias=True)
        time_mix_6(f, b + "time_mix_", fused, first=True, kv_heads=WIDTH // HEAD)
        f.norm(b + "attn_norm_2", bias=True)
        channel_mix(f, b + "channel_mix_", receptance=True)


def rwkv6qwen2(f):
    keys_6(f)
    f.key("attention.head_count_kv", 1)
    for i in range(LAYERS):
        b = "blk.%d." % i
        f.norm(b + "attn_norm")
        time_mix_6(f, b + "time_mix_", fused=True, first=False, kv_heads=1)
        f.norm(b + "ffn_norm")
        dense(f, b)


FILES = {
    "rwkv7-dense.gguf": ("rwkv7", rwkv7, False),
    "arwkv7-dense.gguf": ("arwkv7", lambda f: arwkv7(f, gate=False), True),
    "arwkv7-gate-dense.gguf": ("arwkv7", lambda f: arwkv7(f, gate=True), True),
    "rwkv6-dense.gguf": ("rwkv6", lambda f: rwkv6(f, fused=True), False),
    "rwkv6-lerps-dense.gguf": ("rwkv6", lambda f: rwkv6(f, fused=False), False),
    "rwkv6qwen2-dense.gguf": ("rwkv6qwen2", rwkv6qwen2, True),
}


def make(name, path):
    arch, add, on_transformer = FILES[name]
    f = begin(arch, 1 + sorted(FILES).index(name), on_transformer)
    add(f)
    f.write(path)


if __name__ == "__main__":
    for made in FILES:
        make(made, sys.argv[1] + "/" + made)
