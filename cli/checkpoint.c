#include "cli/checkpoint.h"

#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/assembly.h"
#include "models/hf_directory.h"
#include "models/trainer.h"

/* DIR/checkpoints/step_NNNNNN/NAME; "" for the step's own directory. */
static enum scope_err path_of(const char *directory, uint64_t step, const char *name,
        char path[SCOPE_PATH_BYTES_MAX], struct scope_diag *diag)
{
        return scope_path_format(path, diag, "%s/checkpoints/step_%06" PRIu64 "%s%s", directory,
                step, name[0] != 0 ? "/" : "", name);
}

/* --- saving --------------------------------------------------------------------------------- */

struct piece {
        const char *name;
        const void *bytes;
        size_t count;
};

static void describe(struct scope_text *text, const struct scope_checkpoint_state *state,
        uint64_t optimiser_steps, uint64_t layout_hash, const struct piece *pieces, size_t count)
{
        scope_json_open(text, NULL, '{');
        scope_json_uint(text, "step", state->step);
        scope_json_uint(text, "problem_cursor", state->problem_cursor);
        scope_json_uint(text, "group_cursor", state->group_cursor);
        scope_json_uint(text, "optimiser_steps", optimiser_steps);
        scope_json_open(text, "layout_hash", '[');
        scope_json_uint(text, NULL, layout_hash >> 32);
        scope_json_uint(text, NULL, layout_hash & 0xffffffffu);
        scope_json_close(text, ']');
        scope_json_open(text, "files", '{');
        for (size_t i = 0; i < count; i++) {
                uint64_t hash = scope_hash_words(pieces[i].bytes, pieces[i].count);
                scope_json_open(text, pieces[i].name, '[');
                scope_json_uint(text, NULL, pieces[i].count);
                scope_json_uint(text, NULL, hash >> 32);
                scope_json_uint(text, NULL, hash & 0xffffffffu);
                scope_json_close(text, ']');
        }
        scope_json_close(text, '}');
        scope_json_close(text, '}');
        scope_text_string(text, "\n");
}

static enum scope_err commit(const struct scope_checkpointer *saver, uint64_t step,
        const char *name, const void *bytes, size_t count, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        enum scope_err err = path_of(saver->directory, step, name, path, diag);
        return err == SCOPE_OK ? scope_file_commit(path, bytes, count, diag) : err;
}

static enum scope_err save_state(
        struct scope_checkpointer *saver, const struct scope_checkpoint_state *state)
{
        struct scope_trainer_state trained = scope_trainer_state(saver->assembly->trainer);
        const struct scope_layout *layout = saver->assembly->model.layout;
        size_t bytes = layout->float_count * sizeof(float);
        const struct piece pieces[] = { { "first.f32", trained.first, bytes },
                { "second.f32", trained.second, bytes },
                { "window.bin", state->window, state->window_bytes } };
        struct scope_text text = { 0 };
        enum scope_err err = SCOPE_OK;
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0] && err == SCOPE_OK; i++) {
                char name[64];
                (void)snprintf(name, sizeof name, "state/%s", pieces[i].name);
                err = commit(
                        saver, state->step, name, pieces[i].bytes, pieces[i].count, &saver->diag);
        }
        describe(&text, state, *trained.steps, layout->hash, pieces,
                sizeof pieces / sizeof pieces[0]);
        if (err == SCOPE_OK)
                err = text.failed ? SCOPE_ERR_MEMORY
                                  : commit(saver, state->step, "state/state.json", text.bytes,
                                            text.count, &saver->diag);
        scope_text_fini(&text);
        return err;
}

