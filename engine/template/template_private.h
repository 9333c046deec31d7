/* template_private.h - what the parts of the template engine share: tokens, the tree, a running template.
 *
 * lex -> tokens -> parse (parse.c statements, expr.c expressions) -> tree -> exec (statements) and eval (expressions),
 * with operators, printing and the tables of filters, tests, methods and functions beside them. The tree is constant
 * once it is parsed; a rendering changes only its `struct template_run`.
 */
#ifndef BERTH_TEMPLATE_PRIVATE_H
#define BERTH_TEMPLATE_PRIVATE_H

#include "berth/engine/template/template.h"

#define PARSE_DEPTH 100 /* nested tags and brackets */
#define RUN_DEPTH 200 /* nested evaluations, of the tree and of macros in macros: below 512 KiB of stack */
#define FEW_ARGUMENTS 4 /* of a call without an allocation */
#define MAX_PARAMETERS 6 /* of one built-in */

/* ---- tokens ---- */

enum template_token_kind {
    TOKEN_END,
    TOKEN_DATA,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_PRINT_BEGIN,
    TOKEN_PRINT_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_OPERATOR
};

struct template_token {
    enum template_token_kind kind;
    unsigned line;
    struct span text; /* of TOKEN_STRING the value; else as written */
    int64_t integer;
    double real;
    bool too_large; /* an integer beyond 64 bits: it fails when it is reached */
};

/* The tokens of `source`, ending in a TOKEN_END; in the arena, as are their texts. NULL with the reason. */
struct template_token *template_lex(struct value_arena *arena, struct span source, struct error *err);

/* ---- the tree ---- */

enum node_kind {
    /* expressions; children in a, b, c, lists of them linked by `next` */
    NODE_CONST, /* value */
    NODE_NAME, /* value */
    NODE_LIST, /* a… */
    NODE_TUPLE, /* a… */
    NODE_DICT, /* a…, of NODE_PAIR: a: b */
    NODE_PAIR,
    NODE_CONDITION, /* b if a else c, which may be NULL */
    NODE_AND,
    NODE_OR,
    NODE_NOT,
    NODE_NEGATIVE,
    NODE_POSITIVE,
    NODE_BINARY, /* a op b */
    NODE_CONCAT, /* a ~ a… */
    NODE_COMPARE, /* a, then b… of NODE_OPERAND: op a */
    NODE_OPERAND,
    NODE_ATTRIBUTE, /* a.value */
    NODE_ITEM, /* a[b] */
    NODE_SLICE, /* a:b:c, each may be NULL */
    NODE_CALL, /* a(b…) */
    NODE_KEYWORD, /* value=a, among a call's arguments */
    NODE_SPREAD, /* *a, among a call's arguments */
    NODE_SPREAD_NAMED, /* **a */
    NODE_FILTER, /* a|builtin(b…), named `value`; a is NULL where a block is filtered */
    NODE_TEST, /* a is builtin(b…), named `value` */
    /* statements */
    NODE_TEXT, /* value */
    NODE_PRINT, /* a */
    NODE_IF, /* a…, of NODE_BRANCH: if a (NULL: else) then b… */
    NODE_BRANCH,
    NODE_FOR, /* for a in b if c: d… else: e, a NODE_SCOPE; `flag`: recursive */
    NODE_SET, /* a = b */
    NODE_SET_BLOCK, /* a = b, filters, of d… */
    NODE_MACRO, /* value(a…) d… */
    NODE_PARAMETER, /* value=a, which may be NULL */
    NODE_WITH, /* a… of NODE_SET, then d… */
    NODE_FILTER_BLOCK, /* b, filters, of d… */
    NODE_CALL_BLOCK, /* a is the call, b… the parameters of caller(), d… its body */
    NODE_SCOPE, /* d… */
    NODE_AUTOESCAPE, /* a says whether, d… */
    NODE_BLOCK, /* named `value`, d…; `flag`: with the names around it */
    NODE_REFUSED, /* statement or expression that fails when it is reached; value is the reason */
    NODE_BREAK,
    NODE_CONTINUE
};

