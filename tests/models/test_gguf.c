/* GGUF files: what the gguf package wrote reads equal bit for bit, and what lies is refused before
 * anything is allocated from it. tests/oracle/gguf_fixtures.py made the fixtures. */
#include "tests/test.h"

#include <math.h>
#include <unistd.h>

#include "base/text.h"
#include "models/gguf.h"
#include "models/gguf_blocks.h"
#include "models/half.h"

enum { FLOATS_MAX = 512 };

static struct scope_gguf open_fixture(const char *name)
{
        char path[256];
        struct scope_gguf file;
        struct scope_diag diag = { "" };
        (void)snprintf(path, sizeof path, "tests/fixtures/gguf/%s", name);
        if (scope_gguf_open(test_source(path), &file, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return file;
}

static void test_metadata_of_every_type_is_read(void **state)
{
        (void)state;
        static const struct {
                const char *key;
                int64_t value;
        } integers[] = { { "t.u8", 200 }, { "t.i8", -100 }, { "t.u16", 60000 }, { "t.i16", -30000 },
                { "t.u32", 4000000000 }, { "t.i32", -2000000000 }, { "t.u64", (int64_t)1 << 40 },
                { "t.i64", -((int64_t)1 << 40) }, { "t.bool", 1 } };
        struct scope_gguf file = open_fixture("blocks.gguf");
        struct scope_gguf_text text;
        double real = 0;
        bool flag = false;
        for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
                const struct scope_gguf_value *value = scope_gguf_find(&file, integers[i].key);
                assert_non_null(value);
                assert_true(scope_gguf_integer_at(value, 0) == integers[i].value);
        }
        assert_ok(scope_gguf_real(&file, "t.f32", &real, NULL));
        assert_true(real == (double)0.1f);
        assert_ok(scope_gguf_real(&file, "t.f64", &real, NULL));
        assert_true(real == 0.1);
        assert_ok(scope_gguf_bool(&file, "t.bool", &flag, NULL));
        assert_true(flag);
        assert_ok(scope_gguf_text(&file, "t.text", &text, NULL));
        assert_true(scope_gguf_text_is(text, "zwölf\nBoxkämpfer"));
        assert_ok(scope_gguf_text(&file, "general.architecture", &text, NULL));
        assert_true(scope_gguf_text_is(text, "llama"));
        scope_gguf_fini(&file);
        scope_gguf_fini(&file);
}

static void test_arrays_are_walked(void **state)
{
        (void)state;
        static const char *const words[] = { "a", "", "Ġthe", "日本" };
        struct scope_gguf file = open_fixture("blocks.gguf");
        const struct scope_gguf_value *array = NULL;
        struct scope_gguf_text text;
        size_t at = 0, count = 0;
        assert_ok(scope_gguf_array(&file, "t.texts", SCOPE_GGUF_TEXT, &array, NULL));
        assert_int_equal(array->count, 4);
        for (; scope_gguf_text_next(array, &at, &text); count++)
                assert_true(scope_gguf_text_is(text, words[count]));
        assert_int_equal(count, 4);
        assert_ok(scope_gguf_array(&file, "t.ints", SCOPE_GGUF_I64, &array, NULL));
        assert_true(array->count == 3 && scope_gguf_integer_at(array, 1) == -1);
        assert_ok(scope_gguf_array(&file, "t.reals", SCOPE_GGUF_F64, &array, NULL));
        assert_true(array->count == 2 && scope_gguf_real_at(array, 1) == -0.25);
        scope_gguf_fini(&file);
}

static void test_other_types_and_missing_keys_are_said(void **state)
{
        (void)state;
        struct scope_gguf file = open_fixture("blocks.gguf");
        const struct scope_gguf_value *array = NULL;
        struct scope_gguf_tokenizer tokenizer;
        struct scope_diag diag = { "" };
        uint64_t number = 7;
        double real = 7;
        assert_int_equal(scope_gguf_uint(&file, "none", &number, &diag), SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "\"none\""));
        assert_int_equal(scope_gguf_uint(&file, "t.i8", &number, &diag), SCOPE_ERR_FORMAT);
        assert_int_equal(scope_gguf_uint(&file, "t.text", &number, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "\"t.text\" is text, not a count"));
        assert_int_equal(scope_gguf_real(&file, "t.u8", &real, &diag), SCOPE_ERR_FORMAT);
        assert_int_equal(scope_gguf_array(&file, "t.ints", SCOPE_GGUF_TEXT, &array, &diag),
                SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "an array of i32, not an array of texts"));
        assert_int_equal(scope_gguf_tokenizer(&file, &tokenizer, &diag), SCOPE_ERR_NOT_FOUND);
        assert_true(number == 7 && real == 7);
        scope_gguf_fini(&file);
}

