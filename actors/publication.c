#include "actors/publication.h"

#include <stdlib.h>

#include "actors/messages.h"
#include "base/buffer.h"
#include "base/rng.h"
#include "models/config.h"
#include "models/trainer.h"

enum { CHUNKS_MAX = 65536, CHUNK_BYTES = 1 << 20 };

enum scope_err scope_publication_init(struct scope_publication *publication)
{
        publication->hashes = calloc(CHUNKS_MAX, sizeof *publication->hashes);
        publication->exported_hashes = calloc(CHUNKS_MAX, sizeof *publication->exported_hashes);
        return publication->hashes != NULL && publication->exported_hashes != NULL
                       ? SCOPE_OK
                       : SCOPE_ERR_MEMORY;
}

void scope_publication_fini(struct scope_publication *publication)
{
        scope_buffer_drop(publication->published);
        scope_buffer_drop(publication->exported);
        free(publication->hashes);
        free(publication->exported_hashes);
        *publication = (struct scope_publication){ 0 };
}

enum scope_err scope_publication_export(
        struct scope_publication *publication, struct scope_trainer *trainer)
{
        struct scope_buffer *weights = NULL;
        enum scope_err err = trainer != NULL ? scope_trainer_export(trainer, &weights)
                                             : scope_buffer_create(64, &weights);
        if (err != SCOPE_OK)
                return err;
        size_t bytes = scope_buffer_bytes(weights);
        const uint8_t *data = scope_buffer_data(weights);
        for (size_t at = 0, i = 0; at < bytes; at += CHUNK_BYTES, i++)
                publication->exported_hashes[i] = scope_hash_words(
                        data + at, bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES);
        scope_buffer_drop(publication->exported);
        publication->exported = weights;
        return SCOPE_OK;
}

void scope_publication_commit(struct scope_publication *publication, uint64_t version)
{
        uint64_t *hashes = publication->hashes;
        scope_buffer_drop(publication->published);
        publication->published = publication->exported;
        publication->exported = NULL;
        publication->hashes = publication->exported_hashes;
        publication->exported_hashes = hashes;
        publication->version = version;
}

bool scope_publication_has(const struct scope_publication *publication, uint64_t version)
{
        return publication->published != NULL && publication->version == version;
}

enum scope_err scope_publication_message(const struct scope_publication *publication,
        struct scope_actor *self, const struct scope_stages *stages, uint16_t kind,
        struct scope_message **ret_message)
{
        size_t bytes = scope_buffer_bytes(publication->published);
        bool drain = stages->options->pipeline.update == SCOPE_UPDATE_DRAIN;
        struct scope_weights record = { .run = (uint64_t)stages->options->run.seed,
                .version = publication->version,
                .base_version = publication->version,
                .layout_hash =
                        stages->resources.layout != NULL ? stages->resources.layout->hash : 0,
                .bytes = bytes,
                .dtype = SCOPE_DTYPE_F32,
                .transport = SCOPE_WEIGHTS_MEMORY,
                .swap = drain ? SCOPE_SWAP_DRAIN : SCOPE_SWAP_IN_FLIGHT,
                .chunk_hashes = publication->hashes,
                .chunk_count = (uint32_t)((bytes + CHUNK_BYTES - 1) / CHUNK_BYTES) };
        enum scope_err err =
                scope_message_of_weights(self, kind, SCOPE_LANE_CONTROL, &record, ret_message);
        if (err == SCOPE_OK)
                (*ret_message)->attachment = scope_buffer_keep(publication->published);
        return err;
}
