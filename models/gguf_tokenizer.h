/* gguf_tokenizer.h - a byte-level BPE tokenizer between GGUF metadata and Hugging Face's files.
 * Why: GGUF names the pattern ("smollm", "qwen2") where tokenizer.json spells it; this is the one
 * table of both. A pattern that stands in neither is refused: it would split text otherwise. */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct scope_gguf_tokenizer;
struct scope_gguf_writer;
struct scope_model_config;
struct scope_text;

/* The texts of tokenizer.json and tokenizer_config.json (with the chat template where there is
 * one).
 * errors  SCOPE_ERR_UNSUPPORTED: not "gpt2", or an unknown pattern; SCOPE_ERR_FORMAT: an id that is
 *         no token; SCOPE_ERR_MEMORY     thread  any */
enum scope_err scope_gguf_tokenizer_json(const struct scope_gguf_tokenizer *tokenizer,
        struct scope_text *json, struct scope_diag *diag);
enum scope_err scope_gguf_tokenizer_config_json(const struct scope_gguf_tokenizer *tokenizer,
        uint32_t positions_max, struct scope_text *json, struct scope_diag *diag);

/* The metadata of the tokenizer in `directory`, or in a .gguf file: its tokens, filled up to
 * config->vocab, its merges, ids and chat template.
 * errors  SCOPE_ERR_NOT_FOUND: no tokenizer.json; SCOPE_ERR_FORMAT, SCOPE_ERR_UNSUPPORTED,
 *         SCOPE_ERR_TOO_BIG     thread  any, blocks */
enum scope_err scope_gguf_put_tokenizer(struct scope_gguf_writer *writer, const char *directory,
        const struct scope_model_config *config, struct scope_diag *diag);
