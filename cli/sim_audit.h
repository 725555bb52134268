/* sim_audit.h - what must hold of every group, judged from outside.
 * Why: an actor's own books cannot show that the actor is wrong; these are kept from what it
 * says that it did. The numbers are those of actors.md 3.6. */
#pragma once

#include "actors/stages.h"
#include "cli/sim_run.h"

enum { SCOPE_SIM_SAMPLES_MAX = 8 };

/* What is known of one group. */
struct scope_sim_group {
        bool admitted, ended, trained[SCOPE_SIM_SAMPLES_MAX], at_teacher, decided;
        uint8_t accepted; /* bit a sample */
        uint8_t stats, trained_count, outcome;
        uint64_t batch; /* of strategies in_order */
        uint64_t lease[SCOPE_SIM_SAMPLES_MAX]; /* newest token */
};

/* Zeroed is empty but for the two that the caller sets. */
struct scope_sim_audit {
        const struct scope_stages *stages;
        struct scope_sim_coverage *coverage;
        struct scope_sim_group *groups; /* by id */
        uint64_t capacity, at_teacher;
        const char *violation; /* static text */
};

/* For stages->audit; the context is the audit. */
void scope_sim_audit_event(void *context, const struct scope_audit *event);

/* After every event: NULL, or what is wrong (static text).     thread  owner */
const char *scope_sim_audit_check(const struct scope_sim_audit *audit, struct scope_system *system);

/* When the run is over.                                        thread  owner */
const char *scope_sim_audit_end(const struct scope_sim_audit *audit, struct scope_system *system);

void scope_sim_audit_fini(struct scope_sim_audit *audit);
