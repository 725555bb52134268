/* grade_parts.h - what the files of the grader share; nobody else includes it.
 * Why: an answer passes from text (normalise) through kinds (lists, intervals, relations) to trees
 * (grade_tree.h), and all of it draws on one budget of steps. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "algorithm/boxed.h"
#include "algorithm/grade.h"
#include "schemas/scope_string.h"

enum {
        GRADE_LINE_BYTES = 4096, /* normalising makes an answer longer, at most about fourfold */
        GRADE_DEPTH_MAX = 64,    /* braces inside braces */
        GRADE_PARTS_MAX = 32     /* elements of a list, entries of a row */
};

/* One call of the grader. A step is about what it takes to look at a few bytes, 10 ns at worst;
 * dear operations count as several. */
struct grade_work {
        const struct scope_grade_options *options;
        uint32_t steps, depth;
};

/* False once the budget is spent: then whatever was asked is not equal. */
static inline bool grade_spend(struct grade_work *work, uint32_t steps)
{
        work->steps += steps <= SCOPE_GRADE_STEPS_MAX ? steps : SCOPE_GRADE_STEPS_MAX;
        if (work->steps <= SCOPE_GRADE_STEPS_MAX)
                return true;
        work->steps = SCOPE_GRADE_STEPS_MAX + 1;
        return false;
}

/* A text being rewritten. Once `failed`, additions do nothing and the answer is only compared as
 * it came. */
struct grade_line {
        char at[GRADE_LINE_BYTES];
        uint32_t count;
        bool failed;
};

void grade_line_add(struct grade_line *line, const char *at, uint32_t count);
void grade_line_char(struct grade_line *line, char c);
void grade_line_text(struct grade_line *line, const char *text);

/* Rewrites an answer so that equal notations become equal strings.
 * in      thousands: whether 1,234 is one number
 * out     line->failed when too deep, too long or over the budget */
void grade_normalise(struct grade_work *work, struct scope_string answer, bool thousands,
        struct grade_line *ret_line);

/* Two normalised texts, of the gold answer and of the prediction: the same kind of thing, with the
 * same parts? */
bool grade_parts_equal(struct grade_work *work, struct scope_string gold,
        struct scope_string prediction);

/* ---- kinds ---- */

struct grade_parts {
        struct scope_string at[GRADE_PARTS_MAX];
        uint32_t count; /* 0: too many */
};

/* Splits at `separator` outside all brackets. Brackets of two kinds may close each other: [0,1). */
void grade_split(struct grade_work *work, struct scope_string text, const char *separator,
        struct grade_parts *ret_parts);

/* Something that may stand left of an equals sign without saying anything: x, f(2), \theta, area,
 * (x,y). */
bool grade_is_name(struct scope_string text);

/* A comparison, or a chain of two that point the same way: a < x <= b. */
enum grade_sign { GRADE_LESS, GRADE_LESS_EQUAL, GRADE_EQUAL, GRADE_NOT_EQUAL };
struct grade_relation {
        struct scope_string side[3];
        enum grade_sign sign[2];
        uint32_t count; /* signs */
};

/* Turned so that > becomes <. False when `text` is none, or holds a comma outside brackets. */
bool grade_relation_read(struct grade_work *work, struct scope_string text,
        struct grade_relation *ret_relation);
/* Equal side by side, or one a constant multiple of the other (positive under an order). */
bool grade_relation_equal(struct grade_work *work, const struct grade_relation *a,
        const struct grade_relation *b);
/* The interval or union that a text of relations of one name says, written as one: x>3 is
 * (3,\infty). False when it says none. */
bool grade_relation_interval(struct grade_work *work, struct scope_string text,
        struct grade_line *ret_line);

/* ---- values ---- */

/* Whether two expressions without commas and relations have one value. */
bool grade_value_equal(struct grade_work *work, struct scope_string a, struct scope_string b);

/* Whether a - b = c (a' - b') for a constant c; `ordered`: c > 0. */
bool grade_value_multiple(struct grade_work *work, const struct scope_string a[2],
        const struct scope_string b[2], bool ordered);


static inline struct scope_string grade_part(struct scope_string text, uint32_t begin,
        uint32_t end)
{
        return (struct scope_string){ text.at + begin, end - begin };
}
