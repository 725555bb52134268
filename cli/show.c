#include "cli/show.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "actors/idle.h"
#include "actors/stages.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "cli/core_times.h"
#include "cli/idle_shares.h"
#include "cli/stage_play.h"
#include "models/prompt_format.h"
#include "runtime/clock.h"
#include "runtime/system.h"
#include "tasks/dataset.h"

enum { SUMMARY_STEPS = 10 }; /* between two lines for logs, at least */

/* NAN where there is none. */
static double find(const struct scope_metric *metrics, uint32_t count, const char *name)
{
        size_t bytes = strlen(name);
        for (uint32_t i = 0; i < count; i++)
                if (metrics[i].name.bytes == bytes && memcmp(metrics[i].name.at, name, bytes) == 0)
                        return metrics[i].value;
        return NAN;
}

static double or_zero(double value)
{
        return isnan(value) ? 0 : value;
}

static void flush(struct scope_show *show)
{
        if (!show->quiet && show->text.bytes != NULL && !show->text.failed)
                scope_terminal_show(&show->terminal, show->text.bytes);
        scope_text_clear(&show->text);
}

/* --- at the start --------------------------------------------------------------------------- */

/* Who teaches, in words. */
static void teacher_words(
        const struct scope_pipeline_options *options, bool own, char *ret_words, size_t bytes)
{
        bool solves = strncmp(options->data.train, "builtin:", 8) == 0;
        if (options->scope.select.repairs_per_group == 0)
                (void)snprintf(ret_words, bytes, "not asked");
        else if (own && options->stages.teacher == SCOPE_PLAY_NATIVE)
                (void)snprintf(ret_words, bytes, "builtin (%s), %s",
                        solves ? "solves the problem" : "the data's own solutions",
                        options->teacher.url);
        else
                (void)snprintf(ret_words, bytes, "%s", options->teacher.url);
}

void scope_show_begin(struct scope_show *show, const struct scope_pipeline_options *options,
        const struct scope_assembly *assembly, const char *directory,
        const struct scope_run_request *request, bool own_teacher)
{
        char model[640], data[800], batch[160], evaluation[128], cores[64], pipeline[96];
        char teacher[640], stages[768];
        const struct scope_rollout_options *rollout = &options->rollout;
        *show = (struct scope_show){ .verbose = request->verbose,
                .options = options,
                .directory = directory,
                .quiet = request->quiet,
                .begun = true,
                .reward = NAN,
                .first_step = assembly->progress.step };
        scope_terminal_init(&show->terminal, stderr);
        if (request->quiet || assembly->model.layout == NULL)
                return;
        (void)snprintf(model, sizeof model, "%s, %zu parameters", options->model.path,
                assembly->model.layout->parameter_count);
        if (assembly->train != NULL)
                (void)snprintf(data, sizeof data, "%s, %s, %" PRIu64 " problems",
                        options->data.train, assembly->train->form, assembly->train->count);
        else
                (void)snprintf(data, sizeof data, "%s", options->data.train);
        int64_t updates = options->learner.passes;
        if (options->learner.minibatch_prompts != 0)
                updates = updates * rollout->prompts_per_step / options->learner.minibatch_prompts;
        (void)snprintf(batch, sizeof batch,
                "%" PRId64 " prompts x %" PRId64 " samples = %" PRId64 " rollouts a step, %" PRId64
                " update%s",
                rollout->prompts_per_step, rollout->group_size,
                rollout->prompts_per_step * rollout->group_size, updates, updates == 1 ? "" : "s");
        (void)snprintf(evaluation, sizeof evaluation, "none");
        if (options->eval.every > 0)
                (void)snprintf(evaluation, sizeof evaluation,
                        "every %" PRId64 " steps, %" PRId64 " problems x %" PRId64,
                        options->eval.every, options->eval.problems, options->eval.samples);
        (void)snprintf(cores, sizeof cores, "%u compute threads, %u rollout%s",
                assembly->cores.compute_count, assembly->cores.rollout_count,
                assembly->cores.rollout_count == 1 ? "" : "s");
        (void)snprintf(pipeline, sizeof pipeline, "%s, eta %" PRId64 ", age_max %" PRId64,
                options->pipeline.strategy, options->pipeline.admission.eta,
                options->pipeline.admission.age_max);
        teacher_words(options, own_teacher, teacher, sizeof teacher);
        bool plays = scope_stage_play_words(assembly->play, stages, sizeof stages);
        const struct scope_terminal_row rows[] = { { "arm", options->scope.arm },
                { "model", model }, { "batch", batch }, { "data", data },
                { "prompt", scope_prompt_format_words(assembly->prompt_format) },
                { "teacher", teacher }, { "pipeline", pipeline }, { "evaluation", evaluation },
                { "machine", cores }, { "files", directory }, { "stages", stages } };
        scope_terminal_print_table(&show->text, &show->terminal.style, options->run.name, rows,
                sizeof rows / sizeof rows[0] - !plays);
        flush(show);
}

