/* grade_kinds.c - lists, tuples, sets, intervals, unions, matrices, named answers, relations.
 * Why: most answers that are no number are some numbers in brackets; order and brackets matter as
 * much as the numbers. One kind after another; what is of none is an expression. */
#include "algorithm/grade_parts.h"

#include <string.h>

enum { NESTING_MAX = 8 }; /* lists inside lists */

void grade_split(struct grade_work *work, struct scope_string text, const char *separator,
        struct grade_parts *ret_parts)
{
        uint32_t begin = 0, depth = 0, bytes = (uint32_t)strlen(separator);
        ret_parts->count = 0;
        if (!grade_spend(work, text.bytes / 4 + 1))
                return;
        for (uint32_t i = 0; i < text.bytes;) {
                bool found = depth == 0 && scope_string_begins(text, i, separator) &&
                        !(scope_is_letter(separator[bytes - 1]) && i + bytes < text.bytes &&
                                scope_is_letter(text.at[i + bytes]));
                if (found) {
                        if (ret_parts->count == GRADE_PARTS_MAX - 1) {
                                ret_parts->count = 0;
                                return;
                        }
                        ret_parts->at[ret_parts->count++] = grade_part(text, begin, i);
                        i += bytes;
                        begin = i;
                        continue;
                }
                if (scope_string_begins(text, i, "\\\\"))
                        i++;
                else if (strchr("([{", text.at[i]) != NULL)
                        depth++;
                else if (strchr(")]}", text.at[i]) != NULL && depth > 0)
                        depth--;
                i++;
        }
        ret_parts->at[ret_parts->count++] = grade_part(text, begin, text.bytes);
}

static bool equal_in_order(struct grade_work *work, const struct grade_parts *a,
        const struct grade_parts *b)
{
        if (a->count != b->count || a->count == 0)
                return false;
        for (uint32_t i = 0; i < a->count; i++) {
                if (!grade_parts_equal(work, a->at[i], b->at[i]))
                        return false;
        }
        return true;
}

/* Looks for strings first: lists that differ in order only cost no arithmetic. */
static bool equal_in_any_order(struct grade_work *work, const struct grade_parts *a,
        const struct grade_parts *b)
{
        if (a->count != b->count || a->count == 0)
                return false;
        uint64_t a_taken = 0, b_taken = 0;
        for (uint32_t pass = 0; pass < 2; pass++) {
                for (uint32_t i = 0; i < a->count; i++) {
                        for (uint32_t j = 0; j < b->count && (a_taken >> i & 1) == 0; j++) {
                                bool match = (b_taken >> j & 1) == 0 &&
                                        (pass == 0 ? scope_string_equal(a->at[i], b->at[j])
                                                   : grade_parts_equal(work, a->at[i], b->at[j]));
                                a_taken |= (uint64_t)match << i;
                                b_taken |= (uint64_t)match << j;
                        }
                        if (pass == 1 && (a_taken >> i & 1) == 0)
                                return false;
                }
        }
        return true;
}

/* ---- names ---- */

/* (x,y) and (a,b,c). */
static bool is_name_tuple(struct scope_string text)
{
        for (uint32_t i = 1; i + 1 < text.bytes; i++) {
                bool letter = scope_is_letter(text.at[i]);
                if (letter != (i % 2 == 1) || (!letter && text.at[i] != ','))
                        return false;
        }
        return text.bytes >= 5 && text.at[0] == '(' && text.at[text.bytes - 1] == ')';
}

bool grade_is_name(struct scope_string text)
{
        if (is_name_tuple(text))
                return true;
        if (text.bytes == 0 || (!scope_is_letter(text.at[0]) && text.at[0] != '\\'))
                return false;
        if (scope_string_begins(text, 0, "\\frac") || scope_string_begins(text, 0, "\\sqrt"))
                return false;
        for (uint32_t i = 1; i < text.bytes && text.at[i] != '('; i++) {
                if (strchr("+-*/^,<>=!", text.at[i]) != NULL)
                        return false;
        }
        return true;
}

