/* overlap_html.c - tables of `bench overlap` as a page of its own: no script, no network.
 * Why: a figure to show; everything in it is drawn from the numbers of the table and its trails. */
#include <math.h>

#include "base/text.h"
#include "cli/bench_overlap.h"
#include "cli/idle_shares.h"

enum { LEFT = 200, WIDTH = 700, ROW = 24, PLOT_HEIGHT = 280, PLOT_LEFT = 60 };

/* busy first, then scope_idle_words from SCOPE_IDLE_FIRST on */
static const char *const busy_colour = "#3a7d44";
static const char *const colours[SCOPE_IDLE_COUNT] = { [SCOPE_IDLE_STARVED] = "#d1495b",
        [SCOPE_IDLE_BLOCKED] = "#8d5a97",
        [SCOPE_IDLE_BARRIER] = "#9cc5e0",
        [SCOPE_IDLE_CREDIT] = "#f2a65a",
        [SCOPE_IDLE_WEIGHTS] = "#2e6f9e",
        [SCOPE_IDLE_PREFILL] = "#62b6cb",
        [SCOPE_IDLE_THROTTLED] = "#e8c547",
        [SCOPE_IDLE_CORES] = "#b0a18f",
        [SCOPE_IDLE_FAILURE] = "#111111",
        [SCOPE_IDLE_STARTUP] = "#dcdcdc",
        [SCOPE_IDLE_TAIL] = "#c2c2c2",
        [SCOPE_IDLE_OTHER] = "#ff00ff" };

static void style(struct scope_text *text)
{
        scope_text_string(text,
                "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
                "<title>overlap strategies</title><style>body{font:14px/1.5 system-ui,sans-serif;"
                "margin:2em auto;max-width:960px;color:#222}h1{font-size:1.6em}h2{font-size:1.2em;"
                "margin:1.6em 0 .4em}h3{font-size:1em;margin:1em 0 .2em}table{border-collapse:"
                "collapse;width:100%}td,th{padding:.25em .6em;text-align:right;border-bottom:1px "
                "solid #ddd;font-variant-numeric:tabular-nums}td:first-child,th:first-child{"
                "text-align:left}svg text{font:12px system-ui,sans-serif}td{white-space:nowrap}"
                ".advice{background:#f3f6f4;padding:.6em 1em;border-left:4px solid #3a7d44}"
                "small{color:#666}</style>"
                "</head><body>\n<h1>Overlap strategies</h1>\n");
}

static void numbers(const struct scope_overlap_table *table, struct scope_text *text)
{
        scope_text_string(text,
                "<table><tr><th>strategy</th><th>groups/s</th><th>bound</th><th>ratio</th>"
                "<th>over serial</th><th>staleness (max)</th><th>teacher hidden</th>"
                "<th>refined made / used</th><th>useful tokens</th></tr>\n");
        for (uint32_t a = 0; a < table->arm_count; a++) {
                const struct scope_overlap_arm *arm = &table->arms[a];
                const struct scope_overlap_report *report = &arm->runs[0].report;
                scope_text_format(text,
                        "<tr><td>%s</td><td>%.4g</td><td>%.4g</td><td>%.3f</td><td>%.2f &#177; "
                        "%.2f</td><td>%.2f (%llu)</td><td>%.2f</td><td>%.2f / %.2f</td>"
                        "<td>%.0f %%</td></tr>\n",
                        arm->label, arm->measured.mean, arm->bound.mean, arm->ratio.mean,
                        arm->speedup.mean, isnan(arm->speedup.half) ? 0 : arm->speedup.half,
                        report->staleness_mean, (unsigned long long)report->staleness_max,
                        report->teacher_hidden, report->refined_generated, report->refined_consumed,
                        100 * report->useful);
        }
        scope_text_string(text, "</table>\n");
}

static void bar(struct scope_text *text, double *x, uint32_t row, double share, const char *colour,
        const char *word)
{
        double width = WIDTH * share;
        if (width < 0.05)
                return;
        scope_text_format(text,
                "<rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>%s "
                "%.1f %%</title></rect>",
                *x, row * ROW + 3, width, ROW - 6, colour, word, 100 * share);
        *x += width;
}

