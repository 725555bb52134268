/* machine.h - what this machine does at best, measured beside what we reach of it. */
#pragma once

struct scope_compute_pool;

struct scope_bench_machine {
        double flop, read; /* a second, of all cores: the packed gemm in cache; bytes of memory */
};

/* Takes about 0.6 s. What is read is 512 MiB, far more than caches hold.          thread  any */
struct scope_bench_machine scope_bench_machine(struct scope_compute_pool *pool, unsigned cores);
