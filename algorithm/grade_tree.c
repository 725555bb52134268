/* grade_tree.c - from a normalised text to a tree, by recursive descent.
 * Why: \frac{\sqrt{2}}{2}, 2(x+1)^2, \sin 30\degree, 0.1\overline{6}: what an answer can say in one
 * line, read as people mean it. Signs bind less than powers and more than products: -2^2 = -4,
 * 3*-2 = -6; a/2b is (a/2) b; a word of four letters or more is one name, not a product. */
#include "algorithm/grade_tree.h"

#include <string.h>

#include "base/rng.h"

/* Room for what a text can nest: parentheses, arguments, exponents. */
struct parser {
        struct grade_work *work;
        struct scope_string text;
        uint32_t at, depth, bars; /* bars: |...| that are open */
        struct grade_tree *tree;
};

static bool parse_sum(struct parser *parser, uint16_t *ret);
static bool parse_power(struct parser *parser, uint16_t *ret);

/* ---- nodes ---- */

static bool put(struct parser *parser, struct grade_node node, uint16_t *ret)
{
        struct grade_tree *tree = parser->tree;
        if (tree->count == GRADE_NODES_MAX || !grade_spend(parser->work, 4))
                return false;
        *ret = (uint16_t)tree->count;
        tree->nodes[tree->count++] = node;
        return true;
}

static bool put_op(struct parser *parser, enum grade_op op, uint16_t a, uint16_t b, uint16_t *ret)
{
        return put(parser, (struct grade_node){ .op = (uint8_t)op, .a = a, .b = b }, ret);
}

static bool put_number(struct parser *parser, struct scope_string digits, uint16_t *ret)
{
        return put(parser, (struct grade_node){ .op = GRADE_NUMBER, .text = digits }, ret);
}

static bool put_digits(struct parser *parser, const char *digits, uint32_t bytes, uint16_t *ret)
{
        return put_number(parser, (struct scope_string){ digits, bytes }, ret);
}

static bool put_variable(struct parser *parser, uint64_t name, uint16_t *ret)
{
        struct grade_tree *tree = parser->tree;
        uint32_t at = 0;
        while (at < tree->variable_count && tree->variables[at] < name)
                at++;
        if (at == tree->variable_count || tree->variables[at] != name) {
                if (tree->variable_count == GRADE_VARIABLES_MAX)
                        return false;
                for (uint32_t i = tree->variable_count++; i > at; i--)
                        tree->variables[i] = tree->variables[i - 1];
                tree->variables[at] = name;
        }
        return put(parser, (struct grade_node){ .op = GRADE_VARIABLE, .name = name }, ret);
}

static bool put_function(struct parser *parser, enum grade_function function, uint16_t a,
        uint16_t *ret)
{
        return put(parser, (struct grade_node){ .op = GRADE_FUNCTION,
                .function = (uint8_t)function, .a = a }, ret);
}

/* ---- words ---- */

static char peek(const struct parser *parser)
{
        return parser->at < parser->text.bytes ? parser->text.at[parser->at] : '\0';
}

static bool take(struct parser *parser, const char *word)
{
        if (parser->at > parser->text.bytes || !scope_string_begins(parser->text, parser->at, word))
                return false;
        parser->at += (uint32_t)strlen(word);
        return true;
}

/* A command, not a longer one that begins so; the space behind it goes with it. */
static bool take_command(struct parser *parser, const char *word)
{
        uint32_t end = parser->at + (uint32_t)strlen(word);
        if (!scope_string_begins(parser->text, parser->at, word) ||
                (end < parser->text.bytes && scope_is_letter(parser->text.at[end])))
                return false;
        parser->at = end;
        (void)take(parser, " ");
        return true;
}

static bool parse_group(struct parser *parser, const char *open, const char *close, uint16_t *ret)
{
        return take(parser, open) && parse_sum(parser, ret) && take(parser, close);
}

/* ---- numbers ---- */