static void read_tensor(const struct scope_gguf *file, const char *name, float *ret_values)
{
        const struct scope_gguf_tensor *tensor = scope_gguf_tensor(file, name);
        if (tensor == NULL)
                fail_msg("no tensor %s", name);
        assert_true(tensor->elements == FLOATS_MAX && tensor->rank == 2);
        assert_ok(scope_gguf_read(file, tensor, ret_values, NULL));
}

static void test_every_block_unpacks_bit_for_bit(void **state)
{
        (void)state;
        static const char *const kinds[] = { "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K",
                "Q6_K" };
        struct scope_gguf file = open_fixture("blocks.gguf");
        static float packed[FLOATS_MAX], plain[FLOATS_MAX];
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                char name[32];
                (void)snprintf(name, sizeof name, "packed.%s", kinds[i]);
                read_tensor(&file, name, packed);
                (void)snprintf(name, sizeof name, "plain.%s", kinds[i]);
                read_tensor(&file, name, plain);
                for (int at = 0; at < FLOATS_MAX; at++)
                        if (memcmp(&packed[at], &plain[at], sizeof(float)) != 0)
                                fail_msg("%s: number %d is %a, the gguf package has %a", kinds[i],
                                        at, (double)packed[at], (double)plain[at]);
        }
        scope_gguf_fini(&file);
}

static void test_what_we_pack_is_what_the_package_packs(void **state)
{
        (void)state;
        static const struct {
                uint32_t type;
                const char *name;
        } kinds[] = { { SCOPE_GGUF_TENSOR_F16, "source.F16" },
                { SCOPE_GGUF_TENSOR_Q8_0, "source.Q8_0" } };
        struct scope_gguf file = open_fixture("blocks.gguf");
        static float source[FLOATS_MAX], narrow[FLOATS_MAX], again[FLOATS_MAX];
        static uint8_t bytes[FLOATS_MAX * 4];
        read_tensor(&file, "source.F32", source);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                const struct scope_gguf_block *block = scope_gguf_block(kinds[i].type);
                block->pack(source, FLOATS_MAX / block->elements, bytes);
                block->unpack(bytes, FLOATS_MAX / block->elements, again);
                read_tensor(&file, kinds[i].name, narrow);
                assert_memory_equal(again, narrow, sizeof again);
        }
        read_tensor(&file, "source.BF16", narrow);
        for (int i = 0; i < FLOATS_MAX; i++)
                assert_true(scope_bf16_widen(scope_bf16_narrow(source[i])) == narrow[i]);
        scope_gguf_fini(&file);
}

static void test_halves_narrow_to_what_they_were(void **state)
{
        (void)state;
        for (uint32_t half = 0; half < 0x10000; half++) {
                const float wide = scope_f16_widen((uint16_t)half);
                const float brain = scope_bf16_widen((uint16_t)half);
                if (isnan(wide))
                        assert_true(isnan(scope_f16_widen(scope_f16_narrow(wide))));
                else
                        assert_int_equal(scope_f16_narrow(wide), half);
                if (isnan(brain))
                        assert_true(isnan(scope_bf16_widen(scope_bf16_narrow(brain))));
                else
                        assert_int_equal(scope_bf16_narrow(brain), half);
                /* Half way to the next one: the even of the two. */
                const float next = scope_f16_widen((uint16_t)(half + 1));
                if ((half & 0x7fffu) < 0x7bffu)
                        assert_int_equal(scope_f16_narrow((wide + next) / 2), half + (half & 1));
        }
        assert_int_equal(scope_f16_narrow(65519.0f), 0x7bff);
        assert_int_equal(scope_f16_narrow(65520.0f), 0x7c00);
        assert_int_equal(scope_f16_narrow(-1e30f), 0xfc00);
        assert_int_equal(scope_f16_narrow(0x1p-25f), 0);
        assert_int_equal(scope_f16_narrow(0x1.8p-25f), 1);
}

/* --- hostile files ----------------------------------------------------------------------- */

static void put(struct scope_text *text, uint64_t value, int width)
{
        for (int i = 0; i < width; i++) {
                char byte = (char)(value >> 8 * i);
                scope_text_add(text, &byte, 1);
        }
}

static void put_string(struct scope_text *text, const char *string)
{
        put(text, strlen(string), 8);
        scope_text_string(text, string);
}

static void put_header(struct scope_text *text, uint32_t version, uint64_t tensors, uint64_t values)
{
        scope_text_string(text, "GGUF");
        put(text, version, 4);
        put(text, tensors, 8);
        put(text, values, 8);
}

