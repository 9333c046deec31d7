/* schema_check.c - holds the members of a request to the JSON Schemas by which /openapi.json describes them.
 *
 * The keywords are type, enum, const, minimum, maximum and anyOf. What is in lists and objects is checked by those who read
 * them.
 */
#include "berth/server/api/translate.h"

#include "fields_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- types ---- */

static bool is_of_type(const json_t *value, const char *type)
{
    int64_t whole;
    switch (json_typeof(value)) {
    case JSON_NULL:
        return strcmp(type, "null") == 0;
    case JSON_TRUE:
    case JSON_FALSE:
        return strcmp(type, "boolean") == 0;
    case JSON_STRING:
        return strcmp(type, "string") == 0;
    case JSON_ARRAY:
        return strcmp(type, "array") == 0;
    case JSON_OBJECT:
        return strcmp(type, "object") == 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return strcmp(type, "number") == 0 ||
               (strcmp(type, "integer") == 0 && value_whole(value, &whole) != WHOLE_NO);
    }
    return false;
}

/* `type` is a word or a list of words; missing, any. */
static bool has_type(const json_t *type, const json_t *value)
{
    if (json_is_string(type))
        return is_of_type(value, json_string_value(type));
    for (size_t i = 0; i < json_array_size(type); i++)
        if (is_of_type(value, json_string_value(json_array_get(type, i))))
            return true;
    return !type;
}

/* ---- the keywords ---- */

static bool holds(const json_t *schema, const json_t *value);

static bool any_holds(const json_t *schemas, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(schemas); i++)
        if (holds(json_array_get(schemas, i), value))
            return true;
    return !schemas;
}

static bool is_listed(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return !list;
}

static bool number_holds(const json_t *schema, const json_t *value)
{
    const json_t *least = json_object_get(schema, "minimum"), *most = json_object_get(schema, "maximum");
    double number = json_number_value(value);
    return (!least || number >= json_number_value(least)) && (!most || number <= json_number_value(most));
}

static bool holds(const json_t *schema, const json_t *value)
{
    const json_t *only = json_object_get(schema, "const");
    return has_type(json_object_get(schema, "type"), value) &&
           any_holds(json_object_get(schema, "anyOf"), value) &&
           is_listed(json_object_get(schema, "enum"), value) && (!only || json_equal(only, value)) &&
           (!json_is_number(value) || number_holds(schema, value));
}

/* ---- the error ---- */

/* Writes the types that a schema or one of its alternatives names, in words: "a string or a list". True when one of them is
 * the value's. */
static bool tell_types(const json_t *schema, const json_t *value, char *out, size_t size)
{
    static const struct {
        char type[8], told[14];
    } words[] = {{"string", "a string"}, {"boolean", "true or false"}, {"integer", "an integer"},
        {"number", "a number"}, {"array", "a list"}, {"object", "an object"}};
    const json_t *others = json_object_get(schema, "anyOf");
    bool fits = false;
    size_t used = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && used < size; i++) {
        bool named = false;
        for (size_t k = 0; k <= json_array_size(others); k++) {
            const json_t *type = json_object_get(k ? json_array_get(others, k - 1) : schema, "type");
            const json_t *first = json_is_array(type) ? json_array_get(type, 0) : type;
            const char *second = json_string_value(json_array_get(type, 1));
            named |= value_is_word(first, words[i].type) || (second && strcmp(second, words[i].type) == 0);
        }
        fits |= named && is_of_type(value, words[i].type);
        if (named)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " or " : "", words[i].told);
    }
    return fits || used == 0;
}

static bool refuse(const char *name, const json_t *schema, const json_t *value, struct api_error *c)
{
    char types[96];
    if (!tell_types(schema, value, types, sizeof(types)))
        return api_error_bad(c, name, "'%s' must be %s", name, types);
    char *text = json_dumps(schema, JSON_COMPACT);
    if (text)
        api_error_bad(c, name, "'%s' must be as the JSON Schema %.300s says", name, text);
    else
        api_error_no_memory(c);
    free(text);
    return false;
}

bool schema_check_value(const char *name, const char *schema, const json_t *value, struct api_error *c)
{
    json_t *parsed = json_loads(schema, 0, NULL);
    bool good = parsed ? holds(parsed, value) || refuse(name, parsed, value, c) : api_error_no_memory(c);
    json_decref(parsed);
    return good;
}
