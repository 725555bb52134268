/* tokenizer_pcre2.c - patterns by libpcre2. The rewriting stands in tokenizer_pattern.c. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/utf8.h"
#include "models/tokenizer_pattern.h"

enum { MATCH_LIMIT = 10 << 20, HEAP_LIMIT_KIB = 64 << 10, PATTERN_BYTES_MAX = 16 << 10 };

struct scope_pattern {
        pcre2_code *code;
        pcre2_match_context *limits; /* never changed once made: shared by all threads */
        bool jit;
};

static enum scope_err compile(struct scope_pattern *pattern, const char *text, size_t bytes,
        bool literal, struct scope_diag *diag)
{
        PCRE2_UCHAR words[160];
        PCRE2_SIZE where = 0;
        int error = 0;
        uint32_t options = literal ? PCRE2_UTF | PCRE2_LITERAL
                                   : PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
        pcre2_compile_context *context = pcre2_compile_context_create(NULL);
        pattern->limits = pcre2_match_context_create(NULL);
        if (context == NULL || pattern->limits == NULL) {
                pcre2_compile_context_free(context);
                return SCOPE_ERR_MEMORY;
        }
        (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF); /* what "." stops at */
        (void)pcre2_set_match_limit(pattern->limits, MATCH_LIMIT);
        (void)pcre2_set_heap_limit(pattern->limits, HEAP_LIMIT_KIB);
        pattern->code = pcre2_compile((PCRE2_SPTR)text, bytes, options, &error, &where, context);
        pcre2_compile_context_free(context);
        if (pattern->code == NULL) {
                (void)pcre2_get_error_message(error, words, sizeof words);
                return scope_diag_set(diag, SCOPE_ERR_FORMAT,
                        "pattern \"%.*s\", byte %zu: %s", (int)(bytes < 200 ? bytes : 200), text,
                        (size_t)where, (const char *)words);
        }
        pattern->jit = pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE) == 0;
        return SCOPE_OK;
}

enum scope_err scope_pattern_create(const char *text, size_t bytes, bool literal,
        struct scope_pattern **ret_pattern, struct scope_diag *diag)
{
        struct scope_text translated = { 0 };
        enum scope_err err = SCOPE_OK;
        if (bytes > PATTERN_BYTES_MAX)
                return scope_diag_set(diag, SCOPE_ERR_TOO_BIG,
                        "a pattern of %zu bytes, the limit is %d", bytes, PATTERN_BYTES_MAX);
        struct scope_pattern *pattern = calloc(1, sizeof *pattern);
        if (pattern == NULL)
                return SCOPE_ERR_MEMORY;
        if (literal)
                scope_text_add(&translated, text, bytes);
        else
                err = scope_pattern_translate(text, bytes, &translated, diag);
        if (err == SCOPE_OK && translated.failed)
                err = SCOPE_ERR_MEMORY;
        if (err == SCOPE_OK)
                err = compile(pattern, translated.bytes, translated.count, literal, diag);
        scope_text_fini(&translated);
        if (err != SCOPE_OK) {
                scope_pattern_destroy(pattern);
                return err;
        }
        *ret_pattern = pattern;
        return SCOPE_OK;
}

void scope_pattern_destroy(struct scope_pattern *pattern)
{
        if (pattern == NULL)
                return;
        pcre2_code_free(pattern->code);
        pcre2_match_context_free(pattern->limits);
        free(pattern);
}

/* One search; what the JIT's small stack cannot hold the interpreter does. */
static int match(const struct scope_pattern *pattern, struct scope_pattern_search *search)
{
        int count = PCRE2_ERROR_JIT_STACKLIMIT;
        if (pattern->jit)
                count = pcre2_jit_match(pattern->code, search->text, search->bytes, search->from, 0,
                        search->memory, pattern->limits);
        if (count == PCRE2_ERROR_JIT_STACKLIMIT)
                count = pcre2_match(pattern->code, search->text, search->bytes, search->from,
                        PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, search->memory, pattern->limits);
        return count;
}

enum scope_err scope_pattern_next(
        const struct scope_pattern *pattern, struct scope_pattern_search *search)
{
        if (search->memory == NULL)
                search->memory = pcre2_match_data_create(1, NULL);
        if (search->memory == NULL)
                return SCOPE_ERR_MEMORY;
        while (search->from <= search->bytes) {
                int count = match(pattern, search);
                if (count == PCRE2_ERROR_NOMATCH)
                        break;
                if (count < 0)
                        return count == PCRE2_ERROR_NOMEMORY ? SCOPE_ERR_MEMORY : SCOPE_ERR_LIMIT;
                const PCRE2_SIZE *pair = pcre2_get_ovector_pointer(search->memory);
                if (pair[0] == pair[1] && search->matched && pair[1] == search->end) {
                        uint32_t step = 1;
                        if (search->from < search->bytes)
                                (void)scope_utf8_character(search->text + search->from, &step);
                        search->from += step;
                        continue;
                }
                search->begin = pair[0];
                search->from = search->end = pair[1];
                search->matched = true;
                return SCOPE_OK;
        }
        search->from = search->bytes + 1;
        return SCOPE_ERR_NOT_FOUND;
}

void scope_pattern_search_fini(struct scope_pattern_search *search)
{
        pcre2_match_data_free(search->memory);
        search->memory = NULL;
}
