/* teacher_process.h - teacher.url = "builtin": our own server, started as a process of its own on
 * loopback.
 * Why: the refiner must not know that the teacher is local; so it is not.
 * (1) The child dies with this process. (2) Its address is read from its first line; waiting is
 * bounded. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct scope_pipeline_options;

struct scope_teacher_process {
        pid_t pid; /* 0 = none */
};

/* Starts the server with the options of [solver]; writes its URL.
 * errors  SCOPE_ERR_IO, SCOPE_ERR_DEADLINE with words in diag     thread  setup */
enum scope_err scope_teacher_process_start(struct scope_teacher_process *process,
        const struct scope_pipeline_options *options, char *ret_url, size_t url_bytes,
        struct scope_diag *diag);

/* Asks it to end, waits, bounded. Accepts a zeroed one. */
void scope_teacher_process_stop(struct scope_teacher_process *process);
