/* tokenizer.c - how long a tokenizer takes to load and to encode. Prints one JSON line.
 *   bench_tokenizer TOKENIZER TEXT [ROUNDS]
 * TEXT is a file of documents parted by NUL; each is encoded by a call of its own, one thread.
 * bench/tokenizer.py runs this and the `tokenizers` library in turns. Without arguments: the
 * built-in tokenizer on a made text, so that `make bench` needs no file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "models/tokenizer.h"
#include "models/tokenizer_tiny.h"

enum { TEXT_MAX = 256 << 20, IDS_MAX = 1 << 22, MADE = 1 << 20 };

static double now_s(void)
{
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t encode_all(
        const struct scope_tokenizer *tokenizer, const char *text, size_t bytes, uint32_t *ids)
{
        uint64_t total = 0;
        for (size_t at = 0; at < bytes;) {
                const char *end = memchr(text + at, 0, bytes - at);
                size_t count = 0, length = end != NULL ? (size_t)(end - text) - at : bytes - at;
                enum scope_err err = scope_tokenizer_encode(
                        tokenizer, text + at, length, ids, IDS_MAX, &count);
                if (err != SCOPE_OK) {
                        (void)fprintf(stderr, "encode: %s\n", scope_err_text(err));
                        exit(1);
                }
                total += count;
                at += length + 1;
        }
        return total;
}

static char *made_text(size_t *ret_bytes)
{
        char *text = malloc(MADE);
        for (size_t i = 0; text != NULL && i < MADE; i++)
                text[i] = "0123456789+-*=()}"[(i * 2654435761u >> 7) % 17];
        *ret_bytes = MADE;
        return text;
}

int main(int argc, char **argv)
{
        struct scope_tokenizer *tokenizer = NULL;
        struct scope_diag diag = { "" };
        char *text = NULL;
        size_t bytes = 0;
        double begin = now_s();
        enum scope_err err = argc > 2 ? scope_tokenizer_load(argv[1], &tokenizer, &diag)
                                      : scope_tokenizer_tiny_create(&tokenizer);
        double load_s = now_s() - begin;
        if (err == SCOPE_OK && argc > 2)
                err = scope_file_read(argv[2], TEXT_MAX, &text, &bytes, &diag);
        else
                text = made_text(&bytes);
        uint32_t *ids = malloc(IDS_MAX * sizeof *ids);
        if (err != SCOPE_OK || text == NULL || ids == NULL) {
                (void)fprintf(stderr, "%s: %s\n", scope_err_name(err), diag.text);
                return 1;
        }
        int rounds = argc > 3 ? atoi(argv[3]) : 3;
        double best = 1e9;
        uint64_t count = 0;
        for (int i = 0; i < rounds; i++) {
                begin = now_s();
                count = encode_all(tokenizer, text, bytes, ids);
                double took = now_s() - begin;
                best = took < best ? took : best;
        }
        (void)printf("{\"load_ms\":%.1f,\"bytes\":%zu,\"tokens\":%" PRIu64
                     ",\"encode_mb_s\":%.2f}\n", load_s * 1e3, bytes, count,
                (double)bytes / best * 1e-6);
        free(ids);
        free(text);
        scope_tokenizer_destroy(tokenizer);
        return 0;
}
