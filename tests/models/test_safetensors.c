/* What we write reads back bit for bit; what others write is read as they meant it; what a hostile
 * file says is refused, one test a rule (actors.md 5, item 19). */
#include "tests/test.h"

#include <math.h>
#include <unistd.h>

#include "models/safetensors.h"

static char path[64];

static int setup(void **state)
{
        (void)state;
        (void)snprintf(path, sizeof path, "/tmp/scope-safetensors-%d", (int)getpid());
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        (void)unlink(path);
        return 0;
}

static void write_file(const char *header, size_t length, const void *data, size_t bytes)
{
        FILE *file = fopen(path, "wb");
        uint8_t prefix[8];
        assert_non_null(file);
        for (int i = 0; i < 8; i++)
                prefix[i] = (uint8_t)((uint64_t)length >> 8 * i);
        assert_int_equal(fwrite(prefix, 1, 8, file), 8);
        assert_int_equal(fwrite(header, 1, strlen(header), file), strlen(header));
        assert_int_equal(fwrite(data, 1, bytes, file), bytes);
        assert_int_equal(fclose(file), 0);
}

static void test_written_tensors_read_back_equal(void **state)
{
        (void)state;
        float a[6] = { 1, -2, 0, INFINITY, 1e-40f, 3.14159f }, b[3] = { 7, 8, 9 }, read[6];
        struct scope_safetensors_item items[] = { { "z.weight", a, 2, 3, 2 },
                { "a.bias", b, 1, 3, 1 } };
        struct scope_safetensors file;
        assert_ok(scope_safetensors_write(path, items, 2, SCOPE_DTYPE_F32, NULL));
        assert_int_equal(scope_safetensors_write(path, items, 2, SCOPE_DTYPE_F32, NULL),
                SCOPE_ERR_EXISTS);
        assert_ok(scope_safetensors_open(path, &file, NULL));
        assert_int_equal(file.count, 2);
        assert_int_equal(file.data_begin % 8, 0);
        const struct scope_safetensor *tensor = scope_safetensors_find(&file, "z.weight");
        assert_non_null(tensor);
        assert_int_equal(tensor->rank, 2);
        assert_int_equal(tensor->shape[0], 2);
        assert_int_equal(tensor->shape[1], 3);
        assert_ok(scope_safetensors_read(&file, tensor, read, NULL));
        assert_memory_equal(read, a, sizeof a);
        tensor = scope_safetensors_find(&file, "a.bias");
        assert_int_equal(tensor->rank, 1);
        assert_ok(scope_safetensors_read(&file, tensor, read, NULL));
        assert_memory_equal(read, b, sizeof b);
        assert_null(scope_safetensors_find(&file, "z"));
        scope_safetensors_fini(&file);
        scope_safetensors_fini(&file);
        assert_int_equal(unlink(path), 0);
}

static void test_half_precisions_widen_exactly(void **state)
{
        (void)state;
        static const char header[] =
                "{\"h\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[0,16]},"
                "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[16,24]},"
                "\"i\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]},"
                "\"e\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[24,24]}}   ";
        static const uint16_t halves[16] = { 0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0x7c00, 0x8000,
                0x0400, 0x3f80, 0xc049, 0x7f80, 0x0001 };
        static const float wanted[8] = { 1, -2, 0x1p-24f, -0x3ffp-24f, 65504, INFINITY, -0.0f,
                0x1p-14f };
        struct scope_safetensors file;
        float read[8];
        write_file(header, strlen(header), halves, 32);
        assert_ok(scope_safetensors_open(path, &file, NULL));
        assert_ok(scope_safetensors_read(&file, scope_safetensors_find(&file, "h"), read, NULL));
        assert_memory_equal(read, wanted, sizeof wanted);
        assert_ok(scope_safetensors_read(&file, scope_safetensors_find(&file, "b"), read, NULL));
        assert_close(read[0], 1, 0);
        assert_close(read[1], -3.140625, 0);
        assert_true(isinf(read[2]));
        assert_int_equal(
                scope_safetensors_read(&file, scope_safetensors_find(&file, "i"), read, NULL),
                SCOPE_ERR_UNSUPPORTED);
        assert_ok(scope_safetensors_read(&file, scope_safetensors_find(&file, "e"), read, NULL));
        scope_safetensors_fini(&file);
}

static void refuse(
        const char *header, uint64_t data_bytes, enum scope_err expected, const char *word)
{
        struct scope_safetensors file;
        struct scope_diag diag = { "" };
        enum scope_err err =
                scope_safetensors_parse(header, strlen(header), data_bytes, &file, &diag);
        if (err == SCOPE_OK)
                scope_safetensors_fini(&file);
        if (err != expected || strstr(diag.text, word) == NULL)
                fail_msg("%s gave %s: %s", header, scope_err_name(err), diag.text);
}

#define ENTRY(dtype, shape, offsets)                                                               \
        "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{\"a\":" ENTRY(dtype, shape, offsets) "}"

