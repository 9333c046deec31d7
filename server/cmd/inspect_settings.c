/* inspect_settings.c - shows what the manifest of a model says of requests that leave it open. */
#include "inspect_private.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN 200 /* bytes of a text */

static void add_quoted(struct strbuf *out, struct span text)
{
    char shown[SHOWN];
    text_escape(shown, sizeof(shown), text);
    strbuf_format(out, " \"%s\"", shown);
}

/* Of an array the first `most` items. */
static void add_value(struct strbuf *out, const struct checkpoint_value *v, uint64_t most)
{
    uint64_t whole;
    double real;
    size_t pos = 0;
    for (uint64_t i = 0; i < v->count && i < most; i++) {
        if (v->kind == CHECKPOINT_STRING)
            add_quoted(out, v->is_array ? checkpoint_next_string(v->bytes, &pos) : v->bytes);
        else if (v->kind == CHECKPOINT_REAL && checkpoint_item_f64(v, i, &real))
            strbuf_format(out, " %.6g", real);
        else if (checkpoint_item_u64(v, i, &whole))
            strbuf_format(out, " %" PRIu64, whole);
    }
    strbuf_text(out, v->count > most ? " …" : "");
}

#define ITEMS_SHOWN 6

void inspect_translated(struct strbuf *out, const struct checkpoint_value *v)
{
    char key[SHOWN];
    text_escape(key, sizeof(key), v->key);
    strbuf_format(out, "  %-42s", key);
    if (v->is_array)
        strbuf_format(out, " [%" PRIu64 "]", v->count);
    add_value(out, v, ITEMS_SHOWN);
}

void inspect_settings(struct strbuf *out, const struct loaded *l)
{
    static const char *const prefixes[] = {"general.sampling.", "default."};
    const struct checkpoint *c = l->settings ? l->checkpoint : NULL;
    size_t n = 0;
    for (size_t i = 0; c && i < c->n_values; i++)
        for (size_t k = 0; k < sizeof(prefixes) / sizeof(prefixes[0]); k++) {
            const struct checkpoint_value *v = &c->values[i];
            size_t size = strlen(prefixes[k]);
            if (v->key.size <= size || memcmp(v->key.at, prefixes[k], size) != 0)
                continue;
            strbuf_text(out, n++ ? ", " : "");
            strbuf_add(out, (struct span){v->key.at + size, v->key.size - size});
            add_value(out, v, UINT64_MAX);
        }
}
