/* reciting_model.h - a language model of a few kilobytes that recites, so that tests know its answers.
 *
 * It has the llama architecture and a token for each byte. Its layers add nothing. The next token depends only on the last
 * one, with a probability of almost one, at any temperature up to 1:
 *
 *   a newline, or the end of a turn: 'a'; 'a' to 'y': the next letter; 'z': '.'; '.': the end of the turn
 *   '0' to '8': the next digit; '9': a euro sign, of three bytes; the euro sign: '0', and so on without end
 *
 * With `recites` it writes that text instead after a newline, in tokens of some bytes each, and then ends the turn.
 *
 * Its chat template writes <|im_start|>ROLE, a newline, the content, <|im_end|> and a newline.
 */
#ifndef BERTH_TESTS_TINY_MODEL_H
#define BERTH_TESTS_TINY_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define TINY_VOCABULARY 258
#define TINY_START 256 /* "<|im_start|>" */
#define TINY_END 257 /* "<|im_end|>", the end of an answer */
#define TINY_EURO "\xe2\x82\xac"

struct tiny_model {
    uint32_t context; /* 0: 512 */
    /* Width of its feed-forward layers; 0: 64. Their weights are a hole in the file: a wide model is slow, and
     * takes no room on the disk. */
    uint32_t width;
    uint32_t layers; /* 0: 1 */
    const char *architecture; /* NULL: llama */
    const char *template; /* NULL: the one above */
    const char *recites; /* at most some 700 bytes; NULL: the letters */
    int32_t mark_kind; /* token type of its two marks; 0: 3, control */
    bool no_template, no_tokenizer;
    bool begins; /* a text begins with TINY_START */
    bool fills; /* the bytes 1, 2 and a newline mark prefix, suffix and middle; 3 and 4 repository and file */
    int sampling; /* general.sampling.*; 1: temp 1.5, top_k 3, top_p 1, min_p 0, penalty_repeat 1.25; 2: none is in range */
};

/* Writes it to dir/name. */
void write_tiny_model(const char *dir, const char *name, const struct tiny_model *m);

/* So wide that a token takes some milliseconds, and the client can act while it answers. */
#define TINY_SLOW                                                                                            \
    (struct tiny_model)                                                                                      \
    {                                                                                                        \
        .width = 16384, .layers = 12, .context = 4096                                                        \
    }

#endif
