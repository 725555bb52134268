/* equations.c - from each equals sign outwards: the longest expression on either side, its value,
 * and whether there is an excuse for two values that differ. */
#include "algorithm/equations.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "algorithm/equation_parts.h"
#include "algorithm/grade_tree.h"

enum { UNIT_WORDS_MAX = 4, DEPTH_MAX = 32 };

enum verdict { UNJUDGED, RIGHT, WRONG };

/* Tokens [begin, end) of one side. */
struct side {
        uint32_t begin, end, operators;
};

struct judge {
        const struct equation_line *line;
        struct grade_work work;
        bool plain_percent; /* 5% counts as 5, not as 1/20 */
        uint32_t at, end, depth;
};

static const struct equation_token *token(const struct equation_line *line, uint32_t index)
{
        static const struct equation_token none = { .kind = EQUATION_STOP };
        return index < line->count ? &line->tokens[index] : &none;
}

static bool is_op(const struct equation_token *token, char op)
{
        return token->kind == EQUATION_OP && token->op == op;
}

/* --- values ---------------------------------------------------------------------------------- */

static bool sum(struct judge *judge, struct grade_rational *ret);

static void skip_units(struct judge *judge)
{
        while (judge->at < judge->end && token(judge->line, judge->at)->kind == EQUATION_WORD)
                judge->at++;
}

static bool atom(struct judge *judge, struct grade_rational *ret)
{
        const struct equation_token *t = token(judge->line, judge->at);
        struct scope_string digits = { judge->line->text + t->begin,
                (uint32_t)(t->end - t->begin) };
        struct grade_rational hundred = { 100, 1 };
        if (judge->at >= judge->end)
                return false;
        judge->at++;
        if (t->kind == EQUATION_OPEN) {
                bool valid = sum(judge, ret) && judge->at < judge->end &&
                        token(judge->line, judge->at)->kind == EQUATION_CLOSE;
                judge->at++;
                skip_units(judge);
                return valid;
        }
        if (t->kind != EQUATION_NUMBER || !grade_rational_read(&judge->work, digits, ret) ||
                (t->percent && !judge->plain_percent &&
                        !grade_rational_divide(&judge->work, *ret, hundred, ret)))
                return false;
        skip_units(judge);
        return true;
}

/* Right-associative; a sign binds less: -2^2 = -4. */
static bool power(struct judge *judge, struct grade_rational *ret)
{
        struct grade_rational exponent;
        if (judge->depth >= DEPTH_MAX)
                return false;
        judge->depth++;
        bool negative = judge->at < judge->end && is_op(token(judge->line, judge->at), '-');
        judge->at += negative;
        bool valid = atom(judge, ret);
        if (valid && judge->at < judge->end && is_op(token(judge->line, judge->at), '^')) {
                judge->at++;
                valid = power(judge, &exponent) &&
                        grade_rational_power(&judge->work, *ret, exponent, ret);
        }
        if (negative)
                ret->top = -ret->top;
        judge->depth--;
        return valid;
}

static bool product(struct judge *judge, struct grade_rational *ret)
{
        struct grade_rational next;
        bool valid = power(judge, ret);
        while (valid && judge->at < judge->end) {
                const struct equation_token *t = token(judge->line, judge->at);
                bool divide = is_op(t, '/');
                if (!divide && !is_op(t, '*') && t->kind != EQUATION_OPEN)
                        break;
                judge->at += t->kind == EQUATION_OP;
                valid = power(judge, &next) &&
                        (divide ? grade_rational_divide(&judge->work, *ret, next, ret)
                                : grade_rational_multiply(&judge->work, *ret, next, ret));
        }
        return valid;
}

static bool sum(struct judge *judge, struct grade_rational *ret)
{
        struct grade_rational next;
        if (judge->depth >= DEPTH_MAX)
                return false;
        judge->depth++;
        bool valid = product(judge, ret);
        while (valid && judge->at < judge->end) {
                const struct equation_token *t = token(judge->line, judge->at);
                if (!is_op(t, '+') && !is_op(t, '-'))
                        break;
                judge->at++;
                valid = product(judge, &next);
                if (valid && t->op == '-')
                        next.top = -next.top;
                valid = valid && grade_rational_add(&judge->work, *ret, next, ret);
        }
        judge->depth--;
        return valid;
}

