/* equation_lex.c - plain text as tokens: numbers with their signs, operators in signs and words. */
#include <string.h>

#include "algorithm/equation_parts.h"

struct lexer {
        struct equation_line *line;
        uint32_t at;
        bool blank; /* something stood between the last token and `at` */
};

static char peek(const struct lexer *lexer, uint32_t distance)
{
        uint32_t at = lexer->at + distance;
        return at < lexer->line->bytes ? lexer->line->text[at] : 0;
}

static struct equation_token *last(const struct lexer *lexer)
{
        return lexer->line->count > 0 ? &lexer->line->tokens[lexer->line->count - 1] : NULL;
}

static bool after_operand(const struct lexer *lexer)
{
        const struct equation_token *token = last(lexer);
        return token != NULL && (token->kind == EQUATION_NUMBER || token->kind == EQUATION_CLOSE);
}

static struct equation_token *push(struct lexer *lexer, enum equation_kind kind, uint32_t bytes)
{
        struct equation_token *token = &lexer->line->tokens[lexer->line->count];
        if (lexer->line->count < EQUATION_TOKENS_MAX)
                lexer->line->count++;
        *token = (struct equation_token){ .kind = (uint8_t)kind,
                .glued = !lexer->blank && lexer->line->count > 1,
                .begin = (uint16_t)lexer->at,
                .end = (uint16_t)(lexer->at + bytes) };
        lexer->at += bytes;
        lexer->blank = false;
        return token;
}

/* Whether an operand begins at `at`, blanks skipped. */
static bool operand_at(const struct lexer *lexer, uint32_t at)
{
        const struct equation_line *line = lexer->line;
        while (at < line->bytes && line->text[at] == ' ')
                at++;
        if (at < line->bytes && (line->text[at] == '$' || line->text[at] == '('))
                return true;
        if (at < line->bytes && line->text[at] == '.')
                at++;
        return at < line->bytes && equation_is_digit(line->text[at]);
}

static void lex_number(struct lexer *lexer, bool money)
{
        uint32_t bytes = 0, decimals = 0;
        bool point = false;
        for (;; bytes++) {
                char c = peek(lexer, bytes);
                if (c == '.' && !point && equation_is_digit(peek(lexer, bytes + 1)))
                        point = true;
                else if (!equation_is_digit(c))
                        break;
                else
                        decimals += point;
        }
        /* 0900 is a time */
        bool number = point || bytes < 4 || peek(lexer, 0) != '0';
        struct equation_token *token =
                push(lexer, number ? EQUATION_NUMBER : EQUATION_OTHER, bytes);
        token->money = money;
        token->decimals = decimals < 100 ? (uint8_t)decimals : 100;
        uint32_t space = peek(lexer, 0) == ' ' ? 1 : 0;
        if (point && peek(lexer, 0) == '.' && peek(lexer, 1) == '.' && peek(lexer, 2) == '.')
                space = 3; /* 33.333...% */
        if (peek(lexer, space) == '%') {
                token->percent = true;
                lexer->at += space + 1;
        }
        if (peek(lexer, 0) == ':' && equation_is_digit(peek(lexer, 1)))
                (void)push(lexer, EQUATION_OTHER, 1); /* 10:30, 2:3 */
}

static bool is_word(const struct lexer *lexer, uint32_t bytes, const char *word)
{
        if (strlen(word) != bytes)
                return false;
        for (uint32_t i = 0; i < bytes; i++)
                if ((peek(lexer, i) | 0x20) != word[i])
                        return false;
        return true;
}

/* "times", "divided by", and "of" behind a number: 20% of (the) 50. 0 when it is none. */
static char word_operator(struct lexer *lexer, uint32_t *bytes)
{
        static const struct {
                const char *word, *second;
                char op;
        } words[] = { { "times", NULL, '*' }, { "plus", NULL, '+' }, { "minus", NULL, '-' },
                { "divided", " by", '/' }, { "multiplied", " by", '*' }, { "x", NULL, '*' } };
        static const char *const articles[] = { " the", " his", " her", " their",
                " its", " those" };
        const struct equation_token *before = last(lexer);
        const char *rest = lexer->line->text + lexer->at + *bytes;
        uint32_t left = lexer->line->bytes - lexer->at - *bytes;
        if (before == NULL || before->kind == EQUATION_OP || before->kind == EQUATION_EQUALS)
                return 0;
        if (is_word(lexer, *bytes, "of") && after_operand(lexer)) {
                for (size_t i = 0; i < sizeof articles / sizeof *articles; i++) {
                        size_t length = strlen(articles[i]);
                        if (left > length && memcmp(rest, articles[i], length) == 0 &&
                                operand_at(lexer, lexer->at + *bytes + (uint32_t)length))
                                *bytes += (uint32_t)length;
                }
                return operand_at(lexer, lexer->at + *bytes) ? '*' : 0;
        }
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                size_t length = words[i].second != NULL ? strlen(words[i].second) : 0;
                if (!is_word(lexer, *bytes, words[i].word) || left < length ||
                        (length > 0 && memcmp(rest, words[i].second, length) != 0) ||
                        !operand_at(lexer, lexer->at + *bytes + (uint32_t)length))
                        continue;
                *bytes += (uint32_t)length;
                return words[i].op;
        }
        return 0;
}

