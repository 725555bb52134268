/* Twenty AdamW steps beside PyTorch's, ranks beside each other, and what is refused. */
#include "tests/models/fixture.h"

#include <malloc.h>
#include <pthread.h>

#include "base/buffer.h"
#include "models/comm.h"

enum { RANKS_MAX = 2 };

struct learner {
        struct fixture *fixture;
        struct scope_comm *comm;
        struct scope_trainer *trainer;
        uint32_t begin[RANKS_MAX + 1];
        uint32_t steps;
        float norms[32];
        double objectives[RANKS_MAX][32]; /* of each rank's rows */
        enum scope_err err[RANKS_MAX];
};

struct member {
        struct learner *learner;
        unsigned rank;
};

static struct scope_trainer_options options_of(const struct learner *learner)
{
        const json_t *adamw = json_object_get(learner->fixture->root, "adamw");
        return (struct scope_trainer_options){ .layout = learner->fixture->layout,
                .comm = learner->comm,
                .context_max = FIXTURE_LENGTH_MAX,
                .microbatch_tokens = 64,
                .lr = (float)fixture_double(adamw, "lr"),
                .beta1 = (float)fixture_double(adamw, "beta1"),
                .beta2 = (float)fixture_double(adamw, "beta2"),
                .eps = (float)fixture_double(adamw, "eps"),
                .weight_decay = (float)fixture_double(adamw, "weight_decay"),
                .grad_clip = (float)fixture_double(adamw, "grad_clip") };
}

static void learner_init(struct learner *learner, const char *name, unsigned ranks)
{
        *learner = (struct learner){ .fixture = fixture_load(name), .steps = 20 };
        if (ranks == 1)
                assert_ok(scope_comm_one_create(&learner->comm));
        else
                assert_ok(scope_comm_threads_create(ranks, &learner->comm));
        const struct scope_trainer_options options = options_of(learner);
        assert_ok(scope_trainer_create(&options, &learner->trainer));
        memcpy(scope_trainer_parameters(learner->trainer), learner->fixture->parameters,
                learner->fixture->layout->float_count * sizeof(float));
        scope_trainer_split(
                learner->fixture->rows, learner->fixture->row_count, ranks, learner->begin);
}

static void learner_fini(struct learner *learner)
{
        scope_trainer_destroy(learner->trainer);
        scope_comm_destroy(learner->comm);
        fixture_destroy(learner->fixture);
}

static double objective(const struct scope_row *rows, uint32_t count)
{
        double sum = 0.0;
        for (uint32_t i = 0; i < count; i++)
                for (uint32_t j = rows[i].first; j < rows[i].count; j++)
                        sum += (double)rows[i].coef[j] * rows[i].logp[j] +
                               (double)rows[i].entropy_coef * rows[i].entropy[j];
        return sum;
}

/* One row a microbatch, so that gradients add up over several. */
static enum scope_err train(struct learner *learner, unsigned rank)
{
        struct scope_trainer *trainer = learner->trainer;
        enum scope_err err = SCOPE_OK;
        for (uint32_t s = 0; s < learner->steps && err == SCOPE_OK; s++) {
                scope_trainer_zero(trainer, rank);
                learner->objectives[rank][s] = 0.0;
                for (uint32_t i = learner->begin[rank]; i < learner->begin[rank + 1]; i++) {
                        struct scope_row *row = &learner->fixture->rows[i];
                        err = scope_trainer_forward(trainer, rank, row, 1);
                        if (err == SCOPE_OK)
                                err = scope_trainer_backward(trainer, rank, row, 1);
                        if (err != SCOPE_OK)
                                return err;
                        learner->objectives[rank][s] += objective(row, 1);
                }
                float norm = 0.0f;
                err = scope_trainer_step(trainer, rank, options_of(learner).lr, &norm);
                if (rank == 0)
                        learner->norms[s] = norm;
        }
        return err;
}

static void *run_rank(void *arg)
{
        const struct member *member = arg;
        member->learner->err[member->rank] = train(member->learner, member->rank);
        return NULL;
}

static void learn(struct learner *learner)
{
        struct member members[RANKS_MAX] = { { learner, 0 }, { learner, 1 } };
        pthread_t second;
        if (learner->comm->size == 2)
                assert_int_equal(pthread_create(&second, NULL, run_rank, &members[1]), 0);
        (void)run_rank(&members[0]);
        if (learner->comm->size == 2)
                assert_int_equal(pthread_join(second, NULL), 0);
}

