/* bench_arms.c - arms beside each other: paired seeds, one warm-up a seed, equal rollouts and
 * steps.
 * Why: one run proves nothing. Every arm of a seed starts from the same weights, sees the same
 * prompts and is judged on the same problems; differences are taken within a seed, with their 95 %
 * intervals (Student's t). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithm/arms.h"
#include "algorithm/interval.h"
#include "base/text.h"
#include "cli/config.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/run.h"

enum { SEEDS_MAX = 64, ARMS_MAX = 8, SETTINGS_MAX = 2, MEASURES = 6 };

struct bench_flags {
        int64_t seeds, first_seed;
        char arms[128], settings[64];
};
static struct bench_flags flags;
static const struct scope_option rows[] = {
        SCOPE_INT_OPTION(bench_flags, seeds, "8", 1, SEEDS_MAX, "paired seeds"),
        SCOPE_INT_OPTION(bench_flags, first_seed, "0", 0, 1e12, "the first of them"),
        SCOPE_TEXT_OPTION(bench_flags, arms, "scope,grpo,replace", "which arms, by comma"),
        SCOPE_TEXT_OPTION(bench_flags, settings, "hard,easy", "which settings, by comma"),
        SCOPE_OPTION_END,
};

/* A start at about 10 % with most groups all wrong, and one at a third (tiny-recipe: where the arms
 * differ, and where they do not). Nothing else changes, for any arm. */
static const struct setting {
        const char *name, *level, *target;
} settings[] = { { "hard", "hard", "0.085" }, { "easy", "easy", "0.30" } };

static const char *const measures[MEASURES] = { "pass@1", "pass@8", "distinct-4", "near_miss@1",
        "entropy", "all_wrong" };

struct table {
        const char *arms[ARMS_MAX];
        uint32_t arm_count, seed_count;
        double start[SEEDS_MAX][2]; /* pass@1, pass@8 before */
        double end[ARMS_MAX][SEEDS_MAX][MEASURES];
};

/* --- running -------------------------------------------------------------------------------- */

static double measure(const struct scope_curve_point *point, int which)
{
        const double values[MEASURES] = { point->pass_at_1, point->pass_at_8, point->distinct_4,
                point->near_miss_1, point->entropy, point->all_wrong };
        return values[which];
}

static enum scope_exit run_one(const struct scope_arguments *given, const struct setting *setting,
        uint64_t seed, const char *arm, struct scope_run_result *ret_result)
{
        static struct scope_pipeline_options options; /* too big for a stack */
        struct scope_arguments arguments = *given;
        struct scope_config *config = NULL;
        char sets[8][256];
        (void)snprintf(sets[0], sizeof sets[0], "run.seed=%" PRIu64, seed);
        (void)snprintf(sets[1], sizeof sets[1], "scope.arm=%s", arm);
        (void)snprintf(
                sets[2], sizeof sets[2], "run.name=arms-%s-%s-%" PRIu64, setting->name, arm, seed);
        (void)snprintf(sets[3], sizeof sets[3],
                "data.train=\"builtin:chain?level=%s&seed=%" PRIu64 "\"", setting->level, seed + 1);
        (void)snprintf(sets[4], sizeof sets[4], "data.eval=\"builtin:chain?level=%s&seed=1000003\"",
                setting->level);
        (void)snprintf(sets[5], sizeof sets[5], "warmup.path=\"runs/arms-warm-%s-%" PRIu64 "\"",
                setting->name, seed);
        (void)snprintf(sets[6], sizeof sets[6], "model.path=\"runs/arms-warm-%s-%" PRIu64 "\"",
                setting->name, seed);
        (void)snprintf(sets[7], sizeof sets[7], "warmup.target=%s", setting->target);
        if (arguments.set_count + 8 > SCOPE_WORDS_MAX)
                return SCOPE_EXIT_USAGE;
        memmove(arguments.sets + 8, arguments.sets, arguments.set_count * sizeof arguments.sets[0]);
        for (int i = 0; i < 8; i++)
                arguments.sets[i] = sets[i];
        arguments.set_count += 8;
        enum scope_exit code = scope_load(&arguments, &options, &config);
        if (code != SCOPE_EXIT_DONE)
                return code;
        struct scope_run_request request = { .options = &options,
                .config = config,
                .resume = SCOPE_RESUME_NO,
                .quiet = true,
                .replace = true };
        code = scope_run_execute(&request, ret_result);
        scope_config_destroy(config);
        return code;
}

