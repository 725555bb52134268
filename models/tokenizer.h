/* tokenizer.h - text to token ids and back.
 * Why: one meaning of a tokenizer, whatever it is kept in: tokenizer.json, tiktoken's rank files,
 * the metadata of a GGUF. Byte-level BPE as the `tokenizers` library does it; what we do not do
 * exactly the same is refused by name, never guessed.
 * (1) A tokenizer is read-only after loading: any thread, no lock. (2) Text is UTF-8; each mistake
 * in it reads as U+FFFD. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SCOPE_TOKEN_NONE UINT32_MAX

struct scope_tokenizer;
struct scope_text;

/* Reads the text of a tokenizer.json. Bounded: 64 MiB, SCOPE_VOCAB_MAX tokens.
 * owns    gives
 * errors  SCOPE_ERR_FORMAT, SCOPE_ERR_UNSUPPORTED (what, in diag), SCOPE_ERR_TOO_BIG */
enum scope_err scope_tokenizer_parse(const char *json, size_t bytes,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag);

/* Reads `path`: a .gguf file, a tokenizer.json, a tiktoken file (which pattern it goes with is told
 * by its name: qwen.tiktoken, tokenizer.model of Llama 3, gpt2.tiktoken), or a directory with one
 * of them.
 * owns    gives
 * errors  those of scope_tokenizer_parse, and of reading */
enum scope_err scope_tokenizer_load(
        const char *path, struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag);
void scope_tokenizer_destroy(struct scope_tokenizer *tokenizer); /* accepts NULL */

/* Ids of `text`; added tokens are found in the text; no BOS or EOS is added.
 * errors  SCOPE_ERR_TOO_BIG: more than `max` (ret_count says how many fit), or over 16 MiB;
 *         SCOPE_ERR_NOT_FOUND: a byte no token can spell; the ids are all there, without it, as
 *         the library gives them; SCOPE_ERR_LIMIT: the tokenizer's own pattern takes too long on
 *         this text; SCOPE_ERR_MEMORY
 * thread  any: the tokenizer is read-only */
enum scope_err scope_tokenizer_encode(const struct scope_tokenizer *tokenizer, const char *text,
        size_t bytes, uint32_t *ret_ids, size_t max, size_t *ret_count);

/* The ids of an encode that had to leave out bytes are the library's all the same: whoever does as
 * the library does counts such texts, and goes on.                       thread  any; pure */
static inline enum scope_err scope_tokenizer_as_library(enum scope_err err, uint64_t *unspelled)
{
        *unspelled += err == SCOPE_ERR_NOT_FOUND;
        return err == SCOPE_ERR_NOT_FOUND ? SCOPE_OK : err;
}

/* The same with what the tokenizer puts around a text (its post-processor: BOS, EOS). */
enum scope_err scope_tokenizer_encode_framed(const struct scope_tokenizer *tokenizer,
        const char *text, size_t bytes, uint32_t *ret_ids, size_t max, size_t *ret_count);

/* Appends the bytes of `ids`; special tokens (pad, eos) are left out when skip_special.
 * Any bytes may come out: models/token_stream.h gives whole characters. */
void scope_tokenizer_decode(const struct scope_tokenizer *tokenizer, const uint32_t *ids,
        size_t count, bool skip_special, struct scope_text *text);

/* Bytes one token decodes to (0 for special ones); what a cut after a step needs. */
uint32_t scope_tokenizer_token_bytes(const struct scope_tokenizer *tokenizer, uint32_t id);
uint32_t scope_tokenizer_size(const struct scope_tokenizer *tokenizer);

/* The token that decodes to exactly this text ("<|im_end|>"), added tokens first;
 * SCOPE_TOKEN_NONE where there is none. */
uint32_t scope_tokenizer_id(const struct scope_tokenizer *tokenizer, const char *text);

/* The bytes of one token, special or not; not NUL-terminated; NULL where the id has no token.
 * owns  the tokenizer's */
const char *scope_tokenizer_spelling(
        const struct scope_tokenizer *tokenizer, uint32_t id, uint32_t *ret_bytes);
bool scope_tokenizer_is_special(const struct scope_tokenizer *tokenizer, uint32_t id);