/* A tensor of two dimensions. */
static void put_tensor(struct scope_text *text, const char *name, uint64_t columns, uint64_t rows,
        uint32_t type, uint64_t begin)
{
        put_string(text, name);
        put(text, 2, 4);
        put(text, columns, 8);
        put(text, rows, 8);
        put(text, type, 4);
        put(text, begin, 8);
}

/* `text`, filled up to `bytes` in all, must be refused with `word` in the message. */
static void refuse(struct scope_text *text, size_t bytes, enum scope_err expected, const char *word)
{
        struct scope_gguf file;
        struct scope_diag diag = { "" };
        while (text->count < bytes)
                put(text, 0, 1);
        enum scope_err err = scope_gguf_parse(
                (const uint8_t *)text->bytes, text->count, text->count, &file, &diag);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s: %s, expected %s", scope_err_name(err), diag.text, word);
        scope_text_fini(text);
        *text = (struct scope_text){ 0 };
}

static void test_lying_headers_are_refused(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        scope_text_string(&text, "GGUF");
        refuse(&text, 0, SCOPE_ERR_FORMAT, "4 bytes are no header");
        scope_text_string(&text, "GGML");
        refuse(&text, 64, SCOPE_ERR_FORMAT, "does not begin");
        put_header(&text, 1, 0, 0);
        refuse(&text, 64, SCOPE_ERR_UNSUPPORTED, "version 1;");
        put_header(&text, 3u << 24, 0, 0);
        refuse(&text, 64, SCOPE_ERR_UNSUPPORTED, "big-endian");
        put_header(&text, 3, UINT64_MAX, 0);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "do not fit");
        put_header(&text, 3, 0, 1u << 31);
        refuse(&text, 4096, SCOPE_ERR_FORMAT, "do not fit");
        put_header(&text, 3, 0, 0x10001);
        refuse(&text, 1 << 20, SCOPE_ERR_TOO_BIG, "65537 values");
}

static void put_value(struct scope_text *text, const char *key, uint32_t type)
{
        put_header(text, 3, 0, 1);
        put_string(text, key);
        put(text, type, 4);
}

static void test_lying_metadata_is_refused(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        put_header(&text, 3, 0, 1);
        put(&text, UINT64_MAX - 3, 8); /* key length */
        refuse(&text, 64, SCOPE_ERR_FORMAT, "a key needs");
        put_value(&text, "", SCOPE_GGUF_U8);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "a key of 0 bytes");
        put_value(&text, "k", 13);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "\"k\" has a type");
        put_value(&text, "k", SCOPE_GGUF_TEXT);
        put(&text, 1 << 20, 8);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "a text needs 1048576");
        put_value(&text, "k", SCOPE_GGUF_BOOL);
        put(&text, 2, 1);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "neither 0 nor 1");
        put_value(&text, "k", SCOPE_GGUF_ARRAY);
        put(&text, SCOPE_GGUF_ARRAY, 4);
        put(&text, 1, 8);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "array of arrays");
        put_value(&text, "k", SCOPE_GGUF_ARRAY);
        put(&text, SCOPE_GGUF_U64, 4);
        put(&text, UINT64_MAX / 4, 8);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "more elements");
        put_value(&text, "k", SCOPE_GGUF_ARRAY);
        put(&text, SCOPE_GGUF_TEXT, 4);
        put(&text, 1 << 28, 8);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "an array needs");
        put_header(&text, 3, 0, 2);
        for (int i = 0; i < 2; i++) {
                put_string(&text, "same");
                put(&text, SCOPE_GGUF_U8, 4);
                put(&text, 1, 1);
        }
        refuse(&text, 64, SCOPE_ERR_FORMAT, "\"same\" stands twice");
        put_value(&text, "general.alignment", SCOPE_GGUF_U64);
        put(&text, 32, 8);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "not a u32");
        put_value(&text, "general.alignment", SCOPE_GGUF_U32);
        put(&text, 48, 4);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "power of two");
        put_value(&text, "general.alignment", SCOPE_GGUF_U32);
        put(&text, 0, 4);
        refuse(&text, 64, SCOPE_ERR_FORMAT, "power of two");
}

