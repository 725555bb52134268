#include "tasks/chain.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/text.h"
#include "schemas/scope_string.h"

enum { STEP_BYTES_MAX = 64 }; /* three numbers of at most 11 characters, two signs */

/* Every value is within SCOPE_CHAIN_VALUE_MAX, so no product leaves 64 bits. */
static int64_t apply(int64_t value, char op, int64_t operand)
{
        return op == '+' ? value + operand : op == '-' ? value - operand : value * operand;
}

static bool in_bounds(int64_t value)
{
        return value >= -SCOPE_CHAIN_VALUE_MAX && value <= SCOPE_CHAIN_VALUE_MAX;
}

/* ---- making ---- */

/* The largest operand that keeps the value in 0..value_max. */
static int64_t operand_limit(const struct scope_chain_options *options, char op, int64_t value)
{
        int64_t limit = op == '+' ? options->value_max - value : value;
        if (op == '*')
                limit = value == 0 ? options->operand_max : options->value_max / value;
        return limit < options->operand_max ? limit : options->operand_max;
}

/* An operator that no operand fits is drawn again; '+' or '-' fits every value. */
static void draw_operation(const struct scope_chain_options *options, struct scope_rng *rng,
        struct scope_chain *chain, uint32_t i)
{
        int64_t low, high, value = chain->values[i];
        char op;
        do {
                bool mul = scope_rng_uniform(rng) < options->mul_share;
                op = mul ? '*' : scope_rng_below(rng, 2) == 0 ? '+' : '-';
                low = mul ? 2 : 1;
                high = operand_limit(options, op, value);
        } while (high < low);
        chain->ops[i] = op;
        chain->operands[i] = low + (int64_t)scope_rng_below(rng, (uint64_t)(high - low + 1));
        chain->values[i + 1] = apply(value, op, chain->operands[i]);
        scope_assert(chain->values[i + 1] >= 0 && chain->values[i + 1] <= options->value_max);
}

void scope_chain_make(
        const struct scope_chain_options *options, uint64_t index, struct scope_chain *ret_chain)
{
        scope_assert(options->ops_min >= 1 && options->ops_min <= options->ops_max);
        scope_assert(options->ops_max <= SCOPE_CHAIN_OPS_MAX);
        scope_assert(options->operand_max >= 2 && options->value_max >= options->operand_max);
        scope_assert(options->mul_share >= 0 && options->mul_share < 1);
        struct scope_rng rng = scope_rng_make(scope_hash_pair(options->seed, index));
        uint32_t spread = options->ops_max - options->ops_min + 1;
        *ret_chain = (struct scope_chain){ 0 };
        ret_chain->op_count = options->ops_min + (uint32_t)scope_rng_below(&rng, spread);
        ret_chain->values[0] = 1 + (int64_t)scope_rng_below(&rng, (uint64_t)options->operand_max);
        for (uint32_t i = 0; i < ret_chain->op_count; i++)
                draw_operation(options, &rng, ret_chain, i);
}

/* ---- writing ---- */

void scope_chain_write_problem(const struct scope_chain *chain, struct scope_text *text)
{
        for (uint32_t i = 1; i < chain->op_count; i++)
                scope_text_add(text, "(", 1);
        scope_text_format(text, "%lld", (long long)chain->values[0]);
        for (uint32_t i = 0; i < chain->op_count; i++)
                scope_text_format(text, "%c%lld%s", chain->ops[i], (long long)chain->operands[i],
                        i + 1 < chain->op_count ? ")" : "=");
}

void scope_chain_write_answer(const struct scope_chain *chain, struct scope_text *text)
{
        scope_text_format(text, "%lld", (long long)chain->values[chain->op_count]);
}

/* One step on `value`: an operation, or the box when `index` is past them. Sets the new value.
 * False when that leaves the bounds. */
