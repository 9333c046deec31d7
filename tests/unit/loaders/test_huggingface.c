/* test_huggingface.c - Hugging Face directories: what a small one becomes, and how bad ones are refused. */
#include "berth/loaders/loader.h"
#include "berth/loaders/safetensors.h"
#include "hf_directory.h"
#include "scanned.h"

static struct volume volume;
static uint8_t weights[HF_WEIGHTS_ROOM];

static void write_all(const char *config, const char *tokenizer)
{
    const size_t size = hf_weights(weights, 0, HF_TENSORS, 0);
    scratch_bytes("m/model.safetensors", weights, size);
    scratch_write("m/config.json", config);
    scratch_write("m/tokenizer.json", tokenizer);
    scratch_write("m/tokenizer_config.json", HF_TOKENIZER_CONFIG);
    scratch_write("m/generation_config.json", HF_GENERATION);
}

static int setup(void **state)
{
    struct error err = {0};
    scratch_setup(state);
    return volume_open(&volume, ".", &err) == VOLUME_OPEN ? 0 : -1;
}

static int teardown(void **state)
{
    volume_close(&volume);
    return scratch_teardown(state);
}

static void assert_opens(struct loaded *l, const char *path)
{
    struct error err = {0};
    if (!loaded_open(l, &volume, path, &err))
        fail_msg("%s: %s", path, err.text);
}

static void assert_refused(const char *path, const char *reason)
{
    struct loaded l;
    struct error err = {0};
    if (loaded_open(&l, &volume, path, &err))
        fail_msg("%s was opened; it should be refused: %s", path, reason);
    if (!strstr(err.text, reason))
        fail_msg("%s was refused with \"%s\", not with \"%s\"", path, err.text, reason);
}

static void assert_whole(const struct loaded *l, const char *key, uint64_t expected)
{
    uint64_t value = 0;
    struct error err = {0};
    if (checkpoint_get_u64(l->checkpoint, key, &value, &err) != CHECKPOINT_GOT || value != expected)
        fail_msg("%s is %llu", key, (unsigned long long)value);
}

static void assert_text(const struct loaded *l, const char *key, const char *expected)
{
    struct span text = {0};
    struct error err = {0};
    if (checkpoint_get_text(l->checkpoint, key, &text, &err) != CHECKPOINT_GOT || !span_is(text, expected))
        fail_msg("%s is not \"%s\"", key, expected);
}

/* Strings of an array, each with a line end. */
static void assert_texts(const struct loaded *l, const char *key, const char *expected)
{
    const struct checkpoint_value *v = checkpoint_find(l->checkpoint, key);
    char all[512] = "";
    size_t pos = 0, n = 0;
    assert_non_null(v);
    for (uint64_t i = 0; i < v->count; i++) {
        const struct span text = checkpoint_next_string(v->bytes, &pos);
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%.*s\n", (int)text.size, (const char *)text.at);
    }
    assert_string_equal(all, expected);
}

static void test_a_directory_has_the_keys_and_tensors_of_a_gguf_file(void **state)
{
    struct loaded l;
    bool halves = false;
    struct error err = {0};
    (void)state;
    write_all(HF_CONFIG, HF_TOKENIZER);
    assert_opens(&l, "m/model.safetensors");
    assert_string_equal(l.info.format, "safetensors");
    assert_string_equal(l.info.architecture, "llama");
    assert_string_equal(l.info.kind, "generate");
    assert_string_equal(l.info.name, "m");
    assert_int_equal(l.info.context, 64);
    assert_whole(&l, "llama.block_count", 1);
    assert_whole(&l, "llama.attention.head_count_kv", 1);
    assert_whole(&l, "llama.attention.key_length", 16);
    assert_int_equal(checkpoint_get_bool(l.checkpoint, "llama.rope.halves", &halves, &err), CHECKPOINT_GOT);
    assert_true(halves);
    const struct tensor *q = checkpoint_tensor(l.checkpoint, "blk.0.attn_k.weight");
    assert_non_null(q);
    assert_int_equal(q->dim[0], 32);
    assert_int_equal(q->dim[1], 16);
    assert_non_null(checkpoint_tensor(l.checkpoint, "output_norm.weight"));
    assert_int_equal(l.checkpoint->n_tensors, HF_TENSORS);
    loaded_close(&l);
}

