/* teacher_solutions.h - a teacher that knows the worked solutions of a data set.
 * Why: a real task can be trained with no paid teacher, and the same script of latencies and
 * faults plays around it. What it gives is the data set's own text: never made up, never corrected.
 * Where the rest begins (a problem is found by its exact text):
 *   1. no prefix: the whole solution;
 *   2. the prefix is the beginning of the solution, white space aside: right where it ends;
 *   3. else by value. Each step of the solution has a result: what follows its last "=" (in GSM8K,
 *      that of its last calculator mark). The results that the prefix derives are matched with
 *      those of the solution in their order, and the rest begins behind the step whose result
 *      stands last in the prefix;
 *   4. a prefix without any digit has derived nothing yet: the whole solution follows.
 * It refuses, with the mark that the refiner knows, where 3 cannot stand: the value that stands
 * last is no result of the solution; an equation "a op b = c" of the prefix is wrong; the rest
 * would use a result of a skipped step that neither prefix nor problem has; there is a box already.
 * A solution ends with \boxed{ANSWER}; one is appended where it has none. Steps have a blank line
 * between; calculator marks are left out. */
#pragma once

#include "base/error.h"
#include "schemas/records.h"
#include "tasks/chain.h"

struct scope_dataset;
struct scope_teacher_solutions;
struct scope_text;

/* in      dataset: one whose problems stand in memory (a file)
 * owns    borrows dataset; gives *ret_solutions
 * errors  SCOPE_ERR_UNSUPPORTED: it has no worked solution at all; SCOPE_ERR_MEMORY
 * thread  setup */
enum scope_err scope_teacher_solutions_create(const struct scope_dataset *dataset,
        struct scope_teacher_solutions **ret_solutions, struct scope_diag *diag);
void scope_teacher_solutions_destroy(struct scope_teacher_solutions *solutions); /* accepts NULL */

/* Appends what follows `prefix`. SCOPE_CHAIN_CORRECT, a fault to switch on, goes on behind as many
 * steps as the prefix has, whatever they say; the other manners are as above.
 * errors  SCOPE_ERR_NOT_FOUND: no such problem, or it has no solution; SCOPE_ERR_REFUSED, nothing
 *         was appended
 * thread  any */
enum scope_err scope_teacher_solutions_continue(const struct scope_teacher_solutions *solutions,
        struct scope_string problem, struct scope_string prefix, enum scope_chain_manner manner,
        struct scope_text *text);
