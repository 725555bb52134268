/* messages.c - what a message costs.
 * Why: co-located actors are the common case; a round trip on one loop must cost next to
 * nothing. Measures the same ping-pong three ways: by send, by request and reply, and with CAF
 * where the build found it; interleaved, so that a noisy machine disturbs all alike; medians and
 * their ratios.
 *
 *   messages [--rounds N] [--repeats R] [--json]
 *   messages --count N     N round trips by send and nothing else, for an instruction counter: the
 *                          difference of two counts is what the messages cost (bench/README.md) */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/text.h"
#include "bench/messages_caf.h"
#include "runtime/system.h"

enum { PING = SCOPE_KIND_USER, PONG, PAYLOAD_BYTES = 64, REPEATS_MAX = 64 };

struct match {
        struct scope_system *system;
        struct scope_address pong;
        uint64_t rounds, seen;
        bool requests;
        double begin_s, seconds;
};

/* Nanoseconds a round trip: elapsed, and of processor time used by all threads of the program. The
 * second is what to compare on a machine that others use, too. */
struct cost {
        double wall_ns, cpu_ns;
};

struct player {
        struct match *match;
};

static double now_s(clockid_t clock)
{
        struct timespec now;
        (void)clock_gettime(clock, &now); /* both clocks exist on every Linux */
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static enum scope_err player_init(struct scope_actor *self, void *state, void *args)
{
        (void)self;
        ((struct player *)state)->match = args;
        return SCOPE_OK;
}

static void serve(struct scope_actor *self, struct match *match)
{
        struct scope_message *ping = NULL;
        enum scope_err err =
                scope_message_create(self, PING, SCOPE_LANE_DATA, PAYLOAD_BYTES, &ping);
        if (err == SCOPE_OK && match->requests)
                err = scope_request(self, match->pong, &ping, 1000000000, "pong", NULL);
        else if (err == SCOPE_OK)
                err = scope_send(self, match->pong, &ping);
        scope_assert(err == SCOPE_OK);
}

static void ping_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct match *match = ((struct player *)state)->match;
        if (message->kind == SCOPE_KIND_START)
                match->begin_s = now_s(CLOCK_MONOTONIC);
        scope_assert(message->kind != SCOPE_KIND_ERROR);
        scope_message_free(message);
        if (match->seen++ < match->rounds) {
                serve(self, match);
                return;
        }
        match->seconds = now_s(CLOCK_MONOTONIC) - match->begin_s;
        scope_system_drain(match->system, 1000000000);
}

static void pong_receive(struct scope_actor *self, void *state, struct scope_message *message)
{
        struct match *match = ((struct player *)state)->match;
        if (message->kind == PING) {
                struct scope_address ping = message->sender;
                struct scope_message *pong = NULL;
                enum scope_err err =
                        scope_message_create(self, PONG, SCOPE_LANE_DATA, PAYLOAD_BYTES, &pong);
                scope_assert(err == SCOPE_OK);
                if (match->requests)
                        scope_reply(self, message, &pong);
                else
                        err = scope_send(self, ping, &pong);
                scope_assert(err == SCOPE_OK);
        }
        scope_message_free(message);
}

static const struct scope_actor_class ping_class = {
        .name = "ping", .state_bytes = sizeof(struct player),
        .init = player_init, .receive = ping_receive,
};
static const struct scope_actor_class pong_class = {
        .name = "pong", .state_bytes = sizeof(struct player),
        .init = player_init, .receive = pong_receive,
};

static struct cost play(uint64_t rounds, bool requests)
{
        double cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
        struct match match = { .rounds = rounds, .requests = requests };
        struct scope_system_options options = { .seed = 1, .loops = 1, .compute_threads = 1,
                .restart_window_ns = 1000000000, .wait_report_ns = 10000000000 };
        struct scope_actor_options ping = { .name = "ping", .class_ = &ping_class, .args = &match };
        struct scope_actor_options pong = { .name = "pong", .class_ = &pong_class, .args = &match };
        struct scope_address unused;
        bool good = scope_system_create(&options, &match.system) == SCOPE_OK &&
                    scope_system_add(match.system, &ping, &unused) == SCOPE_OK &&
                    scope_system_add(match.system, &pong, &match.pong) == SCOPE_OK &&
                    scope_system_run(match.system) == SCOPE_OK;
        scope_assert(good);
        scope_system_destroy(match.system);
        cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
        return (struct cost){ 1e9 * match.seconds / (double)rounds, 1e9 * cpu_s / (double)rounds };
}

static struct cost play_caf(uint64_t rounds)
{
        double cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
        double wall_ns = scope_bench_caf_round_trip(rounds);
        cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
        return (struct cost){ wall_ns, 1e9 * cpu_s / (double)rounds };
}

