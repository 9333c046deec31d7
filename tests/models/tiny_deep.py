"""Makes tiny files of models that the reference tells from their relatives by the number of layers, and of models whose
files have keys or tensors that test-llama-archs does not write.

    make(NAME, PATH)    NAME is one of FILES; its bytes are the same everywhere
"""
from gguf_make import Numbers, write_gguf

WIDTH, HEADS, KV_HEADS, HEAD, FF, VOCABULARY, WINDOW = 64, 4, 2, 16, 48, 128, 16
RMS, LAYER = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"


class Model:
    def __init__(self, arch, seed, layers, epsilon=RMS, **more):
        self.arch, self.layers, self.numbers, self.tensors = arch, layers, Numbers(seed), {}
        self.keys = {
            "block_count": layers, "context_length": 256, "embedding_length": WIDTH, "feed_forward_length": FF,
            "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS, "attention.key_length": HEAD,
            "attention.value_length": HEAD, "rope.dimension_count": HEAD, "vocab_size": VOCABULARY, epsilon: 1e-5}
        self.keys.update((name.replace("__", "."), value) for name, value in more.items())

    def matrix(self, name, *shape, spread=0.1):
        count = 1
        for size in shape:
            count *= size
        self.tensors[name + ".weight"] = shape, self.numbers.floats(count, spread)

    def norm(self, name, *shape, middle=1.0):
        count = 1
        for size in shape:
            count *= size
        self.tensors[name + ".weight"] = shape, self.numbers.floats(count, 0.3 * middle, middle)

    def attention(self, part, small):
        self.matrix(part + "attn_q", WIDTH, HEADS * HEAD, spread=0.3)
        self.matrix(part + "attn_k", WIDTH, KV_HEADS * HEAD, spread=0.3)
        self.matrix(part + "attn_v", WIDTH, KV_HEADS * HEAD)
        self.matrix(part + "attn_output", HEADS * HEAD, WIDTH, spread=0.1 if small else 0.05)

    def dense(self, part, straight):
        """`straight`: the reference rounds GELU to float16, but for large numbers."""
        self.matrix(part + "ffn_gate", WIDTH, FF, spread=1e4 if straight else 0.1)
        self.matrix(part + "ffn_up", WIDTH, FF)
        self.matrix(part + "ffn_down", FF, WIDTH, spread=1e-6 if straight else 0.05)

    def whole(self, norms=("attn_norm", "ffn_norm"), after=(), qk=None, straight=False):
        self.matrix("token_embd", WIDTH, VOCABULARY, spread=0.5)
        self.norm("output_norm", WIDTH)
        for i in range(self.layers):
            part = "blk.%d." % i
            for name in norms:
                self.norm(part + name, WIDTH)
            for name in after:  # results are small beside the residual, which many layers add up
                self.norm(part + name, WIDTH, middle=0.2)
            self.attention(part, after)
            for name, heads in (("attn_q_norm", HEADS), ("attn_k_norm", KV_HEADS)) if qk else ():
                self.norm(part + name, *((HEAD, heads) if qk == "each" else (HEAD,)))
            self.dense(part, straight)
        return self

    def write(self, path):
        keys = {"general.architecture": self.arch, "tokenizer.ggml.model": "no_vocab"}
        keys.update((name if name.startswith("xielu.") else self.arch + "." + name, value) for name, value in self.keys.items())
        write_gguf(path, keys, self.tensors)


def baichuan(seed, layers):
    model = Model("baichuan", seed, layers).whole()
    model.matrix("output", WIDTH, VOCABULARY)
    return model


def command_r_plus(seed):
    return Model("command-r", seed, 64, LAYER, logit_scale=0.8).whole(norms=("attn_norm",), qk="each")


def exaone4(seed, layers, **keys):
    model = Model("exaone4", seed, layers, **keys)
    return model.whole(norms=(), after=("post_attention_norm", "post_ffw_norm"), qk="head")


