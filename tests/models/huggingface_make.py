"""huggingface_make FILE.gguf DIRECTORY [F16|F32|BF16]: makes a Hugging Face directory of a GGUF file, and a GGUF file of the same weights.

The weights become floats of one type, the norms float32. DIRECTORY gets model.gguf with them, and in hf/ the files that a
download has: config.json, two shards of weights with their index, tokenizer.json, tokenizer_config.json. The rows of Q and K
of Llama go back to the order that transformers has.
"""
import json
import os
import struct
import sys

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, GGMLQuantizationType
from gguf.quants import dequantize

CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
           "qwen3moe": "Qwen3MoeForCausalLM", "smollm3": "SmolLM3ForCausalLM", "phi3": "Phi3ForCausalLM",
           "gemma": "GemmaForCausalLM", "gemma2": "Gemma2ForCausalLM", "gemma3": "Gemma3ForCausalLM",
           "granite": "GraniteForCausalLM", "olmo2": "Olmo2ForCausalLM"}
TYPES = {"llama": "llama", "gemma3": "gemma3_text", "qwen3moe": "qwen3_moe"}
PERMUTED = {"llama", "granite", "smollm3"}
GEMMA = {"gemma", "gemma2", "gemma3"}
POST_NORMS = {"gemma2", "gemma3", "olmo2"}
STEMS = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_qkv": "self_attn.qkv_proj",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "ffn_norm": "post_attention_layernorm",
         "ffn_gate_inp": "mlp.gate"}
POST = dict(STEMS, ffn_norm="pre_feedforward_layernorm", post_attention_norm="post_attention_layernorm",
            post_ffw_norm="post_feedforward_layernorm")
