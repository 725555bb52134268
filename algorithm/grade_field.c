/* grade_field.c - values modulo a prime, with every variable at a fixed random point.
 * Why: two rational functions of whole degree d agree at such a point by chance with d / 2^61: this
 * decides polynomials and numbers of any size, where floating point would guess. pi and e are
 * points too: nobody knows a relation between them. Roots and functions are random too, in their
 * arguments: what is then equal is equal, what is not may still be.
 * (1) The prime is 1 modulo 4: it has a square root of -1. */
#include "algorithm/grade_tree.h"

#include "base/rng.h"

__extension__ typedef unsigned __int128 wide;

#define PRIME 2305843009213693921u      /* 2^61 - 31 */
#define IMAGINARY 583529827753931384u   /* its square is -1 */

enum { SEED_PI = 1, SEED_E, SEED_POWER, SEED_FUNCTION, SEED_FACTORIAL, SEED_BINOMIAL };

static uint64_t times(uint64_t a, uint64_t b)
{
        wide product = (wide)a * b; /* a, b < 2^61: two folds leave less than 2 PRIME */
        product = (product >> 61) * 31 + (product & (((wide)1 << 61) - 1));
        product = (product >> 61) * 31 + (product & (((wide)1 << 61) - 1));
        uint64_t rest = (uint64_t)product;
        return rest >= PRIME ? rest - PRIME : rest;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
        uint64_t sum = a + b;
        return sum >= PRIME ? sum - PRIME : sum;
}

static uint64_t minus(uint64_t a)
{
        return a == 0 ? 0 : PRIME - a;
}

static uint64_t raise(uint64_t a, uint64_t n)
{
        uint64_t result = 1;
        for (; n > 0; n >>= 1) {
                if ((n & 1) != 0)
                        result = times(result, a);
                a = times(a, a);
        }
        return result;
}

static uint64_t residue(grade_int a)
{
        grade_int rest = a % (grade_int)PRIME;
        return (uint64_t)(rest < 0 ? rest + (grade_int)PRIME : rest);
}

static uint64_t point(uint64_t name, uint32_t round)
{
        return scope_hash_pair(name, round) % PRIME;
}

bool grade_field_proportional(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
        return times(a, d) == times(b, c);
}

static bool divide(struct grade_work *work, uint64_t a, uint64_t b, uint64_t *ret)
{
        if (b == 0 || !grade_spend(work, 64))
                return false;
        *ret = times(a, raise(b, PRIME - 2));
        return true;
}

struct field {
        struct grade_work *work;
        const struct grade_exact *exact;
        uint64_t value[GRADE_NODES_MAX];
        bool valid[GRADE_NODES_MAX];
        bool opaque;
        uint32_t round;
};

/* Digits of any count; behind a point they count as divided by a power of ten. */
static bool read(struct field *field, struct scope_string digits, uint64_t *ret)
{
        uint64_t value = 0, places = 0;
        bool point_seen = false;
        if (!grade_spend(field->work, digits.bytes))
                return false;
        for (uint32_t i = 0; i < digits.bytes; i++) {
                if (digits.at[i] == '.') {
                        point_seen = true;
                        continue;
                }
                places += point_seen;
                value = plus(times(value, 10), (uint64_t)(digits.at[i] - '0'));
        }
        *ret = value;
        return places == 0 || divide(field->work, value, raise(10, places), ret);
}

static uint64_t hide(struct field *field, uint64_t seed, uint64_t a, uint64_t b)
{
        field->opaque = true;
        return scope_hash_pair(scope_hash_pair(seed, a), b) % PRIME;
}

static bool power(struct field *field, const struct grade_node *node, uint64_t *ret)
{
        uint64_t a = field->value[node->a], b = field->value[node->b];
        struct grade_rational exponent = field->exact->value[node->b];
        if (!field->exact->valid[node->b] || exponent.bottom != 1) {
                *ret = hide(field, SEED_POWER, a, b);
                return true;
        }
        bool down = exponent.top < 0;
        if (a == 0 && (down || exponent.top == 0))
                return false;
        grade_int size = (down ? -exponent.top : exponent.top) % (grade_int)(PRIME - 1);
        if (!grade_spend(field->work, 64))
                return false;
        *ret = raise(a, (uint64_t)size);
        return !down || divide(field->work, 1, *ret, ret);
}

