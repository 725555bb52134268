/* grade_complex.c - complex values with a bound on their rounding error.
 * Why: surds and functions have no finite exact form here. Two values are called equal only where
 * they differ by no more than what rounding can have done, and that is little: 10^10 pi and
 * (10^10 + 1) pi stay apart. Variables stand at fixed random points all over the plane, so that
 * sqrt(x^2) is not x.
 * (1) A value whose error is not small, or that lies on a jump within it, is refused. */
#include "algorithm/grade_tree.h"

#include <complex.h>
#include <float.h>
#include <math.h>

#include "base/rng.h"

#define UNIT (4 * DBL_EPSILON) /* generous: one operation of libm */
#define ERROR_MAX 1e-9         /* of a value's size, or of 1 */
#define PI 3.14159265358979323846

enum { WORK_CHEAP = 2, WORK_DEAR = 24 }; /* steps of an operation */

typedef double _Complex number;

/* Not CMPLX, which clang with this C library does not have. */
static number make(double re, double im)
{
        union {
                double parts[2];
                number whole;
        } both = { { re, im } };
        return both.whole;
}

struct bounded {
        number value;
        double error;
};

/* Takes on what came out; false when it is no number or too uncertain. An imaginary part within
 * the error is none: functions with a cut along the real line then take the upper side. */
static bool settle(number value, double error, struct bounded *ret)
{
        double size = cabs(value);
        error += UNIT * size;
        if (!isfinite(size) || !isfinite(error) || error > ERROR_MAX * (1 + size))
                return false;
        if (fabs(cimag(value)) <= error)
                value = make(creal(value), 0);
        *ret = (struct bounded){ value, error };
        return true;
}

static bool multiply(struct bounded a, struct bounded b, struct bounded *ret)
{
        return settle(a.value * b.value, cabs(a.value) * b.error + cabs(b.value) * a.error, ret);
}

static bool divide(struct bounded a, struct bounded b, struct bounded *ret)
{
        double size = cabs(b.value) - b.error;
        if (size <= 0)
                return false;
        number value = a.value / b.value;
        return settle(value, (a.error + cabs(value) * b.error) / size, ret);
}

/* a^n for a whole n, by squaring. */
static bool raise(struct bounded a, uint32_t n, struct bounded *ret)
{
        struct bounded result = { make(1, 0), 0 };
        for (; n > 0; n >>= 1) {
                if (((n & 1) != 0 && !multiply(result, a, &result)) ||
                        (n > 1 && !multiply(a, a, &a)))
                        return false;
        }
        *ret = result;
        return true;
}

/* exp(b log a), on the principal branch; refused where a may be 0. */
static bool power(struct bounded a, struct bounded b, struct bounded *ret)
{
        double size = cabs(a.value);
        if (size <= 2 * a.error)
                return false;
        number log_a = clog(a.value);
        number exponent = b.value * log_a;
        double error = cabs(b.value) * 2 * a.error / size + cabs(log_a) * b.error +
                UNIT * (cabs(exponent) + cabs(b.value));
        if (error > ERROR_MAX)
                return false;
        number value = cexp(exponent);
        return settle(value, 2 * error * cabs(value), ret);
}

/* A rational exponent: whole powers by products; an odd root of a negative number is real. */
static bool power_rational(struct bounded a, struct grade_rational exponent, struct bounded *ret)
{
        struct bounded one = { make(1, 0), 0 };
        grade_int top = exponent.top < 0 ? -exponent.top : exponent.top;
        if (top > 100000 || exponent.bottom > 100000)
                return false;
        if (exponent.bottom != 1) {
                bool turn = exponent.bottom % 2 == 1 && cimag(a.value) == 0 && creal(a.value) < 0;
                struct bounded root = { make(1.0 / (double)exponent.bottom, 0), 0 };
                root.error = DBL_EPSILON;
                if (a.value == 0 && a.error == 0) {
                        *ret = a;
                        return exponent.top > 0;
                }
                if (turn)
                        a.value = -a.value;
                if (!power(a, root, &a))
                        return false;
                if (turn)
                        a.value = -a.value;
        }
        if (!raise(a, (uint32_t)top, &a))
                return false;
        if (exponent.top < 0)
                return divide(one, a, ret);
        *ret = a;
        return true;
}

