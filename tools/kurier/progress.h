/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How far a long run is, on standard error: from its third second on, in place on a terminal, else a line every ten
 * seconds.
 */
#ifndef KURIER_TOOLS_PROGRESS_H
#define KURIER_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "letters read" */
    int64_t start_us, told_us;
    bool is_shown; /* a line stands on the terminal */
};

void progress_begin(struct progress *progress, const char *what);
/* `total` 0: not known. */
void progress_tell(struct progress *progress, int64_t done, int64_t total);
/* Takes the line off the terminal. */
void progress_end(struct progress *progress);

#endif
