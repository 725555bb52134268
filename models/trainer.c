/* trainer.c - ranks, their gradients, and the optimiser step on owned ranges.
 * Why: each rank runs its rows through its own activations into its own gradient; the sum, the
 * norm, AdamW and the new parameters are then ranges of flat arrays. All ranks share one parameter
 * arena.
 * (1) Gradients are of the loss: minus the objective the coefficients describe. (2) A step
 * refused for its norm changes neither parameters nor moments; one that fails in comm ends the run.
 * (3) After create nothing is allocated. */
#include "models/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/limits.h"
#include "kernels/adamw.h"
#include "kernels/kernels.h"
#include "models/comm.h"
#include "models/transformer.h"
#include "runtime/trace_work.h"

enum { ALIGN_FLOATS = 16 };

/* One rank's own: nobody else reads it but in collectives. */
struct rank {
        struct scope_transformer *transformer;
        float *gradient; /* [float_count] */
        uint32_t *tokens, *positions, *begin;
        uint32_t *wanted_rows, *targets;
        float *temperature, *logp, *entropy, *coef, *entropy_coef; /* [microbatch_tokens] */
        struct scope_transformer_batch batch;
        struct scope_transformer_wanted wanted;
        void *memory; /* of the arrays above */
};

struct scope_trainer {
        struct scope_trainer_options options;
        const struct scope_layout *layout;
        const struct scope_kernels *kernels;
        float *parameters, *first, *second; /* [float_count] */
        uint64_t steps;                     /* written by rank 0 between two meetings */
        unsigned rank_count;
        size_t range_begin[SCOPE_CORES_MAX + 1]; /* rank r owns [r, r + 1) */
        struct rank ranks[];
};

static float *take_floats(size_t count)
{
        size_t bytes = (count * sizeof(float) + 63) & ~(size_t)63;
        float *floats = aligned_alloc(64, bytes);
        if (floats != NULL)
                memset(floats, 0, bytes);
        return floats;
}

static enum scope_err rank_init(struct rank *rank, const struct scope_trainer *trainer)
{
        enum { ARRAYS = 10 }; /* of 4-byte elements; begin has one element more */
        const size_t tokens = trainer->options.microbatch_tokens;
        const struct scope_transformer_options options = {
                .layout = trainer->layout,
                .kernels = trainer->kernels,
                .rows_max = trainer->options.microbatch_tokens,
                .length_max = trainer->options.context_max,
                .training = true,
                .recompute = trainer->options.recompute == SCOPE_RECOMPUTE_LAYER,
        };
        rank->gradient = take_floats(trainer->layout->float_count);
        uint32_t *piece = calloc(ARRAYS * tokens + 1, sizeof *piece);
        rank->memory = piece;
        if (rank->gradient == NULL || piece == NULL)
                return SCOPE_ERR_MEMORY;
        rank->tokens = piece;
        rank->positions = piece + tokens;
        rank->wanted_rows = piece + 2 * tokens;
        rank->targets = piece + 3 * tokens;
        rank->temperature = (float *)(piece + 4 * tokens);
        rank->logp = (float *)(piece + 5 * tokens);
        rank->entropy = (float *)(piece + 6 * tokens);
        rank->coef = (float *)(piece + 7 * tokens);
        rank->entropy_coef = (float *)(piece + 8 * tokens);
        rank->begin = piece + 9 * tokens;
        return scope_transformer_create(&options, &rank->transformer);
}

static void rank_fini(struct rank *rank)
{
        scope_transformer_destroy(rank->transformer);
        free(rank->gradient);
        free(rank->memory);
}

static enum scope_err check_options(const struct scope_trainer_options *options)
{
        if (options->context_max == 0 || options->microbatch_tokens < options->context_max ||
                options->comm->size == 0 || options->comm->size > SCOPE_CORES_MAX)
                return SCOPE_ERR_SHAPE;
        if (options->recompute != SCOPE_RECOMPUTE_NONE &&
                options->recompute != SCOPE_RECOMPUTE_LAYER)
                return SCOPE_ERR_ARGUMENT;
        if (!(options->lr >= 0.0f) || !(options->beta1 >= 0.0f) || !(options->beta1 < 1.0f) ||
                !(options->beta2 >= 0.0f) || !(options->beta2 < 1.0f) || !(options->eps > 0.0f) ||
                !(options->weight_decay >= 0.0f) || !(options->grad_clip >= 0.0f))
                return SCOPE_ERR_ARGUMENT;
        return SCOPE_OK;
}