static void check_torch(const char *name)
{
        struct learner learner;
        learner_init(&learner, name, 1);
        learn(&learner);
        assert_ok(learner.err[0]);
        const json_t *adamw = json_object_get(learner.fixture->root, "adamw");
        for (uint32_t s = 0; s < learner.steps; s++) {
                double norm = fixture_at(adamw, "norms", s);
                assert_close(learner.norms[s], norm, 2e-4 * norm);
                assert_close(learner.objectives[0][s], fixture_at(adamw, "objectives", s), 2e-4);
        }
        assert_close(fixture_gap(learner.fixture, json_object_get(adamw, "after"),
                             scope_trainer_parameters(learner.trainer), 1.0),
                0.0, 2e-4);
        assert_int_equal(*scope_trainer_state(learner.trainer).steps, 20);
        learner_fini(&learner);
}

static void test_twenty_steps_equal_torch(void **state)
{
        (void)state;
        check_torch("llama_untied");
        check_torch("llama_tied");
        check_torch("qwen2");
}

static void test_two_ranks_equal_one(void **state)
{
        (void)state;
        struct learner one, two;
        learner_init(&one, "llama_untied", 1);
        learner_init(&two, "llama_untied", 2);
        learn(&one);
        learn(&two);
        assert_ok(two.err[0]);
        assert_ok(two.err[1]);
        const float *a = scope_trainer_parameters(one.trainer);
        const float *b = scope_trainer_parameters(two.trainer);
        double worst = 0.0, scale = 0.0;
        for (size_t i = 0; i < one.fixture->layout->float_count; i++) {
                worst = fmax(worst, fabs((double)a[i] - b[i]));
                scale = fmax(scale, fabs((double)a[i]));
        }
        assert_close(one.norms[0], two.norms[0], 1e-6 * one.norms[0]);
        assert_close(worst / scale, 0.0, 1e-6);
        learner_fini(&one);
        learner_fini(&two);
}

static void check_repeat(unsigned ranks)
{
        struct learner first, again;
        learner_init(&first, "qwen2", ranks);
        learner_init(&again, "qwen2", ranks);
        learn(&first);
        learn(&again);
        assert_memory_equal(scope_trainer_parameters(first.trainer),
                scope_trainer_parameters(again.trainer),
                first.fixture->layout->float_count * sizeof(float));
        assert_memory_equal(first.norms, again.norms, sizeof first.norms);
        learner_fini(&first);
        learner_fini(&again);
}

static void test_repeats_are_bit_identical(void **state)
{
        (void)state;
        check_repeat(1);
        check_repeat(2);
}

static void test_gradient_that_is_not_finite_changes_nothing(void **state)
{
        (void)state;
        struct learner learner;
        learner_init(&learner, "llama_tied", 2);
        learner.fixture->rows[0].coef[learner.fixture->rows[0].first] = INFINITY;
        learn(&learner);
        assert_int_equal(learner.err[0], SCOPE_ERR_INTERNAL);
        assert_int_equal(learner.err[1], SCOPE_ERR_INTERNAL);
        assert_memory_equal(scope_trainer_parameters(learner.trainer), learner.fixture->parameters,
                learner.fixture->layout->float_count * sizeof(float));
        struct scope_trainer_state moments = scope_trainer_state(learner.trainer);
        for (size_t i = 0; i < learner.fixture->layout->float_count; i++)
                assert_true(moments.first[i] == 0.0f && moments.second[i] == 0.0f);
        assert_int_equal(*moments.steps, 0);
        learner_fini(&learner);
}

static void test_rows_out_of_bounds_are_refused(void **state)
{
        (void)state;
        struct learner learner;
        learner_init(&learner, "llama_tied", 1);
        struct scope_row *rows = learner.fixture->rows, saved = rows[0];
        struct scope_trainer *t = learner.trainer;
        rows[0].first = 0;
        assert_int_equal(scope_trainer_forward(t, 0, rows, 1), SCOPE_ERR_SHAPE);
        rows[0] = saved;
        rows[0].count = FIXTURE_LENGTH_MAX + 1;
        assert_int_equal(scope_trainer_forward(t, 0, rows, 1), SCOPE_ERR_SHAPE);
        rows[0] = saved;
        rows[0].temperature = 0.0f;
        assert_int_equal(scope_trainer_forward(t, 0, rows, 1), SCOPE_ERR_ARGUMENT);
        rows[0] = saved;
        rows[0].target = rows[0].coef;
        assert_int_equal(scope_trainer_forward(t, 0, rows, 1), SCOPE_ERR_UNSUPPORTED);
        rows[0] = saved;
        learner.fixture->tokens[0][1] = learner.fixture->layout->config.vocab;
        assert_int_equal(scope_trainer_forward(t, 0, rows, 1), SCOPE_ERR_SHAPE);
        learner.fixture->tokens[0][1] = 0;
        struct scope_row many[8]; /* 8 rows of 9 tokens > 64 */
        for (int i = 0; i < 8; i++)
                many[i] = rows[0];
        assert_int_equal(scope_trainer_forward(t, 0, many, 8), SCOPE_ERR_SHAPE);
        assert_ok(scope_trainer_forward(t, 0, rows, 1));
        learner_fini(&learner);
}

