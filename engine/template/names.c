/* names.c - finds the names that are hidden in a scope until it sets them, as Jinja's compiler does.
 *
 * Jinja binds names before a template runs. A scope that sets a name owns it from its first line on: where a loop or a
 * macro inside reads the name earlier, it is undefined, whatever the request's variables and the functions are. There are
 * three exceptions. A scope that reads the name before it sets it, or sets it inside an `if`, begins with the value from
 * outside. So does one that stands inside a scope that knows the name. A block knows the names of no scope around it.
 *
 * The scope's own statements come first, then the scopes in it: those know its names, wherever it mentions them.
 */
#include "template_private.h"

#include <stdlib.h>

struct known {
    struct span name; /* at NULL: a free slot */
    bool here; /* a scope that is open mentions it */
    struct known *before; /* the one that was mentioned before it */
};

struct names {
    struct value_arena *arena;
    struct error *err;
    struct known *slots; /* [mask + 1] */
    size_t mask;
    struct known *last; /* of what the open scopes mention, the innermost one's last */
    unsigned loops; /* loops around this place */
};

static struct known *slot_of(const struct names *x, struct span name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.at[i]) * 16777619u;
    for (size_t i = hash & x->mask;; i = (i + 1) & x->mask)
        if (!x->slots[i].name.at || span_compare(x->slots[i].name, name) == 0)
            return &x->slots[i];
}

/* Notes that the innermost scope knows the name. With `hidden`, the scope's list, the name is set without an `if`. */
static void mention(struct names *x, struct value name, struct hidden **hidden)
{
    struct known *k = slot_of(x, value_span(name));
    if (k->here)
        return;
    k->name = value_span(name);
    k->here = true;
    k->before = x->last;
    x->last = k;
    struct hidden *h = hidden ? value_alloc(x->arena, sizeof(*h)) : NULL;
    if (h) {
        *h = (struct hidden){.name = k->name, .next = *hidden};
        *hidden = h;
    }
}

/* Mentions what a list of expressions reads. A chain of operators is deep on its left side only. */
static void read_names(struct names *x, const struct node *first)
{
    for (const struct node *in_list = first; in_list; in_list = in_list->next)
        for (const struct node *n = in_list, *left; n; n = left) {
            const bool turned = n->kind == NODE_CONDITION; /* b if a */
            left = turned ? n->b : n->a;
            if (n->kind == NODE_NAME)
                mention(x, n->value, NULL);
            read_names(x, turned ? n->a : n->b);
            read_names(x, n->c);
            if (left)
                read_names(x, left->next);
        }
}

static void set_names(struct names *x, const struct node *target, struct hidden **hidden)
{
    if (target->kind == NODE_TUPLE) {
        for (const struct node *part = target->a; part; part = part->next)
            set_names(x, part, hidden);
    } else if (target->kind == NODE_ATTRIBUTE) {
        read_names(x, target->a);
    } else {
        if (x->loops > 0 && value_is(target->value, "loop") && !x->err->text[0])
            error_set(x->err, "line %u: 'loop' cannot be set inside of a loop", target->line);
        mention(x, target->value, hidden);
    }
}

/* Mentions the names of a scope's own statements, in their order. */
static void look(struct names *x, const struct node *first, struct hidden **hidden)
{
    for (const struct node *n = first; n; n = n->next)
        switch (n->kind) {
        case NODE_IF:
            for (const struct node *branch = n->a; branch; branch = branch->next) {
                read_names(x, branch->a);
                look(x, branch->b, NULL);
            }
            break;
        case NODE_SET:
        case NODE_SET_BLOCK:
            if (n->kind == NODE_SET)
                read_names(x, n->b);
            set_names(x, n->a, hidden);
            break;
        case NODE_MACRO:
            mention(x, n->value, hidden);
            break;
        case NODE_WITH:
            for (const struct node *set = n->a; set; set = set->next)
                read_names(x, set->b);
            break;
        case NODE_FOR:
        case NODE_FILTER_BLOCK:
            read_names(x, n->b);
            break;
        case NODE_PRINT:
        case NODE_CALL_BLOCK:
            read_names(x, n->a);
            break;
        default:
            break;
        }
}

static void look_inside(struct names *x, struct node *first);

static void set_parameters(struct names *x, const struct node *first)
{
    for (const struct node *p = first; p; p = p->next)
        mention(x, p->value, NULL);
    for (const struct node *p = first; p; p = p->next)
        read_names(x, p->a);
}

/* Finds what is hidden in the scope of a statement and in those inside of it. */
static void open_scope(struct names *x, struct node *n)
{
    const struct known *before = x->last;
    x->loops += n->kind == NODE_FOR;
    if (n->kind == NODE_FOR) {
        set_names(x, n->a, NULL);
    } else if (n->kind == NODE_MACRO || n->kind == NODE_CALL_BLOCK) {
        set_parameters(x, n->kind == NODE_MACRO ? n->a : n->b);
    } else if (n->kind == NODE_WITH) {
        const unsigned loops = x->loops;
        x->loops = 0; /* a parameter may have any name */
        for (const struct node *set = n->a; set; set = set->next)
            set_names(x, set->a, NULL);
        x->loops = loops;
    } else if (n->kind == NODE_AUTOESCAPE) {
        read_names(x, n->a);
    }
    look(x, n->d, &n->hidden);
    look_inside(x, n->d);
    for (; x->last != before; x->last = x->last->before)
        x->last->here = false;
    if (n->kind == NODE_FOR)
        look_inside(x, n->e);
    x->loops -= n->kind == NODE_FOR;
}

static void look_inside(struct names *x, struct node *first)
{
    for (struct node *n = first; n; n = n->next)
        if (n->kind == NODE_IF)
            for (struct node *branch = n->a; branch; branch = branch->next)
                look_inside(x, branch->b);
        else if (n->kind != NODE_BLOCK && (n->d || n->kind == NODE_FOR))
            open_scope(x, n);
}

bool names_find(struct template *t, size_t n_tokens, struct error *err)
{
    struct names x = {.arena = t->arena, .err = err, .mask = 63};
    while (x.mask < 2 * n_tokens)
        x.mask = 2 * x.mask + 1;
    x.slots = calloc(x.mask + 1, sizeof(*x.slots));
    if (!x.slots)
        return error_no_memory(err, "the template");
    open_scope(&x, t->root);
    for (struct node *block = t->blocks; block; block = block->e)
        open_scope(&x, block);
    free(x.slots);
    if (value_arena_failed(t->arena))
        error_no_memory(err, "the template");
    return !err->text[0];
}