static void test_each_hostile_header_is_refused(void **state)
{
        (void)state;
        refuse("[]", 0, SCOPE_ERR_FORMAT, "{");
        refuse(" {}", 0, SCOPE_ERR_FORMAT, "{");
        refuse("{", 0, SCOPE_ERR_FORMAT, "byte");
        refuse("{\"a\":\"\xff\"}", 0, SCOPE_ERR_FORMAT, "byte");
        refuse("{}", 4, SCOPE_ERR_FORMAT, "covers 0 of 4");
        /* ranges: end before begin, past the data, not of the shape's size, below zero */
        refuse(ONE("F32", "[1]", "[4,0]"), 4, SCOPE_ERR_FORMAT, "outside");
        refuse(ONE("F32", "[2]", "[0,8]"), 4, SCOPE_ERR_FORMAT, "outside");
        refuse(ONE("F32", "[1]", "[-4,0]"), 4, SCOPE_ERR_FORMAT, "outside");
        refuse(ONE("F32", "[2]", "[0,4]"), 4, SCOPE_ERR_FORMAT, "fit");
        refuse(ONE("F32", "[1]", "[0,18446744073709551612]"), 4, SCOPE_ERR_FORMAT, "");
        /* overlap, hole, less than everything */
        refuse("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[0,4]") "}", 4,
                SCOPE_ERR_FORMAT, "overlaps");
        refuse("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"b\":" ENTRY("F32", "[1]", "[8,12]") "}",
                12, SCOPE_ERR_FORMAT, "hole");
        refuse(ONE("F32", "[1]", "[4,8]"), 8, SCOPE_ERR_FORMAT, "hole");
        refuse(ONE("F32", "[1]", "[0,4]"), 8, SCOPE_ERR_FORMAT, "covers 4 of 8");
        /* shapes: products that wrap round to the right size, negative, not whole, too many */
        refuse(ONE("F32", "[4611686018427387905]", "[0,4]"), 4, SCOPE_ERR_FORMAT, "count");
        refuse(ONE("F32", "[4294967296,4294967296,1]", "[0,0]"), 0, SCOPE_ERR_FORMAT, "count");
        refuse(ONE("F32", "[-1]", "[0,4]"), 4, SCOPE_ERR_FORMAT, "counts");
        refuse(ONE("F32", "[1.0]", "[0,4]"), 4, SCOPE_ERR_FORMAT, "counts");
        refuse(ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, SCOPE_ERR_FORMAT, "rank");
        refuse(ONE("F32", "7", "[0,4]"), 4, SCOPE_ERR_FORMAT, "shape");
        refuse(ONE("F4", "[1]", "[0,1]"), 1, SCOPE_ERR_FORMAT, "fit");
        refuse(ONE("F31", "[1]", "[0,4]"), 4, SCOPE_ERR_UNSUPPORTED, "F31");
        /* a second tensor of the same name would hide the first */
        refuse("{\"a\":" ENTRY("F32", "[1]", "[0,4]") ",\"a\":" ENTRY("F32", "[1]", "[4,8]") "}", 8,
                SCOPE_ERR_FORMAT, "duplicate");
        refuse("{\"a\":[[[[0]]]]}", 0, SCOPE_ERR_FORMAT, "nested");
        refuse("{\"a\":7}", 0, SCOPE_ERR_FORMAT, "lacks");
        refuse("{\"__metadata__\":{\"a\":7}}", 0, SCOPE_ERR_FORMAT, "text");
        refuse("{\"__metadata__\":7}", 0, SCOPE_ERR_FORMAT, "object");
}

static void test_a_deep_header_does_not_exhaust_the_stack(void **state)
{
        (void)state;
        enum { DEEP = 1 << 20 };
        char *header = malloc(DEEP);
        struct scope_safetensors file;
        assert_non_null(header);
        memset(header, '[', DEEP);
        header[0] = '{';
        assert_int_equal(scope_safetensors_parse(header, DEEP, 0, &file, NULL), SCOPE_ERR_FORMAT);
        free(header);
}

static void test_header_lengths_are_checked_against_the_file_before_memory_is_taken(void **state)
{
        (void)state;
        static const size_t lengths[] = { 3, 1000, (size_t)1 << 40, SIZE_MAX, SIZE_MAX - 7 };
        struct scope_safetensors file;
        struct scope_diag diag;
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                write_file("{}", lengths[i], "", 0);
                assert_int_equal(scope_safetensors_open(path, &file, &diag), SCOPE_ERR_FORMAT);
        }
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite("\2\0\0", 1, 3, out), 3);
        assert_int_equal(fclose(out), 0);
        assert_int_equal(scope_safetensors_open(path, &file, &diag), SCOPE_ERR_FORMAT);
        /* A sparse file that is large enough for a header over the limit. */
        write_file("{}", (size_t)SCOPE_SAFETENSORS_HEADER_BYTES_MAX + 1, "", 0);
        assert_int_equal(truncate(path, SCOPE_SAFETENSORS_HEADER_BYTES_MAX + 100), 0);
        assert_int_equal(scope_safetensors_open(path, &file, &diag), SCOPE_ERR_TOO_BIG);
        assert_int_equal(
                scope_safetensors_open("/nowhere/at/all", &file, &diag), SCOPE_ERR_NOT_FOUND);
        assert_int_equal(scope_safetensors_open("/tmp", &file, &diag), SCOPE_ERR_FORMAT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_written_tensors_read_back_equal),
                cmocka_unit_test(test_half_precisions_widen_exactly),
                cmocka_unit_test(test_each_hostile_header_is_refused),
                cmocka_unit_test(test_a_deep_header_does_not_exhaust_the_stack),
                cmocka_unit_test(
                        test_header_lengths_are_checked_against_the_file_before_memory_is_taken),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
