/* teacher_script.h - a teacher in place of a paid one: exact, with latency and faults to order.
 * Why: the quickstart needs no key, and every behaviour of real services that the refiner must
 * survive can be had here (async-rl.md 6). Server (cli/teacher.c) and simulator play the same
 * script.
 * It solves problems of builtin:chain, and serves the solutions of a data set
 * (teacher_solutions.h).
 * (1) A response is a pure function of options, request and one random number, but for what was
 * recorded. (2) It continues
 * from the value that stands last in the prefix and never corrects it, unless told to
 * (algorithm.md, decision 10). (3) At most one fault a response. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"
#include "schemas/records.h"
#include "tasks/latency_law.h"

/* X(name, key): faults, and what they are called in options.
 * busy 429; error 500; unavailable 503; hang: no answer at all; cut: the connection breaks in the
 * middle of the body; garbage: 200 with a page of HTML; wrong: a wrong final answer; silent: a
 * wrong prefix is put right in silence; refusal: the teacher calls the prefix wrong; keep_alive:
 * blank lines or SSE comments first; error_chunk: 200, then an error object in the body or stream;
 * length: half of the answer, finish_reason length; empty: no content; huge: a body of
 * huge_bytes; preempt: a stream ends in its middle and in order, as if for the next call. */
#define SCOPE_TEACHER_FAULT_MAP(X)                                                                 \
        X(BUSY, "busy")                                                                            \
        X(ERROR, "error")                                                                          \
        X(UNAVAILABLE, "unavailable")                                                              \
        X(HANG, "hang")                                                                            \
        X(CUT, "cut")                                                                              \
        X(GARBAGE, "garbage")                                                                      \
        X(WRONG, "wrong")                                                                          \
        X(SILENT, "silent")                                                                        \
        X(REFUSAL, "refusal")                                                                      \
        X(KEEP_ALIVE, "keep_alive")                                                                \
        X(ERROR_CHUNK, "error_chunk")                                                              \
        X(LENGTH, "length")                                                                        \
        X(EMPTY, "empty")                                                                          \
        X(HUGE, "huge")                                                                            \
        X(PREEMPT, "preempt")

enum scope_teacher_fault {
#define X(name, key) SCOPE_TEACHER_FAULT_##name,
        SCOPE_TEACHER_FAULT_MAP(X)
#undef X
                SCOPE_TEACHER_FAULT_NONE,
        SCOPE_TEACHER_FAULT_COUNT = SCOPE_TEACHER_FAULT_NONE
};

enum scope_teacher_retry {
        SCOPE_TEACHER_RETRY_SECONDS,
        SCOPE_TEACHER_RETRY_DATE,
        SCOPE_TEACHER_RETRY_ABSENT
};

struct scope_teacher_script_options {
        char latency[128]; /* latency_law.h */
        char faults[256];  /* "busy=0.1,cut=0.05": shares of the calls, at most 1 together */
        int manner;        /* enum scope_chain_manner */
        int retry_after;   /* enum scope_teacher_retry */
        int64_t retry_delay, huge_bytes, seed; /* ns; bytes */
        const struct scope_latency_law *law;   /* borrowed, instead of `latency`; NULL = none */
};

/* Names of `manner` and `retry_after` in their order, for option rows (cli/teacher.c); end with
 * NULL. */
extern const char *const scope_teacher_manner_names[];
extern const char *const scope_teacher_retry_names[];

struct scope_teacher_solutions;

/* One recorded call. */
enum scope_teacher_recorded_end {
        SCOPE_TEACHER_RECORDED_WHOLE,
        SCOPE_TEACHER_RECORDED_TRUNCATED,
        SCOPE_TEACHER_RECORDED_STATUS,   /* failed with `status` */
        SCOPE_TEACHER_RECORDED_GARBAGE,  /* 200, and no chat completion */
        SCOPE_TEACHER_RECORDED_CUT,      /* the connection broke */
        SCOPE_TEACHER_RECORDED_HANG
};
struct scope_teacher_recorded {
        enum scope_teacher_recorded_end end;
        int32_t status;
        uint64_t latency_ns;
        struct scope_string content;
};

struct scope_teacher_script {
        struct scope_teacher_script_options options;
        /* Worked solutions that it knows, set after init; NULL = problems of builtin:chain only. */
        const struct scope_teacher_solutions *solutions;
        /* Answers with what was recorded instead, in the recorded time and without other faults;
         * false: it was not asked this. Set after init; NULL = it solves. */
        bool (*recorded)(void *context, struct scope_string problem, struct scope_string prefix,
                struct scope_teacher_recorded *ret_recorded);
        void *recorded_context;
        /* How right each step is, set after init: of pooling_script.h. ends: exclusive bytes */
        void (*judge)(struct scope_string problem, struct scope_string text, const uint32_t *ends,
                uint32_t count, float *ret_p);
        struct scope_latency_law latency;
        double fault[SCOPE_TEACHER_FAULT_COUNT]; /* shares */
};

/* Reads the words of the options.
 * errors  SCOPE_ERR_FORMAT: latency or faults, `diag` says what is right     thread  setup */
enum scope_err scope_teacher_script_init(struct scope_teacher_script *script,
        const struct scope_teacher_script_options *options, struct scope_diag *diag);

struct scope_teacher_response {
        int32_t status;           /* of HTTP */
        const char *content_type; /* static text */
        char retry_after[40];     /* header value; "" = none */
        uint64_t latency_ns;
        bool hang;              /* nothing is ever sent */
        size_t lead;            /* bytes of the body that go out at once, before the latency */
        size_t cut;             /* bytes after which the connection breaks; SIZE_MAX = never */
        struct scope_text body; /* owned: scope_text_fini */
        enum scope_teacher_fault fault;
};

/* Answers one request. A request that we cannot read or solve gets a 400 that says why.
 * in      random: scope_hash_pair(seed, number of the call), or what the simulator draws;
 *         now: wall clock for an HTTP date
 * out     ret_response: fini its body, also when its `failed` says out of memory
 * thread  any; pure */
void scope_teacher_script_answer(const struct scope_teacher_script *script, const void *request,
        size_t count, uint64_t random, time_t now, struct scope_teacher_response *ret_response);
