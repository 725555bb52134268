#include "tasks/teacher_solutions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "schemas/scope_string.h"
#include "tasks/dataset.h"

enum { STEPS_MAX = 256, NUMBERS_MAX = 1024, NUMBER_BYTES_MAX = 40 };

struct scope_teacher_solutions {
        const struct scope_dataset *dataset;
        uint64_t *table; /* index + 1 of a problem by the hash of its text; 0 = free */
        uint64_t mask;
};

/* ---- the index ---- */

static uint64_t hash_of(struct scope_string text)
{
        uint64_t hash = 0xcbf29ce484222325u;
        for (uint32_t i = 0; i < text.bytes; i++)
                hash = (hash ^ (unsigned char)text.at[i]) * 0x100000001b3u;
        return hash ^ hash >> 29;
}

static struct scope_problem problem_at(const struct scope_teacher_solutions *self, uint64_t index)
{
        struct scope_problem problem = { .text = { "", 0 } };
        enum scope_err err = scope_dataset_get(self->dataset, index, NULL, &problem);
        scope_assert(err == SCOPE_OK); /* rows of a file stand in memory: it takes none */
        return problem;
}

/* The slot of this text: its own, or the free one where it belongs. */
static uint64_t slot_of(const struct scope_teacher_solutions *self, struct scope_string text)
{
        uint64_t slot = hash_of(text) & self->mask;
        while (self->table[slot] != 0 &&
                !scope_string_equal(
                        scope_string_trim(problem_at(self, self->table[slot] - 1).text), text))
                slot = (slot + 1) & self->mask;
        return slot;
}

enum scope_err scope_teacher_solutions_create(const struct scope_dataset *dataset,
        struct scope_teacher_solutions **ret_solutions, struct scope_diag *diag)
{
        struct scope_teacher_solutions *self = calloc(1, sizeof *self);
        uint64_t size = 16, solved = 0;
        while (size < 2 * dataset->count)
                size *= 2;
        if (self != NULL)
                self->table = calloc((size_t)size, sizeof *self->table);
        if (self == NULL || self->table == NULL) {
                scope_teacher_solutions_destroy(self);
                return scope_diag_set(diag, SCOPE_ERR_MEMORY, "solutions: out of memory");
        }
        self->dataset = dataset;
        self->mask = size - 1;
        for (uint64_t i = 0; i < dataset->count; i++) {
                struct scope_problem problem = problem_at(self, i);
                uint64_t slot = slot_of(self, scope_string_trim(problem.text));
                if (problem.solution.bytes == 0 || self->table[slot] != 0)
                        continue; /* of two with one text, the first counts */
                self->table[slot] = i + 1;
                solved++;
        }
        if (solved == 0) {
                scope_teacher_solutions_destroy(self);
                return scope_diag_set(diag, SCOPE_ERR_UNSUPPORTED,
                        "the data set (%s) has no worked solutions to teach from", dataset->form);
        }
        *ret_solutions = self;
        return SCOPE_OK;
}

void scope_teacher_solutions_destroy(struct scope_teacher_solutions *solutions)
{
        if (solutions == NULL)
                return;
        free(solutions->table);
        free(solutions);
}

/* ---- numbers ---- */

/* The number that begins at text[at], with the commas of thousands; false: none does. */
static bool number_at(struct scope_string text, uint32_t at, double *ret_value, uint32_t *ret_end)
{
        char digits[NUMBER_BYTES_MAX];
        size_t count = 0;
        bool point = false;
        uint32_t i = at;
        for (; i < text.bytes && count + 1 < sizeof digits; i++) {
                char c = text.at[i];
                bool digit_next =
                        i + 1 < text.bytes && text.at[i + 1] >= '0' && text.at[i + 1] <= '9';
                if (c == ',' && count > 0 && digit_next)
                        continue;
                if (c == '.' && !point && digit_next)
                        point = true;
                else if (c < '0' || c > '9')
                        break;
                digits[count++] = c;
        }
        if (count == 0)
                return false;
        digits[count] = 0;
        *ret_value = strtod(digits, NULL);
        *ret_end = i;
        return true;
}

static bool same(double a, double b)
{
        return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b));
}

/* The number right behind text[at], past spaces, a currency or a sign; false: none. */
static bool number_behind(struct scope_string text, uint32_t at, double *ret_value)
{
        uint32_t end;
        bool minus = false;
        while (at < text.bytes && strchr(" $-\\", text.at[at]) != NULL)
                minus = text.at[at++] == '-';
        if (!number_at(text, at, ret_value, &end))
                return false;
        if (minus)
                *ret_value = -*ret_value;
        return true;
}

