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

static void add_value(struct strbuf *out, const struct checkpoint_value *v)
{
    uint64_t whole;
    double real;
    size_t pos = 0;
    if (v->is_array)
        for (uint64_t i = 0; i < v->count; i++)
            add_quoted(out, checkpoint_next_string(v->bytes, &pos));
    else if (v->kind == CHECKPOINT_STRING)
        add_quoted(out, v->bytes);
    else if (v->kind == CHECKPOINT_REAL && checkpoint_item_f64(v, 0, &real))
        strbuf_format(out, " %.6g", real);
    else if (checkpoint_item_u64(v, 0, &whole))
        strbuf_format(out, " %" PRIu64, whole);
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
            add_value(out, v);
        }
}
