/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

enum {
    PATIENCE = 2 /* signals that are counted before the next one is the system's */
};

static volatile sig_atomic_t count;

static void on_signal(int number)
{
    count++;
    if (count == PATIENCE)
        signal(number, SIG_DFL);
}

/* What is ignored stays so: a shell's background jobs are not meant by Ctrl-C. */
static void take(int number)
{
    /* Without SA_RESTART: what waits for input looks again. */
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

void interrupt_begin(void)
{
    take(SIGINT);
    take(SIGTERM);
}

int interrupt_count(void)
{
    return count;
}