static bool value(const struct equation_line *line, struct side side, bool plain_percent,
        struct grade_rational *ret)
{
        struct judge judge = { .line = line,
                .plain_percent = plain_percent,
                .at = side.begin,
                .end = side.end };
        return sum(&judge, ret) && judge.at == judge.end;
}

static bool same(struct grade_rational a, struct grade_rational b)
{
        return a.top == b.top && a.bottom == b.bottom;
}

/* --- sides ----------------------------------------------------------------------------------- */

/* A word in lower case without its plural s; "" when it is long. */
static void word_of(const struct equation_line *line, const struct equation_token *t,
        char ret_word[16])
{
        uint32_t bytes = t->end - t->begin;
        memset(ret_word, 0, 16);
        if (bytes >= 16)
                return;
        for (uint32_t i = 0; i < bytes; i++)
                ret_word[i] = (char)(line->text[t->begin + i] | 0x20);
        if (bytes > 2 && ret_word[bytes - 1] == 's')
                ret_word[bytes - 1] = 0;
}

/* The token at which an operand that ends at `end` (exclusive, behind its units) begins;
 * UINT32_MAX when none ends there. */
static uint32_t operand_begin(const struct equation_line *line, uint32_t end)
{
        for (int words = 0; words < UNIT_WORDS_MAX && end > 0 &&
                token(line, end - 1)->kind == EQUATION_WORD; words++)
                end--;
        if (end == 0)
                return UINT32_MAX;
        if (token(line, end - 1)->kind == EQUATION_NUMBER)
                return end - 1;
        uint32_t depth = 0;
        for (uint32_t at = end; at-- > 0;) {
                const struct equation_token *t = token(line, at);
                depth += t->kind == EQUATION_CLOSE;
                if (t->kind == EQUATION_OPEN && --depth == 0)
                        return at;
                if (depth == 0 || t->kind == EQUATION_EQUALS)
                        return UINT32_MAX;
        }
        return UINT32_MAX;
}

/* Words that make a number beside them a name: "day 2". */
static bool is_label(const struct equation_line *line, const struct equation_token *t)
{
        static const char *const labels[] = { "day", "week", "month", "year", "hour", "step",
                "grade", "number", "page", "class", "team", "chapter", "square", "round", "house" };
        char word[16];
        word_of(line, t, word);
        for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
                if (strcmp(word, labels[i]) == 0)
                        return true;
        return false;
}

/* Behind words: not where an operator stands before them ("x + the 3"), nor in 1 and 1/2. */
static bool behind_words(const struct equation_line *line, uint32_t begin)
{
        uint32_t at = begin;
        char word[16];
        if (token(line, begin)->glued || token(line, begin)->kind == EQUATION_OPEN ||
                is_label(line, token(line, begin - 1)))
                return false;
        while (at > 0 && begin - at < UNIT_WORDS_MAX && token(line, at - 1)->kind == EQUATION_WORD)
                at--;
        if (at == 0)
                return true;
        word_of(line, token(line, begin - 1), word);
        bool joined = strcmp(word, "and") == 0 && at == begin - 1 &&
                token(line, at - 1)->kind == EQUATION_NUMBER;
        return token(line, at - 1)->kind != EQUATION_OP && !joined;
}

/* Whether an expression may begin at `begin`: what stands before belongs to something else. */
static bool may_begin(const struct equation_line *line, uint32_t begin)
{
        if (begin == 0)
                return true;
        const struct equation_token *t = token(line, begin), *before = token(line, begin - 1);
        switch ((enum equation_kind)before->kind) {
        case EQUATION_STOP: /* "14, 400 / 80" is 14,400, and what is 16,0000? */
                return begin < 2 || token(line, begin - 2)->kind != EQUATION_NUMBER ||
                        line->text[before->begin] != ',' ||
                        (t->end - t->begin != 3 && !t->glued);
        case EQUATION_EQUALS:
                return true;
        case EQUATION_OPEN: /* 100 + (3 * 4 = 12 forgot to close */
                return begin < 2 || token(line, begin - 2)->kind != EQUATION_OP;
        case EQUATION_WORD:
                return behind_words(line, begin);
        case EQUATION_OTHER:
                return !t->glued;
        case EQUATION_NUMBER: /* 1 1/2, 17 000 */
        case EQUATION_CLOSE:
        case EQUATION_OP:
                break;
        }
        return false;
}

/* Whether the operator before `begin`, which has no operand before it, is a sign or a bullet;
 * *ret_begin then includes a sign. */