/* Where the time of an actor went, a bar an arm. */
static void bars(
        const struct scope_overlap_table *table, const char *actor, struct scope_text *text)
{
        scope_text_format(text, "<h3>%s</h3><svg width=\"%d\" height=\"%u\">\n", actor,
                LEFT + WIDTH, table->arm_count * ROW + 4);
        for (uint32_t a = 0; a < table->arm_count; a++) {
                const struct scope_trail_end *end = &table->arms[a].runs[0].end;
                struct scope_idle_shares shares =
                        scope_idle_shares_of(end->usage, end->usage_count, actor);
                double x = LEFT;
                scope_text_format(text, "<text x=\"0\" y=\"%u\">%s</text>", a * ROW + 17,
                        table->arms[a].label);
                bar(text, &x, a, shares.busy, busy_colour, "busy");
                for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_COUNT; i++)
                        bar(text, &x, a, shares.idle[i], colours[i], scope_idle_words[i]);
                scope_text_string(text, "\n");
        }
        scope_text_string(text, "</svg>\n");
}

static void legend(struct scope_text *text)
{
        scope_text_format(text,
                "<p><span style=\"color:%s\">&#9632;</span> busy: turns, jobs, calls", busy_colour);
        for (int i = SCOPE_IDLE_FIRST; i < SCOPE_IDLE_OTHER; i++)
                scope_text_format(text,
                        " &#160; <span style=\"white-space:nowrap\"><span style=\"color:%s\">"
                        "&#9632;</span> %s <small>%s</small></span>",
                        colours[i], scope_idle_words[i], scope_idle_help[i]);
        scope_text_string(text, "</p>\n");
}

/* --- throughput against eta ----------------------------------------------------------------- */

struct plot {
        double most, eta_most;
};

static double x_of(const struct plot *plot, double eta)
{
        return PLOT_LEFT + 30 + eta / plot->eta_most * (WIDTH - PLOT_LEFT);
}

static double y_of(const struct plot *plot, double rate)
{
        return PLOT_HEIGHT - rate / plot->most * (PLOT_HEIGHT - 20);
}

static void frame(const struct plot *plot, struct scope_text *text)
{
        double tick = pow(10, floor(log10(plot->most)));
        while (plot->most / tick < 4)
                tick /= 2;
        for (double rate = 0; rate <= plot->most * 1.001; rate += tick)
                scope_text_format(text,
                        "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e4e4e4\"/>"
                        "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#666\">%.3g</text>\n",
                        PLOT_LEFT, WIDTH + 160, y_of(plot, rate), y_of(plot, rate), PLOT_LEFT - 6,
                        y_of(plot, rate) + 4, rate);
        for (int eta = 0; eta <= (int)plot->eta_most; eta++)
                scope_text_format(text,
                        "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#666\">%d</text>",
                        x_of(plot, eta), PLOT_HEIGHT + 18, eta);
        scope_text_format(text,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#666\">eta</text>\n",
                PLOT_LEFT + WIDTH / 2, PLOT_HEIGHT + 36);
}

/* Labels of one eta must not lie on each other: each stands where there is room. */
static double room_for(
        const struct scope_overlap_table *table, const struct plot *plot, uint32_t at)
{
        double y = y_of(plot, table->arms[at].measured.mean) + 4;
        double eta = (double)table->arms[at].runs[0].setting.eta;
        for (int tries = 0; tries < SCOPE_OVERLAP_ARMS_MAX; tries++) {
                bool free = true;
                for (uint32_t a = 0; a < at; a++) {
                        double other = (double)table->arms[a].runs[0].setting.eta;
                        if (fabs(other - eta) < 1e-9 && fabs(table->arms[a].label_y - y) < 13) {
                                y = table->arms[a].label_y - 13;
                                free = false;
                        }
                }
                if (free)
                        break;
        }
        return y;
}

static void line_of_async(
        const struct scope_overlap_table *table, const struct plot *plot, struct scope_text *text)
{
        for (int bound = 0; bound < 2; bound++) {
                uint32_t count = 0;
                scope_text_string(text, "<polyline fill=\"none\" points=\"");
                for (uint32_t a = 0; a < table->arm_count; a++) {
                        const struct scope_overlap_arm *arm = &table->arms[a];
                        const struct scope_overlap_setting *setting = &arm->runs[0].setting;
                        if (scope_strategy_find(setting->strategy)->eta >= 0)
                                continue;
                        count++;
                        scope_text_format(text, "%.1f,%.1f ", x_of(plot, (double)setting->eta),
                                y_of(plot, bound ? arm->bound.mean : arm->measured.mean));
                }
                scope_text_format(text, "\" stroke=\"%s\"%s/>\n",
                        count > 1 ? (bound ? "#d1495b" : busy_colour) : "none",
                        bound ? " stroke-dasharray=\"4 3\"" : "");
        }
}