/* Takes "name =" or "name \in" off; false when there is none. */
static bool strip_name(struct grade_work *work, struct scope_string text,
        struct scope_string *ret_name, struct scope_string *ret_rest)
{
        static const char *const signs[] = { "=", "\\in" };
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
                struct grade_parts parts;
                grade_split(work, text, signs[i], &parts);
                if (parts.count != 2 || !grade_is_name(parts.at[0]) || parts.at[1].bytes == 0)
                        continue;
                *ret_name = parts.at[0];
                *ret_rest = parts.at[1];
                while (ret_rest->bytes > 1 && ret_rest->at[0] == ' ')
                        *ret_rest = grade_part(*ret_rest, 1, ret_rest->bytes);
                return true;
        }
        return false;
}

/* A true equation of numbers, 2+3=5 or x=1/2=0.5, ends in its value. */
static bool strip_chain(struct grade_work *work, struct scope_string text,
        struct scope_string *ret_rest)
{
        struct grade_parts parts;
        grade_split(work, text, "=", &parts);
        if (parts.count < 2)
                return false;
        struct scope_string last = parts.at[parts.count - 1];
        for (uint32_t i = 0; i + 1 < parts.count; i++) {
                bool name = i == 0 && parts.count > 2 && grade_is_name(parts.at[0]);
                if (!name && !grade_value_equal(work, parts.at[i], last))
                        return false;
        }
        *ret_rest = last;
        return true;
}

/* Names fall when one side only has one, or both have the same. Where both are equations
 * otherwise, they stay. */
static bool strip_names(struct grade_work *work, struct scope_string *a, struct scope_string *b)
{
        struct scope_string a_name, b_name, a_rest, b_rest;
        struct grade_relation relation;
        bool a_has = strip_name(work, *a, &a_name, &a_rest);
        bool b_has = strip_name(work, *b, &b_name, &b_rest);
        if (a_has && b_has && !scope_string_equal(a_name, b_name))
                return false;
        if (a_has != b_has && grade_relation_read(work, a_has ? *b : *a, &relation))
                return false;
        if (!a_has && !b_has) {
                a_has = !grade_relation_read(work, *b, &relation) &&
                        strip_chain(work, *a, &a_rest);
                b_has = !a_has && !grade_relation_read(work, *a, &relation) &&
                        strip_chain(work, *b, &b_rest);
        }
        if (a_has)
                *a = a_rest;
        if (b_has)
                *b = b_rest;
        return a_has || b_has;
}

/* ---- matrices ---- */

/* The inside of \begin{..matrix}, \begin{array} and the like, brackets round it or not. */
static bool matrix_body(struct scope_string text, struct scope_string *ret_body)
{
        if (text.bytes > 2 && strchr("([", text.at[0]) != NULL && text.at[0] != '\0' &&
                scope_string_begins(text, 1, "\\begin{"))
                text = grade_part(text, 1, text.bytes - 1);
        if (!scope_string_begins(text, 0, "\\begin{"))
                return false;
        uint32_t begin = scope_boxed_close(text, 6) + 1, end = text.bytes;
        while (end > begin && !scope_string_begins(text, end, "\\end{"))
                end--;
        if (begin >= text.bytes || end <= begin ||
                scope_boxed_close(text, end + 4) != text.bytes - 1)
                return false;
        if (scope_string_begins(text, 7, "array") && text.at[begin] == '{')
                begin = scope_boxed_close(text, begin) + 1;
        if (begin > end)
                return false;
        if (end - begin >= 2 && scope_string_begins(text, end - 2, "\\\\")) /* after the last row */
                end -= 2;
        *ret_body = grade_part(text, begin, end);
        return true;
}

static bool equal_matrices(struct grade_work *work, struct scope_string a, struct scope_string b)
{
        struct grade_parts a_rows, b_rows, a_row, b_row;
        grade_split(work, a, "\\\\", &a_rows);
        grade_split(work, b, "\\\\", &b_rows);
        if (a_rows.count != b_rows.count || a_rows.count == 0)
                return false;
        for (uint32_t i = 0; i < a_rows.count; i++) {
                grade_split(work, a_rows.at[i], "&", &a_row);
                grade_split(work, b_rows.at[i], "&", &b_row);
                if (!equal_in_order(work, &a_row, &b_row))
                        return false;
        }
        return true;
}

