#include "tests/models/recorded.h"

#include "models/safetensors.h"
#include "tests/test.h"

struct recorded {
        struct scope_safetensors file;
};

struct recorded *recorded_open(const char *path)
{
        struct recorded *recorded = calloc(1, sizeof *recorded);
        struct scope_diag diag = { "" };
        assert_non_null(recorded);
        if (scope_safetensors_open(path, &recorded->file, &diag) != SCOPE_OK)
                fail_msg("%s", diag.text);
        return recorded;
}

void recorded_close(struct recorded *recorded)
{
        scope_safetensors_fini(&recorded->file);
        free(recorded);
}

float *recorded_read(const struct recorded *recorded, const char *name, size_t count)
{
        const struct scope_safetensor *tensor = scope_safetensors_find(&recorded->file, name);
        size_t found = 1;
        if (tensor == NULL)
                fail_msg("no tensor %s", name);
        for (uint8_t i = 0; i < tensor->rank; i++)
                found *= tensor->shape[i];
        assert_int_equal(found, count);
        float *values = malloc(count * sizeof *values);
        assert_non_null(values);
        assert_ok(scope_safetensors_read(&recorded->file, tensor, values, NULL));
        return values;
}