/* A single letter is an unknown; so are ordinals. Hyphened words are one. */
static void lex_word(struct lexer *lexer)
{
        static const char *const ordinals[] = { "st", "nd", "rd", "th" };
        uint32_t bytes = 1;
        while (equation_is_letter(peek(lexer, bytes)) ||
                ((peek(lexer, bytes) == '-' || peek(lexer, bytes) == '\'') &&
                        equation_is_letter(peek(lexer, bytes + 1))))
                bytes++;
        uint32_t all = bytes;
        char op = word_operator(lexer, &all);
        if (op != 0) {
                push(lexer, EQUATION_OP, all)->op = op;
                return;
        }
        bool article = peek(lexer, 0) == 'a' && peek(lexer, 1) == ' ' &&
                equation_is_letter(peek(lexer, 2)) && lexer->blank;
        bool unknown = bytes == 1 && !article;
        for (size_t i = 0; i < sizeof ordinals / sizeof *ordinals; i++)
                unknown = unknown || (!lexer->blank && after_operand(lexer) &&
                                             is_word(lexer, bytes, ordinals[i]));
        (void)push(lexer, unknown ? EQUATION_OTHER : EQUATION_WORD, bytes);
}

/* "**" is a power between operands, else bold type. */
static void lex_star(struct lexer *lexer)
{
        bool twice = peek(lexer, 1) == '*';
        if (!twice) {
                push(lexer, EQUATION_OP, 1)->op = '*';
                return;
        }
        if (after_operand(lexer) && !lexer->blank && operand_at(lexer, lexer->at + 2) &&
                peek(lexer, 2) != ' ') {
                push(lexer, EQUATION_OP, 2)->op = '^';
                return;
        }
        lexer->at += 2;
        lexer->blank = true;
}

static void lex_sign(struct lexer *lexer, char c)
{
        bool letter = equation_is_letter(peek(lexer, 1));
        bool begins = last(lexer) == NULL;
        if ((c == '/' || (c == '-' && !lexer->blank)) && letter && !begins) {
                lexer->at++; /* $10/hour, a 16-ounce cup: a unit */
                lex_word(lexer);
        } else if (c == '*') {
                lex_star(lexer);
        } else if (c == '^' && !lexer->blank && !begins && last(lexer)->kind == EQUATION_WORD &&
                equation_is_digit(peek(lexer, 1))) {
                lexer->at += 2; /* cm^2 */
        } else if (strchr("+-/^", c) != NULL) {
                push(lexer, EQUATION_OP, 1)->op = c;
        } else if (c == '=') {
                bool arrow = peek(lexer, 1) == '>';
                (void)push(lexer, arrow ? EQUATION_OTHER : EQUATION_EQUALS,
                        arrow || peek(lexer, 1) == '=' ? 2 : 1);
        } else if (strchr("<>!~", c) != NULL && peek(lexer, 1) == '=') {
                (void)push(lexer, EQUATION_OTHER, 2);
        } else if (strchr(".,;:!?\"'`[]|", c) != NULL) {
                (void)push(lexer, EQUATION_STOP, 1);
        } else {
                (void)push(lexer, c == '(' ? EQUATION_OPEN
                                : c == ')' ? EQUATION_CLOSE : EQUATION_OTHER, 1);
        }
}

void equation_lex(struct equation_line *line)
{
        struct lexer lexer = { .line = line };
        line->count = 0;
        while (lexer.at < line->bytes) {
                char c = peek(&lexer, 0);
                uint32_t money = 0;
                if (c == ' ' || c == '\t' || c == '\r') {
                        lexer.at++;
                        lexer.blank = true;
                        continue;
                }
                if (c == '$') { /* also TeX's: then no number need follow */
                        while (peek(&lexer, money) == '$' || peek(&lexer, money) == ' ')
                                money++;
                        if (!operand_at(&lexer, lexer.at + money) ||
                                peek(&lexer, money) == '(') {
                                lexer.at++;
                                lexer.blank = true;
                                continue;
                        }
                        lexer.at += money;
                        c = peek(&lexer, 0);
                }
                if (equation_is_digit(c) || (c == '.' && equation_is_digit(peek(&lexer, 1))))
                        lex_number(&lexer, money > 0);
                else if (equation_is_letter(c))
                        lex_word(&lexer);
                else
                        lex_sign(&lexer, c);
        }
        if (line->count > 1 && line->tokens[0].kind == EQUATION_OP && !line->tokens[1].glued)
                line->tokens[0].bullet = true;
}
