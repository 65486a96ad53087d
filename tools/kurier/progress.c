/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <unistd.h>

enum {
    FIRST_US = 2 * 1000 * 1000,
    TERMINAL_US = 200 * 1000,
    LINE_US = 10 * 1000 * 1000,
    BAR = 20
};

void progress_begin(struct progress *progress, const char *what)
{
    *progress = (struct progress){.what = what, .start_us = kur_clock_monotonic_us()};
}

static void draw(const struct progress *progress, int64_t done, int64_t total, int64_t now_us)
{
    double seconds = (double)(now_us - progress->start_us) / 1e6, share = total > 0 ? (double)done / (double)total : 0;
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(share * BAR) ? '#' : '.';
    bar[BAR] = '\0';
    if (total > 0)
        fprintf(stderr, "[%s] %3.0f%%  ", bar, share * 100);
    fprintf(stderr, "%" PRId64 " %s, %.0f/s", done, progress->what, seconds > 0 ? (double)done / seconds : 0.0);
}

void progress_tell(struct progress *progress, int64_t done, int64_t total)
{
    int64_t now_us = kur_clock_monotonic_us();
    bool is_terminal = isatty(STDERR_FILENO) == 1;
    if (now_us - progress->start_us < FIRST_US ||
        (progress->told_us > 0 && now_us - progress->told_us < (is_terminal ? TERMINAL_US : LINE_US)))
        return;
    progress->told_us = now_us;
    if (is_terminal)
        fputs("\r\x1b[K", stderr);
    draw(progress, done, total, now_us);
    if (!is_terminal)
        fputc('\n', stderr);
    progress->is_shown = is_terminal;
}

void progress_end(struct progress *progress)
{
    if (progress->is_shown)
        fputs("\r\x1b[K", stderr);
    progress->is_shown = false;
}
