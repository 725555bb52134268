#include "models/token_stream.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"
#include "models/tokenizer.h"

void scope_token_stream_init(struct scope_token_stream *stream,
        const struct scope_tokenizer *tokenizer, bool skip_special)
{
        *stream = (struct scope_token_stream){ .tokenizer = tokenizer,
                .skip_special = skip_special };
}

/* Bytes at the end that begin a character: at most 3. */
static size_t open_end(const uint8_t *at, size_t bytes)
{
        for (size_t back = bytes < 3 ? bytes : 3; back > 0; back--) {
                const uint8_t *begin = at + bytes - back;
                bool open = false;
                if ((begin[0] & 0xc0) != 0xc0 || scope_utf8_sequence(begin, back) != 0)
                        continue;
                if (scope_utf8_mistake(begin, back, &open) == back && open)
                        return back;
        }
        return 0;
}

/* What was held goes in front: byte by byte until it is a character or a mistake. */
static size_t complete(struct scope_token_stream *stream, const uint8_t *at, size_t bytes,
        struct scope_text *text)
{
        size_t used = 0;
        while (stream->held_count != 0 && used < bytes) {
                uint8_t *held = stream->held;
                bool open;
                scope_assert(stream->held_count < sizeof stream->held);
                held[stream->held_count] = at[used];
                size_t count = (size_t)stream->held_count + 1;
                if (scope_utf8_sequence(held, count) != 0) {
                        scope_text_add(text, (const char *)held, count);
                        stream->held_count = 0;
                        return used + 1;
                }
                if (scope_utf8_mistake(held, count, &open) < count) { /* the new byte breaks it */
                        scope_text_string(text, "\xef\xbf\xbd");
                        stream->held_count = 0;
                        return used;
                }
                stream->held_count++;
                used++;
        }
        return used;
}

void scope_token_stream_push(
        struct scope_token_stream *stream, uint32_t id, struct scope_text *text)
{
        uint32_t bytes;
        const char *spelling = scope_tokenizer_spelling(stream->tokenizer, id, &bytes);
        if (spelling == NULL
                || (stream->skip_special && scope_tokenizer_is_special(stream->tokenizer, id)))
                return;
        const uint8_t *at = (const uint8_t *)spelling;
        size_t used = complete(stream, at, bytes, text);
        size_t open = open_end(at + used, bytes - used);
        scope_utf8_repair(at + used, bytes - used - open, text);
        if (open != 0) {
                scope_assert(stream->held_count == 0);
                memcpy(stream->held, at + bytes - open, open);
                stream->held_count = (uint8_t)open;
        }
}

void scope_token_stream_finish(struct scope_token_stream *stream, struct scope_text *text)
{
        if (stream->held_count != 0)
                scope_text_string(text, "\xef\xbf\xbd");
        stream->held_count = 0;
}