static void test_reward_head_is_not_trained(void **state)
{
        (void)state;
        struct fixture *fixture = fixture_load("qwen2_reward");
        struct scope_comm *comm = NULL;
        struct scope_trainer *trainer = NULL;
        assert_ok(scope_comm_one_create(&comm));
        const struct scope_trainer_options options = { .layout = fixture->layout,
                .comm = comm,
                .context_max = 8,
                .microbatch_tokens = 8,
                .eps = 1e-8f };
        assert_int_equal(scope_trainer_create(&options, &trainer), SCOPE_ERR_UNSUPPORTED);
        scope_comm_destroy(comm);
        fixture_destroy(fixture);
}

static void test_split_is_contiguous_and_balanced(void **state)
{
        (void)state;
        struct scope_row rows[20] = { 0 };
        uint32_t begin[5], total = 0;
        for (uint32_t i = 0; i < 20; i++)
                total += rows[i].count = 5 + i * 7 % 11;
        for (unsigned size = 1; size <= 4; size++) {
                scope_trainer_split(rows, 20, size, begin);
                assert_int_equal(begin[0], 0);
                assert_int_equal(begin[size], 20);
                for (unsigned r = 0; r < size; r++) {
                        uint32_t tokens = 0;
                        assert_true(begin[r] <= begin[r + 1]);
                        for (uint32_t i = begin[r]; i < begin[r + 1]; i++)
                                tokens += rows[i].count;
                        assert_close(tokens, (double)total / size, 15);
                }
        }
        scope_trainer_split(rows, 0, 3, begin);
        assert_int_equal(begin[3], 0);
        scope_trainer_split(rows, 1, 4, begin); /* fewer rows than ranks */
        assert_int_equal(begin[4], 1);
}

static void test_step_takes_no_memory(void **state)
{
        (void)state;
        struct learner learner;
        learner_init(&learner, "llama_untied", 1);
        learner.steps = 2;
        learn(&learner); /* the product library takes its buffers the first time */
        size_t before = mallinfo2().uordblks;
        float norm;
        scope_trainer_zero(learner.trainer, 0);
        assert_ok(scope_trainer_forward(learner.trainer, 0, learner.fixture->rows, 4));
        assert_ok(scope_trainer_backward(learner.trainer, 0, learner.fixture->rows, 4));
        assert_ok(scope_trainer_step(learner.trainer, 0, 1e-3f, &norm));
        assert_int_equal(mallinfo2().uordblks, before);
        learner_fini(&learner);
}

static void test_export_is_a_copy(void **state)
{
        (void)state;
        struct learner learner;
        struct scope_buffer *weights = NULL;
        learner_init(&learner, "qwen2", 1);
        const size_t bytes = learner.fixture->layout->float_count * sizeof(float);
        assert_ok(scope_trainer_export(learner.trainer, &weights));
        learn(&learner);
        assert_int_equal(scope_buffer_bytes(weights), bytes);
        assert_memory_equal(scope_buffer_data(weights), learner.fixture->parameters, bytes);
        scope_buffer_drop(weights);
        learner_fini(&learner);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_twenty_steps_equal_torch),
                cmocka_unit_test(test_two_ranks_equal_one),
                cmocka_unit_test(test_repeats_are_bit_identical),
                cmocka_unit_test(test_gradient_that_is_not_finite_changes_nothing),
                cmocka_unit_test(test_rows_out_of_bounds_are_refused),
                cmocka_unit_test(test_reward_head_is_not_trained),
                cmocka_unit_test(test_split_is_contiguous_and_balanced),
                cmocka_unit_test(test_step_takes_no_memory),
                cmocka_unit_test(test_export_is_a_copy),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
