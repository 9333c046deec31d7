/* harmony.c - the grammar of an answer in channels, as gpt-oss writes it.
 *
 * An answer is a row of messages. Each names its channel: analysis is reasoning, commentary without a recipient is text in
 * front of calls, commentary to a function is a call, and final is the answer. A call or the final message is the last
 * one: the model ends a call with a token that ends its turn.
 */
#include "format_private.h"

#define CHANNEL "<|channel|>"
#define MESSAGE "<|message|>"

static grammar_node until_end(const struct chat_build *f, grammar_node next, uint16_t tag)
{
    grammar_node rest;
    struct grammar_marker end = chat_marker(f, "<|end|>", &rest);
    grammar_node then = chat_sequence3(f, rest, chat_mark(f, "<|start|>assistant"), next);
    bool open = chat_answer_is_free(f) && (!f->calls || f->form->choice == CHAT_TOOLS_AUTO);
    return grammar_until(f->b, &end, &then, 1, open, tag);
}

static grammar_node calls(const struct chat_build *f)
{
    grammar_node constraint = grammar_either(
        f->b, chat_mark(f, " <|constrain|>json"), grammar_optional(f->b, chat_mark(f, " json")));
    grammar_node node = NODE_NEVER;
    for (size_t i = 0; i < f->n_tools; i++) {
        grammar_node name = grammar_literal(f->b, f->form->tools[f->first_tool + i].name);
        name = grammar_tag(f->b, name, CHAT_TAG_CALL_NAME);
        grammar_node inside = chat_sequence3(f, constraint, chat_mark(f, MESSAGE), f->arguments[i]);
        grammar_node in_channel =
            chat_sequence3(f, chat_mark(f, CHANNEL "commentary to=functions."), name, inside);
        grammar_node in_role = chat_sequence3(f, chat_mark(f, " to=functions."), name,
            grammar_sequence(f->b, chat_mark(f, CHANNEL "commentary"), inside));
        node = grammar_either(f->b, node, grammar_either(f->b, in_channel, in_role));
    }
    return node;
}

grammar_node chat_harmony(struct chat_build *f)
{
    struct span end = f->form->prompt_end;
    grammar_rule rule = grammar_rule_new(f->b);
    grammar_node next = grammar_call(f->b, rule);
    grammar_node final = grammar_tag(f->b, chat_answer_text(f), CHAT_TAG_TEXT);
    grammar_node analysis = until_end(f, next, CHAT_TAG_REASONING);
    grammar_node messages = grammar_sequence(f->b, chat_mark(f, CHANNEL "analysis" MESSAGE), analysis);
    if (chat_answer_is_free(f) && f->calls)
        messages = grammar_either(f->b, messages,
            grammar_sequence(
                f->b, chat_mark(f, CHANNEL "commentary" MESSAGE), until_end(f, next, CHAT_TAG_TEXT)));
    if (!f->calls || f->form->choice == CHAT_TOOLS_AUTO)
        messages = grammar_either(
            f->b, messages, grammar_sequence(f->b, chat_mark(f, CHANNEL "final" MESSAGE), final));
    if (f->calls)
        messages = grammar_either(f->b, messages, calls(f));
    grammar_rule_define(f->b, rule, messages);
    if (chat_format_opens_reasoning(f->format, end))
        return analysis;
    return chat_ends_with_mark(end, CHANNEL "final" MESSAGE) ? final : next;
}
