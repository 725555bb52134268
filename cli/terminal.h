/* terminal.h - what a person sees of a run: tables, a line a step, a rollout, curves.
 * Why: everything printed is made here from plain structs, so it can be tested as text, and nothing
 * a model wrote can move the cursor or hide words.
 * (1) The print functions only write into a scope_text and touch no device. (2) Numbers that are
 * NAN are not known and print as "-". (3) Text of models goes through scope_terminal_clean. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"

/* What the other side can show. */
struct scope_terminal_style {
        bool color, unicode;
        unsigned width; /* columns */
};

struct scope_terminal_words { /* text that may hold anything and need not end in NUL */
        const char *bytes;
        size_t count;
};

/* `words` on one line of at most columns_max columns: newlines as a sign, control, direction and
 * invisible characters escaped, what is too long cut with an ellipsis.       thread  any */
void scope_terminal_clean(struct scope_text *text, const struct scope_terminal_style *style,
        struct scope_terminal_words words, unsigned columns_max);

/* --- tables: at the start, at the end --------------------------------------------------------- */

struct scope_terminal_row {
        const char *label, *value; /* ours, or cleaned before */
};
void scope_terminal_print_table(struct scope_text *text, const struct scope_terminal_style *style,
        const char *title, const struct scope_terminal_row *rows, uint32_t count);

struct scope_terminal_score {
        const char *name; /* "pass@1" */
        double before, after;
};
struct scope_terminal_actor {
        const char *kind; /* "rollout" */
        double busy;      /* share of the time, 0 to 1 */
};
struct scope_terminal_use {
        const char *what; /* "decode" */
        double share;     /* 0 to 1 */
};
struct scope_terminal_final {
        const char *state, *directory; /* "done"; where the run's files are */
        uint64_t steps;
        double seconds;
        const struct scope_terminal_score *scores;
        uint32_t score_count;
        uint64_t admitted, trained, stale, filtered, failed, live; /* groups */
        uint64_t teacher_calls, salvaged, rejected, degraded;
        double stale_mean, stale_max; /* versions, of trained groups */
        const struct scope_terminal_actor *actors;
        uint32_t actor_count;
        const struct scope_terminal_use *uses; /* shares of all cores' time, greatest first */
        uint32_t use_count;                    /* 0 = not known */
        unsigned cores;
        double decode_rate, train_rate; /* tokens/s while it was decoding, training */
        double decode_tokens, train_tokens;
        uint64_t peak_rss_bytes;
};
void scope_terminal_print_final(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_final *final);

/* --- while it runs ---------------------------------------------------------------------------- */

struct scope_terminal_step {
        uint64_t step, steps;
        double reward, reward_change;
        double cut;        /* kept share of the repaired rollouts' steps, 0 to 1 */
        double taught;     /* share of the repairs tried that were accepted; NaN: no repairs here */
        double length;     /* mean tokens of a response */
        double entropy;    /* nats a token */
        double stale_mean, stale_max;
        uint64_t queue, queue_max;
        double seconds, tokens_per_second;
        double remaining_seconds;
};
/* One line: "step 42/500  reward 0.61 (+0.02)  cut 38%  ...". */
void scope_terminal_print_step(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_step *step);

/* The same as key=value, for logs: every 30 s where nobody watches. */
void scope_terminal_print_summary(struct scope_text *text, const struct scope_terminal_step *step);

/* A bar for each kind of actor and what is waited for ("" = nothing); fits the width. */
void scope_terminal_print_live(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_actor *actors, uint32_t count, const char *waiting);

/* One rollout with its steps, scores, cut, the teacher's suffix and the verdict: 4 to 10 lines. */
struct scope_terminal_sample {
        uint64_t step, group;
        struct scope_terminal_words problem, gold, student, suffix;
        const uint32_t *step_ends; /* bytes of `student` up to the end of each step, separator in */
        const float *step_p;       /* probability that the step is right; NULL: not scored */
        uint32_t step_count, kept_steps;
        double tau;                /* a step below it is wrong */
        bool repaired;             /* suffix is the teacher's; else `student` stands as it is */
        bool right;                /* the student's own answer */
};
void scope_terminal_print_sample(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_sample *sample);

/* --- after two runs: their curves side by side ------------------------------------------------ */

struct scope_terminal_curve {
        const char *name; /* "SCOPE" */
        const double *x, *y;
        uint32_t count; /* x rises */
};
/* Both on one scale from 0 to the greater maximum. */
void scope_terminal_print_curves(struct scope_text *text, const struct scope_terminal_style *style,
        const char *title, const struct scope_terminal_curve *left,
        const struct scope_terminal_curve *right);

/* --- the device ------------------------------------------------------------------------------- */

/* Lines go up, the live line stays last. Without a tty there is no live line and no colour. */
struct scope_terminal {
        FILE *out;
        struct scope_terminal_style style;
        bool tty;
        struct scope_text live; /* what stands in the last line now */
};

/* Looks at `out`, NO_COLOR, TERM, COLUMNS and the locale's variables.     thread  owner */
void scope_terminal_init(struct scope_terminal *terminal, FILE *out);

/* Writes whole lines above the live line.                                 thread  owner */
void scope_terminal_show(struct scope_terminal *terminal, const char *lines);

/* Replaces the live line; nothing where there is none.                    thread  owner */
void scope_terminal_live(struct scope_terminal *terminal, const char *line);

/* Takes the live line away. Accepts a zeroed one.                         thread  owner */
void scope_terminal_fini(struct scope_terminal *terminal);
