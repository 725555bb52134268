/* tokenizer_load.c - which file of a path is the tokenizer, and what reads it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "models/gguf.h"
#include "models/gguf_tokenizer.h"
#include "models/tokenizer.h"
#include "models/tokenizer_parts.h"
#include "models/tokenizer_read.h"

static bool ends_with(const char *text, const char *ending)
{
        size_t bytes = strlen(text), end = strlen(ending);
        return bytes >= end && memcmp(text + bytes - end, ending, end) == 0;
}

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash != NULL ? slash + 1 : path;
}

static bool is_directory(const char *path)
{
        struct stat about;
        return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool is_file(const char *path)
{
        struct stat about;
        return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/* As the tokenizer.json that says the same: one meaning of both files. */
static enum scope_err load_gguf(
        const char *path, struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        struct scope_gguf file = { 0 };
        struct scope_gguf_tokenizer said;
        struct scope_text json = { .limit = SCOPE_TOKENIZER_FILE_MAX };
        enum scope_err err = scope_gguf_open(path, &file, diag);
        if (err != SCOPE_OK)
                return err;
        err = scope_gguf_tokenizer(&file, &said, diag);
        if (err == SCOPE_OK)
                err = scope_gguf_tokenizer_json(&said, &json, diag);
        if (err == SCOPE_OK)
                err = scope_tokenizer_parse(json.bytes, json.count, ret_tokenizer, diag);
        scope_text_fini(&json);
        scope_gguf_fini(&file);
        return err;
}

/* The file's text needs no copy where there is room behind it. */
static enum scope_err load_json(char **text, size_t bytes,
        struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        char *longer = realloc(*text, bytes + SCOPE_DOM_SPARE);
        if (longer == NULL)
                return scope_tokenizer_parse(*text, bytes, ret_tokenizer, diag);
        *text = longer;
        memset(longer + bytes, 0, SCOPE_DOM_SPARE);
        return scope_tokenizer_parse_spare(longer, bytes, true, ret_tokenizer, diag);
}

static enum scope_err load_file(
        const char *path, struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        char *text = NULL;
        size_t bytes = 0;
        if (ends_with(path, ".gguf"))
                return load_gguf(path, ret_tokenizer, diag);
        enum scope_err err = scope_file_read(path, SCOPE_TOKENIZER_FILE_MAX, &text, &bytes, diag);
        if (err != SCOPE_OK)
                return err;
        if (ends_with(path, "tokenizer_config.json"))
                err = scope_tokenizer_parse_characters(text, bytes, ret_tokenizer, diag);
        else if (ends_with(path, ".json"))
                err = load_json(&text, bytes, ret_tokenizer, diag);
        else
                err = scope_tokenizer_parse_tiktoken(
                        base_name(path), text, bytes, ret_tokenizer, diag);
        free(text);
        return err;
}

/* The one file of a directory with this ending. */
static bool find_by_ending(const char *directory, const char *ending, char *ret_path)
{
        DIR *open = opendir(directory);
        struct dirent *entry;
        uint32_t found = 0;
        if (open == NULL)
                return false;
        while ((entry = readdir(open)) != NULL)
                if (ends_with(entry->d_name, ending))
                        found += scope_path_format(ret_path, NULL, "%s/%s", directory,
                                         entry->d_name) == SCOPE_OK;
        (void)closedir(open);
        return found == 1;
}

static enum scope_err load_directory(
        const char *directory, struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        static const char *const names[] = { "tokenizer.json", "tokenizer.model" };
        char path[SCOPE_PATH_BYTES_MAX];
        enum scope_err err;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                err = scope_path_format(path, diag, "%s/%s", directory, names[i]);
                if (err != SCOPE_OK)
                        return err;
                if (is_file(path))
                        return load_file(path, ret_tokenizer, diag);
        }
        if (find_by_ending(directory, ".tiktoken", path))
                return load_file(path, ret_tokenizer, diag);
        err = scope_path_format(path, diag, "%s/tokenizer_config.json", directory);
        if (err == SCOPE_OK)
                err = is_file(path) ? load_file(path, ret_tokenizer, diag) : SCOPE_ERR_NOT_FOUND;
        if (err != SCOPE_ERR_NOT_FOUND)
                return err;
        return scope_diag_set(diag, SCOPE_ERR_NOT_FOUND,
                "%.400s: no tokenizer.json, tokenizer.model or one .tiktoken file in it, and no "
                "\"char_ords\" in its tokenizer_config.json", directory);
}

enum scope_err scope_tokenizer_load(
        const char *path, struct scope_tokenizer **ret_tokenizer, struct scope_diag *diag)
{
        return is_directory(path) ? load_directory(path, ret_tokenizer, diag)
                                  : load_file(path, ret_tokenizer, diag);
}
