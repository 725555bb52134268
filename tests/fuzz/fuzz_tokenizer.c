/* fuzz_tokenizer.c - a tokenizer.json of any content, then a text through it, there and back. */
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"
#include "models/token_stream.h"
#include "models/tokenizer.h"

enum { IDS_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Everything up to the first NUL is the tokenizer, what follows is the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        const uint8_t *end = bytes != 0 ? memchr(data, 0, bytes) : NULL;
        size_t json_bytes = end != NULL ? (size_t)(end - data) : bytes, count = 0;
        const char *text = end != NULL ? (const char *)end + 1 : "";
        size_t text_bytes = end != NULL ? bytes - json_bytes - 1 : 0;
        struct scope_tokenizer *tokenizer;
        struct scope_diag diag;
        static uint32_t ids[IDS_MAX];
        struct scope_text back = { 0 };
        if (scope_tokenizer_parse((const char *)data, json_bytes, &tokenizer, &diag) != SCOPE_OK)
                return 0;
        (void)scope_tokenizer_encode(tokenizer, text, text_bytes, ids, IDS_MAX, &count);
        scope_assert(count <= IDS_MAX);
        for (size_t i = 0; i < count; i++)
                scope_assert(ids[i] < scope_tokenizer_size(tokenizer));
        scope_tokenizer_decode(tokenizer, ids, count, false, &back);
        /* In one piece or token by token: the same characters. */
        struct scope_text whole = { 0 }, streamed = { 0 };
        struct scope_token_stream stream;
        scope_utf8_repair((const uint8_t *)back.bytes, back.count, &whole);
        scope_token_stream_init(&stream, tokenizer, false);
        for (size_t i = 0; i < count; i++)
                scope_token_stream_push(&stream, ids[i], &streamed);
        scope_token_stream_finish(&stream, &streamed);
        if (!back.failed && !whole.failed && !streamed.failed)
                scope_assert(whole.count == streamed.count
                        && (whole.count == 0
                                || memcmp(whole.bytes, streamed.bytes, whole.count) == 0));
        scope_text_fini(&whole);
        scope_text_fini(&streamed);
        scope_text_fini(&back);
        scope_tokenizer_destroy(tokenizer);
        return 0;
}
