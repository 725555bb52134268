/* tokenizer_tiny.h - the built-in tiny model: "builtin:tiny".
 * Why: the quickstart downloads nothing. 21 tokens spell every problem and solution of the
 * arithmetic task, one to one: a blank line is one token and so is the box's opening, so a cut
 * after a step is a token's end. */
#pragma once

#include "base/error.h"
#include "models/config.h"

struct scope_tokenizer;

enum {
        SCOPE_TINY_PAD,
        SCOPE_TINY_EOS,
        SCOPE_TINY_DIGIT, /* '0'; the ten digits follow each other */
        SCOPE_TINY_PLUS = SCOPE_TINY_DIGIT + 10,
        SCOPE_TINY_MINUS,
        SCOPE_TINY_TIMES,
        SCOPE_TINY_EQUALS,
        SCOPE_TINY_OPEN,
        SCOPE_TINY_CLOSE,
        SCOPE_TINY_BRACE,      /* ( ) } */
        SCOPE_TINY_BLANK_LINE, /* "\n\n" */
        SCOPE_TINY_BOXED,      /* "\boxed{" */
        SCOPE_TINY_VOCAB
};

/* The text of its tokenizer.json and tokenizer_config.json; static.      thread  any */
const char *scope_tokenizer_tiny_json(void);
const char *scope_tokenizer_tiny_config_json(void);

/* owns  gives     errors  SCOPE_ERR_MEMORY     thread  any */
enum scope_err scope_tokenizer_tiny_create(struct scope_tokenizer **ret_tokenizer);

/* 2 layers of 96, 3 heads of 32, SwiGLU 256, untied: 225,696 parameters.  thread  any */
struct scope_model_config scope_model_config_tiny(void);
