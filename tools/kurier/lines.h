/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A file or a pipe, line by line, in memory that goes by the longest line.
 */
#ifndef KURIER_TOOLS_LINES_H
#define KURIER_TOOLS_LINES_H

#include <kurier/bytes.h>

struct lines {
    int fd;
    size_t most; /* a longer line is given in parts */
    char *data;
    size_t capacity, start, end; /* what has been read and not yet given */
    bool is_over;
    int failed; /* an errno */
};

/* `fd` stays the caller's. */
void lines_begin(struct lines *lines, int fd, size_t most);

/*
 * The next line with its newline, where it has one; valid until the next call. False at the end, when reading failed,
 * and once interrupt_count() is above 0.
 */
bool lines_next(struct lines *lines, kur_bytes *line);

void lines_done(struct lines *lines);

#endif
