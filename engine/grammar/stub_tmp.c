#include "berth/engine/grammar/sources.h"
grammar_node grammar_gbnf(struct grammar_builder*b,struct span s){(void)s;return grammar_builder_fail(b,"no");}