static bool step_text(const struct scope_chain *chain, uint32_t index, int64_t *value, char *step)
{
        long long before = *value;
        if (index >= chain->op_count) {
                (void)snprintf(step, STEP_BYTES_MAX, "\\boxed{%lld}", before);
                return true;
        }
        *value = apply(*value, chain->ops[index], chain->operands[index]);
        (void)snprintf(step, STEP_BYTES_MAX, "%lld%c%lld=%lld", before, chain->ops[index],
                (long long)chain->operands[index], (long long)*value);
        return in_bounds(*value);
}

/* Steps from `index` on, the first without the `written` bytes that stand already. False when out
 * of bounds. */
static bool write_steps(const struct scope_chain *chain, uint32_t index, int64_t value,
        size_t written, struct scope_text *text)
{
        char step[STEP_BYTES_MAX];
        for (uint32_t i = index; i <= chain->op_count; i++) {
                if (!step_text(chain, i, &value, step))
                        return false;
                size_t bytes = strlen(step), skip = i != index        ? 0
                                                    : written < bytes ? written
                                                                      : bytes;
                if (i != index)
                        scope_text_string(text, "\n\n");
                scope_text_add(text, step + skip, bytes - skip);
        }
        return true;
}

void scope_chain_write_solution(const struct scope_chain *chain, struct scope_text *text)
{
        bool written = write_steps(chain, 0, chain->values[0], 0, text);
        scope_assert(written); /* made and parsed chains are in bounds */
}

/* ---- reading ---- */

/* Takes digits from the front. False: none, or too many. */
static bool take_number(struct scope_string *text, int64_t *ret_value)
{
        int64_t value = 0;
        uint32_t i = 0;
        while (i < text->bytes && text->at[i] >= '0' && text->at[i] <= '9') {
                value = value * 10 + (text->at[i++] - '0');
                if (!in_bounds(value))
                        return false;
        }
        text->at += i;
        text->bytes -= i;
        *ret_value = value;
        return i > 0;
}

static bool take_char(struct scope_string *text, const char *allowed, char *ret_c)
{
        if (text->bytes == 0 || text->at[0] == 0 || strchr(allowed, text->at[0]) == NULL)
                return false;
        *ret_c = text->at[0];
        text->at++;
        text->bytes--;
        return true;
}

enum scope_err scope_chain_parse(struct scope_string text, struct scope_chain *ret_chain)
{
        struct scope_chain chain = { 0 };
        uint32_t open = 0;
        char c;
        text = scope_string_trim(text);
        while (take_char(&text, "(", &c))
                open++;
        if (open >= SCOPE_CHAIN_OPS_MAX)
                return SCOPE_ERR_TOO_BIG;
        if (!take_number(&text, &chain.values[0]))
                return SCOPE_ERR_FORMAT;
        for (uint32_t i = 0; i <= open; i++) {
                if (!take_char(&text, "+-*", &chain.ops[i]) ||
                        !take_number(&text, &chain.operands[i]) ||
                        !take_char(&text, i < open ? ")" : "=", &c))
                        return SCOPE_ERR_FORMAT;
                chain.values[i + 1] = apply(chain.values[i], chain.ops[i], chain.operands[i]);
                if (!in_bounds(chain.values[i + 1]))
                        return SCOPE_ERR_TOO_BIG;
        }
        if (text.bytes != 0)
                return SCOPE_ERR_FORMAT;
        chain.op_count = open + 1;
        *ret_chain = chain;
        return SCOPE_OK;
}

/* ---- judging ---- */

static bool is_step(struct scope_string text, const char *step)
{
        text = scope_string_trim(text);
        return text.bytes == strlen(step) && memcmp(text.at, step, text.bytes) == 0;
}

void scope_chain_judge(const struct scope_chain *chain, struct scope_string response,
        const uint32_t *step_ends, uint32_t step_count, float *ret_p)
{
        int64_t value = chain->values[0];
        bool right = true;
        for (uint32_t i = 0; i < step_count; i++) {
                uint32_t begin = i == 0 ? 0 : step_ends[i - 1];
                char step[STEP_BYTES_MAX];
                scope_assert(begin <= step_ends[i] && step_ends[i] <= response.bytes);
                struct scope_string written = { response.at + begin, step_ends[i] - begin };
                right = right && i <= chain->op_count && step_text(chain, i, &value, step) &&
                        is_step(written, step);
                ret_p[i] = right ? 1.0f : 0.0f;
        }
}

