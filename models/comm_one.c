/* comm_one.c - a learner of one rank: nothing to exchange. */
#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"
#include "models/comm.h"

struct one {
        struct scope_comm comm;
        bool aborted;
};

static enum scope_err one_barrier(struct scope_comm *comm, unsigned rank)
{
        const struct one *one = (const struct one *)comm;
        scope_assert(rank == 0);
        return one->aborted ? SCOPE_ERR_CANCELLED : SCOPE_OK;
}

static enum scope_err one_all_reduce(
        struct scope_comm *comm, unsigned rank, float *data, size_t count)
{
        (void)data;
        (void)count;
        return one_barrier(comm, rank);
}

static enum scope_err one_range(
        struct scope_comm *comm, unsigned rank, float *data, const size_t *begin)
{
        (void)data;
        scope_assert(begin[0] <= begin[1]);
        return one_barrier(comm, rank);
}

static enum scope_err one_broadcast(
        struct scope_comm *comm, unsigned rank, unsigned root, float *data, size_t count)
{
        (void)data;
        (void)count;
        scope_assert(root == 0);
        return one_barrier(comm, rank);
}

static void one_abort(struct scope_comm *comm)
{
        ((struct one *)comm)->aborted = true;
}

static void one_destroy(struct scope_comm *comm)
{
        free(comm);
}

static const struct scope_comm_class one_class = {
        .name = "one",
        .barrier = one_barrier,
        .all_reduce = one_all_reduce,
        .reduce_scatter = one_range,
        .all_gather = one_range,
        .broadcast = one_broadcast,
        .abort = one_abort,
        .destroy = one_destroy,
};

enum scope_err scope_comm_one_create(struct scope_comm **ret_comm)
{
        struct one *one = calloc(1, sizeof *one);
        if (one == NULL)
                return SCOPE_ERR_MEMORY;
        one->comm = (struct scope_comm){ .class_ = &one_class, .size = 1 };
        *ret_comm = &one->comm;
        return SCOPE_OK;
}

void scope_comm_destroy(struct scope_comm *comm)
{
        if (comm != NULL)
                comm->class_->destroy(comm);
}