enum scope_err scope_trainer_create(
        const struct scope_trainer_options *options, struct scope_trainer **ret_trainer)
{
        enum scope_err err = check_options(options);
        if (err != SCOPE_OK)
                return err;
        const struct scope_kernels *kernels = scope_kernels_pick(SCOPE_DEVICE_CPU);
        if (kernels == NULL)
                return SCOPE_ERR_UNSUPPORTED;
        const unsigned size = options->comm->size;
        const size_t floats = options->layout->float_count;
        struct scope_trainer *trainer = calloc(1, sizeof *trainer + size * sizeof(struct rank));
        if (trainer == NULL)
                return SCOPE_ERR_MEMORY;
        trainer->options = *options;
        trainer->layout = options->layout;
        trainer->kernels = kernels;
        trainer->rank_count = size;
        for (unsigned r = 0; r <= size; r++)
                trainer->range_begin[r] = floats / ALIGN_FLOATS * r / size * ALIGN_FLOATS;
        scope_assert(trainer->range_begin[size] == floats);
        trainer->parameters = take_floats(floats);
        trainer->first = take_floats(floats);
        trainer->second = take_floats(floats);
        if (trainer->parameters == NULL || trainer->first == NULL || trainer->second == NULL)
                err = SCOPE_ERR_MEMORY;
        for (unsigned r = 0; r < size && err == SCOPE_OK; r++)
                err = rank_init(&trainer->ranks[r], trainer);
        if (err != SCOPE_OK) {
                scope_trainer_destroy(trainer);
                return err;
        }
        *ret_trainer = trainer;
        return SCOPE_OK;
}

void scope_trainer_destroy(struct scope_trainer *trainer)
{
        if (trainer == NULL)
                return;
        for (unsigned r = 0; r < trainer->rank_count; r++)
                rank_fini(&trainer->ranks[r]);
        free(trainer->parameters);
        free(trainer->first);
        free(trainer->second);
        free(trainer);
}

float *scope_trainer_parameters(struct scope_trainer *trainer)
{
        return trainer->parameters;
}

/* Rank r starts at the first row whose middle lies past r shares of all tokens. */
void scope_trainer_split(
        const struct scope_row *rows, uint32_t row_count, unsigned size, uint32_t *ret_begin)
{
        scope_assert(size > 0);
        uint64_t total = 0, before = 0;
        for (uint32_t i = 0; i < row_count; i++)
                total += rows[i].count;
        unsigned rank = 0;
        ret_begin[rank++] = 0;
        for (uint32_t i = 0; i < row_count; i++) {
                while (rank < size && (2 * before + rows[i].count) * size > 2 * total * rank)
                        ret_begin[rank++] = i;
                before += rows[i].count;
        }
        while (rank <= size)
                ret_begin[rank++] = row_count;
}

void scope_trainer_zero(struct scope_trainer *trainer, unsigned rank)
{
        scope_assert(rank < trainer->rank_count);
        memset(trainer->ranks[rank].gradient, 0, trainer->layout->float_count * sizeof(float));
}

static enum scope_err check_rows(
        const struct scope_trainer *trainer, const struct scope_row *rows, uint32_t row_count)
{
        uint64_t total = 0;
        for (uint32_t i = 0; i < row_count; i++) {
                const struct scope_row *row = &rows[i];
                total += row->count;
                if (row->count == 0 || row->count > trainer->options.context_max ||
                        row->first == 0 || row->first > row->count)
                        return SCOPE_ERR_SHAPE;
                for (uint32_t j = 0; j < row->count; j++)
                        if (row->tokens[j] >= trainer->layout->config.vocab)
                                return SCOPE_ERR_SHAPE;
                if (!(row->temperature > 0.0f) || !isfinite(row->temperature))
                        return SCOPE_ERR_ARGUMENT;
                if (row->target != NULL)
                        return SCOPE_ERR_UNSUPPORTED;
        }
        return total <= trainer->options.microbatch_tokens ? SCOPE_OK : SCOPE_ERR_SHAPE;
}

