/* nearest.h - which of the known words was meant.
 * Why: an error that names the right key, command or option saves a search through the docs. */
#pragma once

#include <stddef.h>

/* Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`; words longer
 * than 63 bytes are compared by their first 63.       thread  any */
unsigned scope_edit_distance(const char *a, const char *b);

/* Near enough to be worth proposing: at most one slip in three characters of the word that was
 * written, and at least one allowed.                  thread  any */
unsigned scope_edit_distance_max(const char *written);
