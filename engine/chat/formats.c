/* formats.c - the table of chat formats, and which row a template gets.
 *
 * A row is found by words of the template's source: what it tells the model about calls, or writes into the history. Rows
 * stand in the order in which they are tried, so that a row with more words comes before one that shares some of them.
 * Several rows share one syntax of calls. Only rows with instructions fit a template that does not list tools.
 */
#include "format_private.h"

#include "berth/engine/template/template.h"

#include <string.h>

/* ---- how calls are written ---- */

#define JSON_NAME "{\"name\": \""
#define JSON_ARGUMENTS "\", \"arguments\": "

static const struct chat_calls hermes_calls = {
    .open = "<tool_call>",
    .before_name = "\n" JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .close = "}\n</tool_call>",
    .separator = "\n",
    .repeats = true,
    .loose = true,
};

static const struct chat_calls llama3_calls = {
    .trigger = "<|python_tag|>",
    .before_name = JSON_NAME,
    .other_before_name = "{\"type\": \"function\", \"name\": \"",
    .after_name = "\", \"parameters\": ",
    .close = "}",
    .separator = "; ",
    .implicit = true,
};

static const struct chat_calls llama_pythonic_calls = {
    .trigger = "<|python_start|>",
    .list_open = "[",
    .after_name = "(",
    .close = ")",
    .separator = ", ",
    .list_close = "]",
    .list_end = "<|python_end|>",
    .implicit = true,
    .name_decides = true,
    .keyed = true,
    .python = true,
    .key_close = "=",
    .comma = ", ",
};

static const struct chat_calls lfm2_calls = {
    .trigger = "<|tool_call_start|>",
    .list_open = "[",
    .after_name = "(",
    .close = ")",
    .separator = ", ",
    .list_close = "]<|tool_call_end|>",
    .keyed = true,
    .python = true,
    .key_close = "=",
    .comma = ", ",
};

static const struct chat_calls mistral_calls = {
    .open = "[TOOL_CALLS]",
    .after_name = "[ARGS]",
    .repeats = true,
};

static const struct chat_calls mistral_id_calls = {
    .open = "[TOOL_CALLS]",
    .after_name = "[ARGS]",
    .id_place = CHAT_ID_AFTER_NAME,
    .id_open = "[CALL_ID]",
    .repeats = true,
};

static const struct chat_calls mistral_list_calls = {
    .trigger = "[TOOL_CALLS]",
    .gap = " ",
    .list_open = "[",
    .before_name = JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .id_place = CHAT_ID_AFTER_ARGUMENTS,
    .id_open = ", \"id\": \"",
    .id_close = "\"",
    .close = "}",
    .separator = ", ",
    .list_close = "]",
};

static const struct chat_calls deepseek_v3_calls = {
    .trigger = "<｜tool▁calls▁begin｜>",
    .open = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    .after_name = "\n```json\n",
    .close = "\n```<｜tool▁call▁end｜>",
    .separator = "\n",
    .list_close = "<｜tool▁calls▁end｜>",
};

static const struct chat_calls deepseek_v31_calls = {
    .trigger = "<｜tool▁calls▁begin｜>",
    .open = "<｜tool▁call▁begin｜>",
    .after_name = "<｜tool▁sep｜>",
    .close = "<｜tool▁call▁end｜>",
    .list_close = "<｜tool▁calls▁end｜>",
};

static const struct chat_calls deepseek_v32_calls = {
    .trigger = "<｜DSML｜function_calls>",
    .list_open = "\n",
    .open = "<｜DSML｜invoke name=\"",
    .after_name = "\">",
    .keyed = true,
    .key_open = "\n<｜DSML｜parameter name=\"",
    .key_close = "\"",
    .raw_open = " string=\"true\">",
    .raw_close = "</｜DSML｜parameter>",
    .value_open = " string=\"false\">",
    .value_close = "</｜DSML｜parameter>",
    .close = "\n</｜DSML｜invoke>",
    .separator = "\n",
    .list_close = "\n</｜DSML｜function_calls>",
};

