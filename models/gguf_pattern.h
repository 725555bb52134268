/* gguf_pattern.h - tokenizer.ggml.pre and what it means in a tokenizer.json. For gguf_token*.c.
 * Why: one row serves both directions. `canonical` is the pattern's steps in one line, as
 * gguf_put_tokenizer.c makes them of a pre_tokenizer, so that two spellings of one are equal. */
#pragma once

#include <stdbool.h>

struct scope_gguf_pattern {
        const char *pre;           /* of tokenizer.ggml.pre */
        const char *normalizer;    /* JSON */
        const char *pre_tokenizer; /* JSON */
        const char *post_processor, *decoder;
        const char *canonical;
        bool ignore_merges;
        bool nfc;     /* the normalizer, as a word */
        bool add_bos; /* where the file does not say */
};

extern const struct scope_gguf_pattern scope_gguf_patterns[]; /* ends with pre = NULL */
