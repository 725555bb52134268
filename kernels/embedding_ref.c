#include "kernels/embedding.h"

#include <stddef.h>

#include "kernels/ref.h"

enum scope_err scope_embedding_ref(
        const struct scope_embedding_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++)
                for (size_t j = 0; j < args->width; j++)
                        args->out[i * args->width + j] =
                                args->table[(size_t)args->tokens[i] * args->width + j];
        return SCOPE_OK;
}

enum scope_err scope_embedding_backward_ref(
        const struct scope_embedding_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++)
                for (size_t j = 0; j < args->width; j++)
                        args->dtable[(size_t)args->tokens[i] * args->width + j] +=
                                args->dout[i * args->width + j];
        return SCOPE_OK;
}