static const struct chat_calls command_r7b_calls = {
    .trigger = "<|START_ACTION|>",
    .list_open = "[\n    ",
    .open = "{",
    .id_place = CHAT_ID_BEFORE_NAME,
    .id_open = "\"tool_call_id\": \"",
    .id_close = "\", ",
    .id_is_number = true,
    .before_name = "\"tool_name\": \"",
    .after_name = "\", \"parameters\": ",
    .close = "}",
    .separator = ",\n    ",
    .list_close = "\n]<|END_ACTION|>",
};

static const struct chat_calls functiongemma_calls = {
    .open = "<start_function_call>",
    .before_name = "call:",
    .after_name = "{",
    .keyed = true,
    .key_close = ":",
    .raw_open = "<escape>",
    .raw_close = "<escape>",
    .comma = ",",
    .close = "}<end_function_call>",
    .repeats = true,
};

static const struct chat_calls gemma4_calls = {
    .open = "<|tool_call>",
    .before_name = "call:",
    .after_name = "{",
    .keyed = true,
    .key_close = ":",
    .raw_open = "<|\"|>",
    .raw_close = "<|\"|>",
    .comma = ",",
    .close = "}<tool_call|>",
    .repeats = true,
};

static const struct chat_calls phi4_mini_calls = {
    .open = "<|tool_call|>",
    .before_name = JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .close = "}<|/tool_call|>",
    .repeats = true,
};

static const struct chat_calls phi4_list_calls = {
    .trigger = "<|tool_call|>",
    .list_open = "[",
    .before_name = JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .close = "}",
    .separator = ", ",
    .list_close = "]<|/tool_call|>",
};

static const struct chat_calls functools_calls = {
    .trigger = "functools[",
    .before_name = JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .close = "}",
    .separator = ", ",
    .list_close = "]",
};

static const struct chat_calls granite3_calls = {
    .trigger = "<|tool_call|>",
    .list_open = "[",
    .before_name = JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .close = "}",
    .separator = ", ",
    .list_close = "]",
};

static const struct chat_calls glm45_calls = {
    .open = "<tool_call>",
    .keyed = true,
    .key_open = "\n<arg_key>",
    .key_close = "</arg_key>\n<arg_value>",
    .raw_close = "</arg_value>",
    .value_close = "</arg_value>",
    .close = "\n</tool_call>",
    .separator = "\n",
    .repeats = true,
};

static const struct chat_calls glm47_calls = {
    .open = "<tool_call>",
    .keyed = true,
    .key_open = "<arg_key>",
    .key_close = "</arg_key><arg_value>",
    .raw_close = "</arg_value>",
    .value_close = "</arg_value>",
    .close = "</tool_call>",
    .repeats = true,
};

static const struct chat_calls qwen3_coder_calls = {
    .open = "<tool_call>",
    .before_name = "\n<function=",
    .after_name = ">",
    .keyed = true,
    .key_open = "\n<parameter=",
    .key_close = ">\n",
    .raw_close = "\n</parameter>",
    .value_close = "\n</parameter>",
    .close = "\n</function>\n</tool_call>",
    .separator = "\n",
    .repeats = true,
};

static const struct chat_calls seed_oss_calls = {
    .open = "<seed:tool_call>",
    .before_name = "\n<function=",
    .after_name = ">",
    .keyed = true,
    .key_open = "\n<parameter=",
    .key_close = ">",
    .raw_close = "</parameter>",
    .value_close = "</parameter>",
    .close = "\n</function>\n</seed:tool_call>",
    .separator = "\n",
    .repeats = true,
};

