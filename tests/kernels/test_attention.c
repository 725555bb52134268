#include "tests/kernels/kernels_test.h"

#include "kernels/attention.h"

/* Lengths around a vector, a few rows and a block of keys (128). */
static const uint32_t short_ones[] = { 0, 1, 38, 46, 62 }, long_ones[] = { 0, 128, 257, 517 };

struct problem {
        struct scope_attention_args args;
        const float *dout;
        size_t rows;
};

static double value(void *context)
{
        struct problem *p = context;
        assert_ok(scope_kernels_at(0)->attention(&p->args, NULL));
        return inner(p->args.out, p->dout, p->rows * p->args.heads * p->args.head_dim);
}

static void check_shape(const struct scope_kernels *table, const uint32_t *begin,
        uint32_t sequences, uint32_t heads, uint32_t kv_heads, uint32_t dim)
{
        const size_t rows = begin[sequences];
        const size_t count = rows * heads * dim, kv_count = rows * kv_heads * dim;
        struct arrays arrays = { .rng = scope_rng_make(dim) };
        float *q = arrays_random(&arrays, count, 1.0), *k = arrays_random(&arrays, kv_count, 1.0);
        float *v = arrays_random(&arrays, kv_count, 1.0), *out = arrays_zeros(&arrays, count);
        float *lse = arrays_zeros(&arrays, rows * heads);
        float *scratch = arrays_zeros(&arrays, scope_attention_scratch(dim));
        struct problem p = { .dout = arrays_random(&arrays, count, 1.0),
                .rows = rows,
                .args = { .q = q,
                        .k = k,
                        .v = v,
                        .out = out,
                        .lse = lse,
                        .scratch = scratch,
                        .begin = begin,
                        .sequences = sequences,
                        .heads = heads,
                        .kv_heads = kv_heads,
                        .head_dim = dim } };
        (void)value(&p);
        struct scope_attention_args args = p.args;
        args.out = arrays_random(&arrays, count, 1.0);
        args.lse = arrays_zeros(&arrays, rows * heads);
        assert_ok(table->attention(&args, NULL));
        assert_near(table, "out", args.out, out, count, 3e-6);
        assert_near(table, "lse", args.lse, lse, rows * heads, 3e-6);
        struct scope_attention_backward_args backward = { .q = q,
                .k = k,
                .v = v,
                .out = out,
                .lse = lse,
                .dout = p.dout,
                .dq = arrays_random(&arrays, count, 1.0),
                .dk = arrays_random(&arrays, kv_count, 1.0),
                .dv = arrays_random(&arrays, kv_count, 1.0),
                .scratch = scratch,
                .begin = begin,
                .sequences = sequences,
                .heads = heads,
                .kv_heads = kv_heads,
                .head_dim = dim };
        assert_ok(table->attention_backward(&backward, NULL));
        assert_slope(table, "q", q, backward.dq, count, value, &p);
        assert_slope(table, "k", k, backward.dk, kv_count, value, &p);
        assert_slope(table, "v", v, backward.dv, kv_count, value, &p);
        (void)value(&p); /* the slopes left out and lse elsewhere */
        float *dq = backward.dq, *dk = backward.dk, *dv = backward.dv;
        backward.dq = arrays_zeros(&arrays, count);
        backward.dk = arrays_zeros(&arrays, kv_count);
        backward.dv = arrays_zeros(&arrays, kv_count);
        assert_ok(scope_kernels_at(0)->attention_backward(&backward, NULL));
        assert_near(table, "dq", dq, backward.dq, count, 5e-6);
        assert_near(table, "dk", dk, backward.dk, kv_count, 5e-6);
        assert_near(table, "dv", dv, backward.dv, kv_count, 5e-6);
        arrays_free(&arrays);
}

static void check(const struct scope_kernels *table)
{
        check_shape(table, short_ones, 4, 3, 3, 32);
        check_shape(table, short_ones, 4, 4, 2, 6);
        check_shape(table, short_ones, 4, 2, 1, 40);
        check_shape(table, long_ones, 3, 2, 1, 6);
}

static void test_attention_equals_the_reference_and_its_slope(void **state)
{
        (void)state;
        for_each_table(check);
}

/* Scores far apart: the softmax must neither overflow nor lose the winner. */
static void check_extremes(const struct scope_kernels *table)
{
        struct arrays arrays = { .rng = scope_rng_make(1) };
        const uint32_t two[2] = { 0, 3 };
        float q[3 * 4] = { 0 }, k[3 * 4] = { 0 }, out[3 * 4], lse[3];
        float v[3 * 4] = { 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3 };
        q[8] = 100.0f;
        k[4] = 60.0f; /* row 2: scores 0, 3000, -3000 */
        k[8] = -60.0f;
        assert_ok(table->attention(
                &(struct scope_attention_args){ .q = q,
                        .k = k,
                        .v = v,
                        .out = out,
                        .lse = lse,
                        .scratch = arrays_zeros(&arrays, scope_attention_scratch(4)),
                        .begin = two,
                        .sequences = 1,
                        .heads = 1,
                        .kv_heads = 1,
                        .head_dim = 4 },
                NULL));
        assert_close(out[0], 1.0, 1e-6);
        assert_close(out[4], 1.5, 1e-6);
        assert_close(out[8], 2.0, 1e-6);
        assert_close(lse[2], 3000.0, 1e-2);
        arrays_free(&arrays);
}

static void test_scores_far_apart_stay_finite(void **state)
{
        (void)state;
        for_each_table(check_extremes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_attention_equals_the_reference_and_its_slope),
                cmocka_unit_test(test_scores_far_apart_stay_finite),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
