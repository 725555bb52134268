/* tokenizer_characters.c - a vocabulary of single characters, as tokenizer_config.json says it.
 * Why: small models of other RL projects keep no tokenizer.json, only "char_ords": the characters,
 * which are ids 4, 5, ... behind the special tokens S (separator), E (end), P (padding) and
 * U (unknown). Put as the tokenizer.json that says the same: one meaning of both. */
#include <jansson.h>

#include "base/text.h"
#include "models/tokenizer.h"
#include "models/tokenizer_read.h"

enum { SPECIALS = 4, FIRST = '!', LAST = '~' }; /* what byte-level BPE writes as it stands */
static const char *const specials[SPECIALS] = { "S", "E", "P", "U" };

static void put_special(struct scope_text *text, uint64_t id)
{
        scope_json_open(text, NULL, '{');
        scope_json_uint(text, "id", id);
        scope_json_text(text, "content", specials[id]);
        scope_json_bool(text, "special", true);
        scope_json_close(text, '}');
}

static void put_byte_level(struct scope_text *text, const char *key)
{
        scope_json_open(text, key, '{');
        scope_json_text(text, "type", "ByteLevel");
        scope_json_bool(text, "add_prefix_space", false);
        scope_json_bool(text, "use_regex", false);
        scope_json_close(text, '}');
}

static enum scope_err put_characters(
        struct scope_text *text, const json_t *ords, struct scope_diag *diag)
{
        bool seen[LAST + 1] = { false };
        for (size_t i = 0; i < json_array_size(ords); i++) {
                const json_int_t ord = json_integer_value(json_array_get(ords, i));
                if (ord < FIRST || ord > LAST)
                        return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                                "tokenizer_config.json: char_ords[%zu] is no visible character "
                                "of ASCII (33 to 126)", i);
                if (seen[ord])
                        return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                                "tokenizer_config.json: char_ords[%zu]: '%c' stands twice", i,
                                (char)ord);
                seen[ord] = true;
                scope_json_uint(text, (const char[]){ (char)ord, 0 }, SPECIALS + i);
        }
        return SCOPE_OK;
}

static enum scope_err translate(
        struct scope_text *text, const json_t *ords, struct scope_diag *diag)
{
        scope_json_open(text, NULL, '{');
        scope_json_open(text, "added_tokens", '[');
        for (uint64_t i = 0; i < SPECIALS; i++)
                put_special(text, i);
        scope_json_close(text, ']');
        put_byte_level(text, "pre_tokenizer");
        put_byte_level(text, "decoder");
        scope_json_open(text, "model", '{');
        scope_json_text(text, "type", "BPE");
        scope_json_open(text, "vocab", '{');
        enum scope_err err = put_characters(text, ords, diag);
        scope_json_close(text, '}');
        scope_json_open(text, "merges", '[');
        scope_json_close(text, ']');
        scope_json_close(text, '}');
        scope_json_close(text, '}');
        return err == SCOPE_OK && text->failed ? SCOPE_ERR_MEMORY : err;
}

enum scope_err scope_tokenizer_parse_characters(const char *json, size_t bytes,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        json_error_t error;
        struct scope_text text = { 0 };
        json_t *config = json_loadb(json, bytes, 0, &error);
        const json_t *ords = json_object_get(config, "char_ords");
        enum scope_err err;
        if (config == NULL)
                err = scope_diag_set(diag, SCOPE_ERR_FORMAT, "tokenizer_config.json:%d: %.150s",
                        error.line, error.text);
        else if (json_array_size(ords) == 0)
                err = scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                        "tokenizer_config.json names no characters (char_ords)");
        else
                err = translate(&text, ords, diag);
        if (err == SCOPE_OK)
                err = scope_tokenizer_parse(text.bytes, text.count, ret_tokenizer, diag);
        scope_text_fini(&text);
        json_decref(config);
        return err;
}