/* A function and its derivative, which carries the error on. */
static void apply(enum grade_function function, number z, number *ret_value, number *ret_slope)
{
        number value = 0, slope = 0;
        switch (function) {
        case GRADE_SIN:
                value = csin(z), slope = ccos(z);
                break;
        case GRADE_COS:
                value = ccos(z), slope = -csin(z);
                break;
        case GRADE_TAN:
                value = csin(z) / ccos(z), slope = 1 + value * value;
                break;
        case GRADE_COT:
                value = ccos(z) / csin(z), slope = 1 + value * value;
                break;
        case GRADE_SEC:
                value = 1 / ccos(z), slope = value * value;
                break;
        case GRADE_CSC:
                value = 1 / csin(z), slope = value * value;
                break;
        case GRADE_ARCSIN:
                value = casin(z), slope = 1 / csqrt(1 - z * z);
                break;
        case GRADE_ARCCOS:
                value = cacos(z), slope = 1 / csqrt(1 - z * z);
                break;
        case GRADE_ARCTAN:
                value = catan(z), slope = 1 / (1 + z * z);
                break;
        case GRADE_SINH:
                value = csinh(z), slope = ccosh(z);
                break;
        case GRADE_COSH:
                value = ccosh(z), slope = csinh(z);
                break;
        case GRADE_TANH:
                value = ctanh(z), slope = 1 - value * value;
                break;
        case GRADE_LN:
                value = clog(z), slope = 1 / z;
                break;
        }
        *ret_value = value;
        *ret_slope = slope;
}

static bool call(enum grade_function function, struct bounded a, struct bounded *ret)
{
        number value, slope;
        if (function == GRADE_LN && cabs(a.value) <= 2 * a.error)
                return false;
        apply(function, a.value, &value, &slope);
        double error = a.error > 0 ? 2 * cabs(slope) * a.error : 0;
        return settle(value, error + UNIT, ret);
}

static bool round_to(struct bounded a, bool up, struct bounded *ret)
{
        double re = creal(a.value), whole = up ? ceil(re) : floor(re);
        bool clear = fabs(re - nearbyint(re)) > a.error && cimag(a.value) == 0;
        *ret = (struct bounded){ make(whole, 0), 0 };
        return clear;
}

/* Digits in floating point: every one of them rounds once. */
static bool read(struct grade_work *work, struct scope_string digits, struct bounded *ret)
{
        double value = 0, scale = 1;
        bool point = false;
        if (!grade_spend(work, digits.bytes))
                return false;
        for (uint32_t i = 0; i < digits.bytes; i++) {
                if (digits.at[i] == '.') {
                        point = true;
                        continue;
                }
                value = value * 10 + (digits.at[i] - '0');
                scale *= point ? 10 : 1;
        }
        return settle(make(value / scale, 0), 0, ret);
}

static number point_of(uint64_t name, uint32_t round)
{
        uint64_t seed = scope_hash_pair(name, round);
        double size = 0.6 + 0.9 * scope_rng_at(seed, 0), angle = 2 * PI * scope_rng_at(seed, 1);
        return make(size * cos(angle), size * sin(angle));
}

struct plane {
        struct grade_work *work;
        const struct grade_exact *exact;
        struct bounded value[GRADE_NODES_MAX];
        bool valid[GRADE_NODES_MAX];
        uint32_t round;
};

