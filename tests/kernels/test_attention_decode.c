/* Every table against the reference on scattered blocks of uneven counts, and rows against other
 * company. */
#include "tests/test.h"

#include "base/rng.h"
#include "kernels/attention_decode.h"
#include "kernels/kernels.h"

enum { ROWS = 12, BLOCKS = 40, HEADS = 6, KV_HEADS = 2, HEAD_DIM_MAX = 48, CONTEXT_MAX = 160 };

static float blocks[BLOCKS * 2 * KV_HEADS * HEAD_DIM_MAX * SCOPE_KV_BLOCK];
static float q[ROWS * HEADS * HEAD_DIM_MAX],
        scratch[(CONTEXT_MAX + 3 * SCOPE_KV_BLOCK) * SCOPE_HEADS_TOGETHER];
static uint32_t lists[ROWS][2][BLOCKS];
static struct scope_attention_decode_row rows[ROWS];

static int setup(void **state)
{
        (void)state;
        struct scope_rng rng = scope_rng_make(4);
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
                blocks[i] = (float)scope_rng_normal(&rng);
        for (size_t i = 0; i < sizeof q / sizeof *q; i++)
                q[i] = (float)scope_rng_normal(&rng);
        for (uint32_t r = 0; r < ROWS; r++) {
                for (uint32_t b = 0; b < BLOCKS; b++) {
                        lists[r][0][b] = (uint32_t)scope_rng_below(&rng, BLOCKS);
                        lists[r][1][b] = (uint32_t)scope_rng_below(&rng, BLOCKS);
                }
                rows[r] = (struct scope_attention_decode_row){ lists[r][0], lists[r][1],
                        r == 0 ? 0 : (uint32_t)scope_rng_below(&rng, 80),
                        1 + (uint32_t)scope_rng_below(&rng, 80) };
        }
        return 0;
}

static void run(const struct scope_kernels *table, uint32_t first, uint32_t count,
        uint32_t head_dim, float *ret_out)
{
        struct scope_attention_decode_args args = { .q = q + (size_t)first * HEADS * head_dim,
                .blocks = blocks, .row = rows + first, .out = ret_out, .scratch = scratch,
                .rows = count, .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = head_dim,
                .end = count * HEADS };
        assert_ok(table->attention_decode(&args, NULL));
}

/* However rows x heads are cut, and however many heads share keys: the same bits. */
static void test_heads_do_not_depend_on_who_computes_the_others(void **state)
{
        (void)state;
        static const uint32_t kv_heads[] = { 1, 2, 3, 6 };
        static float whole[ROWS * HEADS * 32], cut[ROWS * HEADS * 32], head[32 * ROWS * HEADS];
        const struct scope_kernels *table;
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++)
                for (size_t i = 0; i < sizeof kv_heads / sizeof *kv_heads; i++) {
                        struct scope_attention_decode_args args = { .q = q, .blocks = blocks,
                                .row = rows, .out = whole, .scratch = scratch, .rows = ROWS,
                                .heads = HEADS, .kv_heads = kv_heads[i],
                                .head_dim = 32 / kv_heads[i] / 2 * 2, .end = ROWS * HEADS };
                        size_t bytes = (size_t)ROWS * HEADS * args.head_dim * sizeof(float);
                        assert_ok(table->attention_decode(&args, NULL));
                        args.out = cut;
                        for (args.begin = 0; args.begin < ROWS * HEADS; args.begin = args.end) {
                                args.end = args.begin + 1 + args.begin % 11;
                                args.end = args.end < ROWS * HEADS ? args.end : ROWS * HEADS;
                                assert_ok(table->attention_decode(&args, NULL));
                        }
                        assert_memory_equal(whole, cut, bytes);
                        args.out = head;
                        for (args.begin = 0; args.begin < ROWS * HEADS; args.begin++) {
                                args.end = args.begin + 1;
                                assert_ok(table->attention_decode(&args, NULL));
                        }
                        assert_memory_equal(whole, head, bytes);
                }
}

static void test_every_table_equals_the_reference(void **state)
{
        (void)state;
        static const uint32_t dims[] = { 2, 10, 16, 32, 48 };
        static float expected[ROWS * HEADS * HEAD_DIM_MAX], out[ROWS * HEADS * HEAD_DIM_MAX];
        const struct scope_kernels *table;
        assert_true(
                scope_attention_decode_scratch(CONTEXT_MAX) <= sizeof scratch / sizeof *scratch);
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
                run(scope_kernels_at(0), 0, ROWS, dims[d], expected);
                for (size_t t = 1; (table = scope_kernels_at(t)) != NULL; t++) {
                        run(table, 0, ROWS, dims[d], out);
                        for (size_t i = 0; i < (size_t)ROWS * HEADS * dims[d]; i++)
                                assert_close(out[i], expected[i], 2e-6);
                }
        }
}

static void test_a_row_does_not_depend_on_its_batch_nor_on_what_lies_past_its_count(void **state)
{
        (void)state;
        static float together[ROWS * HEADS * 32], alone[HEADS * 32],
                held[sizeof blocks / sizeof *blocks];
        const struct scope_kernels *table;
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++) {
                run(table, 0, ROWS, 32, together);
                for (uint32_t r = 0; r < ROWS; r++) {
                        run(table, r, 1, 32, alone);
                        assert_memory_equal(alone, together + (size_t)r * HEADS * 32, sizeof alone);
                }
        }
        /* One row whose only block is full of NaN after its three positions. */
        uint32_t list[] = { 7 }, none[] = { 0 };
        struct scope_attention_decode_row kept = rows[0];
        rows[0] = (struct scope_attention_decode_row){ none, list, 0, 3 };
        memcpy(held, blocks, sizeof blocks);
        for (size_t t = 0; (table = scope_kernels_at(t)) != NULL; t++) {
                run(table, 0, 1, 32, alone);
                float *block = blocks + 7 * scope_kv_block_floats(KV_HEADS, 32);
                memset(block, 0xff, scope_kv_block_floats(KV_HEADS, 32) * sizeof(float));
                const float *from = held + 7 * scope_kv_block_floats(KV_HEADS, 32);
                const float *values = from + (size_t)KV_HEADS * 32 * SCOPE_KV_BLOCK;
                for (uint32_t place = 0; place < 3; place++) {
                        float k[KV_HEADS * 32], v[KV_HEADS * 32];
                        for (size_t i = 0; i < KV_HEADS * 32; i++) {
                                k[i] = from[i * SCOPE_KV_BLOCK + place];
                                v[i] = values[(i / 32 * SCOPE_KV_BLOCK + place) * 32 + i % 32];
                        }
                        for (uint32_t h = 0; h < KV_HEADS; h++)
                                scope_kv_block_put(&(struct scope_kv_put){ .block = block,
                                        .k = k + (size_t)h * 32, .v = v + (size_t)h * 32,
                                        .place = place, .head = h, .kv_heads = KV_HEADS,
                                        .head_dim = 32 });
                }
                run(table, 0, 1, 32, together);
                assert_memory_equal(alone, together, sizeof alone);
                memcpy(blocks, held, sizeof blocks);
        }
        rows[0] = kept;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_table_equals_the_reference),
                cmocka_unit_test(test_heads_do_not_depend_on_who_computes_the_others),
                cmocka_unit_test(
                        test_a_row_does_not_depend_on_its_batch_nor_on_what_lies_past_its_count),
        };
        return cmocka_run_group_tests(tests, setup, NULL);
}
