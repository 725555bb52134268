/* comm.h - how the ranks of one learner meet.
 * Why: one trainer for one core, two threads or eight GPUs. Sums are taken in rank order, so they
 * do not depend on timing.  Implementations: one rank (comm_one.c), threads of one gang
 * (comm_threads.c), later NCCL.
 * (1) Every rank makes the same calls in the same order. (2) abort makes all present and later
 * calls fail. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct scope_comm;

struct scope_comm_class {
        const char *name;
        enum scope_err (*barrier)(struct scope_comm *comm, unsigned rank);
        /* data[count] of every rank becomes the sum over ranks. */
        enum scope_err (*all_reduce)(
                struct scope_comm *comm, unsigned rank, float *data, size_t count);
        /* As all_reduce, but only data[begin[rank], begin[rank + 1]) is valid afterwards. */
        enum scope_err (*reduce_scatter)(struct scope_comm *comm, unsigned rank, float *data,
                const size_t *begin);
        /* Every rank's own range is copied to all. */
        enum scope_err (*all_gather)(struct scope_comm *comm, unsigned rank, float *data,
                const size_t *begin);
        enum scope_err (*broadcast)(
                struct scope_comm *comm, unsigned rank, unsigned root, float *data, size_t count);
        void (*abort)(struct scope_comm *comm);
        void (*destroy)(struct scope_comm *comm);
};
struct scope_comm {
        const struct scope_comm_class *class_;
        unsigned size;
        /* of one call; 0 = 60 s: a rank that does not come fails the others */
        uint64_t deadline_ns;
};

enum scope_err scope_comm_one_create(struct scope_comm **ret_comm);
enum scope_err scope_comm_threads_create(unsigned size, struct scope_comm **ret_comm);
void scope_comm_destroy(struct scope_comm *comm); /* accepts NULL */
