/* Every table against the reference, and each row against itself in other company. */
#include "tests/test.h"

#include <math.h>

#include "base/rng.h"
#include "kernels/gemm_packed.h"
#include "kernels/kernels.h"

enum { M = 19, N = 150, K = 67, BYTES_MAX = (N + 31) / 32 * 32 * K * 4 };

static float x[M * K], w[N * K], bias[N];
static _Alignas(64) unsigned char packed[BYTES_MAX], whole[BYTES_MAX];
static _Alignas(64) unsigned char scratch[M * (K / 32 + 1) * 72];

static int setup(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(3);
        for (size_t i = 0; i < M * K; i++)
                x[i] = (float)scope_rng_normal(&rng);
        for (size_t i = 0; i < N * K; i++)
                w[i] = (float)scope_rng_normal(&rng);
        for (size_t i = 0; i < N; i++)
                bias[i] = (float)scope_rng_normal(&rng);
        return 0;
}

static void pack(enum scope_form weights, uint32_t n)
{
        assert_true(scope_gemm_packed_bytes(weights, n, K) <= sizeof packed);
        scope_gemm_pack(weights, w, n, K, 0, scope_panel_count(n), packed);
}

static struct scope_gemm_packed_args product(
        enum scope_form weights, const float *rows, uint32_t m, uint32_t n, float *ret_y)
{
        assert_true(scope_gemm_packed_scratch(m, K) <= sizeof scratch);
        return (struct scope_gemm_packed_args){ .x = rows, .packed = packed, .y = ret_y, .m = m,
                .n = n, .k = K, .scratch = scratch,
                .panel_end = scope_panel_count(n), .weights = weights };
}

static void test_every_table_equals_the_plain_product(void **state)
{
        (void)state;
        static const uint32_t columns[] = { 1, 21, 32, 96, 131, N };
        static float y[M * N];
        const struct scope_kernels *table;
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
                for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                        for (uint32_t m = 1; m <= M; m++) {
                                uint32_t n = columns[c];
                                pack(SCOPE_FORM_F32, n);
                                for (uint32_t i = 0; i < m * n; i++)
                                        y[i] = (float)i;
                                struct scope_gemm_packed_args args =
                                        product(SCOPE_FORM_F32, x, m, n, y);
                                args.bias = m % 2 ? bias : NULL;
                                args.accumulate = m % 3;
                                assert_ok(table->gemm_packed(&args, NULL));
                                for (uint32_t i = 0; i < m * n; i++) {
                                        double sum = (m % 2 ? bias[i % n] : 0) + (m % 3 ? i : 0.0);
                                        for (uint32_t p = 0; p < K; p++)
                                                sum += (double)x[i / n * K + p] * w[i % n * K + p];
                                        assert_close(y[i], sum, 1e-3);
                                }
                        }
}

/* What a weight can be off by when it is rounded to `weights`. */
static double rounding(enum scope_form weights, uint32_t j, uint32_t p)
{
        double highest = 0;
        uint32_t begin = p / SCOPE_SCALE_BLOCK * SCOPE_SCALE_BLOCK;
        for (uint32_t i = begin; i < begin + SCOPE_SCALE_BLOCK && i < K; i++)
                highest = fmax(highest, fabs((double)w[j * K + i]));
        if (weights == SCOPE_FORM_INT8) /* half a step; the scale may be 2^-9 short, x 2^-16 off */
                return highest / 127 / 2 * 1.004 + highest / 500 + highest / 4096;
        return fabs((double)w[j * K + p]) / 256;
}

/* Rounded weights: the reference is near the plain product, the tables near the reference. */
static void test_rounded_weights_are_near(void **state)
{
        (void)state;
        static float y[M * N], want[M * N];
        const struct scope_kernels *table;
        for (int form = SCOPE_FORM_BF16; form <= SCOPE_FORM_INT8; form++)
                for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                        for (uint32_t m = 1; m <= M; m++) {
                                pack((enum scope_form)form, N);
                                struct scope_gemm_packed_args args =
                                        product((enum scope_form)form, x, m, N, t ? y : want);
                                args.panel_begin = m % 5;
                                assert_ok(table->gemm_packed(&args, NULL));
                                for (uint32_t i = 0; i < m * N; i++) {
                                        double sum = 0, off = 1e-3;
                                        uint32_t j = i % N;
                                        if (j / SCOPE_PANEL < m % 5)
                                                continue;
                                        for (uint32_t p = 0; p < K; p++) {
                                                double a = x[i / N * K + p];
                                                sum += a * w[j * K + p];
                                                off += fabs(a)
                                                        * rounding((enum scope_form)form, j, p);
                                        }
                                        assert_close(t ? y[i] : want[i], sum, off);
                                }
                                if (m < M || t == 0)
                                        continue;
                                for (uint32_t i = 0; i < M * N; i++)
                                        if (i % N / SCOPE_PANEL >= M % 5)
                                                assert_close(y[i], want[i], 1e-3);
                        }
}

