#include "berth/engine/chat/chat_format.h"
struct grammar *grammar_hold(struct grammar *g){return g;} void grammar_drop(struct grammar*g){(void)g;} size_t grammar_bytes(const struct grammar*g){(void)g;return 0;}
struct token_trie*token_trie_new(size_t n,token_trie_read*r,void*c,struct error*e){(void)n;(void)r;(void)c;error_set(e,"no");return NULL;}
void token_trie_free(struct token_trie*t){(void)t;}
struct grammar_matcher*grammar_matcher_new(struct grammar*g,const struct token_trie*t){(void)g;(void)t;return NULL;}
void grammar_matcher_free(struct grammar_matcher*m){(void)m;}
bool grammar_matcher_allows(struct grammar_matcher*m,int32_t t){(void)m;(void)t;return true;}
size_t grammar_matcher_accept(struct grammar_matcher*m,int32_t t,struct grammar_run r[GRAMMAR_RUNS_MAX],size_t*b){(void)m;(void)t;(void)r;*b=0;return 0;}
size_t grammar_matcher_in_doubt(const struct grammar_matcher*m){(void)m;return 0;}
size_t grammar_matcher_mask(struct grammar_matcher*m,float*l,size_t n){(void)m;(void)l;return n;}
bool grammar_matcher_is_over(struct grammar_matcher*m){(void)m;return false;}
const struct chat_format*chat_format_of(const struct template*t){(void)t;return (const struct chat_format*)(const void*)"x";}
const char*chat_format_name(const struct chat_format*f){(void)f;return "x";}
bool chat_form_is_free(const struct chat_form*f){(void)f;return true;}
struct grammar*chat_form_build(const struct chat_form*f,struct json_notes*n,struct error*e){(void)f;(void)n;(void)e;return NULL;}
struct span chat_format_reasoning_end(const struct chat_format*f){(void)f;return span_of("");}
bool chat_format_opens_reasoning(const struct chat_format*f,struct span s){(void)f;(void)s;return false;}
void chat_reader_init(struct chat_reader*r,struct byte_budget*m){(void)m;*r=(struct chat_reader){0};}
void chat_reader_release(struct chat_reader*r){(void)r;}
void chat_reader_add(struct chat_reader*r,uint16_t tag,struct span t,chat_reader_tell*tell,void*c){(void)r;(void)tag;tell(c,CHAT_TEXT,0,t);}
void chat_reader_end(struct chat_reader*r,chat_reader_tell*tell,void*c){(void)r;(void)tell;(void)c;}
bool chat_reader_in_call(const struct chat_reader*r){(void)r;return false;}
