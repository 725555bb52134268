#include "algorithm/strategy.h"

#include <stddef.h>
#include <string.h>

const struct scope_strategy scope_strategies[] = {
        { .name = "serial",
                .stage_barrier = true,
                .in_order = true,
                .eval_barrier = true,
                .eta = 0,
                .help = "each stage handles the whole batch, then the next begins; staleness 0" },
        { .name = "sync_colocated",
                .stage_barrier = true,
                .in_order = true,
                .colocated = true,
                .eval_barrier = true,
                .eta = 0,
                .help = "as serial, every local stage on all devices in turn" },
        { .name = "one_step_off",
                .stage_barrier = true,
                .in_order = true,
                .one_producer = true,
                .eta = 1,
                .help = "batch k + 1 is produced while batch k trains; staleness 1" },
        { .name = "teacher_overlap",
                .in_order = true,
                .eta = 0,
                .help = "groups stream to PRM and teacher inside the batch; staleness 0" },
        { .name = "teacher_overlap_deep",
                .stage_barrier = true,
                .in_order = true,
                .train_apart = true,
                .eta = 1,
                .help = "the teacher works on batch k while batch k + 1 decodes; staleness 1" },
        { .name = "pipelined",
                .stage_barrier = true,
                .in_order = true,
                .eta = 3,
                .help = "whole batches move from stage to stage, one at each; staleness <= 3" },
        { .name = "async",
                .eta = -1,
                .help = "groups flow on their own; live groups <= (eta + 1) * prompts_per_step" },
        { 0 },
};

const struct scope_strategy *scope_strategy_find(const char *name)
{
        for (const struct scope_strategy *row = scope_strategies; row->name != NULL; row++)
                if (strcmp(row->name, name) == 0)
                        return row;
        return NULL;
}