static void test_a_row_does_not_depend_on_its_batch_or_panels(void **state)
{
        (void)state;
        static float together[M * N], alone[N];
        const struct scope_kernels *table;
        for (int form = SCOPE_FORM_F32; form <= SCOPE_FORM_INT8; form++) {
                pack((enum scope_form)form, N);
                for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                        for (uint32_t m = 1; m <= M; m++) {
                                struct scope_gemm_packed_args args =
                                        product((enum scope_form)form, x, m, N, together);
                                args.bias = bias;
                                assert_ok(table->gemm_packed(&args, NULL));
                                for (uint32_t row = 0; row < m; row++) {
                                        args.x = x + row * K;
                                        args.m = 1;
                                        args.y = alone;
                                        args.panel_begin = 0;
                                        args.panel_end = row % scope_panel_count(N);
                                        assert_ok(table->gemm_packed(&args, NULL));
                                        args.panel_begin = args.panel_end;
                                        args.panel_end = scope_panel_count(N);
                                        assert_ok(table->gemm_packed(&args, NULL));
                                        assert_memory_equal(
                                                alone, together + row * N, sizeof alone);
                                }
                        }
        }
}

/* int8 rounds x: what it was rounded to may be used again, and a number that is none is seen. */
static void test_rounded_rows_may_be_kept_and_show_what_is_no_number(void **state)
{
        (void)state;
        static float first[M * N], again[M * N], odd[M * K];
        const struct scope_kernels *table;
        pack(SCOPE_FORM_INT8, N);
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                for (uint32_t m = 1; m <= M; m += 3) {
                        struct scope_gemm_packed_args args =
                                product(SCOPE_FORM_INT8, x, m, N, first);
                        assert_ok(table->gemm_packed(&args, NULL));
                        args.y = again;
                        args.rounded = true;
                        assert_ok(table->gemm_packed(&args, NULL));
                        assert_memory_equal(first, again, (size_t)m * N * sizeof *first);
                        memcpy(odd, x, sizeof odd);
                        memset(odd, 0, K * sizeof *odd); /* a row of zeros */
                        odd[(m - 1) * K + 40] = m % 2 ? INFINITY : -NAN;
                        args.x = odd;
                        args.rounded = false;
                        assert_ok(table->gemm_packed(&args, NULL));
                        for (uint32_t i = 0; i < m * N; i++)
                                assert_int_equal(isfinite(again[i]) != 0, i / N != m - 1);
                        for (uint32_t i = 0; m > 1 && i < N; i++)
                                assert_true(again[i] == 0);
                }
}

static void test_panels_may_be_packed_apart(void **state)
{
        (void)state;
        for (int form = SCOPE_FORM_F32; form <= SCOPE_FORM_INT8; form++) {
                enum scope_form weights = (enum scope_form)form;
                memset(whole, 0xff, sizeof whole);
                scope_gemm_pack(weights, w, N, K, 0, scope_panel_count(N), whole);
                memset(packed, 0xff, sizeof packed);
                scope_gemm_pack(weights, w, N, K, 3, scope_panel_count(N), packed);
                scope_gemm_pack(weights, w, N, K, 0, 3, packed);
                assert_memory_equal(whole, packed, sizeof packed);
        }
}

static void test_a_rounded_weight_is_packed_as_it_is(void **state)
{
        (void)state;
        static float y[N], one[K];
        for (uint32_t i = 0; i < N * K; i++) /* 7 bits: bf16 holds them */
                w[i] = (float)((int)(i * 37 % 255) - 127) / 64;
        one[5] = 1;
        pack(SCOPE_FORM_BF16, N);
        struct scope_gemm_packed_args args = product(SCOPE_FORM_BF16, one, 1, N, y);
        assert_ok(scope_kernels_at(0)->gemm_packed(&args, NULL));
        for (uint32_t j = 0; j < N; j++)
                assert_true(y[j] == w[j * K + 5]);
        assert_int_equal(setup(NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_table_equals_the_plain_product),
                cmocka_unit_test(test_rounded_weights_are_near),
                cmocka_unit_test(test_a_row_does_not_depend_on_its_batch_or_panels),
                cmocka_unit_test(test_rounded_rows_may_be_kept_and_show_what_is_no_number),
                cmocka_unit_test(test_panels_may_be_packed_apart),
                cmocka_unit_test(test_a_rounded_weight_is_packed_as_it_is),
        };
        return cmocka_run_group_tests(tests, setup, NULL);
}
