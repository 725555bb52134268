/* fuzz_parquet.c - any bytes as a Parquet file of problems. */
#include <stddef.h>
#include <stdint.h>

#include "tasks/dataset.h"
#include "tasks/parquet.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
        struct scope_dataset *dataset = NULL;
        struct scope_diag diag;
        (void)scope_dataset_of_parquet("f", bytes, count, NULL, &dataset, &diag);
        scope_dataset_destroy(dataset);
        return 0;
}
