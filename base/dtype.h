/* dtype.h - in what form a number is stored.
 * Why: checkpoints and messages about weights speak of the same forms; how they are laid out for a
 * kernel (kernels/gemm_packed.h) or in a GGUF file (models/gguf.h) is another matter.
 * (1) The values are on the wire: new ones go to the end. */
#pragma once

enum scope_dtype {
        SCOPE_DTYPE_F32,
        SCOPE_DTYPE_BF16,
        SCOPE_DTYPE_F16,
        SCOPE_DTYPE_COUNT /* in a file: something else */
};