static int by_value(const void *left, const void *right)
{
        double a = *(const double *)left, b = *(const double *)right;
        return (a > b) - (a < b);
}

static double median(const double *values, unsigned count)
{
        double sorted[REPEATS_MAX];
        memcpy(sorted, values, count * sizeof(*values));
        qsort(sorted, count, sizeof(*sorted), by_value);
        return count % 2 != 0 ? sorted[count / 2]
                              : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

enum { SEND, REQUEST, CAF, WAYS };
static const char *const way_names[WAYS] = { "send", "request", "caf" };

struct results {
        uint64_t rounds;
        unsigned repeats, ways;
        double wall_ns[WAYS][REPEATS_MAX], cpu_ns[WAYS][REPEATS_MAX];
        double wall_ratio[REPEATS_MAX], cpu_ratio[REPEATS_MAX]; /* CAF over send, run by run */
};

static void print_json(const struct results *results)
{
        struct scope_text text = { 0 };
        scope_json_open(&text, NULL, '{');
        scope_json_uint(&text, "rounds", results->rounds);
        scope_json_uint(&text, "repeats", results->repeats);
        scope_json_uint(&text, "payload_bytes", PAYLOAD_BYTES);
        for (unsigned way = 0; way < results->ways; way++) {
                scope_json_open(&text, way_names[way], '{');
                scope_json_double(&text, "wall_ns",
                        median(results->wall_ns[way], results->repeats));
                scope_json_double(&text, "cpu_ns",
                        median(results->cpu_ns[way], results->repeats));
                scope_json_close(&text, '}');
        }
        if (results->ways > CAF) {
                scope_json_text(&text, "caf_version", scope_bench_caf_version());
                scope_json_double(&text, "caf_over_send_wall",
                        median(results->wall_ratio, results->repeats));
                scope_json_double(&text, "caf_over_send_cpu",
                        median(results->cpu_ratio, results->repeats));
        }
        scope_json_close(&text, '}');
        scope_assert(!text.failed);
        (void)puts(text.bytes);
        scope_text_fini(&text);
}

static void print_table(const struct results *results)
{
        static const char *const titles[WAYS] = { "send and send back",
                "request with deadline, and reply", "CAF, send and send back" };
        (void)printf("%-36s %10s %10s\n", "round trip on one loop, 64 B, ns", "elapsed", "cpu");
        for (unsigned way = 0; way < results->ways; way++)
                (void)printf("%-36s %10.1f %10.1f\n", titles[way],
                        median(results->wall_ns[way], results->repeats),
                        median(results->cpu_ns[way], results->repeats));
        if (results->ways <= CAF) {
                (void)puts("CAF is not built in: install libcaf-dev and configure again");
                return;
        }
        (void)printf("CAF %-6s over send, median of ratios %9.1fx %9.1fx\n",
                scope_bench_caf_version(), median(results->wall_ratio, results->repeats),
                median(results->cpu_ratio, results->repeats));
}

static void record(struct results *results, unsigned way, unsigned repeat, struct cost cost)
{
        results->wall_ns[way][repeat] = cost.wall_ns;
        results->cpu_ns[way][repeat] = cost.cpu_ns;
}

/* Interleaved: what disturbs the machine disturbs all. */
static void measure(struct results *results)
{
        (void)play(results->rounds / 10 + 1, false); /* warms code and caches */
        for (unsigned r = 0; r < results->repeats; r++) {
                struct cost send = play(results->rounds, false);
                record(results, SEND, r, send);
                if (results->ways > CAF) {
                        struct cost caf = play_caf(results->rounds / 10 + 1);
                        record(results, CAF, r, caf);
                        results->wall_ratio[r] = caf.wall_ns / send.wall_ns;
                        results->cpu_ratio[r] = caf.cpu_ns / send.cpu_ns;
                }
                record(results, REQUEST, r, play(results->rounds, true));
        }
}

int main(int argc, char **argv)
{
        static struct results results = { .rounds = 1000000, .repeats = 5 };
        bool json = false;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--count") == 0 && i + 1 < argc) {
                        (void)play(strtoull(argv[++i], NULL, 10), false);
                        return 0;
                }
                if (strcmp(argv[i], "--json") == 0)
                        json = true;
                else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
                        results.rounds = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc)
                        results.repeats = (unsigned)strtoul(argv[++i], NULL, 10);
        }
        if (results.rounds == 0 || results.repeats == 0 || results.repeats > REPEATS_MAX) {
                (void)fprintf(stderr, "messages: 1 <= repeats <= %d, rounds >= 1\n", REPEATS_MAX);
                return 2;
        }
        results.ways = scope_bench_caf_version() != NULL ? WAYS : CAF;
        measure(&results);
        if (json)
                print_json(&results);
        else
                print_table(&results);
        return 0;
}