enum operation {
    OP_NONE,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_FLOOR_DIVIDE,
    OP_MODULO,
    OP_POWER,
    OP_EQUAL,
    OP_UNEQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
    OP_IN,
    OP_NOT_IN
};

/* A name that is set in a scope before it is read there, and of which the scopes around know nothing. */
struct hidden {
    struct span name;
    struct hidden *next;
};

enum macro_uses { USES_CALLER = 1, USES_KWARGS = 2, USES_VARARGS = 4 };

struct node {
    enum node_kind kind;
    enum operation op;
    unsigned line;
    bool flag;
    uint8_t uses; /* of a macro, enum macro_uses: names that its body takes from its call */
    struct hidden *hidden; /* of a statement with a scope: what is undefined there until it is set */
    struct node *next; /* in the list that this node is part of */
    struct node *a, *b, *c, *d, *e;
    const struct builtin *builtin; /* NULL: no filter or test of this name is known */
    struct value value;
};

/* Names of a macro's call, enum macro_uses, as its body is parsed. */
struct parser_uses {
    uint8_t read, left; /* it reads them; it has not set them so far */
};

struct parser {
    struct value_arena *arena;
    const struct template_token *at; /* the current token */
    struct error *err;
    unsigned depth; /* of tags and brackets */
    unsigned loops; /* loops around this place: break and continue need one */
    struct parser_uses uses;
    struct node *blocks; /* of the template, linked by `e` */
};

/* Writes the line of the current token and the reason; the first reason stays. Returns NULL. */
struct node *parse_fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct node *parse_node(struct parser *p, enum node_kind kind); /* at the current line; NULL when full */
bool parse_at(const struct parser *p, enum template_token_kind kind, const char *text);
bool parse_skip(
    struct parser *p, enum template_token_kind kind, const char *text); /* goes past it, if it is there */
bool parse_expect(struct parser *p, enum template_token_kind kind, const char *text);
bool parse_enter(struct parser *p); /* one level deeper; false with the reason when that is too deep */

struct node *parse_refused(struct parser *p, const char *reason); /* fails with it when it is reached */
uint8_t parse_use_of(struct span name); /* enum macro_uses, or 0 */

struct node *parse_expression(struct parser *p);
struct node *parse_or(struct parser *p); /* an expression without `if` */
struct node *parse_tuple(struct parser *p); /* expressions with commas between, or one */
struct node *parse_primary(struct parser *p);
struct node *parse_unary(struct parser *p, bool with_filters);
struct node *parse_filters(struct parser *p, struct node *input, bool begun); /* begun: no | before the 1st */

/* Finds which names are hidden where, in the whole tree. False when memory is short or a name is set that must not be. */
bool names_find(struct template *t, size_t n_tokens, struct error *err);

/* ---- a running template ---- */

struct binding {
    struct span name;
    struct value value;
    bool hidden; /* it has not been set so far */
    struct binding *next;
};

struct scope {
    struct scope *outer;
    struct binding *bindings;
    bool block; /* what is hidden outside of it is not hidden here */
};

struct template_run {
    struct value_arena *arena;
    struct error *err;
    const struct template *template;
    struct value vars;
    struct scope *scope, *root;
    bool sorted; /* keys of dicts are printed in order */
    bool ascii; /* quoted text has escapes for all that is not ASCII */
    bool escapes; /* what is printed here is escaped: by the tag autoescape that stands around it */
    bool safe; /* inside of that tag: what macros and filters give is markup */
    uint64_t steps; /* left */
    unsigned depth, line;
    int64_t now;
    /* The output. Text that becomes a value is at its end until it is removed. */
    char *text;
    uint16_t *marks; /* of each byte, enum value_origin */
    size_t size, room, limit;
};

