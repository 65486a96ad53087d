/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "failing.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

/* Threads of the library count beside each other. */
static atomic_long countdown; /* the allocation that fails; 0: none */
static atomic_bool has_failed;
static atomic_long live;
static bool only_owner;
static pthread_t owner;

static bool counts(void)
{
    return !only_owner || pthread_equal(owner, pthread_self());
}

static bool fails(void)
{
    if (!counts() || atomic_load(&countdown) <= 0 || atomic_fetch_sub(&countdown, 1) != 1)
        return false;
    has_failed = true;
    return true;
}

void *failing_malloc(size_t size)
{
    void *memory = fails() ? NULL : malloc(size);
    if (counts() && memory != NULL)
        live++;
    return memory;
}

static void *failing_realloc(void *memory, size_t size)
{
    if (fails())
        return NULL;
    void *moved = realloc(memory, size);
    if (counts() && memory == NULL && moved != NULL)
        live++;
    return moved;
}

void failing_free(void *memory)
{
    if (counts() && memory != NULL) /* what does not count is not even touched: another thread may */
        live--;
    free(memory);
}

void failing_begin(long nth, bool only_this_thread)
{
    static const kur__allocator failing = {failing_malloc, failing_realloc, failing_free};
    countdown = nth;
    has_failed = false;
    live = 0;
    only_owner = only_this_thread;
    owner = pthread_self();
    kur__allocator_set(&failing);
}

void failing_next(long nth)
{
    countdown = nth;
}

void failing_rest(void)
{
    countdown = 0;
}

void failing_end(void)
{
    countdown = 0;
    kur__allocator_set(NULL);
}

bool failing_has_failed(void)
{
    return has_failed;
}

long failing_live(void)
{
    return live;
}

bool failing_again(const char *name, long *points, kur_status status, const kur_error *error)
{
    ck_assert_msg(live == 0, "%s: %ld allocations are left when the %ldth fails", name, failing_live(), *points + 1);
    if (has_failed) {
        ck_assert_msg(status == KUR_ERROR_NO_MEMORY, "%s: %s (%s) when allocation %ld fails", name,
                      kur_status_name(status), error->message, *points + 1);
        ck_assert_int_eq(error->code, KUR_ERROR_NO_MEMORY);
        ++*points;
        return true;
    }
    ck_assert_msg(status == KUR_OK, "%s: %s", name, error->message);
    printf("# allocations that were made to fail in %s: %ld\n", name, *points);
    ck_assert_int_gt(*points, 0);
    return false;
}
