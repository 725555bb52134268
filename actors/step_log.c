#include "actors/step_log.h"

#include <string.h>

void scope_step_log_fini(struct scope_step_log *log)
{
        scope_text_fini(&log->held);
        scope_text_fini(&log->line);
}

bool scope_step_log_is_evaluation(const struct scope_metric *metrics, uint32_t count)
{
        static const char seconds[] = "time/eval";
        struct scope_string rest;
        for (uint32_t i = 0; i < count; i++) {
                struct scope_string name = metrics[i].name;
                bool is_seconds = name.bytes == sizeof seconds - 1 &&
                                  memcmp(name.at, seconds, sizeof seconds - 1) == 0;
                if (!is_seconds && !scope_name_after(name, "eval/", &rest))
                        return false;
        }
        return count > 0;
}

static bool let_held_go(struct scope_step_log *log)
{
        bool kept = log->held.count == 0 ||
                    scope_journal_add(log->journal, log->held.bytes, log->held.count);
        scope_text_clear(&log->held);
        return kept;
}

bool scope_step_log_step(
        struct scope_step_log *log, const struct scope_step_line *line, bool awaits_evaluation)
{
        bool kept = let_held_go(log);
        scope_line_step(&log->held, line);
        if (log->evaluated.count > 0)
                scope_line_step_evaluated(
                        &log->held, line->step, &log->evaluated, log->evaluated_step);
        log->evaluated.count = 0;
        log->held_step = line->step;
        return awaits_evaluation ? kept : let_held_go(log) && kept;
}

bool scope_step_log_evaluation(struct scope_step_log *log, const struct scope_step_line *line)
{
        bool kept = log->evaluated.count == 0 || scope_step_log_flush(log, line->seconds);
        for (uint32_t i = 0; i < line->metric_count; i++)
                (void)scope_gauges_set(/* a name too long is left out */
                        &log->evaluated, line->metrics[i].name, line->metrics[i].value);
        log->evaluated_step = line->step;
        if (log->held.count == 0 || log->held_step != line->step)
                return kept;
        scope_line_step_evaluated(&log->held, line->step, &log->evaluated, line->step);
        log->evaluated.count = 0;
        return let_held_go(log) && kept;
}

bool scope_step_log_empty(const struct scope_step_log *log)
{
        return log->held.count == 0 && log->evaluated.count == 0;
}

bool scope_step_log_flush(struct scope_step_log *log, double seconds)
{
        static const struct scope_gauges none = { .count = 0 };
        bool kept = let_held_go(log);
        if (log->evaluated.count == 0)
                return kept;
        uint64_t step = log->evaluated_step;
        scope_text_clear(&log->line);
        scope_line_step(&log->line,
                &(struct scope_step_line){ .step = step, .seconds = seconds, .gauges = &none });
        scope_line_step_evaluated(&log->line, step, &log->evaluated, step);
        log->evaluated.count = 0;
        return scope_journal_add(log->journal, log->line.bytes, log->line.count) && kept;
}