static bool is_sign(const struct equation_line *line, uint32_t begin, uint32_t *ret_begin)
{
        const struct equation_token *t = token(line, begin), *op = token(line, begin - 1);
        if (op->bullet)
                return true;
        if (op->op != '-' || !t->glued || op->glued)
                return false;
        *ret_begin = begin - 1;
        return may_begin(line, begin - 1) && (begin < 2 ||
                token(line, begin - 2)->kind != EQUATION_WORD);
}

/* The longest expression that ends before the equals sign at `equals`. */
static bool left_side(const struct equation_line *line, uint32_t equals, struct side *ret)
{
        uint32_t begin = operand_begin(line, equals);
        *ret = (struct side){ 0, equals, 0 };
        while (begin != UINT32_MAX) {
                const struct equation_token *t = token(line, begin);
                const struct equation_token *before = begin > 0 ? token(line, begin - 1) : NULL;
                bool implied = t->kind == EQUATION_OPEN && t->glued && before != NULL &&
                        (before->kind == EQUATION_NUMBER || before->kind == EQUATION_CLOSE);
                ret->begin = begin;
                if (!implied && (before == NULL || before->kind != EQUATION_OP))
                        return may_begin(line, begin);
                uint32_t next = operand_begin(line, implied ? begin : begin - 1);
                if (next == UINT32_MAX)
                        return !implied && is_sign(line, begin, &ret->begin);
                begin = next;
                ret->operators++;
        }
        return false;
}

/* The end of the operand that begins at `begin`, its units included; UINT32_MAX when none does. */
static uint32_t operand_end(const struct equation_line *line, uint32_t begin)
{
        uint32_t at = begin, depth = 0;
        at += is_op(token(line, at), '-') && token(line, at + 1)->glued;
        do {
                const struct equation_token *t = token(line, at);
                if (at >= line->count || t->kind == EQUATION_EQUALS)
                        return UINT32_MAX;
                depth += t->kind == EQUATION_OPEN;
                depth -= t->kind == EQUATION_CLOSE && depth > 0;
                if (depth == 0 && t->kind != EQUATION_NUMBER && t->kind != EQUATION_CLOSE)
                        return UINT32_MAX;
                at++;
        } while (depth > 0);
        for (int words = 0; words < UNIT_WORDS_MAX && token(line, at)->kind == EQUATION_WORD &&
                at < line->count; words++)
                at++;
        return at;
}

/* The longest expression behind it; *ret_first: its first operand alone. */
static bool right_side(const struct equation_line *line, uint32_t equals, struct side *ret,
        struct side *ret_first)
{
        uint32_t end = operand_end(line, equals + 1);
        if (end == UINT32_MAX)
                return false;
        *ret = *ret_first = (struct side){ equals + 1, end, 0 };
        for (;;) {
                const struct equation_token *t = token(line, end);
                bool implied = t->kind == EQUATION_OPEN && t->glued;
                uint32_t next = end + 1;
                if (end >= line->count || (t->kind != EQUATION_OP && !implied))
                        break;
                next = operand_end(line, implied ? end : next);
                if (next == UINT32_MAX)
                        break;
                ret->end = end = next;
                ret->operators++;
        }
        const struct equation_token *after = token(line, end);
        if (end >= line->count || after->kind == EQUATION_STOP || after->kind == EQUATION_EQUALS ||
                after->kind == EQUATION_WORD || after->kind == EQUATION_CLOSE)
                return true;
        if (after->kind == EQUATION_NUMBER) { /* 18 000, 1 and 1/2; but "$181 after 5 days" */
                char word[16];
                word_of(line, token(line, end - 1), word);
                return token(line, end - 1)->kind == EQUATION_WORD && strcmp(word, "and") != 0;
        }
        return after->kind != EQUATION_OP && !after->glued;
}

/* --- excuses --------------------------------------------------------------------------------- */

struct facts { /* of both sides */
        bool percent, scale, additive, multiplicative, twice_divided;
        uint32_t units[8]; /* seen, of each dimension: bits */
        double slack;      /* relative, from operands that look rounded */
};

/* "dozen" and the like change a number without an operator; the `big` ones from afar. */
static bool is_scale(const struct equation_line *line, const struct equation_token *t, bool big)
{
        static const char *const scales[] = { "hundred", "thousand", "million", "billion", "dozen",
                "half", "twice", "double", "triple", "pair", "score", "couple", "third", "fourth",
                "fifth", "halve" };
        enum { BIG = 5 };
        char word[16];
        word_of(line, t, word);
        for (size_t i = 0; i < (big ? (size_t)BIG : sizeof scales / sizeof *scales); i++)
                if (strcmp(word, scales[i]) == 0)
                        return true;
        return false;
}

