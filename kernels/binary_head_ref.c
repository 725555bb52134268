#include "kernels/binary_head.h"

#include <math.h>
#include <stddef.h>

#include "kernels/ref.h"

enum scope_err scope_binary_head_ref(
        const struct scope_binary_head_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++) {
                double no = args->bias[0], yes = args->bias[1];
                for (size_t j = 0; j < args->width; j++) {
                        double x = args->x[i * args->width + j];
                        if (!args->linear)
                                x = fmax(x, 0.0);
                        no += x * args->weight[j];
                        yes += x * args->weight[args->width + j];
                }
                args->probability[i] = (float)(1.0 / (1.0 + exp(no - yes)));
        }
        return SCOPE_OK;
}