static struct scope_string digits(struct parser *parser)
{
        uint32_t begin = parser->at;
        while (scope_is_digit(peek(parser)))
                parser->at++;
        return grade_part(parser->text, begin, parser->at);
}

/* Behind a point: \overline{6} repeats for ever. Adds R / (99..9 * 10^places) to *ret. */
static bool parse_repeating(struct parser *parser, uint32_t places, uint16_t *ret)
{
        static const char nines[] = "999999999999999999999999";
        static const char power[] = "1000000000000000000000000";
        uint16_t block, below, shift, part;
        uint32_t start = parser->at;
        if (!take(parser, "\\overline{") && !take(parser, "\\bar{"))
                return true;
        struct scope_string repeated = digits(parser);
        if (repeated.bytes == 0 || repeated.bytes >= sizeof nines || places + 1 >= sizeof power ||
                !take(parser, "}")) {
                parser->at = start;
                return false;
        }
        return put_number(parser, repeated, &block) &&
                put_digits(parser, nines, repeated.bytes, &below) &&
                put_digits(parser, power, places + 1, &shift) &&
                put_op(parser, GRADE_MULTIPLY, below, shift, &below) &&
                put_op(parser, GRADE_DIVIDE, block, below, &part) &&
                put_op(parser, GRADE_ADD, *ret, part, ret);
}

/* 1.5e-3 and 1e+20, but not 2e+3, which may be 2e + 3. */
static bool parse_scientific(struct parser *parser, bool decimal, uint16_t *ret)
{
        uint32_t start = parser->at;
        uint16_t ten, exponent, power;
        if (!take(parser, "e") && !take(parser, "E"))
                return true;
        bool minus = take(parser, "-"), sign = minus || take(parser, "+");
        struct scope_string number = digits(parser);
        if (number.bytes == 0 || number.bytes > 4 || !(decimal || (sign && number.bytes >= 2))) {
                parser->at = start;
                return true;
        }
        return put_digits(parser, "10", 2, &ten) && put_number(parser, number, &exponent) &&
                (!minus || put_op(parser, GRADE_NEGATE, exponent, 0, &exponent)) &&
                put_op(parser, GRADE_POWER, ten, exponent, &power) &&
                put_op(parser, GRADE_MULTIPLY, *ret, power, ret);
}

/* The digits of a base, or its word: 12_{five}. */
static struct scope_string base_word(struct parser *parser)
{
        static const char *const words[][2] = { { "two", "2" }, { "three", "3" }, { "four", "4" },
                { "five", "5" }, { "six", "6" }, { "seven", "7" }, { "eight", "8" },
                { "nine", "9" }, { "ten", "10" }, { "twelve", "12" }, { "sixteen", "16" } };
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                if (take_command(parser, words[i][0]))
                        return (struct scope_string){ words[i][1],
                                (uint32_t)strlen(words[i][1]) };
        }
        return digits(parser);
}

/* 1011_2, 52_{8}: a numeral of a base. Strictly it is like nothing but itself, leading zeros
 * apart. */
static bool parse_base(struct parser *parser, struct scope_string number, uint16_t *ret)
{
        if (!take(parser, "_"))
                return true;
        bool braced = take(parser, "{");
        struct scope_string base = braced ? base_word(parser) : digits(parser);
        if (base.bytes == 0 || base.bytes > 2 || (braced && !take(parser, "}")))
                return false;
        if (!parser->work->options->base_subscript_strict)
                return true;
        while (number.bytes > 1 && number.at[0] == '0')
                number = grade_part(number, 1, number.bytes);
        uint64_t name = scope_hash_pair(scope_hash_bytes(number.at, number.bytes),
                scope_hash_bytes(base.at, base.bytes));
        return put_variable(parser, name, ret);
}