/* ---- continuing ---- */

/* How far a prefix has come: whole steps, the value that stands last, a step broken off. */
struct progress {
        uint32_t steps;
        int64_t value;
        bool right;               /* every whole step is that of the true chain */
        bool open_end;            /* the last whole step has no blank line behind it */
        struct scope_string rest; /* of the step broken off; empty if none */
};

/* The next block of text between blank lines; *ret_closed: a blank line follows it. */
static bool take_block(struct scope_string *text, struct scope_string *ret_block, bool *ret_closed)
{
        while (text->bytes > 0 && text->at[0] == '\n')
                text->at++, text->bytes--;
        uint32_t end = 0;
        while (end < text->bytes &&
                !(text->at[end] == '\n' && end + 1 < text->bytes && text->at[end + 1] == '\n'))
                end++;
        *ret_block = scope_string_trim((struct scope_string){ text->at, end });
        *ret_closed = end < text->bytes;
        text->at += end;
        text->bytes -= end;
        return ret_block->bytes > 0;
}

/* The number after the last '='. */
static bool value_of(struct scope_string block, int64_t *ret_value)
{
        uint32_t at = block.bytes;
        while (at > 0 && block.at[at - 1] != '=')
                at--;
        if (at == 0)
                return false;
        struct scope_string number = { block.at + at, block.bytes - at };
        bool minus = number.bytes > 0 && number.at[0] == '-';
        if (minus)
                number.at++, number.bytes--;
        if (!take_number(&number, ret_value) || number.bytes != 0)
                return false;
        *ret_value = minus ? -*ret_value : *ret_value;
        return true;
}

static bool is_start_of(struct scope_string part, const char *whole)
{
        return part.bytes <= strlen(whole) && memcmp(part.at, whole, part.bytes) == 0;
}

/* False where the prefix is no start of a solution. */
static bool read_prefix(
        const struct scope_chain *chain, struct scope_string prefix, struct progress *ret_progress)
{
        struct progress now = { .value = chain->values[0], .right = true };
        struct scope_string block;
        bool closed;
        while (take_block(&prefix, &block, &closed)) {
                char step[STEP_BYTES_MAX];
                int64_t next = now.value;
                bool known = step_text(chain, now.steps, &next, step);
                if (!closed && known && is_start_of(block, step) && block.bytes < strlen(step)) {
                        now.rest = block;
                        break;
                }
                now.right = now.right && known && is_step(block, step);
                if (block.at[0] == '\\' || !value_of(block, &now.value))
                        return false;
                now.steps++;
                now.open_end = !closed;
        }
        *ret_progress = now;
        return true;
}

enum scope_err scope_chain_continue(const struct scope_chain *chain, struct scope_string prefix,
        enum scope_chain_manner manner, struct scope_text *text)
{
        struct progress now;
        if (!read_prefix(chain, prefix, &now))
                return SCOPE_ERR_REFUSED;
        if (manner == SCOPE_CHAIN_REFUSE && !now.right)
                return SCOPE_ERR_REFUSED;
        uint32_t index = now.steps < chain->op_count ? now.steps : chain->op_count;
        int64_t value = manner == SCOPE_CHAIN_CORRECT ? chain->values[index] : now.value;
        struct scope_text rest = { 0 };
        bool written = write_steps(chain, index, value, now.rest.bytes, &rest);
        if (written && now.open_end)
                scope_text_string(text, "\n\n");
        if (written)
                scope_text_add(text, rest.bytes, rest.count);
        text->failed = text->failed || rest.failed;
        scope_text_fini(&rest);
        return written ? SCOPE_OK : SCOPE_ERR_REFUSED;
}