static enum scope_exit run_setting(
        const struct scope_arguments *arguments, const struct setting *setting, struct table *table)
{
        static struct scope_run_result result;
        for (uint32_t seed = 0; seed < table->seed_count; seed++) {
                for (uint32_t arm = 0; arm < table->arm_count; arm++) {
                        enum scope_exit code = run_one(arguments, setting,
                                (uint64_t)flags.first_seed + seed, table->arms[arm], &result);
                        if (code != SCOPE_EXIT_DONE)
                                return code;
                        if (result.curve_count < 2) {
                                (void)fprintf(stderr, "error: bench arms needs eval.every > 0\n");
                                return SCOPE_EXIT_USAGE;
                        }
                        const struct scope_curve_point *last =
                                &result.curve[result.curve_count - 1];
                        for (int which = 0; which < MEASURES; which++)
                                table->end[arm][seed][which] = measure(last, which);
                        table->start[seed][0] = result.curve[0].pass_at_1;
                        table->start[seed][1] = result.curve[0].pass_at_8;
                        (void)fprintf(stderr,
                                "%-5s seed %-3" PRIu64
                                " %-8s pass@1 %.3f -> %.3f  pass@8 %.3f -> %.3f"
                                "  (%.0f s)\n",
                                setting->name, (uint64_t)flags.first_seed + seed, table->arms[arm],
                                table->start[seed][0], last->pass_at_1, table->start[seed][1],
                                last->pass_at_8, result.seconds);
                }
        }
        return SCOPE_EXIT_DONE;
}

/* --- numbers -------------------------------------------------------------------------------- */

static struct scope_interval of_arm(const struct table *table, uint32_t arm, int which)
{
        double values[SEEDS_MAX];
        for (uint32_t seed = 0; seed < table->seed_count; seed++)
                values[seed] = table->end[arm][seed][which];
        return scope_interval_of(values, table->seed_count);
}

static struct scope_interval difference(
        const struct table *table, uint32_t arm, uint32_t other, int which)
{
        double values[SEEDS_MAX];
        for (uint32_t seed = 0; seed < table->seed_count; seed++)
                values[seed] = table->end[arm][seed][which] - table->end[other][seed][which];
        return scope_interval_of(values, table->seed_count);
}

static void print(const struct setting *setting, const struct table *table)
{
        double starts[SEEDS_MAX];
        for (uint32_t seed = 0; seed < table->seed_count; seed++)
                starts[seed] = table->start[seed][0];
        struct scope_interval start = scope_interval_of(starts, table->seed_count);
        (void)fprintf(stderr,
                "\n%s, %u paired seeds, start pass@1 %.3f +- %.3f (95 %% intervals)\n",
                setting->name, table->seed_count, start.mean, start.half);
        for (uint32_t arm = 0; arm < table->arm_count; arm++) {
                (void)fprintf(stderr, "  %-10s", table->arms[arm]);
                for (int which = 0; which < MEASURES; which++) {
                        struct scope_interval end = of_arm(table, arm, which);
                        (void)fprintf(
                                stderr, "  %s %.3f +- %.3f", measures[which], end.mean, end.half);
                }
                (void)fputc('\n', stderr);
        }
        for (uint32_t arm = 1; arm < table->arm_count; arm++) {
                struct scope_interval first = difference(table, 0, arm, 0),
                                eighth = difference(table, 0, arm, 1);
                (void)fprintf(stderr, "  %s - %s  pass@1 %+.3f +- %.3f  pass@8 %+.3f +- %.3f\n",
                        table->arms[0], table->arms[arm], first.mean, first.half, eighth.mean,
                        eighth.half);
        }
}

