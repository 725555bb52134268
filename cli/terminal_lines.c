/* terminal_lines.c - tables, the line of a step, the live line. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/terminal.h"
#include "cli/terminal_internal.h"

void scope_terminal_paint(struct scope_text *text, const struct scope_terminal_style *style,
        const char *color, const char *string)
{
        if (style->color)
                scope_text_format(text, "\x1b[%sm%s\x1b[0m", color, string);
        else
                scope_text_string(text, string);
}

void scope_terminal_print_time(struct scope_text *text, double seconds)
{
        if (!isfinite(seconds) || seconds < 0)
                scope_text_string(text, "-");
        else if (seconds < 99.95)
                scope_text_format(text, "%.1f s", seconds);
        else if (seconds < 3600)
                scope_text_format(text, "%dm%02d", (int)seconds / 60, (int)seconds % 60);
        else
                scope_text_format(text, "%.0fh%02d", floor(seconds / 3600),
                        (int)fmod(seconds / 60, 60));
}

void scope_terminal_print_count(struct scope_text *text, double number)
{
        static const char *const suffixes[] = { "", "k", "M", "G", "T" };
        int i = 0;
        if (!isfinite(number)) {
                scope_text_string(text, "-");
                return;
        }
        for (; i < 4 && fabs(number) >= 999.5; i++)
                number /= 1000;
        scope_text_format(text, i > 0 && fabs(number) < 99.95 ? "%.1f%s" : "%.0f%s", number,
                suffixes[i]);
}

static void print_number(struct scope_text *text, const char *format, double number)
        __attribute__((format(printf, 2, 0)));

static void print_number(struct scope_text *text, const char *format, double number)
{
        char digits[48];
        if (!isfinite(number)) {
                scope_text_string(text, "-");
                return;
        }
        (void)snprintf(digits, sizeof digits, format, number);
        scope_text_string(text, digits);
}

static void print_share(struct scope_text *text, double share)
{
        if (isfinite(share))
                scope_text_format(text, "%.0f%%", 100 * share);
        else
                scope_text_string(text, "-");
}

/* --- tables ----------------------------------------------------------------------------------- */

static void pad(struct scope_text *text, unsigned columns)
{
        for (unsigned i = 0; i < columns; i++)
                scope_text_string(text, " ");
}

void scope_terminal_print_table(struct scope_text *text, const struct scope_terminal_style *style,
        const char *title, const struct scope_terminal_row *rows, uint32_t count)
{
        unsigned widest = 0;
        for (uint32_t i = 0; i < count; i++) {
                unsigned columns = scope_terminal_columns(rows[i].label);
                widest = columns > widest ? columns : widest;
        }
        scope_terminal_paint(text, style, SCOPE_BOLD, title);
        scope_text_string(text, "\n");
        for (uint32_t i = 0; i < count; i++) {
                scope_text_string(text, "  ");
                scope_terminal_paint(text, style, SCOPE_DIM, rows[i].label);
                pad(text, widest - scope_terminal_columns(rows[i].label) + 2);
                scope_text_format(text, "%s\n", rows[i].value);
        }
}

static void final_scores(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_final *final)
{
        for (uint32_t i = 0; i < final->score_count; i++) {
                const struct scope_terminal_score *score = &final->scores[i];
                scope_text_format(text, "  %-12s", score->name);
                print_number(text, "%.3f", score->before);
                scope_text_format(text, " %s ", scope_terminal_sign(style, "→", "->"));
                print_number(text, "%.3f", score->after);
                if (isfinite(score->after - score->before))
                        scope_text_format(text, "  (%+.3f)", score->after - score->before);
                scope_text_string(text, "\n");
        }
}

static void print_speed(struct scope_text *text, const char *what, double rate, double tokens)
{
        scope_text_format(text, "%s ", what);
        scope_terminal_print_count(text, rate);
        scope_text_string(text, " tok/s (");
        scope_terminal_print_count(text, tokens);
        scope_text_string(text, " tokens)");
}

/* What took the cores' time, and how fast the two that matter were. */
static void final_cores(struct scope_text *text, const struct scope_terminal_final *final)
{
        if (final->use_count == 0)
                return;
        scope_text_format(text, "  %-12s%u x ", "cores", final->cores);
        scope_terminal_print_time(text, final->seconds);
        for (uint32_t i = 0; i < final->use_count; i++) {
                scope_text_format(text, "%s %s ", i != 0 ? "," : ":", final->uses[i].what);
                print_share(text, final->uses[i].share);
        }
        scope_text_format(text, "\n  %-12s", "speed");
        print_speed(text, "decode", final->decode_rate, final->decode_tokens);
        scope_text_string(text, ", ");
        print_speed(text, "train", final->train_rate, final->train_tokens);
        scope_text_string(text, "\n");
}

