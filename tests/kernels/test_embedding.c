#include "tests/kernels/kernels_test.h"

#include "kernels/embedding.h"

static void check(const struct scope_kernels *table)
{
        enum { VOCAB = 7, WIDTH = 19, ROWS = 5 };
        const uint32_t tokens[ROWS] = { 6, 0, 6, 3, 6 };
        struct arrays arrays = { .rng = scope_rng_make(5) };
        const float *weights = arrays_random(&arrays, VOCAB * WIDTH, 1.0);
        const float *dout = arrays_random(&arrays, ROWS * WIDTH, 1.0);
        float *out = arrays_zeros(&arrays, ROWS * WIDTH);
        float *gradient = arrays_zeros(&arrays, VOCAB * WIDTH);
        assert_ok(table->embedding(&(struct scope_embedding_args){ .tokens = tokens,
                                           .table = weights,
                                           .out = out,
                                           .rows = ROWS,
                                           .width = WIDTH },
                NULL));
        for (size_t i = 0; i < ROWS; i++)
                assert_memory_equal(
                        out + i * WIDTH, weights + tokens[i] * WIDTH, WIDTH * sizeof(float));
        assert_ok(
                table->embedding_backward(&(struct scope_embedding_backward_args){ .tokens = tokens,
                                                  .dout = dout,
                                                  .dtable = gradient,
                                                  .rows = ROWS,
                                                  .width = WIDTH },
                        NULL));
        for (size_t j = 0; j < WIDTH; j++) {
                assert_true(gradient[6 * WIDTH + j] ==
                            dout[j] + dout[2 * WIDTH + j] + dout[4 * WIDTH + j]);
                assert_true(gradient[3 * WIDTH + j] == dout[3 * WIDTH + j]);
                assert_true(gradient[1 * WIDTH + j] == 0.0f);
        }
        arrays_free(&arrays);
}

static void test_rows_are_copied_and_their_gradients_added(void **state)
{
        (void)state;
        for_each_table(check);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows_are_copied_and_their_gradients_added),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
