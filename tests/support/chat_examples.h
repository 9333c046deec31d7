/* chat_examples.h - for each chat format an answer as the family writes it, by hand from descriptions of the formats. */
#ifndef BERTH_TESTS_CHAT_EXAMPLES_H
#define BERTH_TESTS_CHAT_EXAMPLES_H

#define CITY "Oslo \xc3\x98st"
#define WEATHER "{\"city\": \"" CITY "\", \"unit\": \"celsius\"}"
#define ADD "{\"a\": 1, \"b\": -2, \"exact\": true}"

#define WEATHER_PARAMETERS                                                                                          \
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, "                                   \
    "\"unit\": {\"type\": \"string\", \"enum\": [\"celsius\", \"kelvin\"]}}, \"required\": [\"city\"]}"
#define ADD_PARAMETERS                                                                                              \
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": \"integer\"}, "      \
    "\"exact\": {\"type\": \"boolean\"}}, \"required\": [\"a\", \"b\"]}"

struct chat_example {
    const char *format;
    const char *reasoning; /* that says "Hm.", with its marks; NULL: none */
    const char *text; /* that says "I look.", with its marks, as it stands in front of calls */
    const char *calls; /* weather and add; with `single` weather alone */
    bool single;
    const char *raw_close; /* of bare strings; NULL: none */
};

#define THOUGHT "<think>\nHm.\n</think>\n\n"
#define JSON_CALL(name, key, arguments) "{\"name\": \"" name "\", \"" key "\": " arguments
#define JSON_CALLS(open, close)                                                                                     \
    open JSON_CALL("weather", "arguments", WEATHER) "}, " JSON_CALL("add", "arguments", ADD) "}" close
#define HERMES_CALLS                                                                                                \
    "<tool_call>\n" JSON_CALL("weather", "arguments", WEATHER) "}\n</tool_call>\n"                                \
    "<tool_call>\n" JSON_CALL("add", "arguments", ADD) "}\n</tool_call>"
#define PYTHON_CALLS "[weather(city=\"" CITY "\", unit=\"celsius\"), add(a=1, b=-2, exact=True)]"
#define CODER_CALLS(o, c, l, r)                                                                                     \
    o "\n<function=weather>\n<parameter=city>" l CITY r "</parameter>\n<parameter=unit>" l "celsius" r              \
      "</parameter>\n</function>\n" c "\n" o "\n<function=add>\n<parameter=a>" l "1" r                            \
      "</parameter>\n<parameter=b>" l "-2" r "</parameter>\n<parameter=exact>" l "true" r                           \
      "</parameter>\n</function>\n" c
#define GEMMA_CALLS(open, quote, close)                                                                             \
    open "call:weather{city:" quote CITY quote ",unit:" quote "celsius" quote "}" close open                        \
         "call:add{a:1,b:-2,exact:true}" close
#define GLM_CALLS(n)                                                                                                \
    "<tool_call>weather" n "<arg_key>city</arg_key>" n "<arg_value>" CITY "</arg_value>" n                          \
    "<arg_key>unit</arg_key>" n "<arg_value>celsius</arg_value>" n "</tool_call>" n "<tool_call>add" n              \
    "<arg_key>a</arg_key>" n "<arg_value>1</arg_value>" n "<arg_key>b</arg_key>" n "<arg_value>-2</arg_value>" n    \
    "<arg_key>exact</arg_key>" n "<arg_value>true</arg_value>" n "</tool_call>"
#define INVOKE_CALLS(p, s, j)                                                                                       \
    "\n<" p "invoke name=\"weather\">\n<" p "parameter name=\"city\"" s ">" CITY "</" p "parameter>\n<" p           \
    "parameter name=\"unit\"" s ">celsius</" p "parameter>\n</" p "invoke>\n<" p "invoke name=\"add\">\n<" p        \
    "parameter name=\"a\"" j ">1</" p "parameter>\n<" p "parameter name=\"b\"" j ">-2</" p "parameter>\n<" p        \
    "parameter name=\"exact\"" j ">true</" p "parameter>\n</" p "invoke>\n"
#define DEEPSEEK_CALL(name, sep, arguments, end) "<｜tool▁call▁begin｜>" name sep arguments end "<｜tool▁call▁end｜>"
#define DEEPSEEK_3_CALLS                                                                                            \
    "<｜tool▁calls▁begin｜>" DEEPSEEK_CALL("function<｜tool▁sep｜>weather", "\n```json\n", WEATHER, "\n```") "\n" \
    DEEPSEEK_CALL("function<｜tool▁sep｜>add", "\n```json\n", ADD, "\n```") "<｜tool▁calls▁end｜>"
