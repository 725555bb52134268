/* sim_disk.c - files in memory that are slow, full or broken at times. */
#include <stdlib.h>
#include <string.h>

#include "runtime/sim.h"

enum { WRITE_NS = 50000, SLOW_NS = 20000000 };

static struct sim_file *file_find(struct scope_sim *sim, const char *name)
{
        for (size_t i = 0; i < sim->file_count; i++)
                if (strcmp(sim->files[i].name, name) == 0)
                        return &sim->files[i];
        return NULL;
}

static struct sim_file *file_make(struct scope_sim *sim, const char *name)
{
        struct sim_file *files = realloc(sim->files, (sim->file_count + 1) * sizeof(*files));
        if (files == NULL)
                return NULL;
        sim->files = files;
        char *copy = strdup(name);
        if (copy == NULL)
                return NULL;
        files[sim->file_count] = (struct sim_file){ .name = copy };
        return &files[sim->file_count++];
}

static enum scope_err file_add(struct sim_file *file, const void *bytes, size_t count)
{
        char *grown = realloc(file->bytes, file->count + count + 1);
        if (grown == NULL)
                return SCOPE_ERR_MEMORY;
        memcpy(grown + file->count, bytes, count);
        grown[file->count + count] = '\0';
        file->bytes = grown;
        file->count += count;
        return SCOPE_OK;
}

static enum scope_err append(struct scope_sim *sim, const struct scope_operation *operation,
        enum scope_err fate)
{
        struct sim_file *file = file_find(sim, operation->name);
        if (file == NULL && (file = file_make(sim, operation->name)) == NULL)
                return SCOPE_ERR_MEMORY;
        file->count -= file->torn;
        file->torn = 0;
        if (fate == SCOPE_OK)
                return file_add(file, operation->bytes, operation->count);
        if (fate == SCOPE_ERR_NO_SPACE && operation->count > 1) {
                size_t torn = (size_t)scope_rng_below(&sim->rng, operation->count);
                if (file_add(file, operation->bytes, torn) == SCOPE_OK)
                        file->torn = torn;
        }
        return fate;
}

static enum scope_err replace(struct scope_sim *sim, const struct scope_operation *operation,
        enum scope_err fate)
{
        struct sim_file *file = file_find(sim, operation->name);
        if (fate != SCOPE_OK)
                return fate;
        if (file == NULL && (file = file_make(sim, operation->name)) == NULL)
                return SCOPE_ERR_MEMORY;
        struct sim_file fresh = { .name = file->name };
        enum scope_err err = file_add(&fresh, operation->bytes, operation->count);
        if (err != SCOPE_OK)
                return err;
        free(file->bytes);
        *file = fresh;
        return SCOPE_OK;
}

static void write_done(void *owner, struct scope_timer_node *node)
{
        struct scope_sim *sim = sim_of(owner);
        struct sim_operation *own = (struct sim_operation *)node; /* its first field */
        struct scope_operation *operation = own->operation;
        /* The writer died meanwhile: its last words are on disk, or they are not. */
        bool lost = operation->cancelled && (scope_rng_next(&sim->rng) & 1) != 0;
        if (!lost)
                own->err = operation->kind == SCOPE_OPERATION_APPEND
                                   ? append(sim, operation, own->err)
                                   : replace(sim, operation, own->err);
        scope_sim_finish(sim, own, own->err);
}

enum scope_err scope_sim_disk_start(struct scope_sim *sim, struct sim_operation *own)
{
        uint64_t wait_ns = scope_sim_tail(sim, WRITE_NS);
        if (scope_sim_chance(sim, SCOPE_FAULT_FILE_SLOW))
                wait_ns = scope_sim_tail(sim, SLOW_NS);
        if (scope_sim_chance(sim, SCOPE_FAULT_FILE_FULL))
                own->err = SCOPE_ERR_NO_SPACE;
        else if (scope_sim_chance(sim, SCOPE_FAULT_FILE_FAIL))
                own->err = SCOPE_ERR_IO;
        uint64_t *last_ns = &sim->disk_ns[own->operation->actor.actor];
        uint64_t at_ns = sim->now_ns + wait_ns;
        if (at_ns <= *last_ns)
                at_ns = *last_ns + 1; /* one actor's writes finish in order */
        own->node.fire = write_done;
        enum scope_err err = scope_sim_schedule(sim, &own->node, at_ns);
        if (err == SCOPE_OK)
                *last_ns = at_ns;
        return err;
}

void scope_sim_disk_fini(struct scope_sim *sim)
{
        for (size_t i = 0; i < sim->file_count; i++) {
                free(sim->files[i].name);
                free(sim->files[i].bytes);
        }
        free(sim->files);
        free(sim->disk_ns);
}

const char *scope_simulation_file(struct scope_system *system, const char *name, size_t *ret_bytes)
{
        struct sim_file *file = file_find(system->env, name);
        if (file == NULL)
                return NULL;
        *ret_bytes = file->count;
        return file->bytes != NULL ? file->bytes : "";
}
