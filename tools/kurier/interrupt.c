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

void interrupt_begin(void)
{
    /* Without SA_RESTART: what waits for input looks again. */
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int interrupt_count(void)
{
    return count;
}
