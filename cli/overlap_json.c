/* overlap_json.c - an arm of `bench overlap` and an ordinary run's overlap, for scripts. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "cli/bench_overlap.h"
#include "cli/idle_shares.h"

static void times_json(struct scope_text *text, const char *key, const double values[3])
{
        static const char *const names[3] = { "p50", "p95", "p99" };
        scope_json_open(text, key, '{');
        for (int i = 0; i < 3; i++)
                scope_json_double(text, names[i], values[i]);
        scope_json_close(text, '}');
}

static void bins_json(struct scope_text *text, const char *key, const uint64_t *bins)
{
        int last = SCOPE_STALENESS_BINS - 1;
        while (last > 0 && bins[last] == 0)
                last--;
        scope_json_open(text, key, '[');
        for (int i = 0; i <= last; i++)
                scope_json_uint(text, NULL, bins[i]);
        scope_json_close(text, ']');
}

static void staleness_json(const struct scope_overlap_report *report, struct scope_text *text)
{
        scope_json_open(text, "staleness", '{');
        scope_json_double(text, "mean", report->staleness_mean);
        scope_json_uint(text, "max", report->staleness_max);
        bins_json(text, "hist", report->staleness);
        scope_json_double(text, "newest_mean", report->newest_mean);
        scope_json_open(text, "tokens", '{');
        scope_json_double(text, "mean", report->token_age_mean);
        bins_json(text, "hist", report->token_ages);
        scope_json_double(text, "spans_per_sample", report->spans_per_sample);
        scope_json_close(text, '}');
        scope_json_open(text, "where", '{');
        scope_json_double(text, "in_flight", report->aged_in_flight);
        scope_json_double(text, "before_teacher", report->aged_before_teacher);
        scope_json_double(text, "at_teacher", report->aged_at_teacher);
        scope_json_double(text, "in_queue", report->aged_in_queue);
        scope_json_close(text, '}');
        scope_json_close(text, '}');
}

static void waste_json(const struct scope_overlap_report *report, struct scope_text *text)
{
        scope_json_open(text, "waste", '{');
        for (int i = 0; i < SCOPE_WASTES; i++)
                scope_json_double(text, scope_waste_words[i], report->waste[i]);
        scope_json_close(text, '}');
        scope_json_double(text, "useful_share", report->useful);
        scope_json_double(text, "generated_tokens_per_s", report->generated_tokens_per_s);
}

static void queues_json(const struct scope_overlap_report *report, struct scope_text *text)
{
        scope_json_open(text, "queues", '{');
        for (int l = 0; l < SCOPE_LINKS; l++) {
                const struct scope_link_report *link = &report->links[l];
                scope_json_open(text, scope_link_words[l], '{');
                scope_json_double(text, "mean", link->mean);
                scope_json_double(text, "p50", link->p50);
                scope_json_double(text, "p95", link->p95);
                scope_json_double(text, "rate_x_sojourn", link->little);
                scope_json_double(text, "empty", link->empty);
                scope_json_double(text, "full", link->full);
                scope_json_open(text, "over_time", '[');
                for (uint32_t i = 0; i < link->slices; i++)
                        scope_json_double(text, NULL, link->over_time[i]);
                scope_json_close(text, ']');
                scope_json_close(text, '}');
        }
        scope_json_close(text, '}');
}

static void repairs_json(const struct scope_overlap_report *report, struct scope_text *text)
{
        scope_json_double(text, "refined_of_eligible", report->refined_of_eligible);
        scope_json_double(text, "refined_generated", report->refined_generated);
        scope_json_double(text, "refined_consumed", report->refined_consumed);
}

static void waits_json(const struct scope_overlap_report *report, struct scope_text *text)
{
        times_json(text, "seconds_to_reward", report->to_reward_s);
        times_json(text, "seconds_to_refined", report->to_refined_s);
        times_json(text, "seconds_to_trained", report->to_trained_s);
}

void scope_overlap_report_json(const struct scope_overlap_report *report, struct scope_text *text)
{
        staleness_json(report, text);
        scope_json_double(text, "teacher_hidden", report->teacher_hidden);
        repairs_json(report, text);
        waste_json(report, text);
        queues_json(report, text);
        waits_json(report, text);
}

static void gap_json(const struct scope_overlap_arm *arm, struct scope_text *text)
{
        struct scope_overlap_gap gap = scope_overlap_gap_of(arm);
        scope_json_open(text, "gap", '{');
        scope_json_double(text, "share", gap.share);
        scope_json_text(text, "actor", gap.actor);
        scope_json_open(text, "by", '{');
        for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++)
                if (gap.by[i] > 0)
                        scope_json_double(text, scope_idle_words[i], gap.by[i]);
        if (gap.between_jobs > 0)
                scope_json_double(text, "between jobs", gap.between_jobs);
        scope_json_close(text, '}');
        scope_json_close(text, '}');
}

static void arm_json(
        const struct scope_overlap_arm *arm, const char *about, struct scope_text *text)
{
        const struct scope_overlap_run *run = &arm->runs[0];
        const struct scope_overlap_report *report = &run->report;
        const struct scope_strategy *strategy = scope_strategy_find(run->setting.strategy);
        char words[256];
        scope_json_open(text, NULL, '{');
        scope_json_text(text, "strategy", run->setting.strategy);
        scope_json_uint(text, "eta", run->setting.eta);
        scope_json_double(text, "measured_groups_per_s", arm->measured.mean);
        scope_json_double(text, "bound_groups_per_s", arm->bound.mean);
        scope_json_double(text, "ratio", arm->ratio.mean);
        scope_json_double(text, "speedup_over_serial", arm->speedup.mean);
        staleness_json(report, text);
        scope_json_double(text, "teacher_hidden", report->teacher_hidden);
        scope_idle_shares_json(run->end.usage, run->end.usage_count, "idle", "busy", text);
        scope_json_double(text, "useful_tokens_per_s", report->useful_tokens_per_s);
        waste_json(report, text);
        /* beyond the fixed form */
        if (about[0] != 0)
                scope_json_text(text, "sweep", about);
        scope_json_double(text, "speedup_half_width_95", arm->speedup.half);
        scope_json_double(text, "ratio_half_width_95", arm->ratio.half);
        if (!strategy->in_order || report->binding == SCOPE_BOUND_CORES)
                scope_json_text(text, "binding", scope_bound_term_name(report->binding));
        scope_json_double(text, "knee", report->knee);
        scope_json_double(text, "cpu_s_per_group", arm->cpu_s_per_group);
        gap_json(arm, text);
        scope_overlap_advice(arm, words, sizeof words);
        scope_json_text(text, "advice", words);
        repairs_json(report, text);
        queues_json(report, text);
        waits_json(report, text);
        scope_json_double(text, "startup_s", report->startup_s);
        scope_json_double(text, "wall_s", run->end.wall_s);
        scope_json_double(text, "ledger_error",
                scope_idle_error(run->end.usage, run->end.usage_count, run->end.wall_s));
        scope_json_uint(text, "steps", report->steps);
        scope_json_close(text, '}');
}

void scope_overlap_table_json(const struct scope_overlap_table *table, struct scope_text *text)
{
        for (uint32_t a = 0; a < table->arm_count; a++)
                arm_json(&table->arms[a], table->about, text);
}
