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
#define MAX_ARGUMENTS 20 /* of one call */
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
    NODE_FILTER, /* a|builtin(b…), named `value`; a is NULL where a block is filtered */
    NODE_TEST, /* a is builtin(b…), named `value` */
    /* statements */
    NODE_TEXT, /* value */
    NODE_PRINT, /* a */
    NODE_IF, /* a…, of NODE_BRANCH: if a (NULL: else) then b… */
    NODE_BRANCH,
    NODE_FOR, /* for a in b if c: d… else: e… */
    NODE_SET, /* a = b */
    NODE_SET_BLOCK, /* a = b, filters, of d… */
    NODE_MACRO, /* value(a…) d… */
    NODE_PARAMETER, /* value=a, which may be NULL */
    NODE_WITH, /* a… of NODE_SET, then d… */
    NODE_FILTER_BLOCK, /* b, filters, of d… */
    NODE_CALL_BLOCK, /* a is the call, b… the parameters of caller(), d… its body */
    NODE_SCOPE, /* d… */
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

struct node {
    enum node_kind kind;
    enum operation op;
    unsigned line;
    struct node *next; /* in the list that this node is part of */
    struct node *a, *b, *c, *d, *e;
    const struct builtin *builtin; /* NULL: no filter or test of this name is known */
    struct value value;
};

struct parser {
    struct value_arena *arena;
    const struct template_token *at; /* the current token */
    struct error *err;
    unsigned depth; /* of tags and brackets */
    unsigned loops; /* loops around this place: break and continue need one */
};

/* Writes the line of the current token and the reason; the first reason stays. Returns NULL. */
struct node *parse_fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct node *parse_node(struct parser *p, enum node_kind kind); /* at the current line; NULL when full */
bool parse_at(const struct parser *p, enum template_token_kind kind, const char *text);
bool parse_skip(
    struct parser *p, enum template_token_kind kind, const char *text); /* goes past it, if it is there */
bool parse_expect(struct parser *p, enum template_token_kind kind, const char *text);
bool parse_enter(struct parser *p); /* one level deeper; false with the reason when that is too deep */

struct node *parse_expression(struct parser *p);
struct node *parse_or(struct parser *p); /* an expression without `if` */
struct node *parse_tuple(struct parser *p); /* expressions with commas between, or one */
struct node *parse_primary(struct parser *p);
struct node *parse_unary(struct parser *p, bool with_filters);
struct node *parse_filters(struct parser *p, struct node *input, bool begun); /* begun: no | before the 1st */

struct template
{
    struct value_arena *arena;
    struct span source; /* a copy in the arena */
    struct node *body;
};

/* ---- a running template ---- */

struct binding {
    struct span name;
    struct value value;
    struct binding *next;
};

struct scope {
    struct scope *outer;
    struct binding *bindings;
};

