#include "berth/engine/chat/chat_format.h"
struct token_trie*token_trie_new(size_t n,token_trie_read*r,void*c,struct error*e){(void)n;(void)r;(void)c;error_set(e,"no");return NULL;}
void token_trie_free(struct token_trie*t){(void)t;}
struct grammar_matcher*grammar_matcher_new(struct grammar*g,const struct token_trie*t){(void)g;(void)t;return NULL;}
void grammar_matcher_free(struct grammar_matcher*m){(void)m;}
bool grammar_matcher_allows(struct grammar_matcher*m,int32_t t){(void)m;(void)t;return true;}
size_t grammar_matcher_accept(struct grammar_matcher*m,int32_t t,struct grammar_run r[GRAMMAR_RUNS_MAX],size_t*b){(void)m;(void)t;(void)r;*b=0;return 0;}
size_t grammar_matcher_in_doubt(const struct grammar_matcher*m){(void)m;return 0;}
size_t grammar_matcher_mask(struct grammar_matcher*m,float*l,size_t n){(void)m;(void)l;return n;}
bool grammar_matcher_is_over(struct grammar_matcher*m){(void)m;return false;}

int32_t token_trie_control(const struct token_trie*t,struct span s){(void)t;(void)s;return -1;}
grammar_node grammar_gbnf(struct grammar_builder*b,struct span s){(void)s;return grammar_builder_fail(b,"no");}
grammar_node grammar_json_schema(struct grammar_builder*b,struct value v,const struct json_schema_options*o,struct json_notes*n){(void)v;(void)o;(void)n;return grammar_builder_fail(b,"no");}
bool grammar_json_properties(struct grammar_builder*b,struct value v,const struct json_schema_options*o,struct json_notes*n,void(*each)(void*,const struct json_property*),void*c){(void)b;(void)v;(void)o;(void)n;(void)each;(void)c;return false;}
bool chat_ends_with_mark(struct span text, const char *mark);
bool chat_ends_with_mark(struct span text, const char *mark){(void)text;(void)mark;return false;}