/* --- while it runs -------------------------------------------------------------------------- */

static void evaluated(
        struct scope_show *show, uint64_t step, const struct scope_metric *metrics, uint32_t count)
{
        double steps = show->curve_steps > 0 ? (double)show->curve_steps : NAN;
        struct scope_curve_point point = { .step = step,
                .pass_at_1 = find(metrics, count, "eval/pass@1"),
                .pass_at_8 = find(metrics, count, "eval/pass@8"),
                .distinct_4 = find(metrics, count, "eval/distinct-4"),
                .near_miss_1 = find(metrics, count, "eval/near_miss@1"),
                .all_wrong = show->all_wrong / steps,
                .entropy = show->entropy / steps };
        if (show->curve_count < SCOPE_CURVE_MAX)
                show->curve[show->curve_count++] = point;
        show->all_wrong = show->entropy = 0;
        show->curve_steps = 0;
        scope_text_format(
                &show->text, "eval  step %4" PRIu64 "  pass@1 %.3f", step, point.pass_at_1);
        if (isfinite(point.pass_at_8)) /* fewer than 8 samples a problem: there is none */
                scope_text_format(&show->text, "  pass@8 %.3f", point.pass_at_8);
        scope_text_string(&show->text, "\n");
        flush(show);
}

/* Its own turns, and the time that jobs or calls of it were under way. */
static uint64_t busy_ns(const struct scope_actor_usage *usage)
{
        uint64_t busy = usage->busy_ns;
        for (size_t i = 0; i < sizeof usage->idle / sizeof usage->idle[0]; i++)
                for (int word = 0; word < SCOPE_IDLE_FIRST; word++)
                        if (usage->idle[i].cause != NULL &&
                                strcmp(usage->idle[i].cause, scope_idle_words[word]) == 0)
                                busy += usage->idle[i].ns;
        return busy;
}

/* How busy each kind was since the last step, as the line that stays at the bottom of a terminal.
 * */
static void show_live(struct scope_show *show)
{
        static const char *const kinds[] = { "rollout-0", "prm", "refiner", "learner",
                "evaluator" };
        struct scope_terminal_actor actors[sizeof kinds / sizeof kinds[0]];
        struct scope_actor_usage usage;
        uint32_t count = 0;
        if (!show->terminal.tty || show->quiet || show->system == NULL)
                return;
        for (unsigned i = 0;
                i < SCOPE_SHOW_ACTORS_MAX && scope_system_usage(show->system, i, &usage); i++) {
                uint64_t busy = busy_ns(&usage), alive = usage.alive_ns - show->alive_ns[i];
                for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
                        if (strcmp(usage.name, kinds[kind]) == 0)
                                actors[count++] = (struct scope_terminal_actor){ kinds[kind],
                                        alive > 0
                                                ? (double)(busy - show->busy_ns[i]) / (double)alive
                                                : 0 };
                show->busy_ns[i] = busy;
                show->alive_ns[i] = usage.alive_ns;
        }
        scope_terminal_print_live(&show->text, &show->terminal.style, actors, count, "");
        if (!show->text.failed && show->text.bytes != NULL)
                scope_terminal_live(&show->terminal, show->text.bytes);
        scope_text_clear(&show->text);
}

/* One key=value line every 30 s where nobody watches; with slow steps their lines are enough. */
static void summarise(struct scope_show *show, const struct scope_terminal_step *line)
{
        double seconds = (double)scope_clock_ns(CLOCK_MONOTONIC) * 1e-9;
        if (show->terminal.tty || seconds - show->summary_s < 30 ||
                line->step < show->summary_step + SUMMARY_STEPS)
                return;
        if (show->summary_s > 0)
                scope_terminal_print_summary(&show->text, line);
        show->summary_s = seconds;
        show->summary_step = line->step;
}

static void keep_seconds(struct scope_show *show, double seconds)
{
        if (show->steps == show->seconds_capacity) {
                uint64_t capacity = show->seconds_capacity != 0 ? 2 * show->seconds_capacity : 256;
                double *grown = realloc(show->seconds, capacity * sizeof *grown);
                if (grown == NULL)
                        return;
                show->seconds = grown;
                show->seconds_capacity = capacity;
        }
        show->seconds[show->steps++] = seconds;
}

