/* request_memory.c - what requests may take together, and what one takes for its body. */
#include "berth/server/request_memory.h"

#include "berth/server/json/body.h"

#define MOST ((uint64_t)1 << 30)
#define BYTES_A_BYTE 10 /* of a text: its copies as JSON, value and prompt, its marks, code points and ids */

size_t request_memory_default(uint64_t memory)
{
    uint64_t share = memory / 8 * 3;
    return (size_t)(memory == 0 || share > MOST ? MOST : share);
}

size_t request_memory_of_body(struct span body)
{
    return http_json_bytes(body) + BYTES_A_BYTE * body.size;
}
