/* teacher_reply.h - the body of a chat completion as it arrives: one JSON object, or a stream of
 * events.
 * Why: what services really send is blank lines first, comments, pieces that split a character, an
 * error in the middle of a 200, an end without an end (async-rl.md 6.2, 6.3). One reader knows it
 * all.
 * (1) Bounded: body and content. (2) Any split of the body gives the same result. (3) It judges the
 * body only; what status line and transport say, the caller adds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum scope_reply_kind {
        SCOPE_REPLY_WHOLE,     /* finish_reason stop; `content` may still be empty */
        SCOPE_REPLY_TRUNCATED, /* finish_reason length: `content` is the beginning of an answer */
        SCOPE_REPLY_RETRYABLE, /* an error, an early end, or nothing that we can read */
        SCOPE_REPLY_REFUSED,   /* this request never succeeds: content filter, context length */
        SCOPE_REPLY_FATAL,     /* no request can: key, quota, model */
};

struct scope_teacher_reply {
        struct scope_text content;
        enum scope_reply_kind kind;     /* after end */
        uint32_t tokens_in, tokens_out; /* 0 where the service does not say */
        uint32_t keep_alives;           /* comments, and blank lines before the body */
        /* after end: an orderly end of the stream within an answer; llama-cpp-python's server does
         * so when the next request arrives */
        bool broken_off;
        char error[160];                /* what is wrong, for a log line; "" for WHOLE */

        /* the reader's own */
        size_t bytes, bytes_max;
        struct scope_text line,
                data; /* the line under way (or the JSON body), the event under way */
        uint8_t shape;
        bool skip_newline, event_error, done, failed;
        char finish[32];
};

/* in      bytes_max: of the whole body; content_max: of the answer     thread  any */
void scope_teacher_reply_init(
        struct scope_teacher_reply *reply, size_t bytes_max, size_t content_max);

/* The next bytes. Nothing is lost by going on after an error of the service: the end tells.
 * errors  SCOPE_ERR_TOO_BIG: over bytes_max or content_max, stop the call; SCOPE_ERR_MEMORY
 * thread  owner */
enum scope_err scope_teacher_reply_feed(
        struct scope_teacher_reply *reply, const void *bytes, size_t count);

/* No more bytes: fills `kind` and `error`.
 * in      whole: false where the transport broke off     thread  owner */
void scope_teacher_reply_end(struct scope_teacher_reply *reply, bool whole);

/* Accepts a zeroed one. */
void scope_teacher_reply_fini(struct scope_teacher_reply *reply);
