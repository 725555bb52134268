#include "algorithm/arms.h"

#include <string.h>

const struct scope_option scope_scope_option_table[] = {
        SCOPE_TEXT_OPTION(scope_scope_options, arm, "\"scope\"",
                "named set of choices: scope, grpo, replace, ..."),
        SCOPE_OPTION_END,
};

static size_t window_bytes(uint32_t rollouts)
{
        return scope_length_window_bytes(rollouts);
}

#define LOSS(part) scope_##part##_option_table, "loss"

const struct scope_station_choice scope_station_choices[] = {
        { "prm", "arithmetic", "prm", "backend", NULL, NULL, SCOPE_NEED_CHECKER, NULL,
                "exact step checker of the built-in task" },
        { "prm", "likelihood", "prm", "backend", NULL, NULL, SCOPE_NEED_PRM, NULL,
                "a language model's least token probability in the step" },
        { "prm", "native", "prm", "backend", NULL, NULL, SCOPE_NEED_PRM, NULL,
                "a two-class head at the step's end" },
        { "prm", "off", "prm", "backend", NULL, NULL, 0, NULL, "no step scores, no repairs" },

        { "statistics", "window", "scope", "stats_scope", scope_statistics_option_table, "scope", 0,
                window_bytes, "lengths of the last rollouts" },
        { "statistics", "batch", "scope", "stats_scope", scope_statistics_option_table, "scope",
                SCOPE_NEED_BARRIER, window_bytes, "lengths of the training batch" },
        { "statistics", "group", "scope", "stats_scope", scope_statistics_option_table, "scope", 0,
                NULL, "lengths of this prompt's rollouts" },

        { "localise", "last_and_boxed", "scope", "prefix_cap", scope_localise_option_table, "scope",
                SCOPE_NEED_STEP_SCORES, NULL, "never keep the last step or a box" },
        { "localise", "last", "scope", "prefix_cap", scope_localise_option_table, "scope",
                SCOPE_NEED_STEP_SCORES, NULL, "never keep the last step" },
        { "localise", "none", "scope", "prefix_cap", scope_localise_option_table, "scope",
                SCOPE_NEED_STEP_SCORES, NULL, "keep every verified step" },

        { "selector", "scope", "scope", "repairs_per_group", scope_select_option_table, "scope",
                SCOPE_NEED_STEP_SCORES | SCOPE_NEED_TEACHER, NULL,
                "most verified progress at a typical length" },

        { "advantage", "sample", "loss", "adv_std", LOSS(advantage), 0, NULL,
                "(r - mean) / (standard deviation with n - 1)" },
        { "advantage", "none", "loss", "adv_std", LOSS(advantage), 0, NULL, "r - mean" },
        { "advantage", "population", "loss", "adv_std", LOSS(advantage), 0, NULL,
                "(r - mean) / (standard deviation with n)" },
        { "prm_reward", "mean", "loss", "prm_reward", LOSS(advantage), SCOPE_NEED_STEP_SCORES, NULL,
                "outcome + mean step score" },
        { "prm_reward", "min", "loss", "prm_reward", LOSS(advantage), SCOPE_NEED_STEP_SCORES, NULL,
                "outcome + least step score" },
        { "prm_reward", "prod", "loss", "prm_reward", LOSS(advantage), SCOPE_NEED_STEP_SCORES, NULL,
                "outcome + product of step scores" },

        { "suffix", "wll_sg", "loss", "suffix_form", LOSS(objective), 0, NULL,
                "log pi, weighted by sg[pi / (pi + gamma)]" },
        { "suffix", "luffy", "loss", "suffix_form", LOSS(objective), 0, NULL,
                "pi / (pi + gamma), differentiated" },
        { "suffix", "nll", "loss", "suffix_form", LOSS(objective), 0, NULL, "log pi" },
        { "aggregate", "token_mean", "loss", "agg", LOSS(objective), 0, NULL,
                "one weight for every token of the minibatch" },
        { "aggregate", "seq_mean_token_mean", "loss", "agg", LOSS(objective), 0, NULL,
                "one weight for every trajectory" },
        { "aggregate", "seq_sum_const", "loss", "agg", LOSS(objective), 0, NULL,
                "sums over a constant length" },
        { "reference", "kl", "loss", "kl_beta", LOSS(objective), SCOPE_NEED_REFERENCE, NULL,
                "stay near a frozen model, where kl_beta > 0" },

        { "correction", "decoupled", "loss", "correction", LOSS(correction), SCOPE_NEED_PROXIMAL,
                NULL, "ratio against the policy at the step's start, weighted by it over mu" },
        { "correction", "bypass", "loss", "correction", LOSS(correction), 0, NULL,
                "ratio against the sampler's policy" },

        { "stale", "plain", "pipeline", "stale", scope_admission_option_table, "pipeline", 0, NULL,
                "stale groups train like fresh ones" },
        { "stale", "reweight", "pipeline", "stale", scope_admission_option_table, "pipeline", 0,
                NULL, "stale groups count less" },
        { "stale", "mask", "pipeline", "stale", scope_admission_option_table, "pipeline", 0, NULL,
                "only tokens young enough are trained" },
        { 0 },
};

const struct scope_arm scope_arms[] = {
        { .name = "scope",
                .needs = SCOPE_NEED_STEP_SCORES | SCOPE_NEED_TEACHER,
                .help = "keep the best failure's verified prefix, the teacher writes the rest" },
        { .name = "grpo",
                .sets = { { "scope.repairs_per_group", "0" } },
                .help = "group-relative policy optimisation, no repair" },
        { .name = "replace",
                .sets = { { "scope.force_k", "0" } },
                .needs = SCOPE_NEED_STEP_SCORES | SCOPE_NEED_TEACHER,
                .help = "as scope, but the teacher writes the whole solution" },
        { .name = "replace_luffy",
                .sets = { { "scope.force_k", "0" }, { "loss.suffix_form", "\"luffy\"" },
                        { "loss.suffix_use_adv", "true" } },
                .needs = SCOPE_NEED_STEP_SCORES | SCOPE_NEED_TEACHER,
                .help = "as replace, with LUFFY's shaped objective on the solution" },
        { .name = "prm_reward",
                .sets = { { "scope.repairs_per_group", "0" }, { "loss.prm_reward", "\"mean\"" } },
                .needs = SCOPE_NEED_STEP_SCORES,
                .help = "grpo on outcome + mean step score, no repair" },
        { .name = "dr_grpo",
                .sets = { { "scope.repairs_per_group", "0" }, { "loss.adv_std", "\"none\"" },
                        { "loss.agg", "\"seq_sum_const\"" } },
                .help = "grpo without deviation and length normalisation" },
        { 0 },
};

const struct scope_arm *scope_arm_find(const char *name)
{
        for (const struct scope_arm *arm = scope_arms; arm->name != NULL; arm++) {
                if (strcmp(arm->name, name) == 0)
                        return arm;
        }
        return NULL;
}
