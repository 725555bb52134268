/* grade_value.c - do two expressions have one value?
 * Why: the three kinds of numbers of grade_tree.h, the surest first. */
#include "algorithm/grade_tree.h"

#include <math.h>
#include <string.h>

enum { ROUNDS = 5, RATIO_ROUNDS = 3 };

/* One side, read and made exact as far as it goes. */
struct side {
        struct grade_tree tree;
        struct grade_exact exact;
};

static bool open_side(struct grade_work *work, struct scope_string text, struct side *side)
{
        if (!grade_tree_parse(work, text, &side->tree))
                return false;
        grade_exact_evaluate(work, &side->tree, &side->exact);
        return true;
}

static bool is_exact(const struct side *side, struct grade_rational *ret)
{
        *ret = side->exact.value[side->tree.count - 1];
        return side->exact.valid[side->tree.count - 1];
}

static bool same_variables(const struct grade_tree *a, const struct grade_tree *b)
{
        return a->variable_count == b->variable_count &&
                memcmp(a->variables, b->variables,
                        a->variable_count * sizeof *a->variables) == 0;
}

/* 1 and 0: decided; -1: undecided. */
static int decide_exactly(struct grade_work *work, const struct side *a, const struct side *b)
{
        struct grade_rational x, y;
        struct grade_residue u, v;
        if (is_exact(a, &x) && is_exact(b, &y))
                return x.top == y.top && x.bottom == y.bottom;
        if (!grade_field_evaluate(work, &a->tree, &a->exact, 0, &u) ||
                !grade_field_evaluate(work, &b->tree, &b->exact, 0, &v))
                return -1;
        if (u.value == v.value)
                return 1;
        return u.opaque || v.opaque ? -1 : 0;
}

static bool equal_at_points(struct grade_work *work, const struct side *a, const struct side *b)
{
        uint32_t rounds = a->tree.variable_count > 0 ? ROUNDS : 1;
        for (uint32_t round = 0; round < rounds; round++) {
                struct grade_complex x, y;
                if (!grade_complex_evaluate(work, &a->tree, &a->exact, round, &x) ||
                        !grade_complex_evaluate(work, &b->tree, &b->exact, round, &y) ||
                        !grade_complex_equal(x, y))
                        return false;
        }
        return true;
}

/* ---- decimals ---- */

/* Digits behind the point of a plain decimal number; 0 for anything else. */
static uint32_t decimals(struct scope_string text)
{
        uint32_t at = text.bytes > 0 && text.at[0] == '-', point = text.bytes;
        for (; at < text.bytes; at++) {
                if (text.at[at] == '.' && point == text.bytes)
                        point = at;
                else if (!scope_is_digit(text.at[at]))
                        return 0;
        }
        return point == text.bytes ? 0 : text.bytes - point - 1;
}

/* |a - b| <= 1e-6 * max(1, |a|, |b|), exactly; false on overflow. */
static bool is_near_exactly(struct grade_work *work, struct grade_rational a,
        struct grade_rational b)
{
        struct grade_rational gap, minus = { -b.top, b.bottom }, scaled, million = { 1000000, 1 };
        if (!grade_rational_add(work, a, minus, &gap) ||
                !grade_rational_multiply(work, gap, million, &scaled))
                return false;
        struct grade_rational bounds[] = { { 1, 1 }, a, b };
        if (scaled.top < 0)
                scaled.top = -scaled.top;
        for (int i = 0; i < 3; i++) {
                struct grade_rational size = bounds[i], room;
                size.top = size.top < 0 ? size.top : -size.top;
                if (grade_rational_add(work, scaled, size, &room) && room.top <= 0)
                        return true;
        }
        return false;
}

static bool is_near(struct grade_work *work, const struct side *a, const struct side *b)
{
        struct grade_rational x, y;
        struct grade_complex u, v;
        if (a->tree.variable_count + b->tree.variable_count > 0)
                return false;
        if (is_exact(a, &x) && is_exact(b, &y))
                return is_near_exactly(work, x, y);
        if (!grade_complex_evaluate(work, &a->tree, &a->exact, 0, &u) ||
                !grade_complex_evaluate(work, &b->tree, &b->exact, 0, &v))
                return false;
        double size = fmax(1, fmax(fabs(u.re), fabs(v.re)));
        return u.im == 0 && v.im == 0 && fabs(u.re - v.re) <= 1e-6 * size;
}

/* ---- fractions in lowest terms ---- */