/* A whole number directly before a fraction of whole ones is mixed: 1\frac{3}{5} = 8/5. */
static bool parse_mixed(struct parser *parser, uint16_t *ret)
{
        uint32_t start = parser->at;
        uint16_t top, bottom, part;
        if (!take(parser, "\\frac{"))
                return true;
        struct scope_string above = digits(parser);
        bool between = take(parser, "}{");
        struct scope_string below = digits(parser);
        if (above.bytes == 0 || !between || below.bytes == 0 || !take(parser, "}")) {
                parser->at = start;
                return true;
        }
        return put_number(parser, above, &top) && put_number(parser, below, &bottom) &&
                put_op(parser, GRADE_DIVIDE, top, bottom, &part) &&
                put_op(parser, GRADE_ADD, *ret, part, ret);
}

static bool parse_number(struct parser *parser, uint16_t *ret)
{
        uint32_t begin = parser->at, places = 0;
        struct scope_string whole = digits(parser);
        bool decimal = take(parser, ".");
        if (decimal)
                places = digits(parser).bytes;
        if (whole.bytes + places == 0)
                return false;
        if (!put_number(parser, grade_part(parser->text, begin, parser->at), ret))
                return false;
        if (decimal && !parse_repeating(parser, places, ret))
                return false;
        if (!decimal && (peek(parser) == '_'
                                        ? !parse_base(parser, whole, ret)
                                        : !parse_mixed(parser, ret)))
                return false;
        return parse_scientific(parser, decimal, ret);
}

/* ---- names ---- */

static bool is_vowel(char c)
{
        return c != '\0' && strchr("aeiouAEIOU", c) != NULL;
}

/* Letters from `at` on that make one word: four or more, one of them a vowel. */
static uint32_t word_at(struct scope_string text, uint32_t at)
{
        uint32_t end = at;
        bool vowel = false;
        for (; end < text.bytes && scope_is_letter(text.at[end]); end++)
                vowel = vowel || is_vowel(text.at[end]);
        return vowel && end - at >= 4 ? end - at : 0;
}

/* Primes and an index belong to a name: x_1, a_{n+1}, f'. */
static bool finish_name(struct parser *parser, uint32_t begin, uint16_t *ret)
{
        uint64_t hash = scope_hash_bytes(parser->text.at + begin, parser->at - begin);
        for (;;) {
                begin = parser->at;
                if (take(parser, "_")) {
                        if (peek(parser) == '{')
                                parser->at = scope_boxed_close(parser->text, parser->at);
                        parser->at++;
                        if (parser->at > parser->text.bytes)
                                return false;
                        hash = scope_hash_pair(hash, scope_hash_bytes(
                                parser->text.at + begin, parser->at - begin));
                } else if (take(parser, "'")) {
                        hash = scope_hash_pair(hash, 1);
                } else {
                        return put_variable(parser, hash, ret);
                }
        }
}

static bool parse_plain_word(struct parser *parser, bool *ret_done, uint16_t *ret);

static bool parse_letter(struct parser *parser, uint16_t *ret)
{
        bool done = false;
        bool valid = parse_plain_word(parser, &done, ret);
        if (done)
                return valid;
        uint32_t begin = parser->at, bytes = word_at(parser->text, begin);
        parser->at += bytes > 0 ? bytes : 1;
        bool alone = bytes == 0 && peek(parser) != '_' && peek(parser) != '\'';
        if (alone && parser->text.at[begin] == 'i')
                return put_op(parser, GRADE_I, 0, 0, ret);
        if (alone && parser->text.at[begin] == 'e')
                return put_op(parser, GRADE_E, 0, 0, ret);
        return finish_name(parser, begin, ret);
}

/* Commands that are letters of their own. */
static bool is_letter_command(struct scope_string name)
{
        static const char *const letters[] = { "alpha", "beta", "gamma", "delta", "epsilon",
                "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa", "lambda", "mu",
                "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi",
                "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi",
                "Omega", "ell", "hbar" };
        for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
                if (strlen(letters[i]) == name.bytes &&
                        memcmp(letters[i], name.at, name.bytes) == 0)
                        return true;
        }
        return false;
}