/* n!, or the product of its last k factors over k!. */
static bool factorial(struct field *field, const struct grade_node *node, uint64_t *ret)
{
        enum { FACTORS_MAX = 2048 };
        bool choose = node->op == GRADE_BINOMIAL;
        struct grade_rational n = field->exact->value[node->a];
        struct grade_rational k = choose ? field->exact->value[node->b] : n;
        bool known = field->exact->valid[node->a] && (!choose || field->exact->valid[node->b]) &&
                n.bottom == 1 && k.bottom == 1 && k.top >= 0 && n.top >= k.top;
        if (!known || k.top > FACTORS_MAX) {
                *ret = hide(field, choose ? SEED_BINOMIAL : SEED_FACTORIAL, field->value[node->a],
                        choose ? field->value[node->b] : 0);
                return true;
        }
        uint64_t top = 1, bottom = 1;
        for (grade_int i = 0; i < k.top; i++) {
                if (!grade_spend(field->work, 2))
                        return false;
                top = times(top, residue(n.top - i));
                bottom = times(bottom, (uint64_t)i + 1);
        }
        *ret = top;
        return !choose || divide(field->work, top, bottom, ret);
}

static bool evaluate(struct field *field, const struct grade_node *node, uint64_t *ret)
{
        bool leaf = node->op < GRADE_NEGATE, one = node->op < GRADE_ADD;
        if ((!leaf && !field->valid[node->a]) || (!one && !field->valid[node->b]))
                return false;
        uint64_t a = leaf ? 0 : field->value[node->a], b = one ? 0 : field->value[node->b];
        switch ((enum grade_op)node->op) {
        case GRADE_NUMBER:
                return read(field, node->text, ret);
        case GRADE_VARIABLE:
                *ret = point(node->name, field->round);
                return true;
        case GRADE_PI:
        case GRADE_E:
                *ret = point(node->op == GRADE_PI ? SEED_PI : SEED_E, field->round);
                return true;
        case GRADE_I:
                *ret = IMAGINARY;
                return true;
        case GRADE_NEGATE:
                *ret = minus(a);
                return true;
        case GRADE_ADD:
                *ret = plus(a, b);
                return true;
        case GRADE_MULTIPLY:
                *ret = times(a, b);
                return true;
        case GRADE_DIVIDE:
                return divide(field->work, a, b, ret);
        case GRADE_POWER:
                return power(field, node, ret);
        case GRADE_FACTORIAL:
        case GRADE_BINOMIAL:
                return factorial(field, node, ret);
        case GRADE_ABS:
        case GRADE_FLOOR:
        case GRADE_CEIL:
        case GRADE_FUNCTION:
                *ret = hide(field, SEED_FUNCTION + 16u * node->op, a, node->function);
                return true;
        }
        return false;
}

bool grade_field_evaluate(struct grade_work *work, const struct grade_tree *tree,
        const struct grade_exact *exact, uint32_t round, struct grade_residue *ret_residue)
{
        struct field field; /* its arrays are filled as far as the tree goes */
        field.work = work;
        field.exact = exact;
        field.opaque = false;
        field.round = round;
        for (uint32_t i = 0; i < tree->count; i++) {
                struct grade_rational known = exact->value[i];
                if (!grade_spend(work, 2))
                        return false;
                /* What is rational, for all that a root took part, is no secret. */
                if (exact->valid[i] && known.bottom == 1) {
                        field.value[i] = residue(known.top);
                        field.valid[i] = true;
                } else if (exact->valid[i]) {
                        field.valid[i] = divide(
                                work, residue(known.top), residue(known.bottom), &field.value[i]);
                } else {
                        field.valid[i] = evaluate(&field, &tree->nodes[i], &field.value[i]);
                }
        }
        *ret_residue = (struct grade_residue){ field.value[tree->count - 1], field.opaque };
        return field.valid[tree->count - 1];
}
