#include "berth/engine/chat/chat_format.h"
grammar_node grammar_gbnf(struct grammar_builder*b,struct span s){(void)s;return grammar_builder_fail(b,"no");}
grammar_node grammar_json_schema(struct grammar_builder*b,struct value v,const struct json_schema_options*o,struct json_notes*n){(void)v;(void)o;(void)n;return grammar_builder_fail(b,"no");}
bool grammar_json_properties(struct grammar_builder*b,struct value v,const struct json_schema_options*o,struct json_notes*n,void(*each)(void*,const struct json_property*),void*c){(void)b;(void)v;(void)o;(void)n;(void)each;(void)c;return false;}
bool chat_ends_with_mark(struct span text, const char *mark);
bool chat_ends_with_mark(struct span text, const char *mark){(void)text;(void)mark;return false;}