static void trained(
        struct scope_show *show, uint64_t step, const struct scope_metric *metrics, uint32_t count)
{
        double reward = find(metrics, count, "reward/mean"),
               seconds = find(metrics, count, "time/step");
        double groups = (double)show->options->rollout.prompts_per_step;
        show->all_wrong += or_zero(find(metrics, count, "group/all_wrong_frac"));
        show->entropy += or_zero(find(metrics, count, "entropy/mean"));
        show->curve_steps++;
        show->repaired += or_zero(find(metrics, count, "scope/repaired"));
        show->degraded += or_zero(find(metrics, count, "scope/degraded"));
        show->eligible += or_zero(find(metrics, count, "scope/eligible_frac")) * groups;
        show->groups += groups;
        show->staleness += or_zero(find(metrics, count, "staleness/mean"));
        show->staleness_max =
                fmax(show->staleness_max, or_zero(find(metrics, count, "staleness/max")));
        if (find(metrics, count, "teacher/calls") > 0) {
                show->calls = (uint64_t)find(metrics, count, "teacher/calls");
                show->rejected = (uint64_t)find(metrics, count, "teacher/rejected");
        }
        show->trained_tokens += or_zero(find(metrics, count, "tokens/batch"));
        show->trained_s += or_zero(find(metrics, count, "time/train"));
        keep_seconds(show, or_zero(seconds));
        struct scope_terminal_step line = { .step = step,
                .steps = (uint64_t)show->options->run.steps,
                .reward = reward,
                .reward_change = reward - show->reward,
                .cut = find(metrics, count, "scope/repaired") > 0
                               ? find(metrics, count, "scope/cut_pos_mean")
                               : NAN,
                .taught = show->options->scope.select.repairs_per_group > 0
                                  ? find(metrics, count, "scope/teacher_success_frac")
                                  : NAN,
                .length = find(metrics, count, "completion/len_mean"),
                .entropy = find(metrics, count, "entropy/mean"),
                .stale_mean = find(metrics, count, "staleness/mean"),
                .stale_max = find(metrics, count, "staleness/max"),
                .queue = (uint64_t)or_zero(find(metrics, count, "queue/groups/depth")),
                .queue_max = (uint64_t)show->options->pipeline.queue_groups,
                .seconds = seconds,
                .tokens_per_second = find(metrics, count, "time/tokens_per_s") };
        line.remaining_seconds = (double)(line.steps - step) * or_zero(seconds);
        show->reward = reward;
        scope_terminal_print_step(&show->text, &show->terminal.style, &line);
        if (show->verbose)
                scope_text_format(&show->text,
                        "          train %.3f s  wait %.3f s  grad norm %.3f  mismatch kl %.1e  "
                        "repaired %.0f  teacher calls %" PRIu64 "\n",
                        find(metrics, count, "time/train"), find(metrics, count, "time/wait_batch"),
                        find(metrics, count, "optim/grad_norm"),
                        find(metrics, count, "mismatch_kl"), find(metrics, count, "scope/repaired"),
                        show->calls);
        summarise(show, &line);
        flush(show);
        show_live(show);
}

void scope_show_step(
        struct scope_show *show, uint64_t step, const struct scope_metric *metrics, uint32_t count)
{
        if (!isnan(find(metrics, count, "reward/mean")))
                trained(show, step, metrics, count);
        if (!isnan(find(metrics, count, "eval/pass@1")))
                evaluated(show, step, metrics, count);
}

static struct scope_terminal_words words_of(struct scope_string string)
{
        return (struct scope_terminal_words){ string.at, string.bytes };
}

void scope_show_rollout(
        struct scope_show *show, uint64_t step, const struct scope_rollout_view *view)
{
        struct scope_terminal_sample sample = { .step = step,
                .group = view->group,
                .problem = words_of(view->problem),
                .gold = words_of(view->gold),
                .student = words_of(view->student),
                .suffix = words_of(view->suffix),
                .step_ends = view->step_ends,
                .step_p = view->step_p,
                .step_count = view->step_count,
                .kept_steps = view->kept_steps,
                .tau = show->options->prm.tau,
                .repaired = view->suffix.bytes > 0,
                .right = view->suffix.bytes == 0 && view->correct };
        scope_terminal_print_sample(&show->text, &show->terminal.style, &sample);
        flush(show);
}

/* Four groups that wait for one rollout say the same: once is enough. */
static bool waits_again(struct scope_show *show, const struct scope_notice *notice)
{
        char waits[sizeof show->waits];
        const char *since = strstr(notice->text, " since ");
        if (strcmp(notice->name, "wait") != 0 || since == NULL)
                return false;
        (void)snprintf(waits, sizeof waits, "%.*s", (int)(since - notice->text), notice->text);
        bool again = strcmp(waits, show->waits) == 0;
        memcpy(show->waits, waits, sizeof waits);
        return again;
}