static const struct chat_calls minimax_m2_calls = {
    .trigger = "<minimax:tool_call>",
    .list_open = "\n",
    .open = "<invoke name=\"",
    .after_name = "\">",
    .keyed = true,
    .key_open = "\n<parameter name=\"",
    .key_close = "\">",
    .raw_close = "</parameter>",
    .value_close = "</parameter>",
    .close = "\n</invoke>",
    .separator = "\n",
    .list_close = "\n</minimax:tool_call>",
};

static const struct chat_calls kimi_k2_calls = {
    .trigger = "<|tool_calls_section_begin|>",
    .open = "<|tool_call_begin|>",
    .before_name = "functions.",
    .id_place = CHAT_ID_AFTER_NAME,
    .id_open = ":",
    .id_is_number = true,
    .after_name = "<|tool_call_argument_begin|>",
    .close = "<|tool_call_end|>",
    .list_close = "<|tool_calls_section_end|>",
};

static const struct chat_calls nemotron_calls = {
    .trigger = "<TOOLCALL>",
    .list_open = "[",
    .before_name = JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .close = "}",
    .separator = ", ",
    .list_close = "]</TOOLCALL>",
};

static const struct chat_calls hunyuan_calls = {
    .trigger = "<tool_calls>",
    .list_open = "[",
    .before_name = JSON_NAME,
    .after_name = JSON_ARGUMENTS,
    .close = "}",
    .separator = ", ",
    .list_close = "]</tool_calls>",
};

static const struct chat_calls harmony_calls = {
    .open = "<|channel|>commentary to=functions.", /* the rest is in harmony.c */
};

/* ---- the rows ---- */

#define THINK .reasoning_open = "<think>", .reasoning_close = "</think>"
#define GRANITE "<|start_of_role|>"