/* Packs the rows. A row's last token predicts nothing, so it is never an input. */
static void pack(struct rank *rank, const struct scope_row *rows, uint32_t row_count)
{
        uint32_t at = 0, wanted = 0;
        for (uint32_t i = 0; i < row_count; i++) {
                rank->begin[i] = at;
                for (uint32_t j = 0; j + 1 < rows[i].count; j++) {
                        rank->tokens[at + j] = rows[i].tokens[j];
                        rank->positions[at + j] = j;
                }
                for (uint32_t j = rows[i].first; j < rows[i].count; j++) {
                        rank->wanted_rows[wanted] = at + j - 1;
                        rank->targets[wanted] = rows[i].tokens[j];
                        rank->temperature[wanted++] = rows[i].temperature;
                }
                at += rows[i].count - 1;
        }
        rank->begin[row_count] = at;
        rank->batch = (struct scope_transformer_batch){ .tokens = rank->tokens,
                .positions = rank->positions,
                .begin = rank->begin,
                .rows = at,
                .sequences = row_count };
        rank->wanted = (struct scope_transformer_wanted){ .rows = rank->wanted_rows,
                .targets = rank->targets,
                .temperature = rank->temperature,
                .logp = rank->logp,
                .entropy = rank->entropy,
                .coef = rank->coef,
                .entropy_coef = rank->entropy_coef,
                .count = wanted };
}

enum scope_err scope_trainer_forward(
        struct scope_trainer *trainer, unsigned rank, struct scope_row *rows, uint32_t row_count)
{
        scope_assert(rank < trainer->rank_count);
        struct rank *own = &trainer->ranks[rank];
        enum scope_err err = check_rows(trainer, rows, row_count);
        if (err != SCOPE_OK)
                return err;
        (void)scope_work_is("forward");
        pack(own, rows, row_count);
        err = scope_transformer_forward(own->transformer, trainer->parameters, &own->batch);
        if (err == SCOPE_OK)
                err = scope_transformer_logprob(
                        own->transformer, trainer->parameters, &own->wanted);
        if (err != SCOPE_OK)
                return err;
        uint32_t at = 0;
        for (uint32_t i = 0; i < row_count; i++) {
                const uint32_t first = rows[i].first, count = rows[i].count - first;
                memset(rows[i].logp, 0, first * sizeof(float));
                memset(rows[i].entropy, 0, first * sizeof(float));
                memcpy(rows[i].logp + first, own->logp + at, count * sizeof(float));
                memcpy(rows[i].entropy + first, own->entropy + at, count * sizeof(float));
                at += count;
        }
        return SCOPE_OK;
}

enum scope_err scope_trainer_backward(
        struct scope_trainer *trainer, unsigned rank, struct scope_row *rows, uint32_t row_count)
{
        scope_assert(rank < trainer->rank_count);
        struct rank *own = &trainer->ranks[rank];
        scope_assert(own->batch.sequences == row_count);
        (void)scope_work_is("backward");
        uint32_t at = 0;
        for (uint32_t i = 0; i < row_count; i++)
                for (uint32_t j = rows[i].first; j < rows[i].count; j++) {
                        own->coef[at] = -rows[i].coef[j];
                        own->entropy_coef[at++] = -rows[i].entropy_coef;
                }
        scope_assert(at == own->wanted.count);
        return scope_transformer_backward(
                own->transformer, trainer->parameters, &own->batch, &own->wanted, own->gradient);
}