/* Commands that make one name out of what they stand over. */
static bool parse_decorated(struct parser *parser, uint16_t *ret)
{
        static const char *const over[] = { "\\overline{", "\\bar{", "\\vec{", "\\hat{",
                "\\overrightarrow{", "\\mathbb{", "\\mathcal{", "\\widehat{", "\\tilde{" };
        uint32_t begin = parser->at;
        for (size_t i = 0; i < sizeof over / sizeof *over; i++) {
                if (!take(parser, over[i]))
                        continue;
                parser->at = scope_boxed_close(parser->text, parser->at - 1) + 1;
                return parser->at <= parser->text.bytes && finish_name(parser, begin, ret);
        }
        return false;
}

/* ---- functions ---- */

static const struct {
        const char *name;
        enum grade_function function;
} functions[] = {
        { "sin", GRADE_SIN }, { "cos", GRADE_COS }, { "tan", GRADE_TAN }, { "cot", GRADE_COT },
        { "sec", GRADE_SEC }, { "csc", GRADE_CSC }, { "arcsin", GRADE_ARCSIN },
        { "arccos", GRADE_ARCCOS }, { "arctan", GRADE_ARCTAN }, { "sinh", GRADE_SINH },
        { "cosh", GRADE_COSH }, { "tanh", GRADE_TANH }, { "ln", GRADE_LN }, { "log", GRADE_LN },
        { "lg", GRADE_LN }, { "exp", GRADE_LN },
};
enum { FUNCTION_COUNT = sizeof functions / sizeof *functions };

/* What a function is applied to: a group in parentheses, or factors up to the next function. */
static bool parse_argument(struct parser *parser, uint16_t *ret)
{
        uint16_t next;
        if (peek(parser) == '(')
                return parse_group(parser, "(", ")", ret);
        bool minus = take(parser, "-");
        if (!parse_power(parser, ret))
                return false;
        while (scope_is_letter(peek(parser)) ||
                scope_string_begins(parser->text, parser->at, "\\pi") ||
                scope_string_begins(parser->text, parser->at, "\\theta")) {
                if (!parse_power(parser, &next) ||
                        !put_op(parser, GRADE_MULTIPLY, *ret, next, ret))
                        return false;
        }
        return !minus || put_op(parser, GRADE_NEGATE, *ret, 0, ret);
}

/* \log_b: by default of base 10. */
static bool apply_log(struct parser *parser, bool has_base, uint16_t base, uint16_t *ret)
{
        if (!has_base && !put_digits(parser, "10", 2, &base))
                return false;
        return put_function(parser, GRADE_LN, *ret, ret) &&
                put_function(parser, GRADE_LN, base, &base) &&
                put_op(parser, GRADE_DIVIDE, *ret, base, ret);
}

static bool parse_index(struct parser *parser, uint16_t *ret);

/* Behind the name: \log_b x, \sin^2 x, \sin^{-1} x, which is \arcsin x. */
static bool parse_call(struct parser *parser, int which, uint16_t *ret)
{
        enum grade_function function = functions[which].function;
        uint16_t base = 0, exponent = 0, e;
        bool has_base = false, has_exponent = false;
        const char *name = functions[which].name;
        if (function == GRADE_LN && take(parser, "_")) {
                has_base = true;
                if (!parse_index(parser, &base))
                        return false;
        }
        if (function <= GRADE_TAN && take(parser, "^{-1}")) {
                static const enum grade_function turned[] = { GRADE_ARCSIN, GRADE_ARCCOS,
                        GRADE_ARCTAN };
                function = turned[function];
        } else if (take(parser, "^")) {
                has_exponent = true;
                if (!parse_index(parser, &exponent))
                        return false;
        }
        (void)take(parser, " ");
        if (!parse_argument(parser, ret))
                return false;
        bool valid;
        if (strcmp(name, "exp") == 0)
                valid = put_op(parser, GRADE_E, 0, 0, &e) &&
                        put_op(parser, GRADE_POWER, e, *ret, ret);
        else if (strcmp(name, "log") == 0 || strcmp(name, "lg") == 0)
                valid = apply_log(parser, has_base, base, ret);
        else
                valid = !has_base && put_function(parser, function, *ret, ret);
        return valid && (!has_exponent || put_op(parser, GRADE_POWER, *ret, exponent, ret));
}