/* What follows the last "="; false: no equation ends in a number. */
static bool last_result(struct scope_string text, double *ret_value)
{
        for (uint32_t at = text.bytes; at > 0; at--)
                if (text.at[at - 1] == '=' && number_behind(text, at, ret_value))
                        return true;
        return false;
}

static bool has_number(struct scope_string text, double value)
{
        double found;
        uint32_t end;
        for (uint32_t at = 0; at < text.bytes;) {
                if (!number_at(text, at, &found, &end)) {
                        at++;
                        continue;
                }
                if (same(found, value) || same(found, -value))
                        return true;
                at = end;
        }
        return false;
}

static bool last_number(struct scope_string text, double *ret_value)
{
        bool any = false;
        uint32_t end;
        for (uint32_t at = 0; at < text.bytes;)
                if (number_at(text, at, ret_value, &end)) {
                        any = true;
                        at = end;
                } else
                        at++;
        return any;
}

/* ---- wrong equations ---- */

static uint32_t skip_back(struct scope_string text, uint32_t end)
{
        while (end > 0 && (text.at[end - 1] == ' ' || text.at[end - 1] == '$'))
                end--;
        return end;
}

/* The number that ends before `end`; *ret_begin is where it begins. */
static bool number_before(
        struct scope_string text, uint32_t end, double *ret_value, uint32_t *ret_begin)
{
        uint32_t begin = end = skip_back(text, end), after;
        while (begin > 0 && strchr("0123456789.,", text.at[begin - 1]) != NULL)
                begin--;
        *ret_begin = begin;
        return begin < end && number_at(text, begin, ret_value, &after) && after == end;
}

/* "a op b = c" that stands alone and does not hold. Longer expressions are left to others. */
static bool is_wrong_at(struct scope_string text, uint32_t equals)
{
        double a, b, c, value;
        uint32_t at;
        if (!number_behind(text, equals + 1, &c) || !number_before(text, equals, &b, &at))
                return false;
        at = skip_back(text, at);
        char operator= at> 0 ? text.at[at - 1] : 0;
        if (operator== 0 || strchr("+-*/x", operator) == NULL ||
                !number_before(text, at - 1, &a, &at))
                return false;
        at = skip_back(text, at);
        if (at > 0 && strchr("+-*/x()^=.", text.at[at - 1]) != NULL)
                return false;
        value = operator== '+' ? a + b :
                operator== '-' ? a - b
                :
                operator== '/' ? b == 0 ? c : a / b
                               : a * b;
        return fabs(value - c) > 0.006 + 1e-6 * fabs(value); /* texts round to cents */
}

static bool has_wrong_equation(struct scope_string text)
{
        for (uint32_t at = 0; at < text.bytes; at++)
                if (text.at[at] == '=' && is_wrong_at(text, at))
                        return true;
        return false;
}

/* ---- the solution, in steps ---- */

struct solution {
        struct scope_text text; /* steps with a blank line between */
        uint32_t begins[STEPS_MAX + 1], ends[STEPS_MAX], count;
        double results[STEPS_MAX];
        bool has_result[STEPS_MAX];
};

static struct scope_string step_of(const struct solution *solution, uint32_t i)
{
        return (struct scope_string){ solution->text.bytes + solution->begins[i],
                solution->ends[i] - solution->begins[i] };
}

/* Adds a step, without <<...>>. Steps over the limit join the last one. */
static void add_step(struct solution *solution, struct scope_string raw)
{
        struct scope_text *text = &solution->text;
        double result = 0;
        bool marked = false;
        bool joins = solution->count == STEPS_MAX;
        if (text->count > 0)
                scope_text_string(text, "\n\n");
        uint32_t begin = (uint32_t)text->count;
        for (uint32_t at = 0; at < raw.bytes;) {
                const char *open = memmem(raw.at + at, raw.bytes - at, "<<", 2);
                const char *close =
                        open != NULL ? memmem(open, (size_t)(raw.at + raw.bytes - open), ">>", 2)
                                     : NULL;
                uint32_t plain = close != NULL ? (uint32_t)(open - raw.at) : raw.bytes;
                scope_text_add(text, raw.at + at, plain - at);
                if (close == NULL)
                        break;
                struct scope_string mark = { open + 2, (uint32_t)(close - open) - 2 };
                marked = last_result(mark, &result) || marked;
                at = (uint32_t)(close - raw.at) + 2;
        }
        if (text->failed)
                return;
        uint32_t index = joins ? STEPS_MAX - 1 : solution->count++;
        if (!joins)
                solution->begins[index] = begin;
        solution->ends[index] = (uint32_t)text->count;
        if (!marked)
                marked = last_result(step_of(solution, index), &result);
        solution->has_result[index] = marked;
        solution->results[index] = result;
}