/* Writes the line that is run and the reason; the first reason stays. Returns false. */
bool run_fail(struct template_run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool run_step(struct template_run *r, uint64_t steps); /* false, with the reason, at a limit */

bool run_add(struct template_run *r, struct span s, unsigned origin);
bool run_add_text(struct template_run *r, const struct value *s); /* with the origin of each byte */
bool run_add_part(struct template_run *r, const struct value *s, size_t start, size_t end);
/* Append to a list that is being made: a value, or a part of a string. */
bool list_put(struct template_run *r, const struct value *list, const struct value *item);
bool list_put_part(
    struct template_run *r, const struct value *list, const struct value *s, size_t start, size_t end);
bool run_take(
    struct template_run *r, size_t start, struct value *out); /* what was added since r->size was start */

const struct binding *scope_find(const struct template_run *r, struct span name);
bool scope_set(struct template_run *r, struct span name, const struct value *v);
/* Opens the scope of a statement; begins a round in the scope that is open. */
bool scope_open(struct template_run *r, const struct node *n);
bool scope_begin(struct template_run *r, const struct node *n);
/* Closes the scope and goes on in `outer`. A macro that was defined in the scope finds its names undefined then. */
void scope_close(struct template_run *r, struct scope *outer);

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

enum flow exec_body(struct template_run *r, const struct node *first);
bool eval(struct template_run *r, const struct node *n, struct value *out);

/* What a call is given. It must not be copied: `at` may point into it. */
struct arguments {
    struct value *at; /* [n] positional */
    size_t n, room;
    struct value_map named; /* keywords, each once */
    struct value few[FEW_ARGUMENTS];
};

void arguments_init(struct arguments *args);
bool arguments_add(struct template_run *r, struct arguments *args, const struct value *v);
bool arguments_name(struct template_run *r, struct arguments *args, struct value name, struct value v);
/* Adds those of `from`: the positional ones from number `first` on, and all keywords. */
bool arguments_join(
    struct template_run *r, struct arguments *args, const struct arguments *from, size_t first);
bool eval_arguments(struct template_run *r, const struct node *first, struct arguments *args);
bool call_value(struct template_run *r, struct value callee, const struct arguments *args, struct value *out);
bool call_macro(struct template_run *r, struct value macro, const struct arguments *args, struct value *out);

/* A filter, test, function or method. `parameters` has the names of its arguments with blanks between them, the value or
 * self first; one that may be left out ends in "?" and is VALUE_UNDEFINED then. A digit is the name of one that is given
 * by its place alone. Without `parameters` run_any gets the arguments as they are written. */
struct builtin {
    const char *name, *parameters;
    union {
        bool (*run)(struct template_run *r, const struct value *at, struct value *out);
        bool (*run_any)(struct template_run *r, const struct arguments *args, struct value *out);
    };
};

const struct builtin *filter_find(struct span name);
const struct builtin *test_find(struct span name);
const struct builtin *function_find(struct span name);
struct value function_value(
    const struct builtin *f); /* as a value: a function, or a class that makes values */
/* The method of that name that a value has; NULL for none. *refused: Python has one, which is not supported here. */
const struct builtin *method_find(struct value of, struct span name, bool *refused);
extern const struct builtin str_methods[]; /* up to one without a name */
bool wants_text(struct template_run *r, const struct value *v); /* fails for anything but a string */
/* A count that may be left out: `otherwise` then. */
bool wants_count(struct template_run *r, const struct value *v, int64_t otherwise, int64_t *out);
bool builtin_call(
    struct template_run *r, const struct builtin *b, const struct arguments *args, struct value *out);
/* Calls the filter or test of the node. One that is not known fails here, when it is reached. */
bool builtin_call_node(
    struct template_run *r, const struct node *n, const struct arguments *args, struct value *out);

/* Of other files, with rows in the table of filters. */
bool filter_select(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_reject(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_selectattr(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_rejectattr(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_map(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_format(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_batch(struct template_run *r, const struct value *at, struct value *out);
bool filter_slice(struct template_run *r, const struct value *at, struct value *out);
bool filter_items(struct template_run *r, const struct value *at, struct value *out);
bool filter_reverse(struct template_run *r, const struct value *at, struct value *out);
bool filter_unique(struct template_run *r, const struct value *at, struct value *out);
bool filter_sort(struct template_run *r, const struct value *at, struct value *out);
bool filter_dictsort(struct template_run *r, const struct value *at, struct value *out);
bool filter_groupby(struct template_run *r, const struct value *at, struct value *out);
bool filter_min(struct template_run *r, const struct value *at, struct value *out);
bool filter_max(struct template_run *r, const struct value *at, struct value *out);
bool filter_join(struct template_run *r, const struct value *at, struct value *out);
bool filter_indent(struct template_run *r, const struct value *at, struct value *out);
bool filter_center(struct template_run *r, const struct value *at, struct value *out);
bool filter_truncate(struct template_run *r, const struct value *at, struct value *out);
bool filter_wordcount(struct template_run *r, const struct value *at, struct value *out);
bool filter_wordwrap(struct template_run *r, const struct value *at, struct value *out);
bool filter_filesizeformat(struct template_run *r, const struct value *at, struct value *out);
bool filter_urlencode(struct template_run *r, const struct value *at, struct value *out);
bool filter_urlize(struct template_run *r, const struct value *at, struct value *out);
bool filter_escape(struct template_run *r, const struct value *at, struct value *out);
bool filter_forceescape(struct template_run *r, const struct value *at, struct value *out);
bool filter_safe(struct template_run *r, const struct value *at, struct value *out);
bool filter_striptags(struct template_run *r, const struct value *at, struct value *out);
bool filter_xmlattr(struct template_run *r, const struct value *at, struct value *out);
bool filter_pprint(struct template_run *r, const struct value *at, struct value *out);
bool filter_round(struct template_run *r, const struct value *at, struct value *out);
bool filter_int(struct template_run *r, const struct value *at, struct value *out);
bool filter_float(struct template_run *r, const struct value *at, struct value *out);
bool filter_abs(struct template_run *r, const struct value *at, struct value *out);
/* What an item has at `path`: a name like "a.b.0", an index, or none for the item itself. */
bool get_path(struct template_run *r, struct value of, struct value path, struct value *out);
/* The same, with another value for what is undefined on the way; undefined or none for no other. */
bool get_path_or(
    struct template_run *r, struct value of, struct value path, struct value otherwise, struct value *out);
/* The attribute that a filter was given, or null. */
struct value path_of(struct value argument);
bool pairs_of(struct template_run *r, struct value map, struct value *out); /* a list of (key, value) */
bool pair_of(
    struct template_run *r, const struct value *a, const struct value *b, struct value *out); /* a tuple */

/* ---- objects ---- */

extern const char object_macro[], object_namespace[], object_loop[], object_method[], object_function[],
    object_generator[], object_range[], object_view[], object_cycler[], object_joiner[], object_class[],
    object_blocks[];

struct macro {
    const struct node *node; /* NODE_MACRO, or NODE_CALL_BLOCK for a caller, or NODE_BLOCK */
    struct scope *scope; /* where it was defined */
    bool escapes; /* as there */
};

struct range {
    int64_t start, stop, step;
    size_t n;
};

enum view_of { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS };

struct view {
    struct value map;
    enum view_of what;
};

struct cycler { /* and joiner: `text` is what it gives from the second call on */
    struct value items, text;
    size_t at;
};

struct method {
    const struct builtin *builtin;
    struct value self;
};

static inline struct value object_value(const void *type, void *data)
{
    return (struct value){.kind = VALUE_OBJECT, .object = {type, data}};
}

static inline bool is_object(struct value v, const void *type)
{
    return v.kind == VALUE_OBJECT && v.object.type == type;
}

bool method_value(struct template_run *r, const struct builtin *b, struct value self, struct value *out);

/* ---- iteration ---- */

struct iterator {
    struct value over;
    size_t at;
};

/* Begins to go over a value; fails when it is not iterable. */
bool iterator_open(struct template_run *r, const struct value *over, struct iterator *it);
/* The next item; *more is false behind the last one. */
bool iterator_next(struct template_run *r, struct iterator *it, struct value *out, bool *more);

/* What Python calls a generator: items are made when they are asked for, and once. */
struct generator {
    bool (*next)(struct template_run *r, struct generator *g, struct value *out, bool *more);
    struct iterator from;
    bool begun, ended;
    bool attribute, wanted; /* of select and its like */
    size_t at;
    struct value with[3]; /* by `next` */
    struct arguments args;
    const struct builtin *builtin;
};

/* A generator that goes over `from`. It is begun when its first item is asked for. */
struct generator *generator_new(struct template_run *r,
    bool (*next)(struct template_run *r, struct generator *g, struct value *out, bool *more),
    struct value from, struct value *out);
bool range_item(const struct range *range, int64_t index, struct value *out);
bool range_new(struct template_run *r, int64_t start, int64_t stop, int64_t step, struct value *out);

struct loop {
    struct iterator from;
    const struct node *node; /* NODE_FOR, and the scope in which its condition is evaluated */
    struct scope *scope;
    struct value over; /* what the loop is over */
    struct value before, current, after;
    size_t index, length; /* index from 0 */
    bool has_after, has_length, ended;
    bool checked; /* the condition holds for what is left */
    unsigned depth; /* from 1 */
    struct value last_changed;
};

/* Goes on by one item; *more is false behind the last one. */
bool loop_step(struct template_run *r, struct loop *l, bool *more);
bool loop_attribute(struct template_run *r, struct loop *l, struct value name, struct value *out);
/* The same without looking ahead. */
bool loop_member(struct template_run *r, struct loop *l, struct value name, struct value *out);
bool object_member(struct template_run *r, struct value of, struct value name, struct value *out);
bool call_loop(struct template_run *r, struct loop *l, struct value over, struct value *out);
bool call_block(struct template_run *r, const struct node *block, struct value *out);
bool assign(struct template_run *r, const struct node *target, struct value v);

/* ---- operators, attributes ---- */

const char *kind_name(const struct value *v); /* as Python calls it: "str", "dict" */
bool truth(const struct value *v);

/* These are inline because a call with a value takes more code than what they do. */
static inline bool whole(struct value v) /* an integer or a boolean */
{
    return v.kind == VALUE_INTEGER || v.kind == VALUE_BOOL;
}

static inline bool is_number(struct value v)
{
    return whole(v) || v.kind == VALUE_FLOAT;
}

static inline bool is_sequence(struct value v) /* a string, list or tuple */
{
    return v.kind == VALUE_STRING || v.kind == VALUE_LIST;
}

static inline bool given(struct value v) /* neither undefined nor none */
{
    return v.kind > VALUE_NULL;
}

static inline int64_t as_integer(struct value v) /* of an integer or a boolean */
{
    return v.kind == VALUE_BOOL ? v.boolean : v.integer;
}

static inline double as_real(struct value v)
{
    return v.kind == VALUE_FLOAT ? v.real : (double)as_integer(v);
}

bool undefined_fail(
    struct template_run *r, const struct value *v); /* fails with the name that is undefined */

bool values_equal(struct template_run *r, const struct value *a, const struct value *b, bool *equal);
bool values_order(struct template_run *r, const struct value *a, const struct value *b,
    int *order); /* fails where Python does */
bool values_contain(struct template_run *r, struct value in, struct value what, bool *found);
bool map_find(struct template_run *r, const struct value *map, const struct value *key, struct value **found);
/* Sets a member of a map that is being made. Fails where a key is none. */
bool map_set(struct template_run *r, const struct value *map, const struct value *key, const struct value *v);
bool operate(struct template_run *r, enum operation op, struct value a, struct value b, struct value *out);
bool compare(struct template_run *r, enum operation op, struct value a, struct value b, bool *out);

bool get_attribute(struct template_run *r, struct value of, struct value name, struct value *out);
bool get_item(struct template_run *r, struct value of, struct value key, struct value *out);
bool get_slice(struct template_run *r, struct value of, const struct value bounds[3], struct value *out);
bool iterate(
    struct template_run *r, const struct value *over, struct value *list); /* the items of `over` as a list */
bool value_length(struct template_run *r, const struct value *v, int64_t *length);

/* ---- printing ---- */

bool print_text(struct template_run *r, const struct value *v); /* str(v) */
bool print_quoted(struct template_run *r, const struct value *v, unsigned depth); /* repr(v) */
struct json_style {
    struct value indent, separators;
    bool ascii, sorted;
};
bool print_json(struct template_run *r, struct value v, const struct json_style *style);
bool to_string(struct template_run *r, const struct value *v, struct value *out);

bool print_real(struct template_run *r, double d, bool json);
bool print_ascii(struct template_run *r, struct value v); /* ascii(v) */

/* ---- formatting, as `%` and format() have it ---- */

struct format_spec {
    uint32_t fill; /* 0: none was given */
    char align, sign, type, group; /* '\0' where none was given */
    bool alternate, zero, no_negative_zero, has_width, has_precision;
    size_t width, precision;
};

bool format_percent(struct template_run *r, struct value format, struct value with, struct value *out);
bool format_braces(struct template_run *r, struct value format, const struct arguments *args, size_t first,
    struct value *out);
/* Writes a value by a specification: as format(v, spec) does. */
bool format_value(struct template_run *r, struct value v, struct value spec);
bool format_integer(struct template_run *r, int64_t i, const struct format_spec *spec);
bool format_real(struct template_run *r, double d, const struct format_spec *spec);
bool format_text(struct template_run *r, struct value text, const struct format_spec *spec);
bool read_real(struct value s, double *out); /* float(s) */
bool read_integer(struct value s, int64_t base, int64_t *out, bool *too_large); /* int(s, base) */

/* ---- text ---- */

size_t space_at(struct span s); /* bytes of the white space that `s` begins with, as Python has it, or 0 */
size_t space_before(struct span s); /* the same at its end */
size_t count_characters(struct span s);
size_t character_offset(struct span s, size_t n); /* the byte where character n begins, or s.size */
size_t find_bytes(struct span in, struct span what, size_t from); /* SIZE_MAX: not in it */
size_t line_end(struct value s, size_t at, size_t *next); /* where the line from `at` ends, the next begins */
size_t find_last(struct span in, struct span what); /* SIZE_MAX: not in it */
struct value strip(const struct value *s, const struct value *characters, bool left, bool right);
bool is_ascii(struct span s);
size_t put_character(uint32_t code, char out[4]); /* as UTF-8; returns its bytes */
uint32_t get_character(struct span s, size_t *size); /* the first of valid UTF-8 */

enum letter_case {
    CASE_UPPER,
    CASE_LOWER,
    CASE_CAPITAL, /* the first letter is upper, the others are lower */
    CASE_TITLE, /* as Jinja's filter: the first letter of each word, words end at spaces and brackets */
    CASE_WORDS, /* as Python's title() */
    CASE_FOLD,
    CASE_SWAP
};
bool change_case(struct template_run *r, const struct value *s, enum letter_case to, struct value *out);
/* Whether a string has characters and all are of these classes; are of one case; are written as a title. */
bool all_characters(struct template_run *r, struct value s, unsigned classes, struct value *out);
bool all_cased(struct template_run *r, struct value s, unsigned wanted, struct value *out);
bool is_title(struct template_run *r, struct value s, struct value *out);
bool replace_text(struct template_run *r, struct value s, struct value old, struct value new, int64_t count,
    struct value *out);
bool pad_text(
    struct template_run *r, const struct value *s, size_t left, size_t right, const struct value *fill);
struct value escape_text(struct template_run *r, const struct value *v); /* HTML; undefined when it fails */
/* The same where text is escaped: the separator and the items are, when one of them is markup. */
bool join_escaped(struct template_run *r, struct value list, struct value between, struct value *out);
bool join_texts(
    struct template_run *r, const struct value *list, const struct value *between, struct value *out);

/* ---- the whole ---- */

struct template
{
    struct value_arena *arena;
    struct span source; /* a copy in the arena */
    struct node *root, *blocks; /* a NODE_SCOPE, and NODE_BLOCKs linked by `e` */
};

#endif