static bool read_digits(struct scope_string text, uint32_t *at, struct scope_string *ret)
{
        uint32_t begin = *at;
        while (*at < text.bytes && scope_is_digit(text.at[*at]))
                ++*at;
        *ret = grade_part(text, begin, *at);
        return *at > begin;
}

static bool skip(struct scope_string text, uint32_t *at, const char *word)
{
        if (!scope_string_begins(text, *at, word))
                return false;
        *at += (uint32_t)strlen(word);
        return true;
}

/* Whether a text is \frac{p}{q} of whole numbers, or p/q, and not in lowest terms. */
static bool is_unreduced(struct grade_work *work, struct scope_string text)
{
        struct scope_string top, bottom;
        struct grade_rational p, q, value;
        uint32_t at = 0;
        (void)skip(text, &at, "-");
        bool braced = skip(text, &at, "\\frac{");
        (void)skip(text, &at, "-");
        if (!read_digits(text, &at, &top) || !skip(text, &at, braced ? "}{" : "/") ||
                !read_digits(text, &at, &bottom) || (braced && !skip(text, &at, "}")) ||
                at != text.bytes)
                return false;
        return grade_rational_read(work, top, &p) && grade_rational_read(work, bottom, &q) &&
                grade_rational_divide(work, p, q, &value) && value.bottom != q.top;
}

/* ---- the two questions ---- */

/* Words are compared as they are: "east" is no product, and no "seat"; "abc" may be one. */
static bool is_word(struct scope_string text)
{
        uint32_t i = 0;
        while (i < text.bytes && scope_is_letter(text.at[i]))
                i++;
        return i == text.bytes && i >= 4;
}

bool grade_value_equal(struct grade_work *work, struct scope_string a, struct scope_string b)
{
        struct side left, right;
        if (is_word(a) || is_word(b) || !open_side(work, a, &left) ||
                !open_side(work, b, &right))
                return false;
        if (work->options->require_reduced &&
                (is_unreduced(work, a) || is_unreduced(work, b)))
                return false;
        if (same_variables(&left.tree, &right.tree)) {
                int verdict = decide_exactly(work, &left, &right);
                if (verdict > 0 || (verdict < 0 && equal_at_points(work, &left, &right)))
                        return true;
        }
        return (decimals(a) >= 6 || decimals(b) >= 6) && is_near(work, &left, &right);
}

static bool open_difference(struct grade_work *work, const struct scope_string sides[2],
        struct side *ret)
{
        if (!grade_tree_parse_difference(work, sides[0], sides[1], &ret->tree))
                return false;
        grade_exact_evaluate(work, &ret->tree, &ret->exact);
        return true;
}

/* a / b at five points is one real number. */
static bool one_ratio(struct grade_work *work, const struct side *a, const struct side *b,
        bool ordered)
{
        struct grade_complex first = { 0, 0, 0 };
        for (uint32_t round = 0; round < ROUNDS; round++) {
                struct grade_complex x, y, ratio;
                if (!grade_complex_evaluate(work, &a->tree, &a->exact, round, &x) ||
                        !grade_complex_evaluate(work, &b->tree, &b->exact, round, &y) ||
                        !grade_complex_divide(x, y, &ratio))
                        return false;
                if (round == 0)
                        first = ratio;
                bool real = fabs(ratio.im) <= 4 * ratio.error;
                if (!real || fabs(ratio.re) <= ratio.error || (ordered && ratio.re < 0) ||
                        !grade_complex_equal(first, ratio))
                        return false;
        }
        return true;
}

/* The same in the field, where it may say no for sure: false then. */
static bool may_be_one_ratio(struct grade_work *work, const struct side *a, const struct side *b)
{
        struct grade_residue first[2], next[2];
        for (uint32_t round = 0; round < RATIO_ROUNDS; round++) {
                if (!grade_field_evaluate(work, &a->tree, &a->exact, round, &next[0]) ||
                        !grade_field_evaluate(work, &b->tree, &b->exact, round, &next[1]) ||
                        next[0].opaque || next[1].opaque)
                        return true;
                if (round == 0)
                        memcpy(first, next, sizeof first);
                if (!grade_field_proportional(
                            first[0].value, first[1].value, next[0].value, next[1].value))
                        return false;
        }
        return true;
}

bool grade_value_multiple(struct grade_work *work, const struct scope_string a[2],
        const struct scope_string b[2], bool ordered)
{
        struct side left, right;
        return open_difference(work, a, &left) && open_difference(work, b, &right) &&
                left.tree.variable_count > 0 && same_variables(&left.tree, &right.tree) &&
                may_be_one_ratio(work, &left, &right) &&
                one_ratio(work, &left, &right, ordered);
}