/* The norm of the summed gradient, of which this rank holds its range. */
static enum scope_err global_norm(struct scope_trainer *trainer, unsigned rank, float *ret_norm)
{
        struct scope_comm *comm = trainer->options.comm;
        const size_t begin = trainer->range_begin[rank], end = trainer->range_begin[rank + 1];
        double sum = 0.0;
        enum scope_err err = trainer->kernels->square_sum(
                &(struct scope_square_sum_args){ .x = trainer->ranks[rank].gradient + begin,
                        .count = end - begin,
                        .ret_sum = &sum },
                NULL);
        if (err != SCOPE_OK)
                return err;
        float shared = (float)sum;
        err = comm->class_->all_reduce(comm, rank, &shared, 1);
        *ret_norm = sqrtf(shared);
        return err;
}

/* AdamW on what this rank owns, a tensor at a time: decay is a tensor's property. */
static enum scope_err update_range(
        struct scope_trainer *trainer, unsigned rank, float lr, float scale, uint64_t step)
{
        const struct scope_trainer_options *o = &trainer->options;
        const size_t range_begin = trainer->range_begin[rank];
        const size_t range_end = trainer->range_begin[rank + 1];
        for (uint32_t i = 0; i < trainer->layout->tensor_count; i++) {
                const struct scope_tensor *tensor = &trainer->layout->tensors[i];
                size_t begin = tensor->offset;
                size_t end = begin + (size_t)tensor->rows * tensor->columns;
                begin = begin > range_begin ? begin : range_begin;
                end = end < range_end ? end : range_end;
                if (begin >= end)
                        continue;
                const struct scope_adamw_args args = {
                        .parameters = trainer->parameters + begin,
                        .first = trainer->first + begin,
                        .second = trainer->second + begin,
                        .gradient = trainer->ranks[rank].gradient + begin,
                        .count = end - begin,
                        .lr = lr,
                        .beta1 = o->beta1,
                        .beta2 = o->beta2,
                        .eps = o->eps,
                        .weight_decay = tensor->decay ? o->weight_decay : 0.0f,
                        .correction1 = (float)(1.0 - pow(o->beta1, (double)step)),
                        .correction2 = (float)(1.0 - pow(o->beta2, (double)step)),
                        .gradient_scale = scale,
                };
                enum scope_err err = trainer->kernels->adamw(&args, NULL);
                if (err != SCOPE_OK)
                        return err;
        }
        return SCOPE_OK;
}

enum scope_err scope_trainer_step(
        struct scope_trainer *trainer, unsigned rank, float lr, float *ret_grad_norm)
{
        struct scope_comm *comm = trainer->options.comm;
        scope_assert(rank < trainer->rank_count);
        const uint64_t step = trainer->steps + 1; /* before the first meeting: see below */
        float norm = 0.0f;
        enum scope_err err = comm->class_->reduce_scatter(
                comm, rank, trainer->ranks[rank].gradient, trainer->range_begin);
        if (err == SCOPE_OK)
                err = global_norm(trainer, rank, &norm);
        if (err != SCOPE_OK)
                return err;
        *ret_grad_norm = norm;
        if (!isfinite(norm)) /* the same on every rank, so all of them leave here */
                return SCOPE_ERR_INTERNAL;
        const float clip = trainer->options.grad_clip;
        const float scale = clip > 0.0f ? fminf(1.0f, clip / (norm + 1e-6f)) : 1.0f;
        err = update_range(trainer, rank, lr, scale, step);
        if (err != SCOPE_OK)
                return err;
        if (rank == 0)
                trainer->steps = step; /* all have read it, none reads it before the next meeting */
        return comm->class_->all_gather(comm, rank, trainer->parameters, trainer->range_begin);
}

enum scope_err scope_trainer_export(
        struct scope_trainer *trainer, struct scope_buffer **ret_weights)
{
        const size_t bytes = trainer->layout->float_count * sizeof(float);
        struct scope_buffer *weights = NULL;
        enum scope_err err = scope_buffer_create(bytes, &weights);
        if (err != SCOPE_OK)
                return err;
        memcpy(scope_buffer_data(weights), trainer->parameters, bytes);
        *ret_weights = weights;
        return SCOPE_OK;
}

struct scope_trainer_state scope_trainer_state(struct scope_trainer *trainer)
{
        return (struct scope_trainer_state){ trainer->first, trainer->second, &trainer->steps };
}