static void write_interval(struct scope_text *text, const char *key, struct scope_interval interval)
{
        scope_json_open(text, key, '{');
        scope_json_double(text, "mean", interval.mean);
        scope_json_double(text, "half_width_95", interval.half);
        scope_json_close(text, '}');
}

static void write_json(
        const struct setting *setting, const struct table *table, struct scope_text *text)
{
        scope_json_open(text, setting->name, '{');
        scope_json_open(text, "start_pass@1", '[');
        for (uint32_t seed = 0; seed < table->seed_count; seed++)
                scope_json_double(text, NULL, table->start[seed][0]);
        scope_json_close(text, ']');
        for (uint32_t arm = 0; arm < table->arm_count; arm++) {
                scope_json_open(text, table->arms[arm], '{');
                for (int which = 0; which < MEASURES; which++) {
                        write_interval(text, measures[which], of_arm(table, arm, which));
                        if (which > 1)
                                continue;
                        scope_json_open(text, which == 0 ? "pass@1_seeds" : "pass@8_seeds", '[');
                        for (uint32_t seed = 0; seed < table->seed_count; seed++)
                                scope_json_double(text, NULL, table->end[arm][seed][which]);
                        scope_json_close(text, ']');
                }
                if (arm > 0) {
                        write_interval(
                                text, "first_minus_this_pass@1", difference(table, 0, arm, 0));
                        write_interval(
                                text, "first_minus_this_pass@8", difference(table, 0, arm, 1));
                }
                scope_json_close(text, '}');
        }
        scope_json_close(text, '}');
}

/* --- the command ---------------------------------------------------------------------------- */

/* Arms by name, cut out of `names` in place; false when one is not known. */
static bool read_arms(char *names, struct table *table)
{
        for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
                if (scope_arm_find(name) == NULL || table->arm_count == ARMS_MAX) {
                        (void)fprintf(stderr, "error: --arms: \"%s\" is no arm; there are", name);
                        for (const struct scope_arm *arm = scope_arms; arm->name != NULL; arm++)
                                (void)fprintf(stderr, " %s", arm->name);
                        (void)fputc('\n', stderr);
                        return false;
                }
                table->arms[table->arm_count++] = name;
        }
        return table->arm_count > 0;
}

static enum scope_exit command(const struct scope_arguments *given)
{
        static struct table table; /* too big for a stack */
        struct scope_arguments arguments = *given;
        struct scope_text text = { 0 };
        enum scope_exit code = SCOPE_EXIT_DONE;
        table = (struct table){ .seed_count = (uint32_t)flags.seeds };
        if (!read_arms(flags.arms, &table))
                return SCOPE_EXIT_USAGE;
        if (arguments.word_count == 0)
                arguments.words[arguments.word_count++] = "configs/quickstart.toml";
        scope_json_open(&text, NULL, '{');
        for (size_t i = 0; i < SETTINGS_MAX && code == SCOPE_EXIT_DONE; i++) {
                if (strstr(flags.settings, settings[i].name) == NULL)
                        continue;
                code = run_setting(&arguments, &settings[i], &table);
                if (code != SCOPE_EXIT_DONE)
                        break;
                print(&settings[i], &table);
                write_json(&settings[i], &table, &text);
        }
        scope_json_close(&text, '}');
        if (code == SCOPE_EXIT_DONE && given->json)
                return scope_output_json(&text);
        scope_text_fini(&text);
        return code;
}

const struct scope_command scope_bench_arms_command = { .name = "bench arms",
        .words = "[CONFIG...]",
        .help = "arms beside each other over paired seeds, with intervals",
        .flags = rows,
        .base = &flags,
        .takes = SCOPE_TAKES_SET | SCOPE_TAKES_MAX_STEPS,
        .run = command };