/* clang-format off */
static const struct chat_format formats[] = {
    {"gpt-oss", {"<|channel|>", "analysis", "commentary"},
        .reasoning_open = "<|channel|>analysis<|message|>", .reasoning_close = "<|end|>", .calls = &harmony_calls,
        .harmony = true},
    {"command-r7b", {"<|START_ACTION|>"},
        .reasoning_open = "<|START_THINKING|>", .reasoning_close = "<|END_THINKING|>",
        .text_open = "<|START_RESPONSE|>", .text_close = "<|END_RESPONSE|>", .calls = &command_r7b_calls},
    {"deepseek-v3.2", {"｜DSML｜"}, THINK, .calls = &deepseek_v32_calls},
    {"deepseek-r1", {"<｜tool▁calls▁begin｜>", "```json", "<think>"}, THINK, .calls = &deepseek_v3_calls},
    {"deepseek-v3", {"<｜tool▁calls▁begin｜>", "```json"}, .calls = &deepseek_v3_calls},
    {"deepseek-v3.1", {"<｜tool▁calls▁begin｜>"}, THINK, .calls = &deepseek_v31_calls},
    {"kimi-k2-thinking", {"<|im_middle|>", "<think>"}, THINK, .calls = &kimi_k2_calls, .ids = CHAT_IDS_FUNCTIONS},
    {"kimi-k2", {"<|im_middle|>"}, .calls = &kimi_k2_calls, .ids = CHAT_IDS_FUNCTIONS},
    {"minimax-m2", {"<minimax:tool_call>"}, THINK, .calls = &minimax_m2_calls},
    {"seed-oss", {"<seed:tool_call>"},
        .reasoning_open = "<seed:think>", .reasoning_close = "</seed:think>", .calls = &seed_oss_calls},
    {"gemma-4", {"<|tool_call>call:"},
        .reasoning_open = "<|channel>thought\n", .reasoning_close = "<channel|>", .calls = &gemma4_calls},
    {"functiongemma", {"<start_function_call>"}, .calls = &functiongemma_calls},
    {"lfm2", {"<|tool_call_start|>", "<think>"}, THINK, .calls = &lfm2_calls},
    {"lfm2", {"<|tool_call_start|>"}, .calls = &lfm2_calls},
    {"lfm2", {"<|tool_list_start|>"}, .calls = &lfm2_calls},
    {"mistral-think", {"[THINK]"},
        .reasoning_open = "[THINK]", .reasoning_close = "[/THINK]", .calls = &mistral_calls, .ids = CHAT_IDS_NINE},
    {"mistral-call-id", {"[TOOL_CALLS]", "[CALL_ID]"}, .calls = &mistral_id_calls, .ids = CHAT_IDS_NINE},
    {"mistral", {"[TOOL_CALLS]", "[ARGS]"}, .calls = &mistral_calls, .ids = CHAT_IDS_NINE},
    {"mistral-list", {"[TOOL_CALLS]"}, .calls = &mistral_list_calls, .ids = CHAT_IDS_NINE},
    {"granite-4", {GRANITE, "<tool_call>"}, .calls = &hermes_calls},
    {"granite-3.3", {GRANITE, "<think>", "<response>"}, THINK,
        .text_open = "<response>", .text_close = "</response>", .calls = &granite3_calls},
    {"granite-3.2", {GRANITE, "Here is my thought process:"},
        .reasoning_open = "Here is my thought process:", .reasoning_close = "Here is my response:",
        .calls = &granite3_calls},
    {"granite-3", {GRANITE}, .calls = &granite3_calls},
    {"functools", {"functools["}, .calls = &functools_calls},
    {"phi-4-mini", {"<|tool|>", "<|tool_call|>"}, .calls = &phi4_mini_calls},
    {"phi-4-mini-list", {"<|tool|>"}, .calls = &phi4_list_calls},
    {"glm-4.7", {"}<arg_key>"}, THINK, .calls = &glm47_calls},
    {"glm-4.5", {"<arg_key>"}, THINK, .calls = &glm45_calls},
    {"qwen3-coder-think", {"<function=", "<think>"}, THINK, .calls = &qwen3_coder_calls},
    {"qwen3-coder", {"<function="}, .calls = &qwen3_coder_calls},
    {"nemotron-think", {"<TOOLCALL>", "<think>"}, THINK, .calls = &nemotron_calls},
    {"nemotron", {"<TOOLCALL>"}, .calls = &nemotron_calls},
    {"hunyuan-a13b", {"<tool_calls>["}, THINK,
        .text_open = "<answer>", .text_close = "</answer>", .calls = &hunyuan_calls},
    {"ernie-4.5-think", {"<tool_call>", "<response>"}, THINK,
        .text_open = "<response>", .text_close = "</response>", .calls = &hermes_calls},
    {"llama-pythonic", {"[func_name1("}, .calls = &llama_pythonic_calls},
    {"llama3-json", {"\"parameters\": dictionary of argument"}, .calls = &llama3_calls},
    {"llama3-json", {"<|python_tag|>"}, .calls = &llama3_calls},
    {"hermes-think", {"<tool_call>", "<think>"}, THINK, .calls = &hermes_calls},
    {"hermes", {"<tool_call>"}, .calls = &hermes_calls},
    {"generic-mistral-think", {"[THINK]"},
        .reasoning_open = "[THINK]", .reasoning_close = "[/THINK]", .calls = &hermes_calls, .instructed = true},
    {"generic-think", {"<think>"}, THINK, .calls = &hermes_calls, .instructed = true},
    {"gemma", {"<start_of_turn>"}, .calls = &hermes_calls, .instructed = true},
    {"generic", {NULL}, .calls = &hermes_calls, .instructed = true},
};
/* clang-format on */

#define N_FORMATS (sizeof(formats) / sizeof(formats[0]))

struct span chat_piece(const char *piece)
{
    return span_of(piece ? piece : "");
}

/* A template that does not list tools may still know how calls look, as R1's distilled models do. The model is told of tools
 * by instructions then, and calls as these say. */
static bool fits(const struct chat_format *f, const struct template *t)
{
    if (!f->instructed && !template_names(t, "tools"))
        return false;
    for (size_t i = 0; i < CHAT_WORDS && f->words[i]; i++)
        if (!template_names(t, f->words[i]))
            return false;
    return true;
}

