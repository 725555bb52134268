/* fuzz_teacher_reply.c - any body through the reader of a teacher's reply.
 * The first byte says how large the pieces are. In one piece it must read the same. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tasks/teacher_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

static bool read_pieces(
        const uint8_t *data, size_t count, size_t piece, struct scope_teacher_reply *reply)
{
        scope_teacher_reply_init(reply, 1 << 16, 1 << 10);
        for (size_t at = 0; at < count; at += piece)
                if (scope_teacher_reply_feed(
                            reply, data + at, count - at < piece ? count - at : piece) != SCOPE_OK)
                        return false;
        scope_teacher_reply_end(reply, true);
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
        struct scope_teacher_reply pieces, whole;
        if (count < 2)
                return 0;
        bool a = read_pieces(data + 1, count - 1, 1 + data[0] % 16, &pieces);
        bool b = read_pieces(data + 1, count - 1, count - 1, &whole);
        scope_assert(a == b);
        if (a) {
                scope_assert(
                        pieces.kind == whole.kind && pieces.content.count == whole.content.count);
                scope_assert(strcmp(pieces.error, whole.error) == 0);
                scope_assert((whole.kind == SCOPE_REPLY_WHOLE) == (whole.error[0] == 0));
        }
        scope_teacher_reply_fini(&pieces);
        scope_teacher_reply_fini(&whole);
        return 0;
}
