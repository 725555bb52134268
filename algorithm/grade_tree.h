/* grade_tree.h - an expression as a tree, and its value in three kinds of numbers.
 * Why: exact rationals decide what has no surd and no variable; a prime field decides what is
 * rational in its variables, however big; complex numbers with a bound on their error decide the
 * rest (algorithm.md 2.3). Only the grader and equations.c include it.
 * (1) Operands stand before what uses them: an evaluation is one loop, no recursion. */
#pragma once

#include "algorithm/grade_parts.h"

enum { GRADE_NODES_MAX = 512, GRADE_VARIABLES_MAX = 24 };

enum grade_op {
        GRADE_NUMBER,   /* text: digits with at most one point */
        GRADE_VARIABLE, /* name */
        GRADE_PI,
        GRADE_E,
        GRADE_I,
        GRADE_NEGATE, /* of a; all further ones of a and b */
        GRADE_FACTORIAL,
        GRADE_ABS,
        GRADE_FLOOR,
        GRADE_CEIL,
        GRADE_FUNCTION, /* function of a */
        GRADE_ADD,
        GRADE_MULTIPLY,
        GRADE_DIVIDE,
        GRADE_POWER,
        GRADE_BINOMIAL,
};

enum grade_function {
        GRADE_SIN, GRADE_COS, GRADE_TAN, GRADE_COT, GRADE_SEC, GRADE_CSC,
        GRADE_ARCSIN, GRADE_ARCCOS, GRADE_ARCTAN, GRADE_SINH, GRADE_COSH, GRADE_TANH, GRADE_LN,
};

struct grade_node {
        uint8_t op, function;
        uint16_t a, b;
        uint64_t name; /* hash of a variable's */
        struct scope_string text;
};

struct grade_tree {
        struct grade_node nodes[GRADE_NODES_MAX];
        uint32_t count; /* the last one is the root */
        uint64_t variables[GRADE_VARIABLES_MAX]; /* each name once, ascending */
        uint32_t variable_count;
};

/* Reads a normalised expression: no spaces; \frac, \sqrt and \binom have braced arguments.
 * out     false: not one, or too big */
bool grade_tree_parse(struct grade_work *work, struct scope_string text,
        struct grade_tree *ret_tree);

/* Makes the tree of left - right. */
bool grade_tree_parse_difference(struct grade_work *work, struct scope_string left,
        struct scope_string right, struct grade_tree *ret_tree);

/* ---- exact ---- */

/* A rational, reduced, bottom > 0, both below 2^126. */
__extension__ typedef __int128 grade_int;
struct grade_rational {
        grade_int top, bottom;
};
struct grade_exact {
        struct grade_rational value[GRADE_NODES_MAX];
        bool valid[GRADE_NODES_MAX];
};

/* The nodes that are rational numbers and fit. */
void grade_exact_evaluate(struct grade_work *work, const struct grade_tree *tree,
        struct grade_exact *ret_exact);

bool grade_rational_make(struct grade_work *work, grade_int top, grade_int bottom,
        struct grade_rational *ret);
bool grade_rational_add(struct grade_work *work, struct grade_rational a, struct grade_rational b,
        struct grade_rational *ret);
bool grade_rational_multiply(struct grade_work *work, struct grade_rational a,
        struct grade_rational b, struct grade_rational *ret);
bool grade_rational_divide(struct grade_work *work, struct grade_rational a,
        struct grade_rational b, struct grade_rational *ret);
/* a^exponent: powers and roots that are rational. */
bool grade_rational_power(struct grade_work *work, struct grade_rational a,
        struct grade_rational exponent, struct grade_rational *ret);
bool grade_rational_read(struct grade_work *work, struct scope_string digits,
        struct grade_rational *ret);

/* ---- in a prime field, and complex: the root at point `round` of all variables ---- */

struct grade_residue {
        uint64_t value;
        bool opaque; /* a root or function took part: another value does not mean unequal */
};
bool grade_field_evaluate(struct grade_work *work, const struct grade_tree *tree,
        const struct grade_exact *exact, uint32_t round, struct grade_residue *ret_residue);
/* a * d == b * c */
bool grade_field_proportional(uint64_t a, uint64_t b, uint64_t c, uint64_t d);

struct grade_complex {
        double re, im, error; /* the true value is within `error` */
};
bool grade_complex_evaluate(struct grade_work *work, const struct grade_tree *tree,
        const struct grade_exact *exact, uint32_t round, struct grade_complex *ret_value);
bool grade_complex_divide(struct grade_complex a, struct grade_complex b,
        struct grade_complex *ret);
/* Equal within their errors, which are small enough to say so. */
bool grade_complex_equal(struct grade_complex a, struct grade_complex b);
