/* parse.h - between regex.c and parse.c: the alphabet of an expression, and its tree. */
#ifndef BERTH_TOOLS_PARSE_H
#define BERTH_TOOLS_PARSE_H

#include "regex.h"

/* Code points that no set of the expression tells apart: each one of ASCII, each category between two cuts, the end. */
struct alphabet {
    uint32_t *cuts;
    size_t n_cuts, size;
};

enum kind { EMPTY, SET, LOOK, JOINED, EITHER, REPEATED };

struct tree {
    enum kind kind;
    bool *set; /* [alphabet.size], of SET and LOOK */
    struct tree *left, *right; /* JOINED and EITHER; REPEATED has the left one */
    int least, most; /* of REPEATED; -1: no bound */
};

struct tree *parse(const char *text, struct alphabet *alphabet);

#endif