PATTERNS = {
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


class Source:
    def __init__(self, path):
        self.reader = GGUFReader(path)
        self.arch = self.get("general.architecture")

    def get(self, key, default=None):
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    def own(self, key, default=None):
        return self.get(self.arch + "." + key, default)


def narrow(values, kind):
    if kind == "F32":
        return values.astype(np.float32)
    if kind == "F16":
        return values.astype(np.float16)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def tensors(source, kind):
    """(name, floats, type) with the shape that C has: rows first."""
    for t in source.reader.tensors:
        if not t.name.startswith(("blk.", "token_embd.weight", "output_norm.weight", "output.weight")):
            continue
        if not t.name.endswith((".weight", ".bias")):
            continue
        values = dequantize(t.data, t.tensor_type).astype(np.float32)
        values = values.reshape([int(n) for n in reversed(t.shape)])
        yield t.name, values, "F32" if values.ndim == 1 else kind


def write_gguf(source, path, kind):
    out = GGUFWriter(path, source.arch)
    for key, field in source.reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        value_type = field.types[0]
        if value_type == GGUFValueType.ARRAY and not field.contents():
            continue
        if value_type == GGUFValueType.ARRAY:
            out.add_key_value(key, field.contents(), value_type, sub_type=field.types[-1])
        else:
            out.add_key_value(key, field.contents(), value_type)
    raw = {"F32": GGMLQuantizationType.F32, "F16": GGMLQuantizationType.F16, "BF16": GGMLQuantizationType.BF16}
    for name, values, own in tensors(source, kind):
        data = narrow(values, own)
        if own == "BF16":
            out.add_tensor(name, data.view(np.uint8), raw_dtype=raw[own])
        else:
            out.add_tensor(name, data)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def heads(source, name):
    own = source.own("attention.head_count")
    return own if "attn_q" in name else source.own("attention.head_count_kv", own)


def unpermuted(values, n_head):
    size = values.shape[0] // n_head // 2
    return values.reshape(n_head, size, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def translated(source, name, values):
    stems = POST if source.arch in POST_NORMS else STEMS
    if source.arch in GEMMA and name.endswith("norm.weight"):
        values = values - 1
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    if name in whole:
        return [(whole[name], values)]
    _, layer, stem, ending = name.split(".")
    if source.arch in PERMUTED and stem in ("attn_q", "attn_k"):
        values = unpermuted(values, heads(source, stem))
    if stem.endswith("_exps"):
        part = STEMS[stem[:-5]].split(".")[1]
        return [("model.layers.%s.mlp.experts.%d.%s.%s" % (layer, e, part, ending), values[e])
                for e in range(values.shape[0])]
    to = "mlp.gate_up_proj" if source.arch == "phi3" and stem == "ffn_up" else stems[stem]
    return [("model.layers.%s.%s.%s" % (layer, to, ending), values)]


def write_safetensors(path, items):
    header, data = {"__metadata__": {"format": "pt"}}, []
    at = 0
    for name, values, kind in items:
        raw = np.ascontiguousarray(narrow(values, kind)).tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for raw in data:
            out.write(raw)
    return at


def write_weights(source, directory, kind):
    items = []
    for name, values, own in tensors(source, kind):
        items += [(n, v, own if v.ndim > 1 else "F32") for n, v in translated(source, name, values)]
    half, index, total = len(items) // 2, {}, 0
    for i, part in enumerate((items[:half], items[half:])):
        name = "model-%05d-of-00002.safetensors" % (i + 1)
        total += write_safetensors(os.path.join(directory, name), part)
        index.update({item[0]: name for item in part})
    with open(os.path.join(directory, "model.safetensors.index.json"), "w") as out:
        json.dump({"metadata": {"total_size": total}, "weight_map": index}, out)
    return {item[0] for item in items}


def write_config(source, directory, names):
    own = source.own
    n = own("block_count")
    config = {"architectures": [CLASSES[source.arch]], "model_type": TYPES.get(source.arch, source.arch),
              "num_hidden_layers": n, "hidden_size": own("embedding_length"), "intermediate_size": own("feed_forward_length"),
              "num_attention_heads": own("attention.head_count"), "num_key_value_heads": own("attention.head_count_kv"),
              "rms_norm_eps": own("attention.layer_norm_rms_epsilon"), "max_position_embeddings": own("context_length"),
              "rope_theta": own("rope.freq_base", 10000.0), "tie_word_embeddings": "lm_head.weight" not in names,
              "vocab_size": len(source.get("tokenizer.ggml.tokens", [])), "torch_dtype": "float16", "use_cache": True}
    head = own("attention.key_length")
    if head:
        config["head_dim"] = head
    rot, size = own("rope.dimension_count"), head or config["hidden_size"] // config["num_attention_heads"]
    if rot and rot != size:
        config["partial_rotary_factor"] = rot / size
    if source.arch in GEMMA:
        config["hidden_activation"] = "gelu_pytorch_tanh"
    else:
        config["hidden_act"] = "silu"
    if source.arch == "gemma2":
        config.update(sliding_window=own("attention.sliding_window", 4096), query_pre_attn_scalar=size,
                      attn_logit_softcapping=own("attn_logit_softcapping", 50.0),
                      final_logit_softcapping=own("final_logit_softcapping", 30.0))
    if source.arch == "gemma3":
        window = own("attention.sliding_window", 0)
        config.update(query_pre_attn_scalar=size, rope_local_base_freq=own("rope.freq_base_swa", 10000.0),
                      sliding_window=window,
                      layer_types=["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(n)])
    if source.arch == "qwen3moe":
        config.update(num_experts=own("expert_count"), num_experts_per_tok=own("expert_used_count"), norm_topk_prob=True,
                      moe_intermediate_size=own("expert_feed_forward_length"), decoder_sparse_step=1, mlp_only_layers=[])
    if source.arch == "granite":
        config.update(embedding_multiplier=own("embedding_scale", 1.0), residual_multiplier=own("residual_scale", 1.0),
                      attention_multiplier=own("attention.scale", 1.0), logits_scaling=own("logit_scale", 1.0))
    if source.arch == "smollm3":
        config["no_rope_layers"] = [int((i + 1) % 4 != 0) for i in range(n)]
    if source.arch == "phi3":
        config["sliding_window"] = own("attention.sliding_window") or None
    with open(os.path.join(directory, "config.json"), "w") as out:
        json.dump(config, out, indent=2)


def byte_level_steps(pre):
    if pre in PATTERNS:
        return {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PATTERNS[pre]}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    if pre in ("smollm", "starcoder", "refact"):
        return {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]}
    return level


def merges_of_scores(texts, scores, kinds):
    """All pairs that make a token, in the order of the scores of what they make."""
    ids = {text: i for i, text in enumerate(texts)}
    merges = []
    for i, text in enumerate(texts):
        if kinds[i] not in (1, 4) or len(text) < 2:
            continue
        pairs = [(text[:k], text[k:]) for k in range(1, len(text)) if text[:k] in ids and text[k:] in ids]
        merges += [(scores[i], pair) for pair in sorted(pairs, key=lambda p: (ids[p[0]], ids[p[1]]))]
    return [list(pair) for _, pair in sorted(merges, key=lambda m: m[0], reverse=True)]


def write_tokenizer(source, directory, pairs):
    texts, kinds = source.get("tokenizer.ggml.tokens"), source.get("tokenizer.ggml.token_type")
    model = source.get("tokenizer.ggml.model")
    if model == "llama":  # GGUF has spaces in the tokens that were added
        texts = [text.replace(" ", "\u2581") if kinds[i] == 4 else text for i, text in enumerate(texts)]
    added = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": kinds[i] in (2, 3)} for i, text in enumerate(texts) if kinds[i] in (2, 3, 4)]
    kind = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {text: i for i, text in enumerate(texts) if kinds[i] != 5}}
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": kind}
    if model != "llama":
        pre = source.get("tokenizer.ggml.pre", "gpt-2")
        file["pre_tokenizer"] = byte_level_steps(pre)
        kind["ignore_merges"] = pre == "llama-bpe"
        kind["merges"] = [m.split(" ") if pairs else m for m in source.get("tokenizer.ggml.merges", [])]
    else:
        prefix = source.get("tokenizer.ggml.add_space_prefix", True)
        file["normalizer"] = {"type": "Sequence", "normalizers": ([{"type": "Prepend", "prepend": "▁"}] if prefix else []) + [
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        kind.update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
        merges = merges_of_scores(texts, source.get("tokenizer.ggml.scores"), kinds)
        kind["merges"] = merges if pairs else [" ".join(m) for m in merges]
    bos, eos = source.get("tokenizer.ggml.bos_token_id"), source.get("tokenizer.ggml.eos_token_id")
    if bos is not None and source.get("tokenizer.ggml.add_bos_token", model == "llama"):
        file["post_processor"] = {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": texts[bos], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {texts[bos]: {"id": texts[bos], "ids": [bos], "tokens": [texts[bos]]}}}
    with open(os.path.join(directory, "tokenizer.json"), "w", encoding="utf-8") as out:
        json.dump(file, out, ensure_ascii=pairs, indent=None if pairs else 1)
    eos = 0 if eos is None else eos
    config = {"eos_token": texts[eos], "tokenizer_class": "PreTrainedTokenizerFast"}
    if bos is not None:
        config["bos_token"] = {"content": texts[bos], "lstrip": False, "special": True}
    if source.get("tokenizer.chat_template"):
        config["chat_template"] = source.get("tokenizer.chat_template")
    with open(os.path.join(directory, "tokenizer_config.json"), "w", encoding="utf-8") as out:
        json.dump(config, out)
    with open(os.path.join(directory, "generation_config.json"), "w") as out:
        json.dump({"eos_token_id": [eos], "bos_token_id": bos}, out)


def make(path, directory, kind="F16", pairs=False):
    source = Source(path)
    hf = os.path.join(directory, "hf")
    os.makedirs(hf, exist_ok=True)
    write_gguf(source, os.path.join(directory, "model.gguf"), kind)
    names = write_weights(source, hf, kind)
    write_config(source, hf, names)
    if source.get("tokenizer.ggml.model"):
        write_tokenizer(source, hf, pairs)
    return source


if __name__ == "__main__":
    make(*sys.argv[1:4])
