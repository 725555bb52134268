/* thread.h - threads of the runtime's own.
 * Why: signals belong to the thread that the program began with: a handler that could run on any
 * thread would race with itself, and cut short whatever that thread was waiting in. */
#pragma once

#include <pthread.h>

#include "base/error.h"

/* Starts a thread that takes no signals.
 * owns    the caller joins *ret_thread
 * errors  SCOPE_ERR_INTERNAL: the system has no thread left
 * thread  any */
enum scope_err scope_thread_create(pthread_t *ret_thread, void *(*main)(void *), void *arg);
