"""Makes tiny files of Gemma 3n, of which llama.cpp's test-llama-archs writes none.

    make(NAME, PATH)    NAME is one of FILES; its bytes are the same everywhere

The reference has some sizes in its code: 4 streams, 256 elements of a layer's own input, a rank of 64, 10 layers with
activation sparsity, and 20 layers with keys and values of their own. So the files have 25 layers, of which 5 share: four
with a window, and one without. One file has all the keys that published files have, the other one only those that the
reference needs.
"""
from gguf_make import Numbers, write_gguf

LAYERS, WIDTH, HEADS, HEAD, FF, VOCABULARY = 25, 64, 2, 32, 96, 128
STREAMS, INPUT, RANK, OWN, SPARSE = 4, 256, 64, 20, 10


def keys(whole):
    values = {
        "block_count": LAYERS, "context_length": 512, "embedding_length": WIDTH, "feed_forward_length": FF,
        "attention.head_count": HEADS, "attention.head_count_kv": 1, "attention.key_length": HEAD,
        "attention.value_length": HEAD, "attention.layer_norm_rms_epsilon": 1e-6, "attention.sliding_window": 16,
        "rope.freq_base": 1e6, "vocab_size": VOCABULARY}
    if whole:  # the types are those of published files
        values.update({
            "feed_forward_length": [FF] * LAYERS,
            "attention.sliding_window_pattern": [(i + 1) % 5 != 0 for i in range(LAYERS)],
            "attention.shared_kv_layers": float(LAYERS - OWN), "altup.active_idx": 0, "altup.num_inputs": STREAMS,
            "embedding_length_per_layer_input": INPUT,
            "activation_sparsity_scale": [1.6448533535003662] * SPARSE + [float("-inf")] * (LAYERS - SPARSE)})
    named = {"general.architecture": "gemma3n", "tokenizer.ggml.model": "no_vocab"}
    named.update(("gemma3n." + name, value) for name, value in values.items())
    return named


def tensors(seed, whole):
    numbers, made = Numbers(seed), {}

    def make(name, *shape, spread=0.1, middle=0.0):
        count = 1
        for size in shape:
            count *= size
        made[name + ".weight"] = shape, numbers.floats(count, spread, middle)

    def norm(name, size, middle=1.0):
        make(name, size, spread=0.3 * middle, middle=middle)

    make("token_embd", WIDTH, VOCABULARY)
    make("altup_proj", WIDTH, WIDTH, STREAMS - 1)
    make("altup_unembd_proj", WIDTH, WIDTH, STREAMS - 1)
    make("per_layer_token_embd", INPUT * LAYERS, VOCABULARY)
    make("per_layer_model_proj", WIDTH, INPUT * LAYERS)
    norm("per_layer_proj_norm", INPUT)
    norm("output_norm", WIDTH)
    for i in range(LAYERS):
        part = "blk.%d." % i
        for name in ("attn_norm", "ffn_norm", "altup_router_norm", "altup_correct_scale"):
            norm(part + name, WIDTH)
        # Results are small beside the residual, or else 25 layers of random weights would magnify every rounding.
        for name in ("post_attention_norm", "post_ffw_norm", "post_norm", "laurel_post_norm"):
            norm(part + name, WIDTH, 0.3)
        make(part + "attn_q", WIDTH, HEADS * HEAD)
        norm(part + "attn_q_norm", HEAD, 0.5)
        make(part + "attn_k", WIDTH, HEAD)  # layers that share have keys and values in published files, too
        make(part + "attn_v", WIDTH, HEAD)
        norm(part + "attn_k_norm", HEAD, 0.5)
        make(part + "attn_output", HEADS * HEAD, WIDTH)
        # The reference rounds GELU to float16, but for large numbers.
        make(part + "ffn_gate", WIDTH, FF, spread=1e4)
        make(part + "ffn_up", WIDTH, FF)
        make(part + "ffn_down", FF, WIDTH, spread=1e-6)
        make(part + "inp_gate", WIDTH, INPUT, spread=1e4)
        make(part + "proj", INPUT, WIDTH, spread=1e-6)
        make(part + "altup_router", WIDTH, STREAMS, spread=6)
        make(part + "altup_predict_coef", STREAMS, STREAMS * STREAMS, spread=0.15)
        make(part + "altup_correct_coef", STREAMS, STREAMS, spread=0.15)
        make(part + "laurel_l", WIDTH, RANK)
        make(part + "laurel_r", RANK, WIDTH)
    if not whole:
        make("output", WIDTH, VOCABULARY)
    return made


FILES = {"gemma3n-dense.gguf": ("gemma3n", 1, True), "gemma3n-bare-dense.gguf": ("gemma3n", 2, False)}


def make(name, path):
    _, seed, whole = FILES[name]
    write_gguf(path, keys(whole), tensors(seed, whole))
