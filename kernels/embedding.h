/* embedding.h - token ids to rows of a table, and their gradient back. */
#pragma once

#include <stdint.h>

struct scope_embedding_args {
        const uint32_t *tokens; /* [rows], each < the table's rows */
        const float *table;     /* [vocab, width] */
        float *out;             /* [rows, width] */
        uint32_t rows, width;
};

/* dtable[tokens[i]] += dout[i], in order of i. */
struct scope_embedding_backward_args {
        const uint32_t *tokens;
        const float *dout;
        float *dtable;
        uint32_t rows, width;
};
