/* recording_parts.h - the inside of a recording: rows of what was read.
 * Why: reading it (recording_read.c) and asking it (recording.c) share these records. Nobody else
 * includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/text.h"
#include "cli/recording.h"

/* Rows of one kind while they are read; `at` is realloc'ed. */
struct scope_recorded_rows {
        void *at;
        size_t count, capacity;
};

struct scope_recorded_decode { /* one SAMPLED event */
        uint64_t group, since_ns, ended_ns, service_ns;
        uint32_t sample, worker, tokens;
};
struct scope_recorded_tokens { /* a sample to the bit */
        uint64_t group;
        uint32_t sample, count;
        size_t first; /* of ids and logp */
        uint8_t finish;
};
struct scope_recorded_step { /* of an engine, on cores of its own */
        uint64_t ns, sampled, prompts;
        uint32_t running;
};
struct scope_recorded_scoring {
        uint64_t group, ns;
};
struct scope_recorded_score {
        uint64_t group;
        uint32_t sample, step_count;
        size_t first; /* of `p` */
};
struct scope_recorded_call {
        uint64_t exact, problem, ns; /* hashes of problem and prefix, of the problem */
        size_t text, text_bytes;
        int32_t status;
        uint8_t end;   /* enum scope_teacher_recorded_end */
        uint32_t next; /* of calls that are alike: whose turn it is; in the first of them */
};

struct scope_recording {
        char directory[SCOPE_PATH_BYTES_MAX];
        struct scope_overlap_setting setting;
        struct scope_recorded_rows decoded, samples, groups, steps, tokens, ids, logp, scored,
                scores, p,
                calls, by_problem, learn, publish;
        struct scope_text text;
        bool failed; /* out of memory */
        uint32_t workers;
};

#define ROW(rows, type, index) (&((type *)(rows).at)[index])

/* Orders of the rows in which things are looked for; calls that are alike as they were made. */
int scope_recorded_by_tokens(const void *one, const void *two);
int scope_recorded_by_scored(const void *one, const void *two);
int scope_recorded_by_score(const void *one, const void *two);
int scope_recorded_by_exact(const void *one, const void *two);
int scope_recorded_by_problem(const void *one, const void *two);
uint64_t scope_recorded_hash(struct scope_string one, struct scope_string two);

/* Adds a row of one number; `failed` says when there was no memory. */
void scope_recorded_add_number(
        struct scope_recording *recording, struct scope_recorded_rows *rows, uint64_t number);