#define KIMI_CALLS                                                                                                  \
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>" WEATHER        \
    "<|tool_call_end|><|tool_call_begin|>functions.add:1<|tool_call_argument_begin|>" ADD                           \
    "<|tool_call_end|><|tool_calls_section_end|>"
#define LOOK "I look.\n"

/* clang-format off */
static const struct chat_example chat_examples[] = {
    {"gpt-oss", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant",
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant",
        "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>" WEATHER, true, NULL},
    {"gpt-oss", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant", "",
        " to=functions.weather<|channel|>commentary json<|message|>" WEATHER, true, NULL},
    {"command-r7b", "<|START_THINKING|>Hm.<|END_THINKING|>", "<|START_RESPONSE|>I look.<|END_RESPONSE|>",
        "<|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": \"weather\", \"parameters\": " WEATHER "},\n"
        "    {\"tool_call_id\": \"1\", \"tool_name\": \"add\", \"parameters\": " ADD "}\n]<|END_ACTION|>", false, NULL},
    {"deepseek-v3.2", "<think>Hm.</think>", "I look.\n\n", "<｜DSML｜function_calls>"
        INVOKE_CALLS("｜DSML｜", " string=\"true\"", " string=\"false\"") "</｜DSML｜function_calls>", false,
        "</｜DSML｜parameter>"},
    {"deepseek-r1", THOUGHT, LOOK, DEEPSEEK_3_CALLS, false, NULL},
    {"deepseek-v3", NULL, LOOK, DEEPSEEK_3_CALLS, false, NULL},
    {"deepseek-v3.1", "<think>Hm.</think>", "I look.", "<｜tool▁calls▁begin｜>"
        DEEPSEEK_CALL("weather", "<｜tool▁sep｜>", WEATHER, "") DEEPSEEK_CALL("add", "<｜tool▁sep｜>", ADD, "")
        "<｜tool▁calls▁end｜>", false, NULL},
    {"kimi-k2-thinking", "<think>Hm.</think>", "I look.", KIMI_CALLS, false, NULL},
    {"kimi-k2", NULL, "I look.", KIMI_CALLS, false, NULL},
    {"minimax-m2", THOUGHT, LOOK, "<minimax:tool_call>" INVOKE_CALLS("", "", "") "</minimax:tool_call>", false,
        "</parameter>"},
    {"seed-oss", "<seed:think>Hm.</seed:think>\n", LOOK,
        CODER_CALLS("<seed:tool_call>", "</seed:tool_call>", "", ""), false, "</parameter>"},
    {"gemma-4", "<|channel>thought\nHm.\n<channel|>", "I look.",
        GEMMA_CALLS("<|tool_call>", "<|\"|>", "<tool_call|>"), false, "<|\"|>"},
    {"functiongemma", NULL, "I look.",
        GEMMA_CALLS("<start_function_call>", "<escape>", "<end_function_call>"), false, "<escape>"},
    {"lfm2", NULL, "I look.", "<|tool_call_start|>" PYTHON_CALLS "<|tool_call_end|>", false, NULL},
    {"mistral-think", "[THINK]Hm.[/THINK]", "I look.",
        "[TOOL_CALLS]weather[ARGS]" WEATHER "[TOOL_CALLS]add[ARGS]" ADD, false, NULL},
    {"mistral-call-id", NULL, "I look.",
        "[TOOL_CALLS]weather[CALL_ID]abcdeFGH9[ARGS]" WEATHER "[TOOL_CALLS]add[ARGS]" ADD, false, NULL},
    {"mistral", NULL, "I look.", "[TOOL_CALLS]weather[ARGS]" WEATHER "[TOOL_CALLS]add[ARGS]" ADD, false, NULL},
    {"mistral-list", NULL, "I look.", "[TOOL_CALLS] [" JSON_CALL("weather", "arguments", WEATHER)
        ", \"id\": \"abcdeFGH9\"}, " JSON_CALL("add", "arguments", ADD) "}]", false, NULL},
    {"granite-4", NULL, LOOK, HERMES_CALLS, false, NULL},
    {"granite-3.3", "<think>Hm.</think>", "<response>I look.</response>", JSON_CALLS("<|tool_call|>[", "]"), false,
        NULL},
    {"granite-3.2", "Here is my thought process:\nHm.\nHere is my response:\n", "I look.",
        JSON_CALLS("<|tool_call|>[", "]"), false, NULL},
    {"granite-3", NULL, "I look.", JSON_CALLS("<|tool_call|>[", "]"), false, NULL},
    {"functools", NULL, "I look.", JSON_CALLS("functools[", "]"), false, NULL},
    {"phi-4-mini", NULL, "I look.", "<|tool_call|>" JSON_CALL("weather", "arguments", WEATHER) "}<|/tool_call|>"
        "<|tool_call|>" JSON_CALL("add", "arguments", ADD) "}<|/tool_call|>", false, NULL},
    {"phi-4-mini-list", NULL, "I look.", JSON_CALLS("<|tool_call|>[", "]<|/tool_call|>"), false, NULL},
    {"glm-4.7", "<think>Hm.</think>", "I look.", GLM_CALLS(""), false, "</arg_value>"},
    {"glm-4.5", "\n<think>Hm.</think>\n", LOOK, GLM_CALLS("\n"), false, "</arg_value>"},
    {"qwen3-coder-think", THOUGHT, LOOK, CODER_CALLS("<tool_call>", "</tool_call>", "\n", "\n"), false,
        "\n</parameter>"},
    {"qwen3-coder", NULL, LOOK, CODER_CALLS("<tool_call>", "</tool_call>", "\n", "\n"), false, "\n</parameter>"},
    {"nemotron-think", "<think>\n\nHm.\n</think>\n\n", LOOK, JSON_CALLS("<TOOLCALL>[", "]</TOOLCALL>"), false, NULL},
    {"nemotron", NULL, LOOK, JSON_CALLS("<TOOLCALL>[", "]</TOOLCALL>"), false, NULL},
    {"hunyuan-a13b", "<think>\nHm.\n</think>\n", "<answer>\nI look.\n</answer>",
        JSON_CALLS("<tool_calls>[", "]</tool_calls>"), false, NULL},
    {"ernie-4.5-think", "<think>\nHm.\n</think>\n\n", "<response>\nI look.\n</response>\n", HERMES_CALLS, false, NULL},
    {"llama-pythonic", NULL, "", PYTHON_CALLS, false, NULL},
    {"llama-pythonic", NULL, "I look.", "<|python_start|>" PYTHON_CALLS "<|python_end|>", false, NULL},
    {"llama3-json", NULL, "", JSON_CALL("weather", "parameters", WEATHER) "}; "
        JSON_CALL("add", "parameters", ADD) "}", false, NULL},
    {"llama3-json", NULL, "", "{\"type\": \"function\", \"name\": \"weather\", \"parameters\": " WEATHER "}", true, NULL},
    {"llama3-json", NULL, "I look.", "<|python_tag|>" JSON_CALL("weather", "parameters", WEATHER) "}", true, NULL},
    {"hermes-think", THOUGHT, LOOK, HERMES_CALLS, false, NULL},
    {"hermes", NULL, LOOK, HERMES_CALLS, false, NULL},
    {"generic-mistral-think", "[THINK]Hm.[/THINK]", LOOK, HERMES_CALLS, false, NULL},
    {"generic-think", THOUGHT, LOOK, HERMES_CALLS, false, NULL},
    {"gemma", NULL, LOOK, HERMES_CALLS, false, NULL},
    {"generic", NULL, LOOK, HERMES_CALLS, false, NULL},
};
/* clang-format on */

#define N_CHAT_EXAMPLES (sizeof(chat_examples) / sizeof(chat_examples[0]))

/* Marks that vocabularies have as control tokens. */
static const char *const chat_controls[] = {"<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|constrain|>",
    "<|START_ACTION|>", "<|END_ACTION|>", "<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>",
    "<|END_RESPONSE|>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "[THINK]", "[/THINK]", "<think>", "</think>",
    "<tool_call>", "</tool_call>", "<|python_tag|>", "<|python_start|>", "<|python_end|>", "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>",
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>",
    "<|tool_call_argument_begin|>", "<escape>", "<|\"|>", "<start_function_call>", "<end_function_call>",
    "<|tool_call>", "<tool_call|>", "<|channel>", "<channel|>", "<|tool_call|>", "<|/tool_call|>", "<arg_key>",
    "</arg_key>", "<arg_value>", "</arg_value>", "<minimax:tool_call>", "</minimax:tool_call>", "<seed:tool_call>",
    "</seed:tool_call>", "<seed:think>", "</seed:think>", "<|tool_call_start|>", NULL};

#endif
