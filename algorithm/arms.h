/* arms.h - what can be chosen at each station, and named sets of choices.
 * Why: one row says what a choice is called, which keys it reads, what it needs and what it must
 * save, so that check, plan, --help and checkpoints follow from the table. A new choice is one
 * file and one row. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "algorithm/admission.h"
#include "algorithm/advantage.h"
#include "algorithm/correction.h"
#include "algorithm/grade.h"
#include "algorithm/localise.h"
#include "algorithm/objective.h"
#include "algorithm/select.h"
#include "algorithm/statistics.h"
#include "base/option.h"

/* The tables [scope] and [loss]: parts with rows of their own. */
struct scope_scope_options {
        char arm[32];
        struct scope_statistics_options statistics;
        struct scope_localise_options localise;
        struct scope_select_options select;
};
extern const struct scope_option scope_scope_option_table[]; /* `arm`; the parts have theirs */

struct scope_loss_options {
        struct scope_advantage_options advantage;
        struct scope_objective_options objective;
        struct scope_correction_options correction;
};

enum scope_need { /* bits */
        SCOPE_NEED_STEP_SCORES = 1, /* some PRM that is not off */
        SCOPE_NEED_PRM = 2,         /* weights of a PRM */
        SCOPE_NEED_CHECKER = 4,     /* a task with an exact checker */
        SCOPE_NEED_TEACHER = 8,
        SCOPE_NEED_REFERENCE = 16,  /* log-probabilities of a frozen model */
        SCOPE_NEED_PROXIMAL = 32,   /* a second forward at the step's start */
        SCOPE_NEED_BARRIER = 64,    /* whole batches: no streaming strategy */
};

struct scope_station_choice {
        const char *station, *name;       /* "suffix", "wll_sg" */
        const char *section, *key;        /* what selects it: "loss", "suffix_form" */
        const struct scope_option *table; /* keys it reads, in `table_section`; NULL = none */
        const char *table_section;
        uint32_t needs;                   /* bits of enum scope_need */
        /* Bytes saved with a checkpoint when a window holds so many rollouts; NULL = no state. */
        size_t (*state_bytes)(uint32_t rollouts);
        const char *help;
};
/* Ends with a row whose station is NULL. */
extern const struct scope_station_choice scope_station_choices[];

/* An arm: option values that replace the standard ones; what a user sets still wins. */
struct scope_arm_set {
        const char *key, *value; /* "scope.force_k", "0"; TOML values */
};
enum { SCOPE_ARM_SETS_MAX = 12 };
struct scope_arm {
        const char *name;
        struct scope_arm_set sets[SCOPE_ARM_SETS_MAX]; /* ends with key NULL */
        uint32_t needs;
        const char *help;
};
/* Ends with a row whose name is NULL. */
extern const struct scope_arm scope_arms[];

/* NULL when there is none.    thread  any; pure */
const struct scope_arm *scope_arm_find(const char *name);