/* Measures of one dimension are converted in a step as a matter of course. */
static void note_word(const struct equation_line *line, const struct equation_token *t,
        struct facts *facts)
{
        static const char *const measures[][14] = {
                { "second", "minute", "hour", "day", "week", "month", "year", "hr", "min", "sec",
                        "decade", "century" },
                { "inch", "foot", "yard", "mile", "cm", "km", "mm", "meter", "kilometer",
                        "centimeter", "feet", "inche" },
                { "gram", "kg", "kilogram", "pound", "ounce", "ton", "lb", "oz", "mg" },
                { "cup", "pint", "quart", "gallon", "liter", "ml", "tablespoon", "teaspoon",
                        "milliliter", "ounce", "oz" },
                { "dollar", "cent", "dime", "nickel", "quarter", "penny", "pennie" },
        };
        char word[16];
        word_of(line, t, word);
        facts->scale = facts->scale || is_scale(line, t, false);
        for (size_t d = 0; d < sizeof measures / sizeof *measures; d++)
                for (size_t i = 0; i < 14 && measures[d][i] != NULL; i++)
                        if (strcmp(word, measures[d][i]) == 0)
                                facts->units[d] |= 1u << i;
}

/* 33, 66 and 67: percentages that nobody means exactly. */
static bool is_thirds(const struct equation_line *line, const struct equation_token *t)
{
        static const char *const thirds[] = { "33", "66", "67" };
        for (size_t i = 0; i < sizeof thirds / sizeof *thirds; i++)
                if (t->end - t->begin == 2 && memcmp(line->text + t->begin, thirds[i], 2) == 0)
                        return true;
        return false;
}

static void note(const struct equation_line *line, struct side side, struct facts *facts)
{
        enum { MONEY = 4 };
        bool slash = false;
        for (uint32_t i = side.begin; i < side.end; i++) {
                const struct equation_token *t = token(line, i);
                if (t->kind == EQUATION_WORD)
                        note_word(line, t, facts);
                facts->additive |= is_op(t, '+') || is_op(t, '-');
                facts->multiplicative |= is_op(t, '*') || is_op(t, '/') || is_op(t, '^');
                if (t->kind == EQUATION_OP && t->op != '/')
                        slash = false;
                facts->twice_divided |= slash && is_op(t, '/'); /* 60 / 3/4 */
                slash = slash || is_op(t, '/');
                if (t->kind != EQUATION_NUMBER)
                        continue;
                facts->percent |= t->percent;
                if (t->money)
                        facts->units[MONEY] |= 1; /* as "dollar" */
                uint32_t decimals = t->decimals;
                if (t->percent && (decimals > 0 || is_thirds(line, t)))
                        decimals += 2;
                struct side one = { i, i + 1, 0 };
                struct grade_rational number;
                if (decimals >= 2 && value(line, one, false, &number) && number.top != 0)
                        facts->slack += 0.5 * pow(10, -(double)decimals) * (double)number.bottom /
                                fabs((double)number.top);
        }
}

static bool converts(const struct facts *facts)
{
        for (size_t d = 0; d < sizeof facts->units / sizeof *facts->units; d++)
                if ((facts->units[d] & (facts->units[d] - 1)) != 0)
                        return true;
        return false;
}

/* Whether a one-number right side may be `left` rounded or cut to its decimals. */
static enum verdict rounded(struct grade_rational left, struct grade_rational right,
        const struct equation_token *number)
{
        double unit = pow(10, -(double)number->decimals) / (number->percent ? 100 : 1);
        double l = (double)left.top / (double)left.bottom;
        double r = (double)right.top / (double)right.bottom;
        double shifted = l / unit;
        if (fabs(shifted) > 1e12 || fabs(shifted - nearbyint(shifted)) < 1e-9)
                return WRONG; /* it had those decimals exactly */
        if (fabs(l - r) >= unit)
                return WRONG;
        return number->decimals > 0 ? RIGHT : UNJUDGED; /* 17/5 = 3: whole boxes? */
}

/* --- verdicts -------------------------------------------------------------------------------- */