void scope_show_notice(struct scope_show *show, const struct scope_notice *notice)
{
        if (waits_again(show, notice))
                return;
        scope_text_format(&show->text, "%s: %s: %s\n",
                notice->actor != NULL ? notice->actor : "system", notice->name, notice->text);
        flush(show);
}

/* --- at the end ----------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
        double left = *(const double *)a, right = *(const double *)b;
        return left < right ? -1 : left > right;
}

void scope_show_result(const struct scope_show *show, struct scope_run_result *result)
{
        memcpy(result->curve, show->curve, sizeof result->curve);
        result->curve_count = show->curve_count;
        result->repaired = (uint64_t)show->repaired;
        result->rejected = show->rejected;
        result->degraded = (uint64_t)show->degraded;
        result->eligible = show->eligible;
        result->trained_tokens = (uint64_t)show->trained_tokens;
        result->trained_s = show->trained_s;
        result->staleness_mean = show->steps > 0 ? show->staleness / (double)show->steps : 0;
        double *sorted = malloc((show->steps + 1) * sizeof *sorted), sum = 0;
        if (sorted == NULL || show->steps == 0) {
                free(sorted);
                return;
        }
        memcpy(sorted, show->seconds, show->steps * sizeof *sorted);
        for (uint64_t i = 0; i < show->steps; i++)
                sum += sorted[i];
        qsort(sorted, show->steps, sizeof *sorted, compare);
        result->median_step_s = sorted[show->steps / 2];
        result->groups_per_s = sum > 0 ? show->groups / sum : 0;
        free(sorted);
}

static int compare_uses(const void *a, const void *b)
{
        const struct scope_terminal_use *left = a, *right = b;
        return left->share > right->share ? -1 : left->share < right->share;
}

/* Where the cores' time went, small shares left out, and how fast rollouts and learner were. */
static void set_cores(struct scope_terminal_final *final, struct scope_terminal_use *uses,
        const struct scope_system *system, const struct scope_run_result *result)
{
        struct scope_core_times times =
                scope_core_times_of(system, result->cores, result->wall_s);
        double all_s = fmax(1e-9, result->cores * result->wall_s), decode_s = 0;
        for (int use = 0; use < SCOPE_CORE_COUNT; use++)
                if (times.seconds[use] / all_s >= 0.005)
                        uses[final->use_count++] = (struct scope_terminal_use){
                                scope_core_words[use], times.seconds[use] / all_s
                        };
        qsort(uses, final->use_count, sizeof *uses, compare_uses);
        struct scope_idle_shares rollouts =
                scope_idle_shares_of(result->usage, result->usage_count, "rollout");
        if (rollouts.count > 0)
                decode_s = rollouts.busy * rollouts.alive_s / rollouts.count;
        final->uses = uses;
        final->cores = result->cores;
        final->decode_tokens = (double)result->sampled_tokens;
        final->train_tokens = (double)result->trained_tokens;
        final->decode_rate = final->decode_tokens / fmax(1e-9, decode_s);
        final->train_rate = final->train_tokens / fmax(1e-9, result->trained_s);
}

void scope_show_end(struct scope_show *show, const struct scope_system *system, const char *state,
        const struct scope_run_result *result)
{
        struct scope_terminal_score scores[2];
        struct scope_terminal_actor actors[SCOPE_SHOW_ACTORS_MAX];
        struct scope_actor_usage usage[SCOPE_SHOW_ACTORS_MAX];
        struct scope_terminal_use uses[SCOPE_CORE_COUNT];
        struct rusage resources;
        uint32_t count = 0, score_count = 0;
        while (count < SCOPE_SHOW_ACTORS_MAX && scope_system_usage(system, count, &usage[count])) {
                actors[count] = (struct scope_terminal_actor){ usage[count].name,
                        usage[count].alive_ns > 0
                                ? (double)busy_ns(&usage[count]) / (double)usage[count].alive_ns
                                : 0 };
                count++;
        }
        if (result->curve_count > 0) {
                const struct scope_curve_point *first = &result->curve[0];
                const struct scope_curve_point *last = &result->curve[result->curve_count - 1];
                bool again = last != first; /* stopped before a second evaluation: no change */
                scores[score_count++] = (struct scope_terminal_score){ "pass@1", first->pass_at_1,
                        again ? last->pass_at_1 : NAN };
                scores[score_count++] = (struct scope_terminal_score){ "pass@8", first->pass_at_8,
                        again ? last->pass_at_8 : NAN };
        }
        struct scope_terminal_final final = { .state = state,
                .directory = show->directory,
                .steps = result->steps,
                .seconds = result->seconds,
                .scores = scores,
                .score_count = score_count,
                .admitted = result->admitted,
                .trained = result->trained,
                .stale = result->stale,
                .filtered = result->filtered,
                .failed = result->failed,
                .live = result->live,
                .teacher_calls = show->calls,
                .salvaged = result->repaired,
                .rejected = result->rejected,
                .degraded = result->degraded,
                .stale_mean = result->staleness_mean,
                .stale_max = show->staleness_max,
                .actors = actors,
                .actor_count = count };
        set_cores(&final, uses, system, result);
        if (getrusage(RUSAGE_SELF, &resources) == 0)
                final.peak_rss_bytes = (uint64_t)resources.ru_maxrss * 1024;
        scope_terminal_print_final(&show->text, &show->terminal.style, &final);
        flush(show);
}