/* \sin\sin\sin..x nests without any bracket. */
static bool parse_function(struct parser *parser, int which, uint16_t *ret)
{
        if (parser->depth == GRADE_DEPTH_MAX)
                return false;
        parser->depth++;
        bool valid = parse_call(parser, which, ret);
        parser->depth--;
        return valid;
}

static bool parse_root(struct parser *parser, uint16_t *ret)
{
        uint16_t index, one;
        if (peek(parser) == '[') {
                if (!parse_group(parser, "[", "]", &index))
                        return false;
        } else if (!put_digits(parser, "2", 1, &index)) {
                return false;
        }
        bool valid = peek(parser) == '(' ? parse_group(parser, "(", ")", ret)
                                         : parse_group(parser, "{", "}", ret);
        return valid && put_digits(parser, "1", 1, &one) &&
                put_op(parser, GRADE_DIVIDE, one, index, &index) &&
                put_op(parser, GRADE_POWER, *ret, index, ret);
}

/* Words that people write without a backslash: sqrt(2), 2pi, sin(x), 3 million. */
static bool parse_plain_word(struct parser *parser, bool *ret_done, uint16_t *ret)
{
        static const struct {
                const char *word, *digits;
        } numbers[] = { { "thousand", "1000" }, { "million", "1000000" },
                { "billion", "1000000000" }, { "trillion", "1000000000000" } };
        *ret_done = true;
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
                if (take_command(parser, numbers[i].word))
                        return put_digits(parser, numbers[i].digits,
                                (uint32_t)strlen(numbers[i].digits), ret);
        }
        if (take_command(parser, "pi"))
                return put_op(parser, GRADE_PI, 0, 0, ret);
        if (scope_string_begins(parser->text, parser->at, "sqrt(")) {
                parser->at += 4;
                return parse_root(parser, ret);
        }
        for (int i = 0; i < FUNCTION_COUNT; i++) {
                uint32_t end = parser->at + (uint32_t)strlen(functions[i].name);
                if (end < parser->text.bytes && parser->text.at[end] == '(' &&
                        take_command(parser, functions[i].name))
                        return parse_function(parser, i, ret);
        }
        *ret_done = false;
        return true;
}

/* ---- atoms ---- */

static bool parse_two(struct parser *parser, enum grade_op op, uint16_t *ret)
{
        uint16_t a, b;
        return parse_group(parser, "{", "}", &a) && parse_group(parser, "{", "}", &b) &&
                put_op(parser, op, a, b, ret);
}

static bool parse_enclosed(struct parser *parser, const char *close, enum grade_op op,
        uint16_t *ret)
{
        return parse_sum(parser, ret) && take(parser, close) &&
                put_op(parser, op, *ret, 0, ret);
}

