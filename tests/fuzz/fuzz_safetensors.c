/* fuzz_safetensors.c - a whole file's bytes: whatever the header says, what is accepted lies in the
 * data. */
#include "base/check.h"
#include "models/safetensors.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        struct scope_safetensors file;
        struct scope_diag diag;
        uint64_t at = 0;
        if (bytes < 2)
                return 0;
        /* The first two bytes are the size of the data that the header has to cover. */
        uint64_t data_bytes = data[0] | (uint64_t)data[1] << 8;
        if (scope_safetensors_parse((const char *)data + 2, bytes - 2, data_bytes, &file, &diag)
                != SCOPE_OK)
                return 0;
        for (uint32_t i = 0; i < file.count; i++) {
                const struct scope_safetensor *tensor = &file.tensors[i];
                scope_assert(tensor->begin <= tensor->end && tensor->end <= data_bytes);
                scope_assert(tensor->rank <= SCOPE_SAFETENSORS_RANK_MAX);
                scope_assert(strcmp(scope_safetensors_find(&file, tensor->name)->name, tensor->name)
                        == 0);
                at += tensor->end - tensor->begin;
        }
        scope_assert(at == data_bytes);
        scope_safetensors_fini(&file);
        return 0;
}
