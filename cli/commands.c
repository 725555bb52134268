#include "cli/commands.h"

#include <stddef.h>

/* In the order of --help. */
const struct scope_command *const scope_commands[] = {
        &scope_quickstart_command,
        &scope_run_command,
        &scope_check_command,
        &scope_plan_command,
        &scope_samples_command,
        &scope_warmup_command,
        &scope_teacher_command,
        &scope_eval_command,
        &scope_generate_command,
        &scope_grade_command,
        &scope_trace_command,
        &scope_score_command,
        &scope_bench_arms_command,
        &scope_bench_overlap_command,
        &scope_import_command,
        &scope_export_command,
        &scope_configs_command,
        &scope_sim_command,
        &scope_tokenize_command,
        &scope_detokenize_command,
        NULL,
};