static bool parse_command(struct parser *parser, uint16_t *ret)
{
        if (take(parser, "\\frac{")) {
                parser->at--;
                return parse_two(parser, GRADE_DIVIDE, ret);
        }
        if (take(parser, "\\binom{")) {
                parser->at--;
                return parse_two(parser, GRADE_BINOMIAL, ret);
        }
        if (take(parser, "\\sqrt"))
                return parse_root(parser, ret);
        if (take_command(parser, "\\pi"))
                return put_op(parser, GRADE_PI, 0, 0, ret);
        if (take_command(parser, "\\lfloor"))
                return parse_enclosed(parser, "\\rfloor", GRADE_FLOOR, ret);
        if (take_command(parser, "\\lceil"))
                return parse_enclosed(parser, "\\rceil", GRADE_CEIL, ret);
        uint32_t begin = parser->at, end = begin + 1;
        while (end < parser->text.bytes && scope_is_letter(parser->text.at[end]))
                end++;
        struct scope_string name = grade_part(parser->text, begin + 1, end);
        for (int i = 0; i < FUNCTION_COUNT; i++) {
                if (strlen(functions[i].name) == name.bytes &&
                        memcmp(functions[i].name, name.at, name.bytes) == 0) {
                        parser->at = end;
                        (void)take(parser, " ");
                        return parse_function(parser, i, ret);
                }
        }
        if (!is_letter_command(name))
                return parse_decorated(parser, ret);
        parser->at = end;
        bool valid = finish_name(parser, begin, ret);
        (void)take(parser, " ");
        return valid;
}

static bool parse_atom(struct parser *parser, uint16_t *ret)
{
        char c = peek(parser);
        if (scope_is_digit(c) || c == '.')
                return parse_number(parser, ret);
        if (scope_is_letter(c))
                return parse_letter(parser, ret);
        if (c == '\\')
                return parse_command(parser, ret);
        if (c == '(')
                return parse_group(parser, "(", ")", ret);
        if (c == '[')
                return parse_group(parser, "[", "]", ret);
        if (c != '|' || parser->bars > 0)
                return c == '{' && parse_group(parser, "{", "}", ret);
        parser->bars++;
        parser->at++;
        bool valid = parse_enclosed(parser, "|", GRADE_ABS, ret);
        parser->bars--;
        return valid;
}

/* ---- powers, products, sums ---- */

/* A group, a name, or a run of digits with a sign: 2^10 and 10^-3 are what people type. */
static bool parse_exponent(struct parser *parser, uint16_t *ret)
{
        if (peek(parser) == '{')
                return parse_group(parser, "{", "}", ret);
        if (peek(parser) == '(')
                return parse_group(parser, "(", ")", ret);
        bool minus = take(parser, "-");
        struct scope_string number = digits(parser);
        bool valid = false;
        if (number.bytes > 0)
                valid = put_number(parser, number, ret);
        else if (peek(parser) == '\\')
                valid = parse_command(parser, ret);
        else if (scope_is_letter(peek(parser)))
                valid = parse_letter(parser, ret);
        return valid && (!minus || put_op(parser, GRADE_NEGATE, *ret, 0, ret));
}

/* As TeX has it, \log_28 is \log_{2} 8: one digit, or what parse_exponent takes otherwise. */
static bool parse_index(struct parser *parser, uint16_t *ret)
{
        if (!scope_is_digit(peek(parser)))
                return parse_exponent(parser, ret);
        parser->at++;
        return put_number(parser, grade_part(parser->text, parser->at - 1, parser->at), ret);
}

static bool parse_hundredth(struct parser *parser, uint16_t *ret)
{
        uint16_t hundred;
        return put_digits(parser, "100", 3, &hundred) &&
                put_op(parser, GRADE_DIVIDE, *ret, hundred, ret);
}

/* An angle in degrees; the normaliser leaves them only beside a trigonometric function. */
static bool parse_degrees(struct parser *parser, uint16_t *ret)
{
        uint16_t pi, half;
        return put_op(parser, GRADE_PI, 0, 0, &pi) && put_digits(parser, "180", 3, &half) &&
                put_op(parser, GRADE_DIVIDE, pi, half, &pi) &&
                put_op(parser, GRADE_MULTIPLY, *ret, pi, ret);
}

static bool parse_power(struct parser *parser, uint16_t *ret)
{
        uint16_t exponent;
        bool raised = false;
        if (!parse_atom(parser, ret))
                return false;
        for (;;) {
                bool valid = true;
                if (take(parser, "!"))
                        valid = put_op(parser, GRADE_FACTORIAL, *ret, 0, ret);
                else if (take(parser, "%"))
                        valid = parse_hundredth(parser, ret);
                else if (take_command(parser, "\\degree"))
                        valid = parse_degrees(parser, ret);
                else if (!raised && take(parser, "^"))
                        valid = raised = parse_exponent(parser, &exponent) &&
                                put_op(parser, GRADE_POWER, *ret, exponent, ret);
                else
                        return true;
                if (!valid)
                        return false;
        }
}

