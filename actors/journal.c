#include "actors/journal.h"

#include <string.h>

#include "base/check.h"
#include "runtime/actor.h"

void scope_journal_init(
        struct scope_journal *journal, const char *name, uint64_t tag, size_t bytes_max)
{
        *journal = (struct scope_journal){ .name = name, .tag = tag };
        journal->waiting.limit = journal->flying.limit = bytes_max;
}

void scope_journal_fini(struct scope_journal *journal)
{
        scope_text_fini(&journal->waiting);
        scope_text_fini(&journal->flying);
}

bool scope_journal_add(struct scope_journal *journal, const char *line, size_t count)
{
        size_t before = journal->waiting.count;
        if (journal->off)
                return true;
        scope_text_add(&journal->waiting, line, count);
        scope_text_add(&journal->waiting, "\n", 1);
        if (!journal->waiting.failed)
                return true;
        journal->waiting.failed = false; /* half a line is no line */
        journal->waiting.count = before;
        if (journal->waiting.bytes != NULL)
                journal->waiting.bytes[before] = 0;
        journal->lost++;
        return false;
}

void scope_journal_trim(struct scope_journal *journal, size_t count, uint64_t lines)
{
        struct scope_text *text = &journal->waiting;
        scope_assert(count <= text->count);
        if (count == 0)
                return;
        memmove(text->bytes, text->bytes + count, text->count - count + 1);
        text->count -= count;
        journal->lost += lines;
}

static void append(struct scope_actor *self, struct scope_journal *journal)
{
        enum scope_err err = scope_file_append(
                self, journal->name, journal->flying.bytes, journal->flying.count, journal->tag);
        journal->busy = err == SCOPE_OK;
        if (err == SCOPE_ERR_REFUSED) {
                journal->off = true;
                scope_text_clear(&journal->flying);
        } else if (err != SCOPE_OK) {
                (void)scope_journal_done(journal, err); /* held: tried again like any other */
        }
}

bool scope_journal_launch(struct scope_actor *self, struct scope_journal *journal)
{
        if (journal->busy || journal->held || journal->waiting.count == 0)
                return false;
        struct scope_text empty = journal->flying;
        scope_assert(empty.count == 0);
        journal->flying = journal->waiting;
        journal->waiting = empty;
        append(self, journal);
        return true;
}

bool scope_journal_done(struct scope_journal *journal, enum scope_err err)
{
        journal->busy = false;
        journal->last_err = err;
        journal->held = err != SCOPE_OK;
        if (journal->held) {
                journal->failures++;
                return false;
        }
        journal->failures = 0;
        journal->written += journal->flying.count;
        scope_text_clear(&journal->flying);
        return true;
}

void scope_journal_retry(struct scope_actor *self, struct scope_journal *journal)
{
        if (!journal->held || journal->busy)
                return;
        journal->held = false;
        append(self, journal);
}

bool scope_journal_empty(const struct scope_journal *journal)
{
        return journal->waiting.count == 0 && journal->flying.count == 0;
}
