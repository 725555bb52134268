/* journal.h - one append-only file of lines, written behind the actor that owns it.
 * Why: a run's record must survive a disk that is full for a while: lines wait in memory, are
 * appended in order, and are tried again until they are on disk.
 *
 *   add -> waiting -launch-> flying -done, OK-> gone
 *                            flying -done, err-> held -retry-> flying
 *
 * (1) At most one append is under way: lines reach the file in the order they were added, once.
 * (2) waiting + flying hold at most `bytes_max` each; what does not fit is counted in `lost`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct scope_actor;

struct scope_journal {
        const char *name; /* below the run directory; static text */
        uint64_t tag;     /* of its SCOPE_KIND_FILE_DONE */
        struct scope_text waiting, flying;
        bool busy, held, off;   /* off: the system has no directory, lines vanish */
        uint64_t lost, written; /* lines that did not fit; bytes on disk since init */
        uint32_t failures;      /* in a row */
        enum scope_err last_err;
};

void scope_journal_init(
        struct scope_journal *journal, const char *name, uint64_t tag, size_t bytes_max);
void scope_journal_fini(struct scope_journal *journal); /* accepts a zeroed one */

/* Adds a line; the newline is added here. False: it did not fit and was counted. */
bool scope_journal_add(struct scope_journal *journal, const char *line, size_t count);

/* Forgets the first `count` bytes of what waits: whole lines, the caller knows how many. */
void scope_journal_trim(struct scope_journal *journal, size_t count, uint64_t lines);

/* Starts an append of all that waits. True: what waited is flying now. False: nothing waits, or an
 * append is under way or held.                                      thread  owner */
bool scope_journal_launch(struct scope_actor *self, struct scope_journal *journal);

/* Its SCOPE_KIND_FILE_DONE. False: it failed, and what flew is held for a retry. */
bool scope_journal_done(struct scope_journal *journal, enum scope_err err);

/* Tries what is held again.                                         thread  owner */
void scope_journal_retry(struct scope_actor *self, struct scope_journal *journal);

bool scope_journal_empty(const struct scope_journal *journal);
