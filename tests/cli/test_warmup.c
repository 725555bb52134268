/* The warm-up on problems of one operation, which are learnt in a few steps: what each key does. */
#include "tests/test.h"

#include <unistd.h>

#include "actors/options.h"
#include "base/rng.h"
#include "cli/load.h"
#include "cli/warmup.h"

static const char base[] = "[run]\nseed = 3\n[data]\ntrain = \"builtin:chain?ops=1-1\"\n"
                           "eval = \"builtin:chain?ops=1-1&seed=1000003\"\n"
                           "[rollout]\nmax_prompt = 16\nmax_response = 32\nslots = 32\n"
                           "[learner]\nmicrobatch_tokens = 512\n"
                           "[warmup]\nbatch = 16\ntarget = 0.01\ntest_from = 1\ntest_every = 5\n"
                           "test_problems = 64\ntest_samples = 2\nprm_steps = 2\nsteps_max = 60\n";

struct made {
        enum scope_err err;
        struct scope_warmup_result result;
        uint64_t policy, prm; /* hashes of the weights' files; 0 = there is none */
};

static uint64_t hash_of(const char *directory, const char *name)
{
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s/model.safetensors", directory, name);
        FILE *file = fopen(path, "rb");
        if (file == NULL)
                return 0;
        static char bytes[4 << 20];
        size_t count = fread(bytes, 1, sizeof bytes, file);
        (void)fclose(file);
        assert_true(count > 0 && count < sizeof bytes);
        return scope_hash_bytes(bytes, count);
}

/* Into `directory`/w and `directory`/p, with one assignment on top of `base`. */
static struct made warm(const char *directory, const char *set)
{
        static struct scope_pipeline_options options;
        struct scope_config *config = NULL;
        struct scope_diag diag = { "" };
        struct made made = { .err = SCOPE_OK };
        char path[512];
        assert_ok(scope_config_create(scope_load_sections(&options), &config));
        assert_ok(scope_config_text(config, "base", base, strlen(base)));
        (void)snprintf(path, sizeof path, "warmup.path=%s/w", directory);
        assert_ok(scope_config_set(config, path));
        (void)snprintf(path, sizeof path, "warmup.prm_path=%s/p", directory);
        assert_ok(scope_config_set(config, path));
        if (set != NULL)
                assert_ok(scope_config_set(config, set));
        made.err = scope_warmup_run(&options, true, &made.result, &diag);
        made.policy = hash_of(directory, "w");
        made.prm = hash_of(directory, "p");
        scope_config_destroy(config);
        return made;
}

static void fresh(char *directory)
{
        memcpy(directory, "warmup-XXXXXX", 14);
        assert_non_null(mkdtemp(directory));
}

static void scrap(const char *directory)
{
        static const char *const names[] = { "model.safetensors", "config.json",
                "generation_config.json", "tokenizer.json", "tokenizer_config.json", "warmup.json",
                "" };
        char path[512];
        for (size_t i = 0; i < 2 * sizeof names / sizeof names[0]; i++) {
                (void)snprintf(path, sizeof path, "%s/%s/%s", directory, i % 2 == 0 ? "w" : "p",
                        names[i / 2]);
                (void)(names[i / 2][0] != 0 ? unlink(path) : rmdir(path));
        }
        assert_int_equal(rmdir(directory), 0);
}

static void test_the_same_settings_are_trained_once(void **state)
{
        (void)state;
        char one[16], two[16];
        fresh(one);
        fresh(two);
        struct made made = warm(one, NULL), other = warm(two, NULL), again = warm(one, NULL);
        assert_ok(made.err);
        assert_false(made.result.cached);
        assert_true(made.result.pass_at_1 >= 0.01);
        assert_int_equal(made.result.steps % 5, 0);
        assert_true(made.policy != 0 && made.prm != 0 && made.policy != made.prm);
        assert_true(made.policy == other.policy && made.prm == other.prm);
        assert_true(again.result.cached && again.policy == made.policy);
        again = warm(one, "learner.weight_decay=0.5");
        assert_true(!again.result.cached && again.policy != made.policy);
        scrap(one);
        scrap(two);
}

static void test_each_key_changes_what_it_says(void **state)
{
        (void)state;
        static const struct {
                const char *set;
                bool policy, prm; /* differ from the plain ones */
        } changes[] = {
                { "warmup.lr=2e-3", true, true },
                { "warmup.beta2=0.9", true, true },
                { "warmup.warmup=1", true, true },
                { "warmup.batch=24", true, true },
                { "warmup.target=0.08", true, true },
                { "warmup.prm_steps=3", false, true },
                { "warmup.prm_lr=1e-4", false, true },
        };
        char directory[16];
        fresh(directory);
        struct made plain = warm(directory, NULL);
        scrap(directory);
        for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
                fresh(directory);
                struct made made = warm(directory, changes[i].set);
                scrap(directory);
                print_message("# %s\n", changes[i].set);
                assert_ok(made.err);
                assert_int_equal(made.policy != plain.policy, changes[i].policy);
                assert_int_equal(made.prm != plain.prm, changes[i].prm);
        }
}

static void test_tests_come_when_and_as_large_as_asked(void **state)
{
        (void)state;
        char directory[16];
        fresh(directory);
        struct made made = warm(directory, "warmup.steps_max=7");
        assert_int_equal(made.err, SCOPE_ERR_LIMIT);
        assert_int_equal(made.result.steps, 7);
        assert_int_equal(made.policy, 0);
        made = warm(directory, "warmup.test_every=8");
        assert_int_equal(made.result.steps % 8, 0);
        made = warm(directory, "warmup.test_from=31");
        assert_true(made.result.steps >= 40); /* 35 and 40: twice in a row */
        made = warm(directory, "warmup.test_problems=3");
        assert_close(made.result.pass_at_1 * 6, (int)(made.result.pass_at_1 * 6 + 0.5), 1e-9);
        made = warm(directory, "warmup.test_samples=5");
        assert_close(made.result.pass_at_1 * 320, (int)(made.result.pass_at_1 * 320 + 0.5), 1e-9);
        scrap(directory);
        fresh(directory);
        made = warm(directory, "warmup.prm_path=");
        assert_ok(made.err);
        assert_int_equal(made.prm, 0);
        scrap(directory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_same_settings_are_trained_once),
                cmocka_unit_test(test_each_key_changes_what_it_says),
                cmocka_unit_test(test_tests_come_when_and_as_large_as_asked),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
