/* inspect_value.c - prints the numbers of a file, in the fewest digits that read back as the same number. */
#include "inspect_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest decimal that reads back as `value`. */
static void add_float(struct strbuf *out, double value, bool narrow, const char *odd)
{
    if (!isfinite(value) && odd) {
        strbuf_text(out, odd);
        return;
    }
    char text[40];
    int most = narrow ? 9 : 17;
    for (int digits = narrow ? 6 : 15; digits <= most; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (narrow ? (float)back == (float)value : back == value)
            break;
    }
    strbuf_text(out, text);
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void inspect_scalar(struct strbuf *out, struct cursor *c, enum gguf_type type, const char *odd)
{
    static const char what[] = "a value";
    switch (type) {
    case GGUF_U8:
        strbuf_format(out, "%" PRIu8, cursor_u8(c, what));
        break;
    case GGUF_I8:
        strbuf_format(out, "%" PRId8, (int8_t)cursor_u8(c, what));
        break;
    case GGUF_U16:
        strbuf_format(out, "%" PRIu16, cursor_u16(c, what));
        break;
    case GGUF_I16:
        strbuf_format(out, "%" PRId16, (int16_t)cursor_u16(c, what));
        break;
    case GGUF_U32:
        strbuf_format(out, "%" PRIu32, cursor_u32(c, what));
        break;
    case GGUF_I32:
        strbuf_format(out, "%" PRId32, (int32_t)cursor_u32(c, what));
        break;
    case GGUF_U64:
        strbuf_format(out, "%" PRIu64, cursor_u64(c, what));
        break;
    case GGUF_I64:
        strbuf_format(out, "%" PRId64, (int64_t)cursor_u64(c, what));
        break;
    case GGUF_F32:
        add_float(out, (double)float_of(cursor_u32(c, what)), true, odd);
        break;
    case GGUF_F64:
        add_float(out, double_of(cursor_u64(c, what)), false, odd);
        break;
    case GGUF_BOOL:
        strbuf_text(out, cursor_u8(c, what) ? "true" : "false");
        break;
    case GGUF_STRING:
    case GGUF_ARRAY:
    case GGUF_TYPES:
        break;
    }
}

static int heavier_first(const void *a, const void *b)
{
    const struct type_total *x = a, *y = b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

size_t inspect_totals(const struct gguf_model *m, struct type_total totals[INSPECT_TYPES])
{
    size_t n = 0;
    for (size_t f = 0; f < m->n_files; f++) {
        for (size_t i = 0; i < m->files[f]->checkpoint.n_tensors; i++) {
            const struct tensor *t = &m->files[f]->checkpoint.tensors[i];
            size_t at = 0;
            while (at < n && totals[at].type != t->type)
                at++;
            if (at == n && n < INSPECT_TYPES)
                totals[n++] = (struct type_total){.type = t->type};
            totals[at].tensors++;
            totals[at].elems += t->elems;
            totals[at].bytes += t->size;
        }
    }
    qsort(totals, n, sizeof(*totals), heavier_first);
    return n;
}
