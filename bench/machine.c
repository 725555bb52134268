#include "bench/machine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/check.h"
#include "base/limits.h"
#include "kernels/gemm_packed.h"
#include "kernels/kernels.h"
#include "runtime/compute_pool.h"

enum { ROWS = 48, K = 256, N = 256, PAGE = 2 << 20, AHEAD = 16 };
static const size_t READ_BYTES = (size_t)512 << 20;

struct probe {
        const struct scope_kernels *kernels;
        const float *big;
        double amount[SCOPE_CORES_MAX]; /* of each rank: flop or bytes a second */
};

static double now(void)
{
        struct timespec time;
        (void)clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void *must_have(void *memory)
{
        scope_assert(memory != NULL);
        return memory;
}

static enum scope_err probe_flop(void *arg, unsigned rank, unsigned size)
{
        struct probe *probe = arg;
        (void)size;
        float *x = must_have(aligned_alloc(64, ROWS * K * sizeof *x));
        float *w = must_have(aligned_alloc(64, scope_gemm_packed_bytes(SCOPE_FORM_F32, N, K)));
        float *y = must_have(aligned_alloc(64, ROWS * N * sizeof *y));
        struct scope_gemm_packed_args args = { .x = x, .packed = w, .y = y, .m = ROWS, .n = N,
                .k = K, .panel_end = scope_panel_count(N) };
        memset(x, 0, ROWS * K * sizeof *x);
        memset(w, 0, scope_gemm_packed_bytes(SCOPE_FORM_F32, N, K));
        double begin = now(), flop = 0, end;
        do {
                for (int i = 0; i < 16; i++)
                        scope_assert(probe->kernels->gemm_packed(&args, NULL) == SCOPE_OK);
                flop += 16.0 * 2 * ROWS * N * K;
                end = now();
        } while (end - begin < 0.3);
        probe->amount[rank] = flop / (end - begin);
        free(x);
        free(w);
        free(y);
        return SCOPE_OK;
}

typedef float line __attribute__((vector_size(64)));

/* Four streams a rank, a line of each in turn, asked for a little before: as fast as we know to. */
static enum scope_err probe_read(void *arg, unsigned rank, unsigned size)
{
        struct probe *probe = arg;
        size_t count = READ_BYTES / sizeof(line) / size / 4 * 4, stream = count / 4;
        const line *from = (const line *)(const void *)probe->big + rank * count;
        volatile float kept;
        double begin = now(), bytes = 0, end;
        do {
                line sum = { 0 };
                for (size_t i = 0; i < stream; i++)
                        for (size_t j = 0; j < 4; j++) {
                                __builtin_prefetch(from + j * stream + i + AHEAD);
                                sum += from[j * stream + i];
                        }
                kept = sum[0] + sum[15];
                bytes += (double)count * sizeof(line);
                end = now();
        } while (end - begin < 0.3);
        (void)kept;
        probe->amount[rank] = bytes / (end - begin);
        return SCOPE_OK;
}

static double sum_of(struct scope_compute_pool *pool, struct probe *probe, unsigned cores,
        enum scope_err (*run)(void *arg, unsigned rank, unsigned size))
{
        struct scope_job job = { .run = run, .arg = probe, .cores = (uint8_t)cores };
        double sum = 0;
        scope_assert(scope_compute_pool_run(pool, &job) == SCOPE_OK);
        for (unsigned rank = 0; rank < cores; rank++)
                sum += probe->amount[rank];
        return sum;
}

struct scope_bench_machine scope_bench_machine(struct scope_compute_pool *pool, unsigned cores)
{
        struct probe probe = { .kernels = scope_kernels_pick(SCOPE_DEVICE_CPU) };
        struct scope_bench_machine machine;
        scope_assert(probe.kernels != NULL);
        float *big = must_have(aligned_alloc(PAGE, READ_BYTES));
        (void)madvise(big, READ_BYTES, MADV_HUGEPAGE); /* as the weights that are compared with */
        memset(big, 1, READ_BYTES);
        probe.big = big;
        machine.flop = sum_of(pool, &probe, cores, probe_flop);
        machine.read = sum_of(pool, &probe, cores, probe_read);
        free(big);
        return machine;
}