const struct chat_format *chat_format_of(const struct template *t)
{
    const struct chat_format *f = formats;
    while (f < formats + N_FORMATS - 1 && !(t && fits(f, t)))
        f++;
    return f;
}

const char *chat_format_name(const struct chat_format *f)
{
    return f->name;
}

const struct chat_format *chat_format_find(struct span name)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (span_is(name, formats[i].name))
            return &formats[i];
    return NULL;
}

const struct chat_format *chat_format_at(size_t i)
{
    return i < N_FORMATS ? &formats[i] : NULL;
}

bool chat_format_reasons(const struct chat_format *f)
{
    return f->reasoning_open != NULL;
}

bool chat_format_has_tools(const struct chat_format *f, const struct template *t)
{
    (void)f;
    return t && template_names(t, "tools");
}

bool chat_format_wants_text_arguments(const struct template *t)
{
    static const char *const joins[] = {"['arguments'] +", "[\"arguments\"] +", ".arguments +",
        "['arguments']+", "[\"arguments\"]+", ".arguments+"};
    for (size_t i = 0; t && i < sizeof(joins) / sizeof(joins[0]); i++)
        if (template_names(t, joins[i]) && !template_names(t, "arguments is string"))
            return true;
    return false;
}

bool chat_format_wants_responses(const struct template *t)
{
    return t && template_names(t, "tool_responses");
}

const char *chat_format_reasoning_member(const struct chat_format *f, const struct template *t)
{
    static const char *const members[] = {"message.thinking", "message['thinking']", "message[\"thinking\"]"};
    for (size_t i = 0; f->reasoning_open && t && i < sizeof(members) / sizeof(members[0]); i++)
        if (template_names(t, members[i]) && !template_names(t, "reasoning_content"))
            return "thinking";
    return "reasoning_content";
}

static void add_random(struct strbuf *out, uint64_t random, size_t n)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (size_t i = 0; i < n; i++) {
        strbuf_add(out, (struct span){(const uint8_t *)digits + random % 62, 1});
        random = i % 8 == 7 ? random * 0x9e3779b97f4a7c15u + 1 : random / 62;
    }
}

void chat_format_call_id(
    const struct chat_format *f, struct span name, struct span written, uint64_t random, struct strbuf *out)
{
    bool nine = f->ids == CHAT_IDS_NINE;
    if (f->ids == CHAT_IDS_FUNCTIONS && written.size > 0) {
        strbuf_text(out, "functions.");
        strbuf_add(out, name);
        strbuf_text(out, ":");
        strbuf_add(out, written);
    } else if (nine && written.size > 0) {
        strbuf_add(out, written);
    } else {
        strbuf_text(out, nine ? "" : "call_");
        add_random(out, random, nine ? 9 : 20);
    }
}

/* ---- how a prompt ends ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static struct span without_blanks(struct span s)
{
    while (s.size > 0 && is_blank(s.at[s.size - 1]))
        s.size--;
    return s;
}

bool chat_ends_with_mark(struct span s, const char *mark)
{
    struct span end = without_blanks(s), text = without_blanks(chat_piece(mark));
    return text.size > 0 && end.size >= text.size &&
           memcmp(end.at + end.size - text.size, text.at, text.size) == 0;
}

struct span chat_format_reasoning_end(const struct chat_format *f)
{
    return chat_piece(f->reasoning_close);
}

/* A message that ends in the marker does not count: the template writes its own marks behind every message. */
bool chat_format_opens_reasoning(const struct chat_format *f, struct span prompt_end)
{
    return chat_ends_with_mark(prompt_end, f->reasoning_open);
}

bool chat_format_closes_reasoning(const struct chat_format *f, struct span prompt_end)
{
    return chat_ends_with_mark(prompt_end, f->reasoning_close);
}
