/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How far a long run is, on standard error, in one line of a terminal; nowhere else. From its third second on.
 */
#ifndef KURIER_TOOLS_PROGRESS_H
#define KURIER_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "letters read" */
    int64_t start_us, told_us;
    bool is_wanted, is_shown; /* there is a terminal; a line stands on it */
};

void progress_begin(struct progress *progress, const char *what);
/* `total` 0: not known. */
void progress_tell(struct progress *progress, int64_t done, int64_t total);
/* Takes the line off the terminal. */
void progress_end(struct progress *progress);

#endif