void scope_terminal_print_final(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_final *final)
{
        char title[64];
        (void)snprintf(title, sizeof title, "%s after %" PRIu64 " steps", final->state,
                final->steps);
        scope_terminal_paint(text, style, SCOPE_BOLD, title);
        scope_text_string(text, ", ");
        scope_terminal_print_time(text, final->seconds);
        scope_text_string(text, "\n");
        final_scores(text, style, final);
        scope_text_format(text,
                "  %-12s%" PRIu64 " admitted = %" PRIu64 " trained + %" PRIu64 " stale + %" PRIu64
                " filtered + %" PRIu64 " failed + %" PRIu64 " live\n",
                "groups", final->admitted, final->trained, final->stale, final->filtered,
                final->failed, final->live);
        scope_text_format(text,
                "  %-12s%" PRIu64 " calls; groups: %" PRIu64 " salvaged, %" PRIu64
                " rejected, %" PRIu64 " degraded\n",
                "teacher", final->teacher_calls, final->salvaged, final->rejected,
                final->degraded);
        scope_text_format(text, "  %-12smean ", "staleness");
        print_number(text, "%.2f", final->stale_mean);
        scope_text_string(text, ", at most ");
        print_number(text, "%.0f", final->stale_max);
        scope_text_format(text, " versions\n  %-12s", "idle");
        for (uint32_t i = 0; i < final->actor_count; i++) {
                scope_text_format(text, "%s%s ", i != 0 ? ", " : "", final->actors[i].kind);
                print_share(text, 1 - final->actors[i].busy);
        }
        scope_text_string(text, "\n");
        final_cores(text, final);
        scope_text_format(text, "  %-12s%.0f MB at most\n", "memory",
                (double)final->peak_rss_bytes / 1e6);
        scope_text_format(text, "  %-12s%s\n", "files", final->directory);
}

/* --- while it runs ---------------------------------------------------------------------------- */

void scope_terminal_print_step(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_step *step)
{
        char steps[48], of[24];
        int digits = snprintf(of, sizeof of, "%" PRIu64, step->steps);
        (void)snprintf(steps, sizeof steps, "step %*" PRIu64 "/%s", digits, step->step, of);
        scope_terminal_paint(text, style, SCOPE_BOLD, steps);
        scope_text_string(text, "  reward ");
        print_number(text, "%.2f", step->reward);
        if (isfinite(step->reward_change)) {
                char change[32];
                (void)snprintf(change, sizeof change, "(%+.2f)", step->reward_change);
                scope_text_string(text, " ");
                scope_terminal_paint(text, style,
                        step->reward_change < 0 ? SCOPE_YELLOW : SCOPE_GREEN, change);
        }
        if (isfinite(step->taught)) {
                scope_text_string(text, "  cut ");
                print_share(text, step->cut);
                scope_text_string(text, "  teach ");
                print_share(text, step->taught);
                scope_text_string(text, " ok");
        }
        scope_text_string(text, "  len ");
        print_number(text, "%.0f", step->length);
        scope_text_string(text, "  ent ");
        print_number(text, "%.2f", step->entropy);
        scope_text_string(text, "  stale ");
        print_number(text, "%.1f", step->stale_mean);
        print_number(text, "/%.0f", step->stale_max);
        scope_text_format(text, "  q %" PRIu64 "/%" PRIu64 "  ", step->queue, step->queue_max);
        scope_terminal_print_time(text, step->seconds);
        scope_text_string(text, "  ");
        scope_terminal_print_count(text, step->tokens_per_second);
        scope_text_string(text, " tok/s  eta ");
        scope_terminal_print_time(text, step->remaining_seconds);
        scope_text_string(text, "\n");
}

void scope_terminal_print_summary(struct scope_text *text, const struct scope_terminal_step *step)
{
        const struct {
                const char *key;
                double value;
        } pairs[] = {
                { "reward", step->reward },
                { "cut", step->cut },
                { "taught", step->taught },
                { "length", step->length },
                { "entropy", step->entropy },
                { "stale_mean", step->stale_mean },
                { "stale_max", step->stale_max },
                { "seconds", step->seconds },
                { "tokens_per_second", step->tokens_per_second },
                { "remaining_seconds", step->remaining_seconds },
        };
        scope_text_format(text, "step=%" PRIu64 " steps=%" PRIu64, step->step, step->steps);
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
                scope_text_format(text, " %s=", pairs[i].key);
                print_number(text, "%.4g", pairs[i].value);
        }
        scope_text_format(text, " queue=%" PRIu64 " queue_max=%" PRIu64 "\n", step->queue,
                step->queue_max);
}

/* Six cells, in eighths of a cell where the terminal has them. */
static void print_bar(
        struct scope_text *text, const struct scope_terminal_style *style, double share)
{
        static const char *const eighths[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" };
        enum { CELLS = 6 };
        double bounded = isfinite(share) ? fmin(fmax(share, 0), 1) : 0;
        int parts = (int)lround(bounded * CELLS * 8);
        for (int cell = 0; cell < CELLS; cell++) {
                int in_cell = parts - 8 * cell;
                in_cell = in_cell < 0 ? 0 : in_cell > 8 ? 8 : in_cell;
                if (style->unicode)
                        scope_text_string(text, eighths[in_cell]);
                else
                        scope_text_string(text, in_cell >= 4 ? "#" : ".");
        }
}

void scope_terminal_print_live(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_actor *actors, uint32_t count, const char *waiting)
{
        unsigned used = 0;
        for (uint32_t i = 0; i < count; i++) {
                unsigned columns = scope_terminal_columns(actors[i].kind) + 1 + 6 + 2;
                if (used + columns >= style->width)
                        return; /* what does not fit is left out whole */
                scope_terminal_paint(text, style, SCOPE_DIM, actors[i].kind);
                scope_text_string(text, " ");
                print_bar(text, style, actors[i].busy);
                scope_text_string(text, "  ");
                used += columns;
        }
        if (waiting[0] != 0 && used + 4 < style->width)
                scope_terminal_clean(text, style,
                        (struct scope_terminal_words){ waiting, strlen(waiting) },
                        style->width - used - 1);
}
