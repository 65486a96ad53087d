/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    FIRST_US = 2 * 1000 * 1000,
    AGAIN_US = 200 * 1000,
    BAR = 20,
    WIDTH_DEFAULT = 80
};

void progress_begin(struct progress *progress, const char *what)
{
    const char *terminal = getenv("TERM");
    *progress =
        (struct progress){.what = what,
                          .start_us = kur_clock_monotonic_us(),
                          .is_wanted = isatty(STDERR_FILENO) == 1 && terminal != NULL && strcmp(terminal, "dumb") != 0};
}

static size_t width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH_DEFAULT;
}

/* One line, in ASCII: what is wider than the terminal would stay behind on the next one. */
static void draw(const struct progress *progress, int64_t done, int64_t total, int64_t now_us)
{
    double seconds = (double)(now_us - progress->start_us) / 1e6, share = total > 0 ? (double)done / (double)total : 0;
    char bar[BAR + 1], front[BAR + 16] = "", line[160];
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(share * BAR) ? '#' : '.';
    bar[BAR] = '\0';
    if (total > 0)
        snprintf(front, sizeof front, "[%s] %3.0f%%  ", bar, share * 100);
    snprintf(line, sizeof line, "%s%" PRId64 " %s, %.0f/s", front, done, progress->what,
             seconds > 0 ? (double)done / seconds : 0.0);
    size_t columns = width();
    fprintf(stderr, "\r\x1b[K%.*s", (int)(columns > 1 ? columns - 1 : 0), line);
}

void progress_tell(struct progress *progress, int64_t done, int64_t total)
{
    if (!progress->is_wanted)
        return;
    int64_t now_us = kur_clock_monotonic_us();
    if (now_us - progress->start_us < FIRST_US || now_us - progress->told_us < AGAIN_US)
        return;
    progress->told_us = now_us;
    draw(progress, done, total, now_us);
    progress->is_shown = true;
}

void progress_end(struct progress *progress)
{
    if (progress->is_shown)
        fputs("\r\x1b[K", stderr);
    progress->is_shown = false;
}
