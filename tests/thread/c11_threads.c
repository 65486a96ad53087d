/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * C11's threads by way of POSIX's, loaded ahead of the C library in builds with ThreadSanitizer.
 *
 * Design notes
 *
 * librdkafka takes its threads, locks and conditions from <threads.h>, of which ThreadSanitizer knows nothing: a thread
 * that thrd_create has started crashes in its run time, and what a mutex orders would look like a race. Here each of
 * them becomes the POSIX call that it watches, so that every lock of librdkafka orders our accesses as it really does.
 * In the GNU C library the types of both are of the same size and kind.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "a mutex of C11 is one of POSIX");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a condition of C11 is one of POSIX");
_Static_assert(sizeof(once_flag) == sizeof(pthread_once_t), "a once of C11 is one of POSIX");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a thread of C11 is one of POSIX");

static int status(int code)
{
    switch (code) {
    case 0:
        return thrd_success;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    case EBUSY:
        return thrd_busy;
    default:
        return thrd_error;
    }
}

/* ---- Threads ---- */

struct start {
    thrd_start_t function;
    void *argument;
};

static void *run(void *given)
{
    struct start start = *(struct start *)given;
    free(given);
    return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){function, argument};
    int code = pthread_create((pthread_t *)thread, NULL, run, start);
    if (code != 0)
        free(start);
    return status(code);
}

int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;
    int code = pthread_join((pthread_t)thread, &value);
    if (code == 0 && result != NULL)
        *result = (int)(intptr_t)value;
    return status(code);
}

int thrd_detach(thrd_t thread)
{
    return status(pthread_detach((pthread_t)thread));
}

/* ---- Locks ---- */

int mtx_init(mtx_t *lock, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if ((type & mtx_recursive) != 0)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int code = pthread_mutex_init((pthread_mutex_t *)lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return status(code);
}

void mtx_destroy(mtx_t *lock)
{
    pthread_mutex_destroy((pthread_mutex_t *)lock);
}

int mtx_lock(mtx_t *lock)
{
    return status(pthread_mutex_lock((pthread_mutex_t *)lock));
}

int mtx_trylock(mtx_t *lock)
{
    return status(pthread_mutex_trylock((pthread_mutex_t *)lock));
}

int mtx_timedlock(mtx_t *restrict lock, const struct timespec *restrict until)
{
    return status(pthread_mutex_timedlock((pthread_mutex_t *)lock, until));
}

int mtx_unlock(mtx_t *lock)
{
    return status(pthread_mutex_unlock((pthread_mutex_t *)lock));
}

/* ---- Conditions ---- */

int cnd_init(cnd_t *condition)
{
    return status(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition)
{
    return status(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return status(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *lock)
{
    return status(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)lock));
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict lock, const struct timespec *restrict until)
{
    return status(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)lock, until));
}

void call_once(once_flag *flag, void (*function)(void))
{
    pthread_once((pthread_once_t *)flag, function);
}