/* ---- tuples, sets, lists ---- */

/* Strips \{ \}: true when they enclose the whole text. */
static bool set_body(struct scope_string text, struct scope_string *ret_body)
{
        if (text.bytes < 5 || !scope_string_begins(text, 0, "\\{") ||
                !scope_string_begins(text, text.bytes - 2, "\\}"))
                return false;
        *ret_body = grade_part(text, 2, text.bytes - 2);
        return true;
}

/* Whether one pair of round or square brackets, mixed or not, encloses the whole text and holds a
 * comma. */
static bool is_tuple(struct grade_work *work, struct scope_string text,
        struct grade_parts *ret_parts)
{
        if (text.bytes < 3 || strchr("([", text.at[0]) == NULL ||
                strchr(")]", text.at[text.bytes - 1]) == NULL)
                return false;
        uint32_t depth = 0;
        for (uint32_t i = 0; i < text.bytes; i++) {
                if (strchr("([{", text.at[i]) != NULL)
                        depth++;
                else if (strchr(")]}", text.at[i]) != NULL && --depth == 0 && i + 1 < text.bytes)
                        return false;
        }
        grade_split(work, grade_part(text, 1, text.bytes - 1), ",", ret_parts);
        return ret_parts->count > 1;
}

static bool contains(struct scope_string text, const char *word)
{
        for (uint32_t i = 0; i < text.bytes; i++) {
                if (scope_string_begins(text, i, word))
                        return true;
        }
        return false;
}

/* `text` with + or - in place of \pm, the other in place of \mp. */
static void choose_sign(struct scope_string text, char plus, char minus, struct grade_line *out)
{
        for (uint32_t i = 0; i < text.bytes;) {
                bool pm = scope_string_begins(text, i, "\\pm");
                bool mp = scope_string_begins(text, i, "\\mp");
                if (!pm && !mp) {
                        grade_line_char(out, text.at[i++]);
                        continue;
                }
                char sign = pm ? plus : minus;
                char before = i > 0 ? text.at[i - 1] : '(';
                if (sign == '-' || strchr("([,", before) == NULL)
                        grade_line_char(out, sign);
                i += 3;
                while (i < text.bytes && text.at[i] == ' ')
                        i++;
        }
}

/* Elements of a list; one with \pm becomes two, written to `room`. */
static void list_elements(struct grade_work *work, struct scope_string text,
        struct grade_line *room, struct grade_parts *ret)
{
        struct grade_parts parts;
        struct scope_string body = text;
        (void)set_body(text, &body);
        grade_split(work, body, ",", &parts);
        ret->count = 0;
        room->count = 0;
        room->failed = false;
        for (uint32_t i = 0; i < parts.count && ret->count + 2 <= GRADE_PARTS_MAX; i++) {
                if (!contains(parts.at[i], "\\pm") && !contains(parts.at[i], "\\mp")) {
                        ret->at[ret->count++] = parts.at[i];
                        continue;
                }
                for (int minus = 0; minus < 2; minus++) {
                        uint32_t begin = room->count;
                        choose_sign(parts.at[i], minus ? '-' : '+', minus ? '+' : '-', room);
                        ret->at[ret->count++] = grade_part(
                                (struct scope_string){ room->at, room->count }, begin,
                                room->count);
                }
        }
        if (room->failed || parts.count == 0)
                ret->count = 0;
}