static bool parse_signed(struct parser *parser, uint16_t *ret)
{
        bool negative = false;
        while (peek(parser) == '-' || peek(parser) == '+') {
                negative ^= peek(parser) == '-';
                parser->at++;
        }
        return parse_power(parser, ret) &&
                (!negative || put_op(parser, GRADE_NEGATE, *ret, 0, ret));
}

/* Whether a factor follows without a sign. */
static bool is_factor(const struct parser *parser)
{
        char c = peek(parser);
        if (c == '|')
                return parser->bars == 0;
        if (c == '\\')
                return !scope_string_begins(parser->text, parser->at, "\\rfloor") &&
                        !scope_string_begins(parser->text, parser->at, "\\rceil");
        if (scope_is_digit(c)) /* 5!6!, (x+1)2, but not x2, which lacks a sign */
                return parser->at > 0 && strchr("!)}", parser->text.at[parser->at - 1]) != NULL;
        return scope_is_letter(c) || c == '(' || c == '[' || c == '{';
}

static bool parse_product(struct parser *parser, uint16_t *ret)
{
        uint16_t next;
        if (!parse_signed(parser, ret))
                return false;
        for (;;) {
                bool valid;
                (void)take(parser, " ");
                if (take(parser, "/"))
                        valid = parse_signed(parser, &next) &&
                                put_op(parser, GRADE_DIVIDE, *ret, next, ret);
                else if (take(parser, "*"))
                        valid = parse_signed(parser, &next) &&
                                put_op(parser, GRADE_MULTIPLY, *ret, next, ret);
                else if (is_factor(parser))
                        valid = parse_power(parser, &next) &&
                                put_op(parser, GRADE_MULTIPLY, *ret, next, ret);
                else
                        return true;
                if (!valid)
                        return false;
        }
}

static bool parse_sum(struct parser *parser, uint16_t *ret)
{
        uint16_t next;
        if (parser->depth == GRADE_DEPTH_MAX)
                return false;
        parser->depth++;
        bool valid = parse_product(parser, ret);
        while (valid && (peek(parser) == '+' || peek(parser) == '-')) {
                bool minus = peek(parser) == '-';
                parser->at++;
                valid = parse_product(parser, &next) &&
                        (!minus || put_op(parser, GRADE_NEGATE, next, 0, &next)) &&
                        put_op(parser, GRADE_ADD, *ret, next, ret);
        }
        parser->depth--;
        return valid;
}

static bool parse_whole(struct parser *parser, struct scope_string text, uint16_t *ret)
{
        parser->text = text;
        parser->at = 0;
        return grade_spend(parser->work, text.bytes) && parse_sum(parser, ret) &&
                parser->at == text.bytes;
}

bool grade_tree_parse(struct grade_work *work, struct scope_string text,
        struct grade_tree *ret_tree)
{
        struct parser parser = { .work = work, .tree = ret_tree };
        uint16_t root;
        ret_tree->count = ret_tree->variable_count = 0;
        return parse_whole(&parser, text, &root);
}

bool grade_tree_parse_difference(struct grade_work *work, struct scope_string left,
        struct scope_string right, struct grade_tree *ret_tree)
{
        struct parser parser = { .work = work, .tree = ret_tree };
        uint16_t a, b;
        ret_tree->count = ret_tree->variable_count = 0;
        return parse_whole(&parser, left, &a) && parse_whole(&parser, right, &b) &&
                put_op(&parser, GRADE_NEGATE, b, 0, &b) && put_op(&parser, GRADE_ADD, a, b, &a);
}
