/* admission.h - how many groups may live, and how old one may be (DESIGN 6).
 * Why: admission is the only thing that bounds staleness; age at consumption is the only thing
 * that enforces it.
 * (1) Groups that are not at the teacher: at most (eta + 1) * B, or so many times as partial
 * rollouts say. (2) Groups at the teacher hold a second credit, at most teacher_credit. (3) Every
 * terminal frees what the group held. (4) age <= age_max when trained. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "schemas/records.h"

enum scope_stale {
        SCOPE_STALE_PLAIN,    /* as a fresh one */
        SCOPE_STALE_REWEIGHT, /* policy tokens count less, in a straight line down to age_max + 1 */
        SCOPE_STALE_MASK      /* policy tokens older than eta versions are not trained on */
};
enum scope_age { SCOPE_AGE_FRESH, SCOPE_AGE_STALE, SCOPE_AGE_REJECTED };

struct scope_admission_options {
        int64_t eta;     /* versions: the operating point */
        int64_t age_max; /* versions: the hard limit at consumption, >= eta */
        int stale;       /* enum scope_stale: how to train between the two */
        /* 0 = off; else so many times the ordinary credit is launched, and decoding stands still
         * when that much is decoded: the rest goes on with the next weights */
        double partial_rollout;
};
extern const struct scope_option scope_admission_option_table[]; /* [pipeline] */

/* errors  SCOPE_ERR_ARGUMENT: age_max below eta    thread  any; pure */
enum scope_err scope_admission_check(const struct scope_admission_options *options,
        struct scope_diag *diag);

struct scope_admission {
        uint32_t prompts_per_step; /* B */
        uint32_t teacher_credit;   /* of groups at the teacher; 0 = they keep the ordinary one */
        uint32_t live, at_teacher; /* groups now; live includes those at the teacher */
};

/* Groups that may live, those at the teacher's own credit apart; and, with partial rollouts, how
 * many decoded ones are enough.                                     thread  any; pure */
uint64_t scope_admission_credit(
        const struct scope_admission_options *options, uint64_t prompts_per_step);
uint64_t scope_admission_enough(
        const struct scope_admission_options *options, uint64_t prompts_per_step);

/* How many more groups may be admitted now.    thread  any; pure */
uint32_t scope_admission_open(const struct scope_admission_options *options,
        const struct scope_admission *now);

/* Whether one more group may go to the teacher; false = it goes on as plain GRPO.
 * thread  any; pure */
bool scope_admission_teacher_open(const struct scope_admission *now);

/* Learner's version minus the oldest token's; 0 when that is newer.
 * thread  any; pure */
uint64_t scope_age_of(uint64_t version_now, uint64_t version_oldest);

/* What becomes of a group of that age at consumption.
 * thread  any; pure */
enum scope_age scope_age_judge(const struct scope_admission_options *options, uint64_t age);

/* Time left for a teacher call: until the version after which the group would be too old.
 * in      step_ns: how long one version lasts now; 0 = not known yet, no limit from here
 * out     0 when the group is too old already; UINT64_MAX = no limit
 * thread  any; pure */
uint64_t scope_age_deadline_ns(const struct scope_admission_options *options, uint64_t age,
        uint64_t step_ns);

/* Multiplies the weights of policy tokens of a stale trajectory as `stale` says; fresh ones are
 * left alone.
 * in      weight [trajectory->token_count], as scope_correction_weights left it
 * thread  any; pure */
void scope_age_weights(const struct scope_admission_options *options, uint64_t version_now,
        uint64_t version_oldest, const struct scope_trajectory *trajectory, float *weight);
