/* values.c - single values of a request, as leniently as clients expect. */
#include "fields_private.h"

#include <math.h>
#include <string.h>

#define TWO_TO_63 9223372036854775808.0

enum whole_result value_whole(const json_t *value, int64_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return WHOLE_YES;
    }
    double number = json_real_value(value);
    if (!json_is_real(value) || number != floor(number))
        return WHOLE_NO;
    bool fits = number >= -TWO_TO_63 && number < TWO_TO_63;
    *out = fits ? (int64_t)number : number < 0 ? INT64_MIN : INT64_MAX;
    return fits ? WHOLE_YES : WHOLE_TOO_LARGE;
}

bool value_is_word(const json_t *value, const char *word)
{
    return json_is_string(value) && json_string_length(value) == strlen(word) &&
           memcmp(json_string_value(value), word, strlen(word)) == 0;
}

bool api_token_id(const json_t *value, size_t vocabulary, int32_t *out)
{
    int64_t id;
    if (value_whole(value, &id) != WHOLE_YES || id < 0 || id > INT32_MAX || (uint64_t)id >= vocabulary)
        return false;
    *out = (int32_t)id;
    return true;
}

struct span api_text(const json_t *value)
{
    return (struct span){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

bool api_is_absent(const json_t *value)
{
    return !value || json_is_null(value);
}

bool api_truth(const json_t *request, const char *name, bool otherwise, bool *out, struct api_error *c)
{
    const json_t *value = json_object_get(request, name);
    *out = otherwise;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_boolean(value))
        return api_error_bad(c, name, "'%s' must be true or false", name);
    *out = json_is_true(value);
    return true;
}

bool api_integer(
    const json_t *request, const char *name, int64_t otherwise, int64_t *out, struct api_error *c)
{
    const json_t *value = json_object_get(request, name);
    *out = otherwise;
    return api_is_absent(value) || value_whole(value, out) != WHOLE_NO ||
           api_error_bad(c, name, "'%s' must be an integer", name);
}
