/* jansson_config.h - jansson's public settings, as its configure would write them for Linux, but for one.
 *
 * A request nested thousands deep would run a small thread stack over its end. 64 levels is more than any
 * request of the served APIs needs, and jansson refuses the rest itself.
 */
#ifndef JANSSON_CONFIG_H
#define JANSSON_CONFIG_H

#define JSON_INLINE inline
#define JSON_INTEGER_IS_LONG_LONG 1
#define JSON_HAVE_ATOMIC_BUILTINS 1
#define JSON_HAVE_SYNC_BUILTINS 1
#define JSON_PARSER_MAX_DEPTH 64

#endif