static bool leaf(struct plane *plane, const struct grade_node *node, struct bounded *ret)
{
        switch ((enum grade_op)node->op) {
        case GRADE_NUMBER:
                return read(plane->work, node->text, ret);
        case GRADE_VARIABLE:
                *ret = (struct bounded){ point_of(node->name, plane->round), 0 };
                return true;
        case GRADE_PI:
                return settle(make(PI, 0), 0, ret);
        case GRADE_E:
                return settle(make(2.71828182845904523536, 0), 0, ret);
        default:
                *ret = (struct bounded){ make(0, 1), 0 };
                return node->op == GRADE_I;
        }
}

static bool evaluate(struct plane *plane, const struct grade_node *node, struct bounded *ret)
{
        if (node->op < GRADE_NEGATE)
                return leaf(plane, node, ret);
        bool one = node->op < GRADE_ADD;
        if (!plane->valid[node->a] || (!one && !plane->valid[node->b]))
                return false;
        struct bounded a = plane->value[node->a], b = plane->value[one ? node->a : node->b];
        bool dear = node->op == GRADE_FUNCTION || node->op == GRADE_POWER;
        if (!grade_spend(plane->work, dear ? WORK_DEAR : WORK_CHEAP))
                return false;
        switch ((enum grade_op)node->op) {
        case GRADE_NEGATE:
                *ret = (struct bounded){ make(0, 0) - a.value, a.error };
                return true;
        case GRADE_ABS:
                return settle(make(cabs(a.value), 0), a.error, ret);
        case GRADE_FLOOR:
        case GRADE_CEIL:
                return round_to(a, node->op == GRADE_CEIL, ret);
        case GRADE_FUNCTION:
                return call((enum grade_function)node->function, a, ret);
        case GRADE_ADD:
                return settle(a.value + b.value, a.error + b.error +
                        DBL_EPSILON * (cabs(a.value) + cabs(b.value)), ret);
        case GRADE_MULTIPLY:
                return multiply(a, b, ret);
        case GRADE_DIVIDE:
                return divide(a, b, ret);
        case GRADE_POWER:
                return plane->exact->valid[node->b]
                               ? power_rational(a, plane->exact->value[node->b], ret)
                               : power(a, b, ret);
        default:
                return false;
        }
}

/* A rational that a double holds has no error, and one that it does not only the last digit's. */
static struct bounded known(struct grade_rational value)
{
        double quotient = (double)value.top / (double)value.bottom;
        bool whole = value.bottom == 1 && fabs(quotient) < 9e15;
        return (struct bounded){ make(quotient, 0), whole ? 0 : UNIT * fabs(quotient) };
}

bool grade_complex_evaluate(struct grade_work *work, const struct grade_tree *tree,
        const struct grade_exact *exact, uint32_t round, struct grade_complex *ret_value)
{
        struct plane plane; /* its arrays are filled as far as the tree goes */
        plane.work = work;
        plane.exact = exact;
        plane.round = round;
        for (uint32_t i = 0; i < tree->count; i++) {
                if (!grade_spend(work, 1))
                        return false;
                plane.valid[i] = exact->valid[i] ||
                        evaluate(&plane, &tree->nodes[i], &plane.value[i]);
                if (exact->valid[i])
                        plane.value[i] = known(exact->value[i]);
        }
        if (!plane.valid[tree->count - 1])
                return false;
        struct bounded root = plane.value[tree->count - 1];
        *ret_value =
                (struct grade_complex){ creal(root.value), cimag(root.value), root.error };
        return true;
}

bool grade_complex_divide(struct grade_complex a, struct grade_complex b,
        struct grade_complex *ret)
{
        struct bounded quotient;
        if (!divide((struct bounded){ make(a.re, a.im), a.error },
                    (struct bounded){ make(b.re, b.im), b.error }, &quotient))
                return false;
        *ret = (struct grade_complex){ creal(quotient.value), cimag(quotient.value),
                quotient.error };
        return true;
}

bool grade_complex_equal(struct grade_complex a, struct grade_complex b)
{
        double gap = hypot(a.re - b.re, a.im - b.im), size = hypot(a.re, a.im) + 1;
        double error = a.error + b.error;
        return error <= ERROR_MAX * size && gap <= 4 * error;
}
