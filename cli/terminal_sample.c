/* terminal_sample.c - one rollout as a person reads it, in at most ten lines. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/terminal.h"
#include "cli/terminal_internal.h"

/* Of `count` lines at most `most` are shown: the first, and the last ones. */
static bool is_shown(uint32_t index, uint32_t count, uint32_t most)
{
        return count <= most || index == 0 || index + (most - 2) >= count;
}

static void skipped(struct scope_text *text, const struct scope_terminal_style *style,
        uint32_t count, const char *what)
{
        char line[64];
        (void)snprintf(line, sizeof line, "    %s %" PRIu32 " %s",
                scope_terminal_sign(style, "⋮", ":"), count, what);
        scope_terminal_paint(text, style, SCOPE_DIM, line);
        scope_text_string(text, "\n");
}

/* Without the newlines that separate steps. */
static struct scope_terminal_words trim(struct scope_terminal_words words)
{
        while (words.count > 0 && strchr("\n\r \t", words.bytes[words.count - 1]) != NULL &&
                words.bytes[words.count - 1] != 0)
                words.count--;
        while (words.count > 0 && strchr("\n\r", words.bytes[0]) != NULL && words.bytes[0] != 0) {
                words.bytes++;
                words.count--;
        }
        return words;
}

static void labelled(struct scope_text *text, const struct scope_terminal_style *style,
        const char *label, struct scope_terminal_words words)
{
        unsigned room = style->width > 24 ? style->width - 12 : 12;
        scope_text_format(text, "  %-8s  ", label);
        scope_terminal_clean(text, style, trim(words), room);
        scope_text_string(text, "\n");
}

static void print_step(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_sample *sample, uint32_t index)
{
        uint32_t start = index == 0 ? 0 : sample->step_ends[index - 1];
        uint32_t end = sample->step_ends[index];
        double p = sample->step_p != NULL ? (double)sample->step_p[index] : NAN;
        bool wrong = p < sample->tau; /* false for NAN */
        unsigned room = style->width > 28 ? style->width - 16 : 12;
        scope_text_string(text, "    ");
        if (!isfinite(p))
                scope_text_string(text, "       ");
        else if (wrong)
                scope_terminal_paint(
                        text, style, SCOPE_RED, scope_terminal_sign(style, "✗ ", "x "));
        else
                scope_terminal_paint(
                        text, style, SCOPE_GREEN, scope_terminal_sign(style, "✓ ", "+ "));
        if (isfinite(p))
                scope_text_format(text, "%.2f ", p);
        scope_text_string(text, "  ");
        scope_terminal_clean(text, style,
                trim((struct scope_terminal_words){ sample->student.bytes + start, end - start }),
                room);
        scope_text_string(text, "\n");
}

/* The next line that holds something, taken off `rest`; false at the end. */
static bool take_line(struct scope_terminal_words *rest, struct scope_terminal_words *ret_line)
{
        *rest = trim(*rest);
        if (rest->count == 0)
                return false;
        const char *end = memchr(rest->bytes, '\n', rest->count);
        size_t count = end != NULL ? (size_t)(end - rest->bytes) : rest->count;
        *ret_line = (struct scope_terminal_words){ rest->bytes, count };
        rest->bytes += count;
        rest->count -= count;
        return true;
}

/* Lines of a text under `mark`: three, or the first, the last and how many between. */
static void print_lines(struct scope_text *text, const struct scope_terminal_style *style,
        struct scope_terminal_words words, const char *mark)
{
        struct scope_terminal_words rest = words, line;
        unsigned room = style->width > 28 ? style->width - 16 : 12;
        uint32_t count = 0, index = 0;
        while (take_line(&rest, &line))
                count++;
        for (rest = words; take_line(&rest, &line); index++) {
                if (is_shown(index, count, 3)) {
                        scope_terminal_paint(text, style, SCOPE_GREEN, mark);
                        scope_text_string(text, "        ");
                        scope_terminal_clean(text, style, line, room);
                        scope_text_string(text, "\n");
                } else if (index == 1) {
                        skipped(text, style, count - 2, "lines");
                }
        }
}

/* Steps up to and with the one after the cut, four lines at most. */
static void print_student(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_sample *sample)
{
        uint32_t count = sample->step_count;
        if (count == 0) /* nobody split it */
                print_lines(text, style, sample->student, "     ");
        if (sample->repaired && sample->kept_steps + 1 < count)
                count = sample->kept_steps + 1;
        for (uint32_t i = 0; i < count; i++) {
                if (is_shown(i, count, 3))
                        print_step(text, style, sample, i);
                else if (i == 1)
                        skipped(text, style, count - 2, "steps");
        }
}

/* Nothing speaks against the first step that was not kept: it is the last, or has the box. */
static bool is_capped(const struct scope_terminal_sample *sample)
{
        return sample->step_p != NULL && sample->kept_steps < sample->step_count &&
               (double)sample->step_p[sample->kept_steps] >= sample->tau;
}

void scope_terminal_print_sample(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_sample *sample)
{
        char line[96];
        (void)snprintf(line, sizeof line, "step %" PRIu64 ", group %" PRIu64, sample->step,
                sample->group);
        scope_terminal_paint(text, style, SCOPE_BOLD, line);
        scope_text_string(text, "\n");
        labelled(text, style, "problem", sample->problem);
        print_student(text, style, sample);
        if (sample->repaired) {
                (void)snprintf(line, sizeof line,
                        "    %s %" PRIu32 " of %" PRIu32 " steps kept%s, the teacher goes on",
                        scope_terminal_sign(style, "✂", "8<"), sample->kept_steps,
                        sample->step_count, is_capped(sample) ? " (the answer never is)" : "");
                scope_terminal_paint(text, style, SCOPE_YELLOW, line);
                scope_text_string(text, "\n");
                print_lines(text, style, sample->suffix,
                        scope_terminal_sign(style, "    »", "    >"));
        }
        (void)snprintf(line, sizeof line, "%s; the answer is ",
                sample->repaired ? "student wrong, repaired"
                : sample->right  ? "right"
                                 : "wrong");
        scope_text_string(text, "  verdict   ");
        scope_terminal_paint(
                text, style, sample->right || sample->repaired ? SCOPE_GREEN : SCOPE_RED, line);
        scope_terminal_clean(text, style, trim(sample->gold), 24);
        scope_text_string(text, "\n");
}
