/* publication.h - the newest weights as the learner makes them public: bytes, hashes, announcement.
 * Why: an export is a job beside the loop; what others may see changes in a turn only.
 * (1) `published` changes in commit alone; the export job writes `exported`, which nobody reads. */
#pragma once

#include "actors/stages.h"

struct scope_buffer;

struct scope_publication {
        struct scope_buffer *published, *exported;
        uint64_t *hashes, *exported_hashes; /* a chunk of 1 MiB each */
        uint64_t version;                   /* of published */
};

/* errors  SCOPE_ERR_MEMORY; a zeroed one may be ended */
enum scope_err scope_publication_init(struct scope_publication *publication);
void scope_publication_fini(struct scope_publication *publication);

/* Copies the trainer's weights and hashes them. trainer NULL = simulated: a few bytes.
 * thread  a compute job's */
enum scope_err scope_publication_export(
        struct scope_publication *publication, struct scope_trainer *trainer);

/* What was exported is public from now on, as `version`.               thread  owner */
void scope_publication_commit(struct scope_publication *publication, uint64_t version);
bool scope_publication_has(const struct scope_publication *publication, uint64_t version);

/* The announcement, weights attached.    owns  gives    errors  as scope_message_of_weights */
enum scope_err scope_publication_message(const struct scope_publication *publication,
        struct scope_actor *self, const struct scope_stages *stages, uint16_t kind,
        struct scope_message **ret_message);
