/* overlap_gantt.c - what ran when in a window of a few steps, drawn from the trail.
 * Why: overlap is best seen: a lane for each group in decoding, for each call at the teacher, one
 * for the PRM, one for the learner. */
#include <math.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/bench_overlap.h"
#include "cli/overlap_trail.h"

enum { LEFT = 110, WIDTH = 790, LANES_MAX = 96, RECTS_MAX = 4000, STEPS_SHOWN = 3 };

struct chart {
        struct scope_text *text;
        double from, to; /* seconds */
        double free_at[LANES_MAX];
        int lanes, y, lane_height; /* of the band that is being drawn */
        int rects;
};

/* Groups of one step have one colour. */
static const char *colour_of(uint64_t batch)
{
        static const char *const colours[] = { "#4c78a8", "#f58518", "#54a24b", "#b279a2",
                "#e45756", "#72b7b2" };
        return colours[batch % (sizeof colours / sizeof colours[0])];
}

static void open_band(struct chart *chart, const char *name, int lane_height)
{
        for (int i = 0; i < LANES_MAX; i++)
                chart->free_at[i] = -INFINITY;
        chart->lanes = 0;
        chart->lane_height = lane_height;
        scope_text_format(chart->text, "<text x=\"0\" y=\"%d\">%s</text>", chart->y + 11, name);
}

static void close_band(struct chart *chart, int least)
{
        int height = chart->lanes * chart->lane_height;
        chart->y += (height > least ? height : least) + 10;
}

/* A piece of the first lane that is free at `begin`. */
static void piece(
        struct chart *chart, double begin, double end, const char *colour, const char *words)
{
        int lane = 0;
        if (end <= chart->from || begin >= chart->to || chart->rects >= RECTS_MAX)
                return;
        while (lane < LANES_MAX - 1 && chart->free_at[lane] > begin + 1e-9)
                lane++;
        chart->free_at[lane] = end;
        if (lane >= chart->lanes)
                chart->lanes = lane + 1;
        double scale = WIDTH / (chart->to - chart->from);
        double x = (fmax(begin, chart->from) - chart->from) * scale;
        double width = (fmin(end, chart->to) - chart->from) * scale - x;
        chart->rects++;
        scope_text_format(chart->text,
                "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>%s, "
                "%.3g s</title></rect>\n",
                LEFT + x, chart->y + lane * chart->lane_height, fmax(width, 0.4),
                chart->lane_height - 1, colour, words, end - begin);
}

/* The step that trained the group; those still alive have none. */
static uint64_t step_of(
        const struct scope_overlap_trail *trail, const struct scope_trail_group *group)
{
        return scope_trail_step(trail, group->trained);
}

static void decode_band(struct chart *chart, const struct scope_overlap_trail *trail)
{
        open_band(chart, "decode", 3);
        for (uint64_t i = 0; i < trail->group_count; i++) {
                const struct scope_trail_group *group = &trail->groups[i];
                if (group->sealed > 0)
                        piece(chart, group->admitted, group->sealed,
                                colour_of(step_of(trail, group)), "decode");
        }
        close_band(chart, 14);
}

static void prm_band(struct chart *chart, const struct scope_overlap_trail *trail)
{
        open_band(chart, "PRM", 10);
        for (uint64_t i = 0; i < trail->group_count; i++) {
                const struct scope_trail_group *group = &trail->groups[i];
                if (group->scored > 0)
                        piece(chart, group->scored - group->prm_s, group->scored,
                                colour_of(step_of(trail, group)), "PRM");
        }
        close_band(chart, 14);
}

static int by_begin(const void *a, const void *b)
{
        const struct scope_trail_call *x = a, *y = b;
        return (x->began > y->began) - (x->began < y->began);
}

static void teacher_band(struct chart *chart, const struct scope_overlap_trail *trail)
{
        struct scope_trail_call *calls = calloc(trail->call_count + 1, sizeof *calls);
        if (calls == NULL)
                return;
        open_band(chart, "teacher", 5);
        for (uint64_t i = 0; i < trail->call_count; i++)
                calls[i] = trail->calls[i];
        qsort(calls, trail->call_count, sizeof *calls, by_begin);
        for (uint64_t i = 0; i < trail->call_count; i++) {
                uint64_t at = calls[i].group - trail->first_group;
                if (at < trail->group_count)
                        piece(chart, calls[i].began, calls[i].began + calls[i].service,
                                colour_of(step_of(trail, &trail->groups[at])), "teacher");
        }
        free(calls);
        close_band(chart, 14);
}

static void learner_band(struct chart *chart, const struct scope_overlap_trail *trail)
{
        open_band(chart, "learner", 16);
        for (uint64_t v = 1; v < trail->step_count; v++) {
                const struct scope_trail_step *step = &trail->steps[v];
                piece(chart, step->began, step->stepped, colour_of(v), "train");
                piece(chart, step->stepped, step->exported, "#444", "publish");
        }
        close_band(chart, 16);
}

static void axis(struct chart *chart)
{
        double span = chart->to - chart->from, tick = pow(10, floor(log10(span / 4)));
        while (span / tick > 8)
                tick *= 2;
        for (double at = 0; at <= span; at += tick)
                scope_text_format(chart->text,
                        "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%d\" stroke=\"#ddd\"/>"
                        "<text x=\"%.1f\" y=\"%d\" fill=\"#666\">%.3g s</text>\n",
                        LEFT + at / span * WIDTH, LEFT + at / span * WIDTH, chart->y,
                        LEFT + at / span * WIDTH + 3, chart->y + 12, at);
}

void scope_overlap_gantt(const struct scope_overlap_arm *arm, struct scope_text *text)
{
        const struct scope_overlap_trail *trail = arm->runs[0].trail;
        struct scope_text inside = { 0 };
        uint64_t middle = trail->step_count / 2;
        uint64_t last = middle + STEPS_SHOWN < trail->step_count ? middle + STEPS_SHOWN
                                                                 : trail->step_count - 1;
        if (trail->step_count < 2 || last <= middle)
                return;
        struct chart chart = { .text = &inside,
                .from = trail->steps[middle].exported,
                .to = trail->steps[last].exported,
                .y = 4 };
        decode_band(&chart, trail);
        prm_band(&chart, trail);
        teacher_band(&chart, trail);
        learner_band(&chart, trail);
        scope_text_format(text,
                "<h3>%s</h3><svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n", arm->label,
                LEFT + WIDTH + 40, chart.y + 18, LEFT + WIDTH + 40, chart.y + 18);
        chart.text = text;
        axis(&chart);
        scope_text_add(text, inside.bytes != NULL ? inside.bytes : "", inside.count);
        scope_text_string(text, "</svg>\n");
        scope_text_fini(&inside);
}
