/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "crashing.h"

#include <kurier/sys/clock.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listener/crash.h"

void (*crashing_on_pass)(const char *point);

enum {
    SOON_US = 4000 /* a commit takes about as long */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *wanted; /* NAME:N, or NULL */
static int sends;          /* the signal */
static size_t name_size;
static long last;
static atomic_long passes;

static void read_environment(void)
{
    const char *freeze = getenv("KURIER_FREEZE_AT");
    wanted = freeze != NULL ? freeze : getenv("KURIER_CRASH_AT");
    sends = freeze != NULL ? SIGSTOP : SIGKILL;
    const char *colon = wanted != NULL ? strchr(wanted, ':') : NULL;
    if (colon == NULL)
        return;
    name_size = (size_t)(colon - wanted);
    last = atol(colon + 1);
}

/* Whether the process ends at this pass. */
static bool is_the_one(const char *name)
{
    pthread_once(&once, read_environment);
    if (crashing_on_pass != NULL)
        crashing_on_pass(name);
    return last > 0 && strlen(name) == name_size && memcmp(name, wanted, name_size) == 0 &&
           atomic_fetch_add(&passes, 1) + 1 == last;
}

/* Sent to this thread: one that is sent to the process takes hold of another first, and this one goes on meanwhile. */
static void end_here(void)
{
    raise(sends);
}

void kur__crash_point(const char *name)
{
    if (is_the_one(name))
        end_here();
}

static void *end_soon(void *user)
{
    usleep((useconds_t)(kur_clock_now_us() % SOON_US));
    end_here();
    return user;
}

void kur__crash_soon(const char *name)
{
    pthread_t thread;
    if (is_the_one(name) && pthread_create(&thread, NULL, end_soon, NULL) == 0)
        pthread_detach(thread);
}
