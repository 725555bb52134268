/* grade_relation.c - comparisons: x > 3, 1 <= x < 2, y = 2x + 3, and the intervals they say. */
#include "algorithm/grade_parts.h"

#include <string.h>

static const struct {
        const char *text;
        enum grade_sign sign;
        bool turned;
} signs[] = {
        { "\\le", GRADE_LESS_EQUAL, false }, { "\\ge", GRADE_LESS_EQUAL, true },
        { "\\ne", GRADE_NOT_EQUAL, false },  { "<", GRADE_LESS, false },
        { ">", GRADE_LESS, true },           { "=", GRADE_EQUAL, false },
};
enum { SIGN_COUNT = sizeof signs / sizeof *signs };

/* Which sign begins at `at`; SIGN_COUNT for none. *ret_end is behind it and its space. */
static int sign_at(struct scope_string text, uint32_t at, uint32_t *ret_end)
{
        for (int i = 0; i < SIGN_COUNT; i++) {
                uint32_t end = at + (uint32_t)strlen(signs[i].text);
                if (!scope_string_begins(text, at, signs[i].text) ||
                        (signs[i].text[0] == '\\' && end < text.bytes &&
                                scope_is_letter(text.at[end])))
                        continue;
                *ret_end = end + (end < text.bytes && text.at[end] == ' ');
                return i;
        }
        return SIGN_COUNT;
}

static void turn(struct grade_relation *relation)
{
        struct scope_string first = relation->side[0];
        relation->side[0] = relation->side[relation->count];
        relation->side[relation->count] = first;
        enum grade_sign sign = relation->sign[0];
        relation->sign[0] = relation->sign[relation->count - 1];
        relation->sign[relation->count - 1] = sign;
}

/* Orders are all turned or none; = and \ne go with both. */
static bool settle(struct grade_relation *relation, uint32_t turned, uint32_t ordered)
{
        if (relation->count == 0 || (turned > 0 && turned != ordered))
                return false;
        for (uint32_t i = 0; i <= relation->count; i++) {
                if (relation->side[i].bytes == 0)
                        return false;
        }
        if (turned > 0)
                turn(relation);
        return true;
}

bool grade_relation_read(struct grade_work *work, struct scope_string text,
        struct grade_relation *ret_relation)
{
        uint32_t depth = 0, begin = 0, end = 0, turned = 0, ordered = 0;
        ret_relation->count = 0;
        if (!grade_spend(work, text.bytes))
                return false;
        for (uint32_t i = 0; i < text.bytes;) {
                int which = depth == 0 ? sign_at(text, i, &end) : SIGN_COUNT;
                if (which < SIGN_COUNT) {
                        if (ret_relation->count == 2)
                                return false;
                        ret_relation->side[ret_relation->count] = grade_part(text, begin, i);
                        ret_relation->sign[ret_relation->count++] = signs[which].sign;
                        turned += signs[which].turned;
                        ordered += signs[which].sign <= GRADE_LESS_EQUAL;
                        begin = i = end;
                        continue;
                }
                char c = text.at[i++];
                if (c == ',' && depth == 0)
                        return false;
                if (c != '\0' && strchr("([{", c) != NULL)
                        depth++;
                else if (c != '\0' && strchr(")]}", c) != NULL && depth > 0)
                        depth--;
        }
        ret_relation->side[ret_relation->count] = grade_part(text, begin, text.bytes);
        return settle(ret_relation, turned, ordered);
}

static bool equal_sides(struct grade_work *work, const struct grade_relation *a,
        const struct grade_relation *b)
{
        for (uint32_t i = 0; i <= a->count; i++) {
                if (!grade_parts_equal(work, a->side[i], b->side[i]))
                        return false;
        }
        return true;
}

bool grade_relation_equal(struct grade_work *work, const struct grade_relation *a,
        const struct grade_relation *b)
{
        if (a->count != b->count || a->sign[0] != b->sign[0] ||
                (a->count == 2 && a->sign[1] != b->sign[1]))
                return false;
        if (equal_sides(work, a, b))
                return true;
        return a->count == 1 &&
                grade_value_multiple(work, a->side, b->side, a->sign[0] <= GRADE_LESS_EQUAL);
}

/* ---- intervals ---- */

/* A name without digits, brackets or products: x, \theta, x_1. */
static bool is_unknown(struct scope_string text)
{
        if (text.bytes == 1)
                return scope_is_letter(text.at[0]);
        if (text.bytes == 0 || !grade_is_name(text))
                return false;
        for (uint32_t i = 1; i < text.bytes && text.at[i] != '_'; i++) {
                if (!scope_is_letter(text.at[i]) || text.at[0] != '\\')
                        return false;
        }
        return true;
}

static void add_interval(struct grade_line *line, char open, const struct scope_string *low,
        const struct scope_string *high, char close)
{
        if (line->count > 0)
                grade_line_text(line, "\\cup");
        grade_line_char(line, open);
        if (low != NULL)
                grade_line_add(line, low->at, low->bytes);
        else
                grade_line_text(line, "-\\infty");
        grade_line_char(line, ',');
        if (high != NULL)
                grade_line_add(line, high->at, high->bytes);
        else
                grade_line_text(line, "\\infty");
        grade_line_char(line, close);
}

/* One relation; *ret_name is what it is about. */
static bool write_interval(const struct grade_relation *r, struct scope_string *ret_name,
        struct grade_line *line)
{
        bool first_strict = r->sign[0] == GRADE_LESS;
        if (r->count == 2) {
                bool second_strict = r->sign[1] == GRADE_LESS;
                *ret_name = r->side[1];
                if (!is_unknown(r->side[1]) || r->sign[0] > GRADE_LESS_EQUAL ||
                        r->sign[1] > GRADE_LESS_EQUAL)
                        return false;
                add_interval(line, first_strict ? '(' : '[', &r->side[0], &r->side[2],
                        second_strict ? ')' : ']');
                return true;
        }
        bool left = is_unknown(r->side[0]);
        const struct scope_string *bound = left ? &r->side[1] : &r->side[0];
        *ret_name = left ? r->side[0] : r->side[1];
        if (left == is_unknown(r->side[1]) || r->sign[0] == GRADE_EQUAL)
                return false;
        if (r->sign[0] == GRADE_NOT_EQUAL) {
                add_interval(line, '(', NULL, bound, ')');
                add_interval(line, '(', bound, NULL, ')');
        } else if (left) {
                add_interval(line, '(', NULL, bound, first_strict ? ')' : ']');
        } else {
                add_interval(line, first_strict ? '(' : '[', bound, NULL, ')');
        }
        return true;
}

bool grade_relation_interval(struct grade_work *work, struct scope_string text,
        struct grade_line *ret_line)
{
        struct grade_parts parts;
        struct scope_string name = { NULL, 0 }, next;
        ret_line->count = 0;
        ret_line->failed = false;
        grade_split(work, text, ",", &parts);
        for (uint32_t i = 0; i < parts.count; i++) {
                struct grade_relation relation;
                if (!grade_relation_read(work, parts.at[i], &relation) ||
                        !write_interval(&relation, &next, ret_line) ||
                        (i > 0 && !scope_string_equal(name, next)))
                        return false;
                name = next;
        }
        return parts.count > 0 && !ret_line->failed;
}
