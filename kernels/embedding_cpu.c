#include "kernels/embedding.h"

#include <string.h>

#include "kernels/cpu.h"

enum scope_err SCOPE_CPU(embedding)(
        const struct scope_embedding_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++)
                memcpy(args->out + i * args->width,
                        args->table + (size_t)args->tokens[i] * args->width,
                        args->width * sizeof(float));
        return SCOPE_OK;
}

enum scope_err SCOPE_CPU(embedding_backward)(
        const struct scope_embedding_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++) {
                float *restrict to = args->dtable + (size_t)args->tokens[i] * args->width;
                const float *restrict from = args->dout + i * args->width;
                for (size_t j = 0; j < args->width; j++)
                        to[j] += from[j];
        }
        return SCOPE_OK;
}
