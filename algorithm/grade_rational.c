/* grade_rational.c - exact arithmetic: 3/4 is 0.75 and 1/3 is not 0.33; floating point knows
 * neither. 126 bits, and every operation checks. */
#include "algorithm/grade_tree.h"

#define INT_MAX_BITS 126

static grade_int size_of(grade_int a)
{
        return a < 0 ? -a : a;
}

static bool add_int(grade_int a, grade_int b, grade_int *ret)
{
        *ret = a + b; /* |a|, |b| < 2^126: no overflow */
        return size_of(*ret) < (grade_int)1 << INT_MAX_BITS;
}

/* By division: the builtin needs a library function that not every compiler brings. */
static bool multiply_int(grade_int a, grade_int b, grade_int *ret)
{
        grade_int limit = ((grade_int)1 << INT_MAX_BITS) - 1, size = size_of(b);
        if (size != 0 && size_of(a) > limit / size)
                return false;
        *ret = a * b;
        return true;
}

bool grade_rational_make(struct grade_work *work, grade_int top, grade_int bottom,
        struct grade_rational *ret)
{
        if (bottom == 0)
                return false;
        grade_int a = size_of(top), b = size_of(bottom);
        while (b != 0) { /* below 200 rounds */
                grade_int rest = a % b;
                a = b;
                b = rest;
                if (!grade_spend(work, 3))
                        return false;
        }
        if (bottom < 0)
                a = -a;
        *ret = (struct grade_rational){ top / a, bottom / a };
        return true;
}

bool grade_rational_add(struct grade_work *work, struct grade_rational a, struct grade_rational b,
        struct grade_rational *ret)
{
        grade_int left, right, top, bottom;
        return grade_spend(work, 8) && multiply_int(a.top, b.bottom, &left) &&
                multiply_int(b.top, a.bottom, &right) && add_int(left, right, &top) &&
                multiply_int(a.bottom, b.bottom, &bottom) &&
                grade_rational_make(work, top, bottom, ret);
}

bool grade_rational_multiply(struct grade_work *work, struct grade_rational a,
        struct grade_rational b, struct grade_rational *ret)
{
        grade_int top, bottom;
        return grade_spend(work, 8) && multiply_int(a.top, b.top, &top) &&
                multiply_int(a.bottom, b.bottom, &bottom) &&
                grade_rational_make(work, top, bottom, ret);
}

bool grade_rational_divide(struct grade_work *work, struct grade_rational a,
        struct grade_rational b, struct grade_rational *ret)
{
        struct grade_rational turned;
        return grade_rational_make(work, b.bottom, b.top, &turned) &&
                grade_rational_multiply(work, a, turned, ret);
}

/* a^n, n >= 0, by squaring. */
static bool raise_int(struct grade_work *work, grade_int a, grade_int n, grade_int *ret)
{
        *ret = 1;
        for (; n > 0; n /= 2) {
                if (!grade_spend(work, 8) || (n % 2 == 1 && !multiply_int(*ret, a, ret)) ||
                        (n > 1 && !multiply_int(a, a, &a)))
                        return false;
        }
        return true;
}

/* a^n; 0^0 and 0^-n have no value here. */
static bool raise(struct grade_work *work, struct grade_rational a, grade_int n,
        struct grade_rational *ret)
{
        grade_int top, bottom;
        if ((a.top == 0 && n <= 0) || !raise_int(work, a.top, size_of(n), &top) ||
                !raise_int(work, a.bottom, size_of(n), &bottom))
                return false;
        return n < 0 ? grade_rational_make(work, bottom, top, ret)
                     : grade_rational_make(work, top, bottom, ret);
}

/* The n-th root, n >= 2, of a whole number that is a perfect power, by bisection. */
static bool root_int(struct grade_work *work, grade_int a, uint32_t n, grade_int *ret)
{
        grade_int low = 0, high = (grade_int)1 << (INT_MAX_BITS / n + 1), power;
        while (low + 1 < high) { /* low^n <= a < high^n */
                grade_int middle = low + (high - low) / 2;
                if (raise_int(work, middle, n, &power) && power <= a)
                        low = middle;
                else
                        high = middle;
        }
        *ret = low;
        return a == 0 || (raise_int(work, low, n, &power) && power == a);
}

static bool root(struct grade_work *work, struct grade_rational a, grade_int n,
        struct grade_rational *ret)
{
        grade_int top, bottom;
        bool negative = a.top < 0;
        if (n < 1 || n > 64 || (negative && n % 2 == 0))
                return false;
        if (n == 1) {
                *ret = a;
                return true;
        }
        if (!root_int(work, size_of(a.top), (uint32_t)n, &top) ||
                !root_int(work, a.bottom, (uint32_t)n, &bottom))
                return false;
        return grade_rational_make(work, negative ? -top : top, bottom, ret);
}