/* Lists and sets; a set of one element is that element. */
static bool equal_lists(struct grade_work *work, struct scope_string a, struct scope_string b)
{
        struct grade_line a_room, b_room;
        struct grade_parts a_parts, b_parts;
        struct scope_string body;
        list_elements(work, a, &a_room, &a_parts);
        list_elements(work, b, &b_room, &b_parts);
        bool a_set = set_body(a, &body), b_set = set_body(b, &body);
        if (a_parts.count < 2 || b_parts.count < 2)
                return (a_set || b_set) && equal_in_order(work, &a_parts, &b_parts);
        bool signs = a_parts.at[0].at == a_room.at || b_parts.at[0].at == b_room.at;
        if (work->options->list_ordered && !a_set && !b_set && !signs)
                return equal_in_order(work, &a_parts, &b_parts);
        return equal_in_any_order(work, &a_parts, &b_parts);
}

/* ---- all of them ---- */

/* A relation of one side and an interval of the other, as the option has it. */
static bool equal_interval(struct grade_work *work, struct scope_string a, struct scope_string b)
{
        struct grade_line line;
        int way = work->options->relation_to_interval;
        if (way != SCOPE_GRADE_INTERVAL_NEVER && grade_relation_interval(work, a, &line)) {
                struct scope_string said = { line.at, line.count };
                return grade_parts_equal(work, said, b);
        }
        if (way == SCOPE_GRADE_INTERVAL_BOTH && grade_relation_interval(work, b, &line)) {
                struct scope_string said = { line.at, line.count };
                return grade_parts_equal(work, a, said);
        }
        return false;
}

static bool equal_compound(struct grade_work *work, struct scope_string a, struct scope_string b)
{
        struct scope_string a_body, b_body;
        if (matrix_body(a, &a_body) && matrix_body(b, &b_body))
                return equal_matrices(work, a_body, b_body);
        struct grade_parts a_parts, b_parts;
        grade_split(work, a, "\\cup", &a_parts);
        grade_split(work, b, "\\cup", &b_parts);
        if (a_parts.count > 1 && b_parts.count > 1)
                return equal_in_any_order(work, &a_parts, &b_parts);
        bool a_tuple = is_tuple(work, a, &a_parts), b_tuple = is_tuple(work, b, &b_parts);
        if (a_tuple && b_tuple)
                return a.at[0] == b.at[0] && a.at[a.bytes - 1] == b.at[b.bytes - 1] &&
                        equal_in_order(work, &a_parts, &b_parts);
        return equal_lists(work, a, b);
}

/* {x | x > 3} and {x : x > 3} say x > 3. */
static void strip_builder(struct scope_string *text)
{
        struct scope_string body;
        if (!set_body(*text, &body) || !scope_is_letter(body.at[0]) ||
                (body.at[1] != '|' && body.at[1] != ':') || body.bytes < 5)
                return;
        struct scope_string said = grade_part(body, 2, body.bytes);
        if (memchr(said.at, body.at[0], said.bytes) != NULL)
                *text = said;
}

static bool equal_by_kind(struct grade_work *work, struct scope_string a, struct scope_string b)
{
        struct grade_relation a_relation, b_relation;
        strip_builder(&a);
        strip_builder(&b);
        if (strip_names(work, &a, &b))
                return grade_parts_equal(work, a, b);
        bool a_compares = grade_relation_read(work, a, &a_relation);
        bool b_compares = grade_relation_read(work, b, &b_relation);
        if (a_compares && b_compares)
                return grade_relation_equal(work, &a_relation, &b_relation);
        if (scope_string_equal(a, b))
                return true;
        return equal_compound(work, a, b) || equal_interval(work, a, b) ||
                (!a_compares && !b_compares && grade_value_equal(work, a, b));
}

bool grade_parts_equal(struct grade_work *work, struct scope_string gold,
        struct scope_string prediction)
{
        while (gold.bytes > 0 && gold.at[0] == ' ')
                gold = grade_part(gold, 1, gold.bytes);
        while (prediction.bytes > 0 && prediction.at[0] == ' ')
                prediction = grade_part(prediction, 1, prediction.bytes);
        if (gold.bytes > 0 && scope_string_equal(gold, prediction))
                return true;
        if (gold.bytes == 0 || prediction.bytes == 0 || work->depth == NESTING_MAX ||
                !grade_spend(work, 16))
                return false;
        work->depth++;
        bool equal = equal_by_kind(work, gold, prediction);
        work->depth--;
        return equal;
}