/* Splits at every mark; what is empty is left out. */
static void add_steps(struct solution *solution, struct scope_string text, const char *mark)
{
        while (text.bytes > 0) {
                const char *found = memmem(text.at, text.bytes, mark, strlen(mark));
                uint32_t bytes = found != NULL ? (uint32_t)(found - text.at) : text.bytes;
                struct scope_string step =
                        scope_string_trim((struct scope_string){ text.at, bytes });
                if (step.bytes > 0)
                        add_step(solution, step);
                if (found == NULL)
                        return;
                text.at += bytes + strlen(mark);
                text.bytes -= bytes + (uint32_t)strlen(mark);
        }
}

/* False: out of memory. */
static bool read_solution(const struct scope_problem *problem, struct solution *solution)
{
        struct scope_string text = problem->solution;
        const char *last = NULL;
        for (uint32_t at = 0; at + 4 <= text.bytes; at++)
                if (memcmp(text.at + at, "####", 4) == 0)
                        last = text.at + at;
        if (last != NULL)
                text.bytes = (uint32_t)(last - text.at);
        add_steps(solution, text, last != NULL ? "\n" : "\n\n");
        bool boxed = last == NULL && memmem(text.at, text.bytes, "\\boxed{", 7) != NULL;
        if (!boxed) {
                struct scope_text box = { 0 };
                scope_text_string(&box, "\\boxed{");
                scope_text_add(&box, problem->gold.at, problem->gold.bytes);
                scope_text_string(&box, "}");
                if (!box.failed)
                        add_step(solution, (struct scope_string){ box.bytes, (uint32_t)box.count });
                solution->text.failed = solution->text.failed || box.failed;
                scope_text_fini(&box);
        }
        return !solution->text.failed;
}

/* ---- where the rest begins ---- */

/* The prefix is the beginning of the solution, white space aside: where it ends in there. */
static bool literal_end(
        const struct solution *solution, struct scope_string prefix, uint32_t *ret_end)
{
        uint32_t at = 0, in = 0, count = (uint32_t)solution->text.count;
        const char *text = solution->text.bytes;
        while (at < prefix.bytes) {
                if (scope_is_space(prefix.at[at]) && (in == count || scope_is_space(text[in]))) {
                        while (at < prefix.bytes && scope_is_space(prefix.at[at]))
                                at++;
                        while (in < count && scope_is_space(text[in]))
                                in++;
                        continue;
                }
                if (in == count || prefix.at[at] != text[in])
                        return false;
                at++;
                in++;
        }
        *ret_end = in;
        return true;
}

/* Steps of the solution that the prefix stands for, by value (3); false: it stands for none. */
static bool steps_by_value(
        const struct solution *solution, struct scope_string prefix, uint32_t *ret_steps)
{
        double values[NUMBERS_MAX], value;
        uint32_t count = 0, step = 0, matched = 0;
        for (uint32_t at = 0; at < prefix.bytes && count < NUMBERS_MAX; at++)
                if (prefix.at[at] == '=' && number_behind(prefix, at + 1, &value))
                        values[count++] = value;
        /* the last step may say its result in words */
        uint32_t line = prefix.bytes;
        while (line > 0 && prefix.at[line - 1] != '\n')
                line--;
        struct scope_string tail = { prefix.at + line, prefix.bytes - line };
        if (memchr(tail.at, '=', tail.bytes) == NULL && last_number(tail, &value) &&
                count < NUMBERS_MAX)
                values[count++] = value;
        for (uint32_t i = 0; i < count; i++) {
                uint32_t k = step;
                while (k < solution->count &&
                        !(solution->has_result[k] && same(solution->results[k], values[i])))
                        k++;
                bool again = step > 0 && solution->has_result[step - 1] &&
                             same(solution->results[step - 1], values[i]); /* said once more */
                if (k < solution->count && !again)
                        step = k + 1;
                if (k < solution->count || again)
                        matched = i + 1;
        }
        *ret_steps = step;
        return count > 0 && matched == count && step > 0;
}