/* The `count`-th newest step below the directory, complete or not; 0 when there are not so many. */
static uint64_t nth_newest(const char *directory, uint64_t count)
{
        enum { STEPS_MAX = 4096 };
        char path[SCOPE_PATH_BYTES_MAX];
        uint64_t *steps = calloc(STEPS_MAX, sizeof *steps), found = 0, answer = 0;
        DIR *listing = scope_path_format(path, NULL, "%s/checkpoints", directory) == SCOPE_OK
                               ? opendir(path)
                               : NULL;
        struct dirent *entry;
        while (steps != NULL && listing != NULL && found < STEPS_MAX &&
                (entry = readdir(listing)) != NULL) {
                int used = 0;
                if (sscanf(entry->d_name, "step_%" SCNu64 "%n", &steps[found], &used) == 1 &&
                        entry->d_name[used] == 0)
                        found++;
        }
        if (listing != NULL)
                (void)closedir(listing);
        for (uint64_t i = 0; i < found; i++) {
                uint64_t newer = 0;
                for (uint64_t j = 0; j < found; j++)
                        newer += steps[j] > steps[i];
                if (newer == count)
                        answer = steps[i];
        }
        free(steps);
        return answer;
}

static void prune(const struct scope_checkpointer *saver)
{
        char path[SCOPE_PATH_BYTES_MAX];
        for (int tries = 0; tries < 64; tries++) {
                uint64_t step = nth_newest(saver->directory, saver->keep);
                if (step == 0 ||
                        path_of(saver->directory, step, "COMPLETE", path, NULL) != SCOPE_OK)
                        return;
                (void)unlink(path); /* first: half a directory must not count */
                if (path_of(saver->directory, step, "", path, NULL) == SCOPE_OK)
                        scope_directory_remove(path);
        }
}

enum scope_err scope_checkpoint_save(void *context, const struct scope_checkpoint_state *state)
{
        struct scope_checkpointer *saver = context;
        char path[SCOPE_PATH_BYTES_MAX];
        enum scope_err err = path_of(saver->directory, state->step, "", path, &saver->diag);
        if (err != SCOPE_OK)
                return err;
        scope_directory_remove(path); /* of an attempt that was cut off */
        err = path_of(saver->directory, state->step, "state", path, &saver->diag);
        if (err == SCOPE_OK)
                err = scope_directory_create(path, &saver->diag);
        if (err == SCOPE_OK)
                err = path_of(saver->directory, state->step, "hf", path, &saver->diag);
        if (err == SCOPE_OK)
                err = scope_model_save(path, saver->assembly->model.layout,
                        scope_trainer_parameters(saver->assembly->trainer),
                        saver->like[0] != 0 ? saver->like : NULL, &saver->diag);
        if (err == SCOPE_OK)
                err = save_state(saver, state);
        if (err == SCOPE_OK)
                err = commit(saver, state->step, "COMPLETE", "", 0, &saver->diag);
        if (err == SCOPE_OK)
                saver->saved = state->step;
        if (err == SCOPE_OK)
                prune(saver);
        else if (path_of(saver->directory, state->step, "", path, NULL) == SCOPE_OK)
                scope_directory_remove(path); /* give the space back */
        return err;
}

/* --- loading -------------------------------------------------------------------------------- */

enum scope_err scope_checkpoint_newest(
        const char *directory, uint64_t *ret_step, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        for (uint64_t back = 0; back < 4096; back++) {
                uint64_t step = nth_newest(directory, back);
                if (step == 0)
                        break;
                if (path_of(directory, step, "COMPLETE", path, diag) == SCOPE_OK &&
                        access(path, R_OK) == 0) {
                        *ret_step = step;
                        return SCOPE_OK;
                }
        }
        return scope_diag_set(
                diag, SCOPE_ERR_NOT_FOUND, "%s: no complete checkpoint to resume from", directory);
}