void scope_show_fini(struct scope_show *show)
{
        if (show->begun)
                scope_terminal_fini(&show->terminal);
        scope_text_fini(&show->text);
        free(show->seconds);
}

/* --- two runs ------------------------------------------------------------------------------- */

static double value_of(const struct scope_curve_point *point, int which)
{
        return which == 0 ? point->pass_at_1 : which == 1 ? point->pass_at_8 : point->all_wrong;
}

void scope_show_curves(const char *const *names, const struct scope_run_result *results)
{
        static const char *const titles[] = { "pass@1", "pass@8", "all wrong" };
        struct scope_terminal terminal = { 0 };
        struct scope_text text = { 0 };
        scope_terminal_init(&terminal, stderr);
        for (int which = 0; which < 3; which++) {
                double x[2][SCOPE_CURVE_MAX], y[2][SCOPE_CURVE_MAX];
                struct scope_terminal_curve curves[2];
                for (int arm = 0; arm < 2; arm++) {
                        uint32_t count = 0;
                        for (uint32_t i = 0; i < results[arm].curve_count; i++) {
                                x[arm][count] = (double)results[arm].curve[i].step;
                                y[arm][count] = value_of(&results[arm].curve[i], which);
                                count += !isnan(y[arm][count]);
                        }
                        curves[arm] =
                                (struct scope_terminal_curve){ names[arm], x[arm], y[arm], count };
                }
                scope_terminal_print_curves(
                        &text, &terminal.style, titles[which], &curves[0], &curves[1]);
        }
        if (!text.failed && text.bytes != NULL)
                scope_terminal_show(&terminal, text.bytes);
        scope_text_fini(&text);
        scope_terminal_fini(&terminal);
}

void scope_show_json(
        const struct scope_run_result *result, const char *key, struct scope_text *text)
{
        scope_json_open(text, key, '{');
        scope_json_uint(text, "steps", result->steps);
        scope_json_double(text, "seconds", result->seconds);
        scope_json_double(text, "median_step_s", result->median_step_s);
        scope_json_double(text, "groups_per_s", result->groups_per_s);
        scope_json_bool(text, "interrupted", result->interrupted);
        scope_json_open(text, "groups", '{');
        scope_json_uint(text, "admitted", result->admitted);
        scope_json_uint(text, "trained", result->trained);
        scope_json_uint(text, "stale", result->stale);
        scope_json_uint(text, "filtered", result->filtered);
        scope_json_uint(text, "failed", result->failed);
        scope_json_uint(text, "live", result->live);
        scope_json_close(text, '}');
        scope_json_double(text, "eligible", result->eligible);
        scope_json_uint(text, "salvaged", result->repaired);
        scope_json_uint(text, "rejected", result->rejected);
        scope_json_uint(text, "degraded", result->degraded);
        scope_json_double(text, "staleness_mean", result->staleness_mean);
        scope_json_open(text, "curve", '[');
        for (uint32_t i = 0; i < result->curve_count; i++) {
                const struct scope_curve_point *point = &result->curve[i];
                scope_json_open(text, NULL, '{');
                scope_json_uint(text, "step", point->step);
                scope_json_double(text, "pass@1", point->pass_at_1);
                scope_json_double(text, "pass@8", point->pass_at_8);
                scope_json_double(text, "all_wrong", point->all_wrong);
                scope_json_double(text, "distinct-4", point->distinct_4);
                scope_json_double(text, "near_miss@1", point->near_miss_1);
                scope_json_double(text, "entropy", point->entropy);
                scope_json_close(text, '}');
        }
        scope_json_close(text, ']');
        scope_json_close(text, '}');
}