def gemma(arch, seed, layers, qk, **keys):
    model = Model(arch, seed, layers, attention__sliding_window=WINDOW, **keys)
    return model.whole(after=("post_attention_norm", "post_ffw_norm"), qk=qk, straight=True)


def longrope(arch, seed, context, **keys):
    model = Model(arch, seed, 2, rope__scaling__type="longrope", **keys)
    model.keys["rope.scaling.original_context_length"] = context
    model.whole()
    for name, least in (("long", 3.0), ("short", 1.0)):
        model.tensors["rope_factors_%s.weight" % name] = (HEAD // 2,), model.numbers.floats(HEAD // 2, 0.1, least)
    return model


def gemma4_experts(seed):
    """Every third layer sees all positions, has larger heads and no matrix for values, and is dense."""
    model = Model("gemma4", seed, 6, attention__sliding_window=WINDOW, rope__freq_base=1e6, expert_count=5,
        expert_used_count=2, expert_feed_forward_length=24, embedding_length_per_layer_input=0, final_logit_softcapping=30.0,
        attention__key_length_swa=HEAD // 2, attention__value_length_swa=HEAD // 2, rope__dimension_count_swa=HEAD // 2,
        attention__sliding_window_pattern=[i % 3 != 2 for i in range(6)])
    model.whole(after=("post_attention_norm", "post_ffw_norm"), qk="head", straight=True)
    model.tensors["rope_freqs.weight"] = (HEAD // 2,), model.numbers.floats(HEAD // 2, 0.3, 2.0)
    for i in range(6):
        part = "blk.%d." % i
        if i % 3 == 2:
            del model.tensors[part + "attn_v.weight"]
            continue
        for name in "qk":
            model.norm(part + "attn_%s_norm" % name, HEAD // 2)
        for name, heads in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            model.matrix(part + "attn_" + name, WIDTH, heads * HEAD // 2)
        model.matrix(part + "attn_output", HEADS * HEAD // 2, WIDTH)
        for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
            model.norm(part + name, WIDTH)
        model.matrix(part + "ffn_gate_inp", WIDTH, 5, spread=1.0)
        model.tensors[part + "ffn_gate_inp.scale"] = (WIDTH,), model.numbers.floats(WIDTH, 1.0, 3.0)
        model.matrix(part + "ffn_gate_up_exps", WIDTH, 48, 5, spread=1e4)
        model.matrix(part + "ffn_down_exps", 24, WIDTH, 5, spread=1e-10)
        model.tensors[part + "ffn_down_exps.scale"] = (5,), model.numbers.floats(5, 0.2, 1.0)
    return model


def apertus(seed):
    """The names of the curve's keys have no architecture before them."""
    model = Model("apertus", seed, 3)
    model.keys.update({"xielu.alpha_p": [0.5, 1.5, 0.25], "xielu.alpha_n": [0.75, -0.25, 0.5],
        "xielu.beta": [0.5, 0.25, 0.5], "xielu.eps": [-1e-6, -0.125, -1e-6]})
    model.whole(qk="head")
    for i in range(3):
        del model.tensors["blk.%d.ffn_gate.weight" % i]
    model.matrix("output", WIDTH, VOCABULARY)
    return model


def maverick(seed):
    """128 experts in every second layer: queries and keys have no norm."""
    model = Model("llama4", seed, 4, interleave_moe_layer_step=2, expert_count=128, expert_used_count=1,
        expert_feed_forward_length=16)
    model.whole()
    for i in (1, 3):
        part = "blk.%d." % i
        for name in ("gate", "up", "down"):
            del model.tensors[part + "ffn_%s.weight" % name]
        model.matrix(part + "ffn_gate_inp", WIDTH, 128, spread=0.5)
        for stem, count in (("_exps", (128,)), ("_shexp", ())):
            model.matrix(part + "ffn_gate" + stem, WIDTH, 16, *count)
            model.matrix(part + "ffn_up" + stem, WIDTH, 16, *count)
            model.matrix(part + "ffn_down" + stem, 16, WIDTH, *count)
    return model


def latent(seed, **keys):
    """Latent attention with scores that are large enough for their scale to show."""
    rank, rot, plain, value, experts = 32, 8, 16, 16, 4
    model = Model("deepseek2", seed, 2, attention__kv_lora_rank=rank, attention__q_lora_rank=0, leading_dense_block_count=1, expert_count=experts,
        expert_used_count=2, expert_shared_count=1, expert_feed_forward_length=FF, expert_weights_norm=True,
        attention__key_length_mla=plain + rot, attention__value_length_mla=value, **keys)
    model.keys.update({"attention.head_count_kv": 1, "attention.key_length": rank + rot, "rope.dimension_count": rot,
        "attention.value_length": rank, "rope.scaling.type": "yarn", "rope.scaling.factor": 8.0,
        "rope.scaling.original_context_length": 32})
    model.matrix("token_embd", WIDTH, VOCABULARY, spread=0.5)
    model.norm("output_norm", WIDTH)
    model.matrix("output", WIDTH, VOCABULARY)
    for i in range(2):
        part = "blk.%d." % i
        for name in ("attn_norm", "ffn_norm"):
            model.norm(part + name, WIDTH)
        model.matrix(part + "attn_q", WIDTH, HEADS * (plain + rot), spread=0.5)
        model.matrix(part + "attn_kv_a_mqa", WIDTH, rank + rot, spread=0.2)
        model.norm(part + "attn_kv_a_norm", rank)
        model.matrix(part + "attn_k_b", plain, rank, HEADS, spread=0.3)
        model.matrix(part + "attn_v_b", rank, value, HEADS, spread=0.3)
        model.matrix(part + "attn_output", HEADS * value, WIDTH, spread=0.2)
        if i == 0:
            model.dense(part, False)
            continue
        model.matrix(part + "ffn_gate_inp", WIDTH, experts, spread=1.0)
        for stem, count in (("_exps", (experts,)), ("_shexp", ())):
            model.matrix(part + "ffn_gate" + stem, WIDTH, FF, *count)
            model.matrix(part + "ffn_up" + stem, WIDTH, FF, *count)
            model.matrix(part + "ffn_down" + stem, FF, WIDTH, *count)
    return model


MINICPM = {"embedding_scale": 12.0, "residual_scale": 0.5, "logit_scale": 0.25}
FILES = {
    "apertus-dense.gguf": ("apertus", lambda: apertus(14)),
    "baichuan-7b-dense.gguf": ("baichuan", lambda: baichuan(1, 32)),
    "baichuan-13b-dense.gguf": ("baichuan", lambda: baichuan(2, 40)),
    "command-r-plus-dense.gguf": ("command-r", lambda: command_r_plus(3)),
    "deepseek2-yarn-moe.gguf": ("deepseek2", lambda: latent(11, rope__scaling__yarn_log_multiplier=0.1)),
    "deepseek2-plain-moe.gguf": ("deepseek2", lambda: latent(12)),
    "exaone4-32b-dense.gguf": ("exaone4", lambda: exaone4(4, 64, attention__sliding_window=WINDOW)),
    "exaone4-1b-dense.gguf": ("exaone4", lambda: exaone4(5, 30)),
    "gemma2-27b-dense.gguf": ("gemma2", lambda: gemma("gemma2", 6, 46, None)),
    "gemma3-27b-dense.gguf": ("gemma3", lambda: gemma("gemma3", 7, 62, "head", rope__freq_base=1e6,
        rope__scaling__type="linear", rope__scaling__factor=8.0)),
    "gemma4-experts-moe.gguf": ("gemma4", lambda: gemma4_experts(10)),
    "llama4-maverick-moe.gguf": ("llama4", lambda: maverick(13)),
    "minicpm-long-dense.gguf": ("minicpm", lambda: longrope("minicpm", 8, 32, **MINICPM)),
    "minicpm-short-dense.gguf": ("minicpm", lambda: longrope("minicpm", 9, 512, **MINICPM)),
}


def make(name, path):
    FILES[name][1]().write(path)