static void test_lying_tensors_are_refused(void **state)
{
        (void)state;
        struct scope_text text = { 0 };
        static const struct {
                uint64_t columns, rows, begin;
                uint32_t type;
                enum scope_err expected;
                const char *word;
        } cases[] = {
                { 4, 4, 0, 4, SCOPE_ERR_UNSUPPORTED, "type 4, which nobody knows" },
                { 0, 4, 0, 0, SCOPE_ERR_FORMAT, "impossible shape" },
                { (uint64_t)1 << 63, 2, 0, 0, SCOPE_ERR_FORMAT, "impossible shape" },
                { (uint64_t)1 << 33, (uint64_t)1 << 33, 0, 0, SCOPE_ERR_FORMAT, "impossible" },
                { 33, 1, 0, 8, SCOPE_ERR_FORMAT, "whole blocks" },
                { 4, 4, 16, 0, SCOPE_ERR_FORMAT, "alignment" },
                { 4, 4, UINT64_MAX - 31, 0, SCOPE_ERR_FORMAT, "outside the file" },
                { 4, 4, 512, 0, SCOPE_ERR_FORMAT, "outside the file" },
                { (uint64_t)1 << 20, (uint64_t)1 << 19, 0, 0, SCOPE_ERR_FORMAT, "outside" },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                put_header(&text, 3, 1, 0);
                put_tensor(&text, "t", cases[i].columns, cases[i].rows, cases[i].type,
                        cases[i].begin);
                refuse(&text, 256, cases[i].expected, cases[i].word);
        }
        put_header(&text, 3, 1, 0);
        put_string(&text, "t");
        put(&text, 5, 4);
        refuse(&text, 256, SCOPE_ERR_FORMAT, "1 to 4 dimensions");
        put_header(&text, 3, 2, 0);
        put_tensor(&text, "a", 16, 1, 0, 0);
        put_tensor(&text, "b", 16, 1, 0, 32);
        refuse(&text, 512, SCOPE_ERR_FORMAT, "\"b\" overlaps");
        put_header(&text, 3, 2, 0);
        put_tensor(&text, "a", 8, 1, 0, 0);
        put_tensor(&text, "a", 8, 1, 0, 32);
        refuse(&text, 512, SCOPE_ERR_FORMAT, "\"a\" stands twice");
        put_header(&text, 3, 1, 0);
        put_tensor(&text, "a", 8, 1, 0, 0);
        refuse(&text, 0, SCOPE_ERR_FORMAT, "ends before its data");
}

static void test_a_part_of_a_header_asks_for_more(void **state)
{
        (void)state;
        char *bytes = NULL;
        static uint8_t whole[1 << 16];
        struct scope_gguf file;
        FILE *stream = fopen(test_source("tests/fixtures/gguf/blocks.gguf"), "rb");
        assert_non_null(stream);
        size_t count = fread(whole, 1, sizeof whole, stream), needed = 0;
        (void)fclose(stream);
        for (size_t part = 0; part < count; part++) {
                bytes = malloc(part + 1); /* so that a read past the part is seen */
                assert_non_null(bytes);
                memcpy(bytes, whole, part);
                enum scope_err err =
                        scope_gguf_parse((const uint8_t *)bytes, part, count, &file, NULL);
                if (err == SCOPE_OK) {
                        needed = needed != 0 ? needed : part;
                        scope_gguf_fini(&file);
                } else {
                        assert_int_equal(err, SCOPE_ERR_AGAIN);
                        assert_int_equal(needed, 0);
                }
                /* And the file cut there is no file. */
                if (part < 4000)
                        assert_int_not_equal(scope_gguf_parse((const uint8_t *)bytes, part, part,
                                &file, NULL), SCOPE_OK);
                free(bytes);
        }
        assert_true(needed > 1000);
}

static void test_files_that_are_none_are_said_with_their_path(void **state)
{
        (void)state;
        struct scope_gguf file;
        struct scope_diag diag = { "" };
        assert_int_equal(scope_gguf_open("/nowhere.gguf", &file, &diag), SCOPE_ERR_NOT_FOUND);
        assert_non_null(strstr(diag.text, "/nowhere.gguf"));
        const char *path = test_source("README.md");
        assert_int_equal(scope_gguf_open(path, &file, &diag), SCOPE_ERR_FORMAT);
        assert_non_null(strstr(diag.text, "README.md: gguf: does not begin"));
        assert_int_equal(scope_gguf_open("/", &file, &diag), SCOPE_ERR_FORMAT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_metadata_of_every_type_is_read),
                cmocka_unit_test(test_arrays_are_walked),
                cmocka_unit_test(test_other_types_and_missing_keys_are_said),
                cmocka_unit_test(test_every_block_unpacks_bit_for_bit),
                cmocka_unit_test(test_what_we_pack_is_what_the_package_packs),
                cmocka_unit_test(test_halves_narrow_to_what_they_were),
                cmocka_unit_test(test_lying_headers_are_refused),
                cmocka_unit_test(test_lying_metadata_is_refused),
                cmocka_unit_test(test_lying_tensors_are_refused),
                cmocka_unit_test(test_a_part_of_a_header_asks_for_more),
                cmocka_unit_test(test_files_that_are_none_are_said_with_their_path),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