static enum verdict compare(const struct equation_line *line, struct side left, struct side right,
        struct side first, const struct facts *facts)
{
        struct grade_rational a, b, plain_a, plain_b, head, hundred = { 100, 1 };
        struct grade_work work = { 0 };
        if (!value(line, left, false, &a) || !value(line, right, false, &b))
                return UNJUDGED;
        if (same(a, b))
                return RIGHT;
        if (value(line, first, false, &head) && same(a, head))
                return RIGHT; /* a running total: 5*2 = 10+3 = 13 */
        if (facts->percent) {
                if (!value(line, left, true, &plain_a) || !value(line, right, true, &plain_b))
                        return UNJUDGED;
                if (same(plain_a, plain_b) || same(a, plain_b))
                        return RIGHT; /* 5% + 3% = 8; 10/40*100 = 25% */
                if (facts->additive || (grade_rational_multiply(&work, a, hundred, &head) &&
                                               same(head, plain_b)))
                        return UNJUDGED; /* 50 + 20% */
        }
        const struct equation_token *number = token(line, right.begin);
        if (right.operators == 0 && number->kind == EQUATION_NUMBER) {
                enum verdict verdict = rounded(a, b, number);
                if (verdict != WRONG)
                        return verdict;
                if (facts->percent && (rounded(a, plain_b, number) != WRONG ||
                                              rounded(plain_a, plain_b, number) != WRONG))
                        return UNJUDGED;
        }
        double l = (double)a.top / (double)a.bottom, r = (double)b.top / (double)b.bottom;
        if (facts->multiplicative && fabs(l - r) <= fabs(l) * facts->slack)
                return UNJUDGED; /* 0.33 * 300 = 100 */
        return WRONG;
}

static enum verdict judge_equation(const struct equation_line *line, uint32_t equals)
{
        struct side left, right, first;
        struct facts facts = { 0 };
        if (!left_side(line, equals, &left) || !right_side(line, equals, &right, &first))
                return UNJUDGED;
        /* A number alone may be a label ("Day 2 = ...") or a conversion, unless it is a result. */
        bool chained = left.begin > 0 && token(line, left.begin - 1)->kind == EQUATION_EQUALS;
        if (left.operators == 0 && (!chained || right.operators == 0))
                return UNJUDGED;
        note(line, left, &facts);
        note(line, right, &facts);
        enum verdict verdict = compare(line, left, right, first, &facts);
        for (uint32_t i = 0; verdict == WRONG && i < line->count; i++)
                if (line->tokens[i].kind == EQUATION_WORD)
                        facts.scale |= is_scale(line, &line->tokens[i], true);
        if (verdict == WRONG && (facts.scale || facts.twice_divided || converts(&facts)))
                return UNJUDGED;
        return verdict;
}

static void check_line(struct scope_equations *counts, struct scope_string text);

static void check_mark(void *context, struct scope_string inside)
{
        /* Marks within marks are not looked for: `inside` ends at the first >>. */
        check_line(context, inside);
}

static void check_line(struct scope_equations *counts, struct scope_string text)
{
        struct equation_line line;
        if (memchr(text.at, '=', text.bytes) == NULL)
                return;
        equation_plain(text, &line, check_mark, counts);
        equation_lex(&line);
        for (uint32_t i = 0; i < line.count; i++) {
                if (line.tokens[i].kind != EQUATION_EQUALS)
                        continue;
                switch (judge_equation(&line, i)) {
                case RIGHT:
                        counts->right++;
                        break;
                case WRONG:
                        counts->wrong++;
                        break;
                case UNJUDGED:
                        counts->unjudged++;
                        break;
                }
        }
}

struct scope_equations scope_equations_check(struct scope_string text)
{
        struct scope_equations counts = { 0 };
        for (uint32_t begin = 0, end; begin < text.bytes; begin = end + 1) {
                const char *newline = memchr(text.at + begin, '\n', text.bytes - begin);
                end = newline != NULL ? (uint32_t)(newline - text.at) : text.bytes;
                uint32_t bytes = end - begin < EQUATION_LINE_BYTES ? end - begin
                                                                   : EQUATION_LINE_BYTES;
                check_line(&counts, (struct scope_string){ text.at + begin, bytes });
        }
        return counts;
}

void scope_equations_judge(struct scope_string text, const uint32_t *step_ends,
        uint32_t step_count, float *ret_p)
{
        for (uint32_t i = 0, begin = 0; i < step_count; begin = step_ends[i++]) {
                struct scope_string step = { text.at + begin, step_ends[i] - begin };
                ret_p[i] = scope_equations_check(step).wrong > 0 ? 0 : 1;
        }
}
