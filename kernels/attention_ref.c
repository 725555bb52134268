#include "kernels/attention.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernels/ref.h"

static double dot(const float *a, const float *b, size_t count)
{
        double sum = 0.0;
        for (size_t i = 0; i < count; i++)
                sum += (double)a[i] * b[i];
        return sum;
}

/* One query row of one head against rows [first, row] of its sequence. */
static void attend(const struct scope_attention_args *args, size_t first, size_t row, size_t head)
{
        const size_t dim = args->head_dim, kv_width = args->kv_heads * dim;
        const size_t kv = head / (args->heads / args->kv_heads) * dim;
        const float *q = args->q + (row * args->heads + head) * dim;
        float *out = args->out + (row * args->heads + head) * dim;
        double scale = 1.0 / sqrt((double)dim), largest = -INFINITY, sum = 0.0;
        for (size_t j = first; j <= row; j++)
                largest = fmax(largest, scale * dot(q, args->k + j * kv_width + kv, dim));
        for (size_t j = first; j <= row; j++)
                sum += exp(scale * dot(q, args->k + j * kv_width + kv, dim) - largest);
        double lse = largest + log(sum);
        args->lse[row * args->heads + head] = (float)lse;
        for (size_t d = 0; d < dim; d++) {
                double value = 0.0;
                for (size_t j = first; j <= row; j++)
                        value += exp(scale * dot(q, args->k + j * kv_width + kv, dim) - lse) *
                                 args->v[j * kv_width + kv + d];
                out[d] = (float)value;
        }
}

enum scope_err scope_attention_ref(
        const struct scope_attention_args *args, struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->heads % args->kv_heads == 0);
        for (size_t s = 0; s < args->sequences; s++)
                for (size_t row = args->begin[s]; row < args->begin[s + 1]; row++)
                        for (size_t head = 0; head < args->heads; head++)
                                attend(args, args->begin[s], row, head);
        return SCOPE_OK;
}

/* With P the probabilities and dP = dO V^T: dV += P^T dO, dS = P (dP - dO.O) scale, dQ = dS K,
 * dK += dS^T Q. */
static void attend_backward(
        const struct scope_attention_backward_args *args, size_t first, size_t row, size_t head)
{
        const size_t dim = args->head_dim, kv_width = args->kv_heads * dim;
        const size_t kv = head / (args->heads / args->kv_heads) * dim;
        const size_t at = (row * args->heads + head) * dim;
        const float *q = args->q + at, *dout = args->dout + at;
        double scale = 1.0 / sqrt((double)dim), inner = dot(dout, args->out + at, dim);
        for (size_t j = first; j <= row; j++) {
                const float *k = args->k + j * kv_width + kv, *v = args->v + j * kv_width + kv;
                double p = exp(scale * dot(q, k, dim) - args->lse[row * args->heads + head]);
                double ds = p * (dot(dout, v, dim) - inner) * scale;
                for (size_t d = 0; d < dim; d++) {
                        args->dv[j * kv_width + kv + d] += (float)(p * dout[d]);
                        args->dk[j * kv_width + kv + d] += (float)(ds * q[d]);
                        args->dq[at + d] += (float)(ds * k[d]);
                }
        }
}

enum scope_err scope_attention_backward_ref(
        const struct scope_attention_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        scope_assert(args->heads % args->kv_heads == 0);
        const size_t begin = args->begin[0], rows = args->begin[args->sequences] - begin;
        const size_t width = (size_t)args->heads * args->head_dim;
        const size_t kv_width = (size_t)args->kv_heads * args->head_dim;
        memset(args->dq + begin * width, 0, rows * width * sizeof(float));
        memset(args->dk + begin * kv_width, 0, rows * kv_width * sizeof(float));
        memset(args->dv + begin * kv_width, 0, rows * kv_width * sizeof(float));
        for (size_t s = 0; s < args->sequences; s++)
                for (size_t row = args->begin[s]; row < args->begin[s + 1]; row++)
                        for (size_t head = 0; head < args->heads; head++)
                                attend_backward(args, args->begin[s], row, head);
        return SCOPE_OK;
}