struct template_run {
    struct value_arena *arena;
    struct error *err;
    struct value vars;
    struct scope *scope;
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
bool run_add_text(struct template_run *r, struct value s); /* with the origin of each byte */
bool run_take(
    struct template_run *r, size_t start, struct value *out); /* what was added since r->size was start */

const struct value *scope_find(const struct template_run *r, struct span name);
bool scope_set(struct template_run *r, struct span name, struct value v);
bool scope_open(struct template_run *r);

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

enum flow exec_body(struct template_run *r, const struct node *first);
bool eval(struct template_run *r, const struct node *n, struct value *out);

struct arguments {
    struct value at[MAX_ARGUMENTS]; /* positional */
    size_t n;
    struct span names[MAX_ARGUMENTS]; /* keywords */
    struct value named[MAX_ARGUMENTS];
    size_t n_named;
};

bool eval_arguments(struct template_run *r, const struct node *first, struct arguments *args);
bool call_value(struct template_run *r, struct value callee, const struct arguments *args, struct value *out);
bool call_macro(struct template_run *r, struct value macro, const struct arguments *args, struct value *out);

/* A filter, test, function or method. `parameters` names its arguments, the value or self first; one that is not given
 * is VALUE_UNDEFINED. `run_any` gets the arguments as they are written. */
struct builtin {
    const char *name;
    size_t needed; /* parameters that must be given */
    const char *parameters[MAX_PARAMETERS];
    bool (*run)(struct template_run *r, const struct value *at, struct value *out);
    bool (*run_any)(struct template_run *r, const struct arguments *args, struct value *out);
};

const struct builtin *filter_find(struct span name);
const struct builtin *test_find(struct span name);
const struct builtin *function_find(struct span name);
/* The method of that name of a string, list or map. *known: Python has one, supported here or not. */
const struct builtin *method_find(enum value_kind kind, struct span name, bool *known);
bool builtin_call(
    struct template_run *r, const struct builtin *b, const struct arguments *args, struct value *out);
/* Calls the filter or test of the node. One that is not known fails here, when it is reached. */
bool builtin_call_node(
    struct template_run *r, const struct node *n, const struct arguments *args, struct value *out);

/* Of choose.c, with rows in the table of filters. */
bool filter_select(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_reject(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_selectattr(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_rejectattr(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_map(struct template_run *r, const struct arguments *args, struct value *out);
bool filter_sort(struct template_run *r, const struct value *at, struct value *out);
bool filter_dictsort(struct template_run *r, const struct value *at, struct value *out);
bool filter_unique(struct template_run *r, const struct value *at, struct value *out);
bool filter_min(struct template_run *r, const struct value *at, struct value *out);
bool filter_max(struct template_run *r, const struct value *at, struct value *out);
/* A list of what each item has at `path`, a name like "a.b.0" or an index. */
bool pick(struct template_run *r, struct value list, struct value path, struct value *out);
bool pairs_of(struct template_run *r, struct value map, struct value *out); /* a list of (key, value) */

/* ---- objects ---- */

extern const char object_macro[], object_namespace[], object_loop[], object_method[], object_function[];

struct macro {
    const struct node *node; /* NODE_MACRO, or NODE_CALL_BLOCK for a caller */
    struct scope *scope; /* where it was defined */
};

struct loop {
    struct value items; /* items of `all` that have passed the loop's condition so far */
    struct value all; /* the condition of an item is evaluated when the loop comes to it */
    size_t asked; /* items of `all` whose condition was evaluated */
    const struct node *node; /* NODE_FOR, and the scope in which its condition is evaluated */
    struct scope *scope;
    size_t index; /* from 0 */
    unsigned depth; /* from 1 */
    struct value last_changed;
};

struct method {
    const struct builtin *builtin;
    struct value self;
};

struct value object_value(const void *type, void *data);
/* Finds items until there are `n`, or all of them. */
bool loop_find(struct template_run *r, struct loop *l, size_t n);
bool loop_attribute(struct template_run *r, struct loop *l, struct span name, struct value *out);

/* ---- operators, attributes ---- */

const char *kind_name(struct value v); /* as Python calls it: "str", "dict" */
bool truth(struct value v);
bool is_number(struct value v); /* a boolean is one, too */
bool whole(struct value v); /* an integer or a boolean */
bool is_sequence(struct value v); /* a string, list or tuple */
double as_real(struct value v);
int64_t as_integer(struct value v); /* the value of an integer or a boolean */
bool undefined_fail(struct template_run *r, struct value v); /* fails with the name that is undefined */

bool values_equal(struct template_run *r, struct value a, struct value b, bool *equal);
bool values_order(
    struct template_run *r, struct value a, struct value b, int *order); /* fails where Python does */
bool values_contain(struct template_run *r, struct value in, struct value what, bool *found);
bool map_find(struct template_run *r, struct value map, struct value key, struct value **found);
bool operate(struct template_run *r, enum operation op, struct value a, struct value b, struct value *out);
bool compare(struct template_run *r, enum operation op, struct value a, struct value b, bool *out);

bool get_attribute(struct template_run *r, struct value of, struct value name, struct value *out);
bool get_item(struct template_run *r, struct value of, struct value key, struct value *out);
bool get_slice(struct template_run *r, struct value of, const struct value bounds[3], struct value *out);
bool iterate(
    struct template_run *r, struct value over, struct value *list); /* the items of `over` as a list */
bool value_length(struct template_run *r, struct value v, int64_t *length);

/* ---- printing ---- */

bool print_text(struct template_run *r, struct value v); /* str(v) */
bool print_quoted(struct template_run *r, struct value v, unsigned depth); /* repr(v) */
struct json_style {
    struct value indent, separators;
    bool ascii, sorted;
};
bool print_json(struct template_run *r, struct value v, const struct json_style *style);
bool to_string(struct template_run *r, struct value v, struct value *out);

/* ---- text ---- */

size_t space_at(struct span s); /* bytes of the white space that `s` begins with, as Python has it, or 0 */
size_t space_before(struct span s); /* the same at its end */
size_t count_characters(struct span s);
size_t character_offset(struct span s, size_t n); /* the byte where character n begins, or s.size */
size_t find_bytes(struct span in, struct span what, size_t from); /* SIZE_MAX: not in it */
struct value strip(struct value s, const struct value *characters, bool left, bool right);
bool is_ascii(struct span s);
size_t put_character(uint32_t code, char out[4]); /* as UTF-8; returns its bytes */
uint32_t get_character(struct span s, size_t *size); /* the first of valid UTF-8 */

enum letter_case { CASE_UPPER, CASE_LOWER, CASE_CAPITAL, CASE_TITLE, CASE_WORDS };
bool change_case(struct template_run *r, struct value s, enum letter_case to, struct value *out);
bool replace_text(struct template_run *r, struct value s, struct value old, struct value new, int64_t count,
    struct value *out);
bool join_texts(struct template_run *r, struct value list, struct value between, struct value *out);

#endif
