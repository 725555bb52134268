#include "kernels/token_sample.h"

#include <math.h>
#include <stdbool.h>

#include "kernels/ref.h"

/* True when token `a` comes before `b` in the nucleus. */
static bool likelier(const float *logit, uint32_t a, uint32_t b)
{
        return logit[a] > logit[b] || (logit[a] == logit[b] && a < b);
}

/* The token that follows `last` in the nucleus' order; `used` when there is none or last is
 * UINT32_MAX. */
static uint32_t next_likely(const float *logit, uint32_t used, uint32_t last)
{
        uint32_t best = used;
        for (uint32_t i = 0; i < used; i++)
                if ((last == UINT32_MAX || likelier(logit, last, i))
                        && (best == used || likelier(logit, i, best)))
                        best = i;
        return best;
}

static uint32_t draw(const float *logit, uint32_t used, double inverse, double highest,
        double total, float top_p, float uniform)
{
        double mass = 0, passed = 0;
        uint32_t last = UINT32_MAX, next = 0;
        if (top_p < 1) {
                while (mass < top_p && (next = next_likely(logit, used, last)) < used) {
                        mass += exp((logit[next] - highest) * inverse) / total;
                        last = next;
                }
        }
        uint32_t at = UINT32_MAX;
        for (uint32_t i = 0; i < used; i++) {
                next = top_p < 1 ? next_likely(logit, used, at) : i;
                at = next;
                passed += exp((logit[at] - highest) * inverse) / total;
                if (passed > uniform * (top_p < 1 ? mass : 1) || (top_p < 1 && at == last))
                        return at;
        }
        return at;
}

enum scope_err scope_token_sample_ref(const struct scope_token_sample_args *args,
        struct scope_stream *stream)
{
        (void)stream;
        for (size_t row = 0; row < args->rows; row++) {
                const float *logit = args->logits + row * args->vocab;
                double inverse = args->temperature[row] > 0 ? 1.0 / args->temperature[row] : 1.0;
                double total = 0;
                uint32_t best = 0;
                for (uint32_t i = 0; i < args->used; i++)
                        if (!isfinite(logit[i]))
                                return SCOPE_ERR_INTERNAL;
                for (uint32_t i = 1; i < args->used; i++)
                        best = logit[i] > logit[best] ? i : best;
                for (uint32_t i = 0; i < args->used; i++)
                        total += exp(((double)logit[i] - logit[best]) * inverse);
                uint32_t token = args->temperature[row] > 0 ? draw(logit, args->used, inverse,
                                logit[best], total, args->top_p[row], args->uniform[row]) : best;
                args->tokens[row] = token;
                args->logp[row] =
                        (float)(((double)logit[token] - logit[best]) * inverse - log(total));
        }
        return SCOPE_OK;
}
