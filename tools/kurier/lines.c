/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "interrupt.h"
#include "text.h"

enum {
    BLOCK = 256 * 1024,
    WAIT_MS = 200 /* a signal between a look at it and the wait is seen so late at most */
};

void lines_begin(struct lines *lines, int fd, size_t most)
{
    *lines = (struct lines){.fd = fd, .most = most};
}

void lines_done(struct lines *lines)
{
    free(lines->data);
    *lines = (struct lines){.fd = -1};
}

/* Room for another block behind what is there. */
static void make_room(struct lines *lines)
{
    size_t size = lines->end - lines->start;
    if (lines->start > 0)
        memmove(lines->data, lines->data + lines->start, size);
    lines->start = 0;
    lines->end = size;
    if (lines->capacity - size >= BLOCK)
        return;
    lines->capacity = lines->capacity * 2 > size + BLOCK ? lines->capacity * 2 : size + BLOCK;
    char *more = realloc(lines->data, lines->capacity);
    text_need(more != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    lines->data = more;
}

static void read_block(struct lines *lines)
{
    struct pollfd one = {.fd = lines->fd, .events = POLLIN};
    make_room(lines);
    while (interrupt_count() == 0) {
        if (poll(&one, 1, WAIT_MS) <= 0)
            continue;
        ssize_t size = read(lines->fd, lines->data + lines->end, BLOCK);
        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        lines->failed = size < 0 ? errno : 0;
        lines->is_over = size <= 0;
        lines->end += size > 0 ? (size_t)size : 0;
        return;
    }
}

bool lines_next(struct lines *lines, kur_bytes *line)
{
    size_t looked = 0;
    while (interrupt_count() == 0) {
        size_t size = lines->end - lines->start;
        const char *at = size > 0 ? lines->data + lines->start : NULL;
        const char *newline = size > looked ? memchr(at + looked, '\n', size - looked) : NULL;
        if (newline == NULL && !lines->is_over && size <= lines->most) {
            looked = size;
            read_block(lines);
            continue;
        }
        if (size == 0 || lines->failed != 0)
            return false;
        *line = kur_bytes_of(at, newline != NULL ? (size_t)(newline + 1 - at) : size);
        lines->start += line->size;
        return true;
    }
    return false;
}