static void test_its_vocabulary_has_texts_kinds_and_merges(void **state)
{
    struct loaded l;
    (void)state;
    write_all(HF_CONFIG, HF_TOKENIZER);
    assert_opens(&l, "m/model.safetensors");
    assert_text(&l, "tokenizer.ggml.model", "gpt2");
    assert_text(&l, "tokenizer.ggml.pre", "gpt-2");
    assert_texts(&l, "tokenizer.ggml.tokens", "a\nb\nc\n\xc4\xa0\nab\nabc\n\"\n\xc4\x8a\n<|end|>\n");
    assert_texts(&l, "tokenizer.ggml.merges", "a b\nab c\n");
    assert_whole(&l, "tokenizer.ggml.eos_token_id", 8);
    assert_text(&l, "tokenizer.chat_template", "{{ bos_token }}");
    assert_whole(&l, "general.sampling.top_k", 3);
    const struct checkpoint_value *kinds = checkpoint_find(l.checkpoint, "tokenizer.ggml.token_type");
    const struct checkpoint_value *strips = checkpoint_find(l.checkpoint, "tokenizer.ggml.rstrip_token_ids");
    const struct checkpoint_value *ends = checkpoint_find(l.checkpoint, "tokenizer.ggml.end_token_ids");
    uint64_t value = 0;
    assert_true(kinds && strips && ends && strips->count == 1 && ends->count == 2);
    assert_true(checkpoint_item_u64(kinds, 8, &value) && value == 3);
    assert_true(checkpoint_item_u64(kinds, 0, &value) && value == 1);
    assert_true(checkpoint_item_u64(strips, 0, &value) && value == 8);
    loaded_close(&l);
}

static void test_shards_are_one_model_and_may_begin_at_any_address(void **state)
{
    struct loaded l;
    char index[4096];
    size_t n = (size_t)snprintf(index, sizeof(index), "{\"metadata\":{},\"weight_map\":{");
    (void)state;
    write_all(HF_CONFIG, HF_TOKENIZER);
    assert_return_code(unlink("m/model.safetensors"), 0);
    scratch_bytes("m/model-00001-of-00002.safetensors", weights, hf_weights(weights, 0, 4, 1));
    scratch_bytes("m/model-00002-of-00002.safetensors", weights, hf_weights(weights, 4, HF_TENSORS, 2));
    for (size_t i = 0; i < HF_TENSORS; i++)
        n += (size_t)snprintf(index + n, sizeof(index) - n, "%s\"%s\":\"model-0000%d-of-00002.safetensors\"",
            i ? "," : "", hf_tensors[i].name, i < 4 ? 1 : 2);
    snprintf(index + n, sizeof(index) - n, "}}");
    assert_refused("m/model-00001-of-00002.safetensors",
        "model.safetensors.index.json, which lists the parts, is missing");
    scratch_write("m/model.safetensors.index.json", index);
    assert_opens(&l, "m/model-00001-of-00002.safetensors");
    assert_int_equal(l.checkpoint->n_tensors, HF_TENSORS);
    struct error err = {0};
    assert_true(loaded_intact(&l, &err));
    scratch_write("m/config.json", "{}");
    assert_false(loaded_intact(&l, &err));
    assert_non_null(strstr(err.text, "config.json"));
    loaded_close(&l);
    assert_return_code(unlink("m/model-00002-of-00002.safetensors"), 0);
    scratch_write("m/config.json", HF_CONFIG);
    assert_refused("m/model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors: is not there");
}