/* The rest uses no result of its skipped steps that nobody has derived. */
static bool rest_stands(const struct solution *solution, uint32_t steps, struct scope_string prefix,
        struct scope_string problem)
{
        if (steps >= solution->count)
                return true;
        struct scope_string rest = { solution->text.bytes + solution->begins[steps],
                (uint32_t)solution->text.count - solution->begins[steps] };
        for (uint32_t k = 0; k < steps; k++)
                if (solution->has_result[k] && has_number(rest, solution->results[k]) &&
                        !has_number(prefix, solution->results[k]) &&
                        !has_number(problem, solution->results[k]))
                        return false;
        return true;
}

static uint32_t blank_lines(struct scope_string text)
{
        uint32_t count = 1;
        for (uint32_t i = 0; i + 1 < text.bytes; i++)
                count += text.at[i] == '\n' && text.at[i + 1] == '\n' &&
                         (i == 0 || text.at[i - 1] != '\n');
        return count;
}

/* Appends the text from `begin` on; a blank line first where a step begins and `prefix` lacks it.
 */
static void add_rest(const struct solution *solution, uint32_t begin, struct scope_string prefix,
        struct scope_text *text)
{
        const char *from = solution->text.bytes + begin;
        size_t bytes = solution->text.count - begin;
        bool at_step = false;
        for (uint32_t i = 0; i < solution->count; i++)
                at_step = at_step || (begin == solution->begins[i] &&
                                             scope_string_trim(prefix).bytes > 0);
        bool ends_blank = prefix.bytes >= 2 && prefix.at[prefix.bytes - 1] == '\n' &&
                          prefix.at[prefix.bytes - 2] == '\n';
        if (at_step && !ends_blank)
                scope_text_string(text,
                        prefix.bytes > 0 && prefix.at[prefix.bytes - 1] == '\n' ? "\n" : "\n\n");
        scope_text_add(text, from, bytes);
}

/* Where the rest begins; false: it cannot stand. */
static bool find_rest(const struct solution *solution, const struct scope_problem *problem,
        struct scope_string prefix, enum scope_chain_manner manner, uint32_t *ret_begin)
{
        struct scope_string bare = scope_string_trim(prefix);
        uint32_t steps = 0;
        double value;
        *ret_begin = 0;
        if (bare.bytes == 0)
                return true;
        if (memmem(bare.at, bare.bytes, "\\boxed", 6) != NULL)
                return false;
        if (manner == SCOPE_CHAIN_CORRECT) {
                steps = blank_lines(bare);
                steps = steps < solution->count ? steps : solution->count - 1;
                *ret_begin = solution->begins[steps];
                return true;
        }
        if (literal_end(solution, bare, ret_begin)) {
                /* at the end of a step: on with the next */
                for (uint32_t i = 0; i + 1 < solution->count; i++)
                        if (*ret_begin == solution->ends[i])
                                *ret_begin = solution->begins[i + 1];
                while (*ret_begin < solution->text.count && bare.bytes < prefix.bytes &&
                        scope_is_space(prefix.at[prefix.bytes - 1]) &&
                        scope_is_space(solution->text.bytes[*ret_begin]))
                        ++*ret_begin;
                return *ret_begin < solution->text.count;
        }
        if (!last_number(bare, &value)) {
                *ret_begin = 0; /* words alone, (4): all of it */
                return true;
        }
        if (has_wrong_equation(bare) || !steps_by_value(solution, bare, &steps) ||
                !rest_stands(solution, steps, bare, problem->text) || steps >= solution->count)
                return false;
        *ret_begin = solution->begins[steps];
        return true;
}

enum scope_err scope_teacher_solutions_continue(const struct scope_teacher_solutions *solutions,
        struct scope_string problem, struct scope_string prefix, enum scope_chain_manner manner,
        struct scope_text *text)
{
        uint64_t slot = slot_of(solutions, scope_string_trim(problem));
        if (solutions->table[slot] == 0)
                return SCOPE_ERR_NOT_FOUND;
        struct scope_problem found = problem_at(solutions, solutions->table[slot] - 1);
        struct solution *solution = calloc(1, sizeof *solution);
        uint32_t begin = 0;
        enum scope_err err = SCOPE_ERR_MEMORY;
        if (solution != NULL && read_solution(&found, solution)) {
                bool stands = find_rest(solution, &found, prefix, manner, &begin);
                err = stands ? SCOPE_OK : SCOPE_ERR_REFUSED;
                if (stands)
                        add_rest(solution, begin, prefix, text);
        }
        if (solution != NULL)
                scope_text_fini(&solution->text);
        free(solution);
        return err;
}
