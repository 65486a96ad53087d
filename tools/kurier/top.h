/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What `kurier top` has found out, and how it is drawn.
 */
#ifndef KURIER_TOOLS_TOP_H
#define KURIER_TOOLS_TOP_H

#include "lag.h"

enum {
    TOP_HISTORY = 20
};

/* What was found out at one time. */
struct top_view {
    kur_arena *arena;
    int64_t at_us; /* 0: nothing yet */
    struct lag_list groups;
    kur_letter_topic_list letters;
    bool has_letters;
};

/* What a group had left, the last times. */
struct top_history {
    char *group;
    int64_t left[TOP_HISTORY];
    size_t count; /* of all times */
};

struct top_screen {
    const struct top_view *view;
    const struct top_history *histories;
    size_t history_count;
    const char *message; /* what went wrong last; "": nothing */
    int64_t now_us;
    size_t width, height;
    bool is_coloured;
};

/* The worst first. */
void top_sort(struct lag_list *groups);
/* Appends the lines, no more than fit. */
void top_draw(const struct top_screen *screen, kur_buffer *to);

#endif
