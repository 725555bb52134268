/* terminal_curves.c - two learning curves beside each other, in characters. */
#include <math.h>
#include <string.h>

#include "cli/terminal.h"
#include "cli/terminal_internal.h"

enum { ROWS = 6, COLUMNS_MAX = 34, COLUMNS_MIN = 8, LABEL = 7, GAP = 3 };

/* The value in the middle of the column that covers [from, to]: the mean of the points inside, or
 * the line between the points around. NAN outside the curve. */
static double value_at(const struct scope_terminal_curve *curve, double from, double to)
{
        double sum = 0, middle = (from + to) / 2;
        uint32_t inside = 0;
        for (uint32_t i = 0; i < curve->count; i++) {
                if (curve->x[i] >= from && curve->x[i] <= to && isfinite(curve->y[i])) {
                        sum += curve->y[i];
                        inside++;
                }
        }
        if (inside > 0)
                return sum / inside;
        for (uint32_t i = 1; i < curve->count; i++) {
                double a = curve->x[i - 1], b = curve->x[i];
                if (a <= middle && middle <= b && b > a)
                        return curve->y[i - 1] +
                                (curve->y[i] - curve->y[i - 1]) * (middle - a) / (b - a);
        }
        return NAN;
}

static double greatest(const struct scope_terminal_curve *curve)
{
        double most = 0;
        for (uint32_t i = 0; i < curve->count; i++) {
                if (isfinite(curve->y[i]))
                        most = fmax(most, curve->y[i]);
        }
        return most;
}

static double last_x(const struct scope_terminal_curve *curve)
{
        return curve->count != 0 ? curve->x[curve->count - 1] : 0;
}

/* A top that reads well: 1, 2, 3, 4, 5, 6, 8 or 10 times a power of ten. */
static double round_up(double most)
{
        static const double steps[] = { 1, 2, 3, 4, 5, 6, 8, 10 };
        if (!(most > 0))
                return 1;
        double power = pow(10, floor(log10(most)));
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                if (steps[i] * power >= most * 0.999999)
                        return steps[i] * power;
        }
        return 10 * power;
}

/* One row of a chart: columns filled in eighths of this row's height. */
static void print_cells(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_curve *curve, double top, double end, int row, int columns)
{
        static const char *const eighths[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
        double start = curve->count != 0 ? curve->x[0] : 0, width = (end - start) / columns;
        for (int column = 0; column < columns; column++) {
                double value = value_at(
                        curve, start + width * column, start + width * (column + 1));
                int parts = isfinite(value) ? (int)lround(value / top * ROWS * 8) : 0;
                int in_row = parts - 8 * row;
                in_row = in_row < 0 ? 0 : in_row > 8 ? 8 : in_row;
                if (style->unicode)
                        scope_text_string(text, eighths[in_row]);
                else
                        scope_text_string(text, in_row == 0 ? " " : in_row < 5 ? "." : "#");
        }
}

static void pad_to(struct scope_text *text, size_t line_start, unsigned column)
{
        while (!text->failed &&
                (text->count == line_start ||
                        scope_terminal_columns(text->bytes + line_start) < column))
                scope_text_string(text, " ");
}

/* "SCOPE  0.09 -> 0.40" */
static void print_head(struct scope_text *text, const struct scope_terminal_style *style,
        const struct scope_terminal_curve *curve)
{
        scope_terminal_paint(text, style, SCOPE_BOLD, curve->name);
        if (curve->count != 0)
                scope_text_format(text, "  %.3f %s %.3f", curve->y[0],
                        scope_terminal_sign(style, "→", "->"), curve->y[curve->count - 1]);
}

static void print_axis(struct scope_text *text, const struct scope_terminal_curve *curve,
        double end, int columns)
{
        char first[24], last[24];
        int a = snprintf(first, sizeof first, "%.0f", curve->count != 0 ? curve->x[0] : 0);
        int b = snprintf(last, sizeof last, "%.0f", end);
        scope_text_format(text, "%s%*s%s", first, columns - a - b > 0 ? columns - a - b : 1, "",
                last);
}

void scope_terminal_print_curves(struct scope_text *text, const struct scope_terminal_style *style,
        const char *title, const struct scope_terminal_curve *left,
        const struct scope_terminal_curve *right)
{
        const char *bar = scope_terminal_sign(style, "│", "|");
        int columns = ((int)style->width - LABEL - 2 - GAP - 1) / 2;
        columns = columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
        columns = columns < COLUMNS_MIN ? COLUMNS_MIN : columns;
        double top = round_up(fmax(greatest(left), greatest(right)));
        double end = fmax(last_x(left), last_x(right));
        unsigned second = (unsigned)(LABEL + 2 + columns + GAP + 1);
        size_t line_start = text->count;
        scope_terminal_paint(text, style, SCOPE_BOLD, title);
        pad_to(text, line_start, LABEL + 2);
        scope_text_string(text, " ");
        print_head(text, style, left);
        pad_to(text, line_start, second);
        print_head(text, style, right);
        scope_text_string(text, "\n");
        for (int row = ROWS - 1; row >= 0; row--) {
                if (row == ROWS - 1 || row == ROWS / 2 - 1)
                        scope_text_format(text, "%*.2f %s", LABEL, top * (row + 1) / ROWS, bar);
                else
                        scope_text_format(text, "%*s %s", LABEL, "", bar);
                print_cells(text, style, left, top, end, row, columns);
                scope_text_format(text, "%*s%s", GAP, "", bar);
                print_cells(text, style, right, top, end, row, columns);
                scope_text_string(text, "\n");
        }
        scope_text_format(text, "%*s", LABEL + 2, "");
        print_axis(text, left, end, columns);
        scope_text_format(text, "%*s", GAP + 1, "");
        print_axis(text, right, end, columns);
        scope_text_string(text, "\n");
}
