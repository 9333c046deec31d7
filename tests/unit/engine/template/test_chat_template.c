/* test_chat_template.c - the template and the tokens of a GGUF file. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include "berth/engine/template/chat_template.h"
#include "gguf_writer.h"

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A file with a vocabulary of three, the ids of two of them, and a template unless that is NULL. */
static struct gguf *file(struct writer *w, const char *template, uint32_t bos, uint32_t eos)
{
    struct error err = {0};
    write_header(w, 3, 0, template ? 4 : 3);
    write_pair_array(w, "tokenizer.ggml.tokens", GGUF_STRING, 3);
    write_text(w, "<s>");
    write_text(w, "a\xff");
    write_text(w, "<|end|>");
    write_pair_u32(w, "tokenizer.ggml.bos_token_id", bos);
    write_pair_u32(w, "tokenizer.ggml.eos_token_id", eos);
    if (template)
        write_pair_text(w, "tokenizer.chat_template", template);
    struct gguf *g = gguf_read(writer_done(w), &err);
    if (!g)
        fail_msg("%s", err.text);
    return g;
}

static void test_template_and_tokens_come_from_the_file(void **state)
{
    (void)state;
    struct writer w = {0};
    struct error err = {0};
    struct chat_template c;
    struct gguf *g = file(&w, "{{ bos_token }}", 0, 2);
    assert_true(chat_template_read(&c, &g->checkpoint, &err));
    assert_non_null(c.parsed);
    assert_true(value_is(c.bos, "<s>"));
    assert_true(value_is(c.eos, "<|end|>"));
    assert_int_equal(c.eos.text.origin, VALUE_FROM_TEMPLATE);
    chat_template_release(&c);
    gguf_free(g);
    writer_release(&w);
}

static void test_a_token_that_is_not_there_or_no_text_is_undefined(void **state)
{
    (void)state;
    struct writer w = {0};
    struct error err = {0};
    struct chat_template c;
    struct gguf *g = file(&w, "x", 3, 1);
    assert_true(chat_template_read(&c, &g->checkpoint, &err));
    assert_int_equal(c.bos.kind, VALUE_UNDEFINED);
    assert_int_equal(c.eos.kind, VALUE_UNDEFINED);
    chat_template_release(&c);
    gguf_free(g);
    writer_release(&w);
}

static void check_refused(const char *template, const char *reason)
{
    struct writer w = {0};
    struct error err = {0};
    struct chat_template c;
    struct gguf *g = file(&w, template, 0, 2);
    assert_false(chat_template_read(&c, &g->checkpoint, &err));
    assert_null(c.parsed);
    if (!strstr(err.text, reason))
        fail_msg("wanted '%s', got '%s'", reason, err.text);
    chat_template_release(&c);
    gguf_free(g);
    writer_release(&w);
}

static void test_a_file_without_a_template_has_none(void **state)
{
    (void)state;
    check_refused(NULL, "no chat template");
}

static void test_a_template_that_is_not_understood_is_refused_with_its_line(void **state)
{
    (void)state;
    check_refused("a\n{% do x %}", "the chat template: line 2: the tag 'do' is not known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_and_tokens_come_from_the_file),
        cmocka_unit_test(test_a_token_that_is_not_there_or_no_text_is_undefined),
        cmocka_unit_test(test_a_file_without_a_template_has_none),
        cmocka_unit_test(test_a_template_that_is_not_understood_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