static void test_a_file_without_its_directory_is_described_and_has_no_checkpoint(void **state)
{
    struct loaded l;
    (void)state;
    scratch_bytes("alone.safetensors", weights, hf_weights(weights, 0, 2, 0));
    assert_opens(&l, "alone.safetensors");
    assert_null(l.checkpoint);
    assert_int_equal(l.info.parameters, 9 * 32 + 32);
    assert_non_null(strstr(loaded_unread(&l), "config.json"));
    loaded_close(&l);
}

static void test_a_directory_is_one_model_with_its_name(void **state)
{
    (void)state;
    put("org/m/config.json");
    put("org/m/model.safetensors");
    put("org/m/tokenizer.json");
    put("org/m/onnx/model.onnx");
    put("org/m/1_Pooling/config.json");
    put("org/m/m-Q4_0.gguf");
    put("v/2/config.json");
    put("v/2/model-00001-of-00002.safetensors");
    put("v/2/model-00002-of-00002.safetensors");
    expect(VOLUME, "org/m <- org/m/model.safetensors\norg/m/m-Q4_0 <- org/m/m-Q4_0.gguf\n"
                   "v <- v/2/model-00001-of-00002.safetensors v2\n");
    expect(VOLUME "/org/m", "m <- model.safetensors\nm-Q4_0 <- m-Q4_0.gguf\n");
}

/* ---- what is refused ---- */

