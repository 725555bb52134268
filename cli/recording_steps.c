/* recording_steps.c - what a decode step took, as a law: so much for a round of tokens, so much for
 * each token, so much for each token of a prompt.
 * Why: how long a recorded sample took says who ran beside it then. Under another strategy others
 * will; what a token costs stays. Least squares over all recorded steps: their sum is kept. */
#include <math.h>

#include "cli/recording_parts.h"

enum { TERMS = 3, STEPS_MIN = 8 };

struct sums {
        double xx[TERMS][TERMS], xy[TERMS];
};

static void add_step(struct sums *sums, const struct scope_recorded_step *step)
{
        double running = step->running > 0 ? step->running : 1;
        double x[TERMS] = { ceil((double)step->sampled / running), (double)step->sampled,
                (double)step->prompts };
        for (int i = 0; i < TERMS; i++) {
                sums->xy[i] += x[i] * (double)step->ns;
                for (int j = 0; j < TERMS; j++)
                        sums->xx[i][j] += x[i] * x[j];
        }
}

/* Gauss over the terms that are used; one that says nothing of its own gets 0. */
static void solve(const struct sums *sums, const bool used[TERMS], double ret[TERMS])
{
        struct sums left = *sums;
        for (int i = 0; i < TERMS; i++) {
                bool own = used[i] && left.xx[i][i] > 1e-9 * sums->xx[i][i];
                for (int row = i + 1; row < TERMS && own; row++) {
                        double part = left.xx[row][i] / left.xx[i][i];
                        for (int j = i; j < TERMS; j++)
                                left.xx[row][j] -= part * left.xx[i][j];
                        left.xy[row] -= part * left.xy[i];
                }
                if (!own)
                        left.xx[i][i] = 0;
        }
        for (int i = TERMS - 1; i >= 0; i--) {
                ret[i] = 0;
                if (left.xx[i][i] <= 0)
                        continue;
                double rest = left.xy[i];
                for (int j = i + 1; j < TERMS; j++)
                        rest -= left.xx[i][j] * ret[j];
                ret[i] = rest / left.xx[i][i];
        }
}

bool scope_recording_step_law(
        const struct scope_recording *recording, struct scope_recorded_law *ret_law)
{
        struct sums sums = { 0 };
        bool used[TERMS] = { true, true, true };
        double found[TERMS], swap_ns = 0, step_ns = 0;
        size_t count = 0, swaps = 0;
        for (size_t i = 0; i < recording->steps.count; i++) {
                const struct scope_recorded_step *step =
                        ROW(recording->steps, struct scope_recorded_step, i);
                if (step->sampled > 0) {
                        add_step(&sums, step);
                        step_ns += (double)step->ns;
                        count++;
                } else if (step->prompts == 0) {
                        swap_ns += (double)step->ns;
                        swaps++;
                }
        }
        if (count < STEPS_MIN)
                return false;
        for (int again = 0; again < TERMS; again++) { /* nothing takes less than no time */
                solve(&sums, used, found);
                for (int i = 0; i < TERMS; i++)
                        used[i] = used[i] && found[i] >= 0;
        }
        for (int i = 0; i < TERMS; i++)
                found[i] = used[i] ? found[i] : 0;
        *ret_law = (struct scope_recorded_law){ .round_ns = found[0],
                .token_ns = found[1],
                .prompt_ns = found[2],
                .swap_ns = swaps > 0 ? swap_ns / (double)swaps : 0,
                .step_ns = step_ns / (double)count };
        return found[0] + found[1] > 0;
}