bool grade_rational_power(struct grade_work *work, struct grade_rational a,
        struct grade_rational exponent, struct grade_rational *ret)
{
        struct grade_rational base;
        return root(work, a, exponent.bottom, &base) && raise(work, base, exponent.top, ret);
}

bool grade_rational_read(struct grade_work *work, struct scope_string digits,
        struct grade_rational *ret)
{
        grade_int top = 0, bottom = 1;
        bool point = false;
        if (!grade_spend(work, digits.bytes))
                return false;
        for (uint32_t i = 0; i < digits.bytes; i++) {
                if (digits.at[i] == '.') {
                        point = true;
                        continue;
                }
                if (!multiply_int(top, 10, &top) || !add_int(top, digits.at[i] - '0', &top) ||
                        (point && !multiply_int(bottom, 10, &bottom)))
                        return false;
        }
        return grade_rational_make(work, top, bottom, ret);
}

/* ---- trees ---- */

static bool factorial(struct grade_work *work, struct grade_rational a, struct grade_rational *ret)
{
        grade_int product = 1;
        if (a.bottom != 1 || a.top < 0 || a.top > 40)
                return false;
        for (grade_int i = 2; i <= a.top; i++) {
                if (!grade_spend(work, 4) || !multiply_int(product, i, &product))
                        return false;
        }
        *ret = (struct grade_rational){ product, 1 };
        return true;
}

static bool binomial(struct grade_work *work, struct grade_rational n, struct grade_rational k,
        struct grade_rational *ret)
{
        grade_int product = 1;
        if (n.bottom != 1 || k.bottom != 1 || n.top < 0 || n.top > 4096 || k.top < 0)
                return false;
        grade_int least = k.top < n.top - k.top ? k.top : n.top - k.top;
        for (grade_int i = 1; i <= least; i++) {
                if (!grade_spend(work, 8) || !multiply_int(product, n.top - least + i, &product))
                        return false;
                product /= i;
        }
        *ret = (struct grade_rational){ least < 0 ? 0 : product, 1 };
        return true;
}

/* The whole number at or below (`up`: at or above) a. */
static struct grade_rational round_to(struct grade_rational a, bool up)
{
        grade_int whole = a.top / a.bottom, rest = a.top % a.bottom;
        if (up && rest > 0)
                whole++;
        if (!up && rest < 0)
                whole--;
        return (struct grade_rational){ whole, 1 };
}

static bool evaluate(struct grade_work *work, const struct grade_node *node,
        struct grade_exact *exact, struct grade_rational *ret)
{
        bool leaf = node->op < GRADE_NEGATE, one = node->op < GRADE_ADD;
        if ((!leaf && !exact->valid[node->a]) || (!one && !exact->valid[node->b]))
                return false;
        struct grade_rational none = { 0, 1 };
        struct grade_rational a = leaf ? none : exact->value[node->a];
        struct grade_rational b = one ? none : exact->value[node->b];
        switch ((enum grade_op)node->op) {
        case GRADE_NUMBER:
                return grade_rational_read(work, node->text, ret);
        case GRADE_NEGATE:
                *ret = (struct grade_rational){ -a.top, a.bottom };
                return true;
        case GRADE_ABS:
                *ret = (struct grade_rational){ size_of(a.top), a.bottom };
                return true;
        case GRADE_FLOOR:
        case GRADE_CEIL:
                *ret = round_to(a, node->op == GRADE_CEIL);
                return true;
        case GRADE_FACTORIAL:
                return factorial(work, a, ret);
        case GRADE_ADD:
                return grade_rational_add(work, a, b, ret);
        case GRADE_MULTIPLY:
                return grade_rational_multiply(work, a, b, ret);
        case GRADE_DIVIDE:
                return grade_rational_divide(work, a, b, ret);
        case GRADE_POWER:
                return grade_rational_power(work, a, b, ret);
        case GRADE_BINOMIAL:
                return binomial(work, a, b, ret);
        case GRADE_VARIABLE:
        case GRADE_PI:
        case GRADE_E:
        case GRADE_I:
        case GRADE_FUNCTION:
                break;
        }
        return false;
}

void grade_exact_evaluate(struct grade_work *work, const struct grade_tree *tree,
        struct grade_exact *ret_exact)
{
        for (uint32_t i = 0; i < tree->count; i++)
                ret_exact->valid[i] = grade_spend(work, 1) &&
                        evaluate(work, &tree->nodes[i], ret_exact, &ret_exact->value[i]);
}
