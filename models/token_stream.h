/* token_stream.h - tokens to text while they come.
 * Why: one token may end within a character; whoever shows text as it is generated must not show
 * half of one.
 * (1) Only whole characters come out. (2) All that comes out of a stream together is the decoded
 * text with U+FFFD for each mistake (base/utf8.h), wherever the tokens were cut. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct scope_text;
struct scope_tokenizer;

struct scope_token_stream {
        const struct scope_tokenizer *tokenizer;
        bool skip_special;
        uint8_t held[4], held_count; /* the beginning of a character */
};

/* owns    borrows the tokenizer     thread  owner */
void scope_token_stream_init(struct scope_token_stream *stream,
        const struct scope_tokenizer *tokenizer, bool skip_special);

/* Appends what `id` completes: nothing, or characters. An id without a token is nothing.
 * thread  owner */
void scope_token_stream_push(
        struct scope_token_stream *stream, uint32_t id, struct scope_text *text);

/* No more tokens: what is held becomes U+FFFD. The stream can be used again.   thread  owner */
void scope_token_stream_finish(struct scope_token_stream *stream, struct scope_text *text);