/* Measured (filled) and bound (ring) of every arm, over its eta. */
static void curve(struct scope_overlap_table *table, struct scope_text *text)
{
        struct plot plot = { .most = 1e-12, .eta_most = 1 };
        for (uint32_t a = 0; a < table->arm_count; a++) {
                plot.most = fmax(
                        plot.most, fmax(table->arms[a].measured.mean, table->arms[a].bound.mean));
                plot.eta_most = fmax(plot.eta_most, (double)table->arms[a].runs[0].setting.eta);
        }
        scope_text_format(text,
                "<h2>groups/s against eta</h2><small>filled: measured; ring: bound; lines join "
                "async</small><svg width=\"%d\" height=\"%d\">\n",
                LEFT + WIDTH, PLOT_HEIGHT + 44);
        frame(&plot, text);
        line_of_async(table, &plot, text);
        for (uint32_t a = 0; a < table->arm_count; a++) {
                struct scope_overlap_arm *arm = &table->arms[a];
                double x = x_of(&plot, (double)arm->runs[0].setting.eta);
                arm->label_y = room_for(table, &plot, a);
                scope_text_format(text,
                        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/><circle cx=\"%.1f\" "
                        "cy=\"%.1f\" r=\"6\" fill=\"none\" stroke=\"#d1495b\"/><text x=\"%.1f\" "
                        "y=\"%.1f\">%s</text>\n",
                        x, y_of(&plot, arm->measured.mean), busy_colour, x,
                        y_of(&plot, arm->bound.mean), x + 10, arm->label_y, arm->label);
        }
        scope_text_string(text, "</svg>\n");
}

/* --- queues --------------------------------------------------------------------------------- */

static void depth_line(const struct scope_link_report *link, int top, struct scope_text *text)
{
        double most = 1e-9;
        for (uint32_t i = 0; i < link->slices; i++)
                most = fmax(most, link->over_time[i]);
        scope_text_string(text, "<polyline fill=\"none\" stroke=\"#2e6f9e\" points=\"");
        for (uint32_t i = 0; i < link->slices; i++)
                scope_text_format(text, "%.1f,%.1f ",
                        LEFT + (i + 0.5) / link->slices * (WIDTH - 200),
                        top + 30 - link->over_time[i] / most * 28);
        scope_text_format(text, "\"/><text x=\"%d\" y=\"%d\" fill=\"#666\">mean %.3g, p95 %.3g",
                LEFT + WIDTH - 190, top + 22, link->mean, link->p95);
        if (link->full > 0)
                scope_text_format(text, ", full %.0f %%", 100 * link->full);
        scope_text_string(text, "</text>\n");
}

static void queues(const struct scope_overlap_arm *arm, struct scope_text *text)
{
        scope_text_format(text,
                "<h2>Groups at each place over time: %s</h2><svg width=\"%d\" height=\"%d\">\n",
                arm->label, LEFT + WIDTH, SCOPE_LINKS * 40);
        for (int l = 0; l < SCOPE_LINKS; l++) {
                scope_text_format(
                        text, "<text x=\"0\" y=\"%d\">%s</text>", l * 40 + 22, scope_link_words[l]);
                depth_line(&arm->runs[0].report.links[l], l * 40, text);
        }
        scope_text_string(text, "</svg>\n");
}

void scope_overlap_table_html(struct scope_overlap_table *table, struct scope_text *text)
{
        static const char *const actors[] = { "learner", "rollout", "refiner", "prm" };
        char words[256];
        if (text->count == 0)
                style(text);
        if (table->about[0] != 0)
                scope_text_format(text, "<h2>%s</h2>\n", table->about);
        scope_text_format(text,
                "<p>%s stages, %u repeat%s; the bound of each strategy is computed from the stage "
                "times of the same run.</p>\n",
                table->simulated ? "Simulated" : "Real", table->repeats,
                table->repeats == 1 ? "" : "s");
        numbers(table, text);
        scope_overlap_advice(scope_overlap_best(table), words, sizeof words);
        scope_text_format(text, "<p class=\"advice\">%s</p>\n", words);
        scope_text_string(text, "<h2>Time by cause</h2>\n");
        legend(text);
        for (size_t i = 0; i < sizeof actors / sizeof actors[0]; i++)
                bars(table, actors[i], text);
        curve(table, text);
        queues(scope_overlap_best(table), text);
        scope_text_string(text,
                "<h2>What ran when</h2><small>three steps from the middle of the run; one colour "
                "for the groups of one step; dark: weights are published</small>\n");
        for (uint32_t a = 0; a < table->arm_count; a++)
                scope_overlap_gantt(&table->arms[a], text);
        scope_text_string(text, "<hr/>\n");
}
