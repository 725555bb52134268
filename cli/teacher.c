/* teacher.c - `teacher`: serves the scripted teacher until it is told to end.
 * Its first line on standard output is the address, so that a parent may start it on port 0. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/teacher_server.h"

static struct teacher_flags {
        struct scope_teacher_server_options server;
        int64_t parent;
} flags;

#define ROW(key, type, field, bytes, standard, min, max, names, help)                              \
        {                                                                                          \
                key, SCOPE_OPTION_##type, offsetof(struct teacher_flags, field), bytes, standard,  \
                        min, max, names, help                                                      \
        }
#define TEXT(key, field, standard, help)                                                           \
        ROW(key, TEXT, field, sizeof flags.field, standard, 0, 0, NULL, help)
static const struct scope_option flag_rows[] = {
        TEXT("listen", server.listen, "127.0.0.1:8089", "ADDRESS:PORT; port 0 = any free one"),
        TEXT("model", server.model, "exact", "name in /v1/models"),
        TEXT("api_key_env", server.api_key_env, "", "variable with the key callers must send"),
        TEXT("data", server.data, "", "a .jsonl or .parquet whose worked solutions it serves too"),
        TEXT("prompt_key", server.prompt_key, "", "key of the problem in it; \"\" = found out"),
        TEXT("answer_key", server.answer_key, "", "key of the bare answer"),
        TEXT("solution_key", server.solution_key, "", "key of the worked solution"),
        TEXT("replay", server.replay, "",
                "a run's directory: answers as its teacher did, in the times it took"),
        ROW("concurrency", INT, server.concurrency, 0, "64", 1, 4096, NULL,
                "calls in work; the next gets a 429"),
        TEXT("latency", server.script.latency, "constant:0ms",
                "constant:20ms, uniform:10ms-50ms, lognormal:MEAN,SIGMA or pareto:MIN,ALPHA"),
        TEXT("faults", server.script.faults, "",
                "NAME=SHARE,... of busy error unavailable hang cut garbage wrong silent refusal "
                "keep_alive error_chunk length empty huge preempt"),
        ROW("manner", ENUM, server.script.manner, 0, "continue", 0, 0, scope_teacher_manner_names,
                "from a wrong prefix: continue with its last value, correct it, refuse"),
        ROW("retry_after", ENUM, server.script.retry_after, 0, "seconds", 0, 0,
                scope_teacher_retry_names, "form of Retry-After on a 429"),
        ROW("retry_delay", DURATION, server.script.retry_delay, 0, "1s", 0, 3600, NULL,
                "what Retry-After says"),
        ROW("huge_bytes", SIZE, server.script.huge_bytes, 0, "50MiB", 1024, 1 << 30, NULL,
                "size of a huge body"),
        ROW("seed", INT, server.script.seed, 0, "1", 0, 9e15, NULL, "of latency and faults"),
        ROW("parent", INT, parent, 0, "0", 0, 4194304, NULL,
                "ends when this process does; 0 = none"),
        SCOPE_OPTION_END,
};

static struct scope_teacher_server *server_of_signal;

static void on_signal(int number)
{
        int before = errno;
        (void)number;
        scope_teacher_server_stop(server_of_signal);
        errno = before;
}

/* SIGTERM from the system when the parent ends. False: it has ended already. */
static bool follow_parent(int64_t parent)
{
        if (parent == 0)
                return true;
        return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == (pid_t)parent;
}

static enum scope_exit say_address(const struct scope_arguments *arguments, uint16_t port)
{
        const char *listen = flags.server.listen;
        int host = (int)(strrchr(listen, ':') - listen);
        struct scope_text text = { 0 };
        if (arguments->json)
                scope_text_format(&text, "{\"url\":\"http://%.*s:%u/v1\",\"port\":%u}\n", host,
                        listen, port, port);
        else
                scope_text_format(&text, "http://%.*s:%u/v1\n", host, listen, port);
        return scope_output(&text);
}

static enum scope_exit teacher_run(const struct scope_arguments *arguments)
{
        struct scope_diag diag = { { 0 } };
        enum scope_exit code = SCOPE_EXIT_DONE;
        enum scope_err err = scope_teacher_server_create(&flags.server, &server_of_signal, &diag);
        if (err != SCOPE_OK) {
                (void)fprintf(stderr, "error: %s\n", diag.text);
                return err == SCOPE_ERR_ARGUMENT || err == SCOPE_ERR_FORMAT
                               ? SCOPE_EXIT_USAGE
                               : SCOPE_EXIT_PRECONDITION;
        }
        struct sigaction action = { .sa_handler = on_signal };
        (void)sigaction(SIGTERM, &action, NULL);
        (void)sigaction(SIGINT, &action, NULL);
        (void)signal(SIGPIPE, SIG_IGN);
        if (follow_parent(flags.parent)) {
                code = say_address(arguments, scope_teacher_server_port(server_of_signal));
                if (code == SCOPE_EXIT_DONE &&
                        scope_teacher_server_run(server_of_signal) != SCOPE_OK)
                        code = SCOPE_EXIT_FAILED;
        }
        struct scope_teacher_counts counts = scope_teacher_server_counts(server_of_signal);
        if (arguments->verbose)
                (void)fprintf(stderr,
                        "teacher: %llu calls, %llu with a fault, %llu throttled, %llu left early\n",
                        (unsigned long long)counts.calls, (unsigned long long)counts.faults,
                        (unsigned long long)counts.throttled, (unsigned long long)counts.gone);
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGINT, SIG_IGN);
        scope_teacher_server_destroy(server_of_signal);
        return code;
}

const struct scope_command scope_teacher_command = {
        .name = "teacher",
        .words = "",
        .help = "serve exact answers, or a data set's solutions, as an OpenAI-compatible API",
        .flags = flag_rows,
        .base = &flags,
        .run = teacher_run,
};
