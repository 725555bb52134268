#include "cli/teacher_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "actors/options.h"
#include "runtime/clock.h"

extern char **environ;

enum { START_S = 60, STOP_TRIES = 100 };

/* Reads the first line of `fd`: as long as the child lives, at most START_S. */
static enum scope_err read_line(int fd, char *line, size_t bytes, struct scope_diag *diag)
{
        const uint64_t until_ns = scope_clock_ns(CLOCK_MONOTONIC) + START_S * 1000000000ull;
        size_t count = 0;
        while (count + 1 < bytes) {
                struct pollfd wait = { .fd = fd, .events = POLLIN };
                uint64_t now_ns = scope_clock_ns(CLOCK_MONOTONIC);
                int ready = poll(
                        &wait, 1, now_ns < until_ns ? (int)((until_ns - now_ns) / 1000000) : 0);
                if (ready < 0 && errno == EINTR)
                        continue;
                if (ready <= 0)
                        return scope_diag_set(diag, SCOPE_ERR_DEADLINE,
                                "the built-in teacher did not start within %d s: free the machine, "
                                "or start it by hand (\"scope-runtime teacher\") and name its "
                                "address in teacher.url",
                                START_S);
                ssize_t got = read(fd, line + count, 1);
                if (got <= 0)
                        return scope_diag_set(diag, SCOPE_ERR_IO,
                                "the built-in teacher ended before it said where it listens");
                if (line[count] == '\n') {
                        line[count] = 0;
                        return SCOPE_OK;
                }
                count++;
        }
        return scope_diag_set(
                diag, SCOPE_ERR_FORMAT, "the built-in teacher said something else first");
}

static enum scope_err spawn(
        const char *const *words, int out, int out_other, pid_t *ret_pid, struct scope_diag *diag)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none;
        int error = posix_spawn_file_actions_init(&actions);
        if (error != 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_MEMORY, "cannot start the teacher: %s", strerror(error));
        (void)posix_spawnattr_init(&attributes);
        (void)sigemptyset(&none);
        (void)posix_spawnattr_setsigmask(&attributes, &none);
        /* a group of its own: Ctrl-C is ours to pass on, or not */
        (void)posix_spawnattr_setpgroup(&attributes, 0);
        (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        (void)posix_spawn_file_actions_addclose(&actions, out_other);
        error = posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes,
                (char *const *)(uintptr_t)words, environ);
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (error != 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_IO, "cannot start the teacher: %s", strerror(error));
        return SCOPE_OK;
}

enum scope_err scope_teacher_process_start(struct scope_teacher_process *process,
        const struct scope_pipeline_options *options, char *ret_url, size_t url_bytes,
        struct scope_diag *diag)
{
        const struct scope_data_options *data = &options->data;
        char parent[64], latency[160], faults[320], seed[64], concurrency[64], line[256] = "";
        bool replays = options->stages.teacher == SCOPE_PLAY_REPLAY;
        const char *replay = replays ? options->stages.replay : "";
        int pipes[2];
        (void)snprintf(parent, sizeof parent, "%d", (int)getpid());
        (void)snprintf(latency, sizeof latency, "%s", options->solver.latency);
        (void)snprintf(faults, sizeof faults, "%s", options->solver.faults);
        (void)snprintf(seed, sizeof seed, "%lld", (long long)options->run.seed);
        /* as many as the run sends, and some that it gave up on */
        int64_t calls = options->teacher.concurrency + options->prm.concurrency;
        (void)snprintf(concurrency, sizeof concurrency, "%lld",
                (long long)(calls > 32 ? 2 * calls : 64));
        const char *words[] = { "scope-runtime", "teacher", "--listen", "127.0.0.1:0", "--parent",
                parent, "--latency", latency, "--faults", faults, "--seed", seed, "--data",
                data->train, "--prompt-key", data->prompt_key, "--answer-key", data->answer_key,
                "--solution-key", data->solution_key, "--concurrency", concurrency, "--replay",
                replay, NULL };
        if (pipe2(pipes, O_CLOEXEC) != 0)
                return scope_diag_set(
                        diag, SCOPE_ERR_IO, "cannot make a pipe: %s", strerror(errno));
        enum scope_err err = spawn(words, pipes[1], pipes[0], &process->pid, diag);
        (void)close(pipes[1]);
        if (err == SCOPE_OK)
                err = read_line(pipes[0], line, sizeof line, diag);
        (void)close(pipes[0]);
        if (err == SCOPE_OK && strncmp(line, "http://", 7) != 0)
                err = scope_diag_set(
                        diag, SCOPE_ERR_FORMAT, "the built-in teacher said \"%s\"", line);
        if (err == SCOPE_OK)
                (void)snprintf(ret_url, url_bytes, "%s", line);
        else
                scope_teacher_process_stop(process);
        return err;
}

void scope_teacher_process_stop(struct scope_teacher_process *process)
{
        const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
        if (process->pid <= 0)
                return;
        (void)kill(process->pid, SIGTERM);
        for (int i = 0; i < STOP_TRIES; i++) {
                if (waitpid(process->pid, NULL, WNOHANG) != 0) {
                        process->pid = 0;
                        return;
                }
                (void)nanosleep(&pause, NULL);
        }
        (void)kill(process->pid, SIGKILL);
        (void)waitpid(process->pid, NULL, 0);
        process->pid = 0;
}