/* A text with the first place of `from` replaced. */
static const char *changed(const char *text, const char *from, const char *to)
{
    static char out[4096];
    const char *at = strstr(text, from);
    if (!at)
        fail_msg("there is no %s", from);
    snprintf(out, sizeof(out), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static void test_fields_that_change_answers_are_refused_by_name(void **state)
{
    static const struct {
        const char *from, *to, *reason;
    } rows[] = {
        {"LlamaForCausalLM", "StrangeModel", "\"architectures\" is \"StrangeModel\""},
        {"\"silu\"", "\"gelu\"", "\"hidden_act\" is \"gelu\""},
        {"\"num_hidden_layers\":1,", "", "\"num_hidden_layers\" is missing"},
        {"\"num_hidden_layers\":1", "\"num_hidden_layers\":-1", "\"num_hidden_layers\" is no whole number"},
        {"\"vocab_size\"", "\"quantization_config\":{\"bits\":4},\"vocab_size\"",
            "\"quantization_config\" has a value"},
        {"\"vocab_size\"", "\"rope_scaling\":{\"type\":\"odd\",\"factor\":2},\"vocab_size\"",
            "\"rope_scaling.type\" is \"odd\""},
        {"\"vocab_size\"", "\"rope_scaling\":{\"rope_type\":\"linear\"},\"vocab_size\"",
            "\"rope_scaling.factor\" is missing"},
        {"\"vocab_size\"", "\"rope_scaling\":{\"knob\":1},\"vocab_size\"",
            "\"rope_scaling.knob\" is not known"},
        {"\"vocab_size\"", "\"embedding_multiplier\":12.0,\"vocab_size\"",
            "\"embedding_multiplier\" has a value"},
        {"\"rope_theta\":10000.0", "\"rope_theta\":\"high\"", "\"rope_theta\" is no number"},
        {"\"max_position_embeddings\":64,", "", "\"max_position_embeddings\" is missing"},
        {"\"tie_word_embeddings\":true,", "", "tensor \"lm_head.weight\" is missing"},
        {"{", "[", "config.json: byte 0: an object is needed"},
        {"\"silu\"", "\"silu", "config.json: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_all(changed(HF_CONFIG, rows[i].from, rows[i].to), HF_TOKENIZER);
        assert_refused("m/model.safetensors", rows[i].reason);
    }
}

static void test_tokenizers_that_no_kind_does_are_refused_by_name(void **state)
{
    static const struct {
        const char *from, *to, *reason;
    } rows[] = {
        {"\"BPE\"", "\"Other\"", "\"model.type\" is Other"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}",
            "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":"
            "\"[xyz]+\"}},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}",
            "in a way that berth does not know: [xyz]+"},
        {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "\"pre_tokenizer\" has ByteLevel"},
        {"\"normalizer\":null", "\"normalizer\":{\"type\":\"Lowercase\"}", "\"normalizer\" has Lowercase"},
        {"\"single_word\":false", "\"single_word\":true", "\"added_tokens\" item 0 has single_word"},
        {"\"dropout\":null", "\"dropout\":0.1", "\"model.dropout\" is set"},
        {"\"a b\"", "\"ab\"", "\"model.merges\""},
        {"\"c\":2", "\"c\":1", "two tokens have the id 1"},
        {"\"c\":2", "\"c\":99999999", "the id 99999999 is too large"},
        {"\"c\":2", "\"c\":-2", "\"model.vocab\": byte"},
        {"\\u0120", "\\u01", "escape"},
        {"{\"type\":\"ByteLevel\"},\"dec", "{\"type\":\"Odd\"},\"dec", "\"post_processor\" has a type"},
        {"\"model\":{", "\"modle\":{", "\"model\" is missing"},
        {"\"merges\":[\"a b\",", "\"merges\":[\"a b\"", "\"model.merges\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct loaded l;
        struct error err = {0};
        write_all(HF_CONFIG, changed(HF_TOKENIZER, rows[i].from, rows[i].to));
        assert_refused("m/model.safetensors", rows[i].reason);
        assert_false(loaded_open(&l, &volume, "m/model.safetensors", &err));
        assert_non_null(strstr(err.text, "tokenizer.json"));
    }
    write_all(HF_CONFIG, HF_TOKENIZER);
    assert_return_code(unlink("m/tokenizer.json"), 0);
    assert_refused("m/model.safetensors", "tokenizer.json: is missing");
}

/* ---- other kinds ---- */

static void test_sentencepiece_has_scores_in_the_order_of_the_merges(void **state)
{
    static const char tokenizer[] =
        "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true}],\"normalizer\":{\"type\":\"Sequence\","
        "\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":"
        "\" \"},\"content\":\"\u2581\"}]},\"pre_tokenizer\":null,\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,"
        "\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"<0x0A>\":1,\"a\":2,\"b\":3,\"c\":4,\"ab\":5,\"abc\":6,"
        "\"bc\":7},\"merges\":[\"b c\",\"a b\",\"ab c\",\"a bc\"]}}";
    struct loaded l;
    bool prefix = false;
    double score = 0;
    uint64_t kind = 0;
    struct error err = {0};
    (void)state;
    write_all(HF_CONFIG, tokenizer);
    assert_opens(&l, "m/model.safetensors");
    assert_text(&l, "tokenizer.ggml.model", "llama");
    const struct checkpoint_value *scores = checkpoint_find(l.checkpoint, "tokenizer.ggml.scores");
    const struct checkpoint_value *kinds = checkpoint_find(l.checkpoint, "tokenizer.ggml.token_type");
    assert_true(scores && scores->count == 8 && kinds);
    assert_true(checkpoint_item_f64(scores, 7, &score) && score == 0);
    assert_true(checkpoint_item_f64(scores, 5, &score) && score == -1);
    assert_true(checkpoint_item_f64(scores, 6, &score) && score == -2);
    assert_true(checkpoint_item_u64(kinds, 0, &kind) && kind == 2);
    assert_true(checkpoint_item_u64(kinds, 1, &kind) && kind == 6);
    assert_int_equal(
        checkpoint_get_bool(l.checkpoint, "tokenizer.ggml.add_space_prefix", &prefix, &err), CHECKPOINT_GOT);
    assert_true(prefix);
    loaded_close(&l);
    write_all(HF_CONFIG, changed(tokenizer, "\"a b\",\"ab c\",\"a bc\"", "\"ab c\",\"a b\",\"a bc\""));
    assert_refused("m/model.safetensors", "merges are not in the order of the tokens that they make");
    write_all(HF_CONFIG, changed(tokenizer, "\"b c\"", "\"c c\""));
    assert_refused("m/model.safetensors", "a merge that makes no token");
}

static void test_llama_3_has_a_divisor_for_each_pair(void **state)
{
    struct loaded l;
    float factors[8];
    (void)state;
    write_all(changed(HF_CONFIG, "\"vocab_size\"",
                  "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                  "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192},\"vocab_size\""),
        HF_TOKENIZER);
    assert_opens(&l, "m/model.safetensors");
    const struct tensor *t = checkpoint_tensor(l.checkpoint, "rope_freqs.weight");
    assert_true(t && t->elems == 8 && t->size == sizeof(factors));
    memcpy(factors, t->data, sizeof(factors));
    assert_true(factors[0] == 1 && factors[7] == 8);
    assert_true(factors[6] > 4.681f && factors[6] < 4.682f); /* by hand, from the formula */
    loaded_close(&l);
}

static void test_a_window_that_no_layer_of_the_engine_has_limits_the_context(void **state)
{
    struct loaded l;
    (void)state;
    const char *mistral = "\"MistralForCausalLM\"],\"sliding_window\":48,\"x\":[";
    write_all(changed(HF_CONFIG, "\"LlamaForCausalLM\"", mistral), HF_TOKENIZER);
    assert_opens(&l, "m/model.safetensors");
    assert_int_equal(l.info.context, 48);
    loaded_close(&l);
}

/* ---- safetensors ---- */

static void assert_header(const char *head, size_t data, const char *reason)
{
    uint8_t file[2048] = {0};
    const size_t n = strlen(head);
    struct safetensors s;
    struct error err = {0};
    file[0] = (uint8_t)n;
    file[1] = (uint8_t)(n >> 8);
    memcpy(file + 8, head, n);
    const bool good = safetensors_read(&s, (struct span){file, 8 + n + data}, &err);
    if (good)
        safetensors_release(&s);
    if (good != !reason || (reason && !strstr(err.text, reason)))
        fail_msg("%s: \"%s\", not \"%s\"", head, err.text, reason ? reason : "");
}

static void test_headers_that_contradict_the_file_are_refused(void **state)
{
    (void)state;
    assert_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}  ", 8, NULL);
    assert_header("{}", 0, NULL);
    assert_header(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "but the file ends at");
    assert_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 12, "but the file at");
    assert_header(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "contradict its shape");
    assert_header(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "contradict its shape");
    assert_header(
        "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "does not read: F8_E4M3");
    assert_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "a dimension of 0");
    assert_header(
        "{\"a\":{\"dtype\":\"I8\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "more than four");
    assert_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8,
        "more elements");
    assert_header("{\"a\":{\"dtype\":\"F64\",\"shape\":[4294967296,1073741824],\"data_offsets\":[0,8]}}", 8,
        "more bytes");
    assert_header("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "lacks dtype");
    assert_header("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                  "\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
        6, "overlap");
    assert_header("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                  "\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[6,10]}}",
        10, "leave a gap");
    assert_header(
        "{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":1}}", 4, "does not have: x");
    assert_header("{\"a\\n\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "an escape");
    assert_header("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}", 4, "byte");
    assert_header("{\"a\":[1]}", 0, "an object is needed");
    assert_header("{} x", 0, "behind the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_directory_has_the_keys_and_tensors_of_a_gguf_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_its_vocabulary_has_texts_kinds_and_merges, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_shards_are_one_model_and_may_begin_at_any_address, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_file_without_its_directory_is_described_and_has_no_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_directory_is_one_model_with_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_that_change_answers_are_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_tokenizers_that_no_kind_does_are_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_sentencepiece_has_scores_in_the_order_of_the_merges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_llama_3_has_a_divisor_for_each_pair, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_window_that_no_layer_of_the_engine_has_limits_the_context, setup, teardown),
        cmocka_unit_test(test_headers_that_contradict_the_file_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