static uint64_t number(const json_t *object, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* Reads state/NAME into exactly `count` bytes after checking its size and hash. */
static enum scope_err load_piece(const char *directory, uint64_t step, const json_t *files,
        const char *name, void *ret_bytes, size_t count, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX], within[64];
        const json_t *row = json_object_get(files, name);
        uint64_t hash = (uint64_t)json_integer_value(json_array_get(row, 1)) << 32 |
                        (uint64_t)json_integer_value(json_array_get(row, 2));
        char *bytes = NULL;
        size_t got = 0;
        (void)snprintf(within, sizeof within, "state/%s", name);
        enum scope_err err = path_of(directory, step, within, path, diag);
        if (err == SCOPE_OK)
                err = scope_file_read(path, count, &bytes, &got, diag);
        if (err != SCOPE_OK)
                return err;
        if (got != count || scope_hash_words(bytes, got) != hash)
                err = scope_diag_set(diag, SCOPE_ERR_VERIFY,
                        "%s: damaged (size or hash differs from state.json)", path);
        else
                memcpy(ret_bytes, bytes, count);
        free(bytes);
        return err;
}

static enum scope_err load_window(struct scope_assembly *assembly, const char *directory,
        uint64_t step, const json_t *files, struct scope_diag *diag)
{
        size_t count =
                (size_t)json_integer_value(json_array_get(json_object_get(files, "window.bin"), 0));
        if (count > (64u << 20))
                return scope_diag_set(
                        diag, SCOPE_ERR_TOO_BIG, "%s: window.bin of %zu bytes", directory, count);
        uint8_t *bytes = malloc(count + 1);
        if (bytes == NULL)
                return SCOPE_ERR_MEMORY;
        enum scope_err err = load_piece(directory, step, files, "window.bin", bytes, count, diag);
        if (err == SCOPE_OK)
                err = scope_length_window_load(&assembly->window, bytes, count);
        free(bytes);
        return err;
}

static enum scope_err load_weights(struct scope_assembly *assembly, const char *directory,
        uint64_t step, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        struct scope_model model = { 0 };
        enum scope_err err = path_of(directory, step, "hf", path, diag);
        if (err == SCOPE_OK)
                err = scope_model_load(path, &model, diag);
        if (err == SCOPE_OK && model.layout->hash != assembly->model.layout->hash)
                err = scope_diag_set(
                        diag, SCOPE_ERR_SHAPE, "%s: another model than model.path", path);
        if (err == SCOPE_OK)
                memcpy(scope_trainer_parameters(assembly->trainer), model.parameters,
                        model.layout->float_count * sizeof(float));
        scope_model_fini(&model);
        return err;
}

enum scope_err scope_checkpoint_load(struct scope_assembly *assembly, const char *directory,
        uint64_t step, struct scope_resources *resources, struct scope_diag *diag)
{
        char path[SCOPE_PATH_BYTES_MAX];
        struct scope_trainer_state trained = scope_trainer_state(assembly->trainer);
        size_t bytes = assembly->model.layout->float_count * sizeof(float), count = 0;
        char *text = NULL;
        json_error_t error;
        enum scope_err err = path_of(directory, step, "state/state.json", path, diag);
        if (err == SCOPE_OK)
                err = scope_file_read(path, 1 << 20, &text, &count, diag);
        if (err != SCOPE_OK)
                return err;
        json_t *state = json_loadb(text, count, JSON_REJECT_DUPLICATES, &error);
        const json_t *files = json_object_get(state, "files");
        free(text);
        if (!json_is_object(files))
                err = scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "%s:%d: %s", path, error.line, error.text);
        if (err == SCOPE_OK)
                err = load_weights(assembly, directory, step, diag);
        if (err == SCOPE_OK)
                err = load_piece(directory, step, files, "first.f32", trained.first, bytes, diag);
        if (err == SCOPE_OK)
                err = load_piece(directory, step, files, "second.f32", trained.second, bytes, diag);
        if (err == SCOPE_OK)
                err = load_window(assembly, directory, step, files, diag);
        if (err == SCOPE_OK) {
                *trained.steps = number(state, "optimiser_steps");
                assembly->progress.step = number(state, "step");
                resources->first_step = assembly->progress.step;
                resources->first_problem = number(state, "problem_cursor");
                resources->first_group = number(state, "group_cursor");
        }
        json_decref(state);
        return err;
}
