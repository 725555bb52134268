#include "kernels/token_logprob.h"

#include <math.h>
#include <stddef.h>

#include "kernels/ref.h"

/* As struct scope_token_partial, in double. */
struct sums {
        double largest, sum, weighted;
};

/* Of the logits / temperature, going on from what earlier pieces gave. */
static struct sums sums_of(const float *logits, size_t vocab, double temperature,
        const struct scope_token_partial *old)
{
        struct sums sums = { .largest = old != NULL ? (double)old->largest : -INFINITY };
        for (size_t j = 0; j < vocab; j++)
                sums.largest = fmax(sums.largest, logits[j] / temperature);
        if (old != NULL) {
                double down = old->largest - sums.largest;
                sums.sum = exp(down) * old->sum;
                sums.weighted = exp(down) * (old->weighted + down * old->sum);
        }
        for (size_t j = 0; j < vocab; j++) {
                double down = logits[j] / temperature - sums.largest;
                sums.sum += exp(down);
                sums.weighted += exp(down) * down;
        }
        return sums;
}

enum scope_err scope_token_logprob_ref(
        const struct scope_token_logprob_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++) {
                const float *logits = args->logits + i * args->vocab;
                struct scope_token_partial *partial = args->partial != NULL ? &args->partial[i]
                                                                            : NULL;
                const double temperature = args->temperature[i];
                const struct sums sums = sums_of(
                        logits, args->vocab, temperature, args->first > 0 ? partial : NULL);
                double taken = args->first > 0 ? (double)partial->taken : -INFINITY;
                if (args->targets[i] >= args->first &&
                        args->targets[i] - args->first < args->vocab)
                        taken = logits[args->targets[i] - args->first] / temperature;
                args->logp[i] = (float)(taken - sums.largest - log(sums.sum));
                args->entropy[i] = (float)(log(sums.sum) - sums.weighted / sums.sum);
                if (partial != NULL)
                        *partial = (struct scope_token_partial){ (float)sums.largest,
                                (float)sums.sum, (float)sums.weighted, (float)taken };
        }
        return SCOPE_OK;
}

enum scope_err scope_token_logprob_backward_ref(
        const struct scope_token_logprob_backward_args *args, struct scope_stream *stream)
{
        (void)stream;
        for (size_t i = 0; i < args->rows; i++) {
                float *logits = args->logits + i * args->vocab;
                const double temperature = args->temperature[i];
                struct sums sums;
                if (args->partial != NULL)
                        sums = (struct sums){ args->partial[i].largest, args->partial[i].sum,
                                args->partial[i].weighted };
                else
                        sums = sums_of(logits, args->vocab, temperature, NULL);
                const double entropy = log(sums.sum) - sums.weighted / sums.sum;
                for (size_t j = 0; j < args->vocab; j++) {
                        double logp = logits[j] / temperature - sums.largest - log(sums.sum);
                        double p = exp(logp), taken = 0.0;
                        if (args->first + j == args->targets[i])
                                taken = 1.0;
                        logits[j] = (float)((args->coef[i] * (taken - p) -
                                                    args->entropy_coef[i] * p * (logp + entropy)) /
                                            temperature);
                }
        }
        return SCOPE_OK;
}
