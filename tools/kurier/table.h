/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A table for people: columns as wide as they need to be, and no line wider than the terminal. Colours only on one.
 */
#ifndef KURIER_TOOLS_TABLE_H
#define KURIER_TOOLS_TABLE_H

#include <kurier/bytes.h>

enum {
    TABLE_COLUMNS_MAX = 12
};

struct table {
    const char *const *headings; /* ends with NULL; one that begins with > is set to the right */
    kur_buffer cells;            /* each ends with a NUL */
    size_t cell_count;
};

/* The next cell, row by row; text of others as text_safe gives it. */
void table_cell(struct table *table, const char *format, ...) KUR_PRINTF(2, 3);
void table_text(struct table *table, const char *text);
void table_time(struct table *table, int64_t time_us);
/* Prints it and releases it; without rows nothing. */
void table_print(struct table *table);
/* The same, appended as lines that are no wider than `width` (0: as they are). */
void table_draw(struct table *table, kur_buffer *to, size_t width, bool is_coloured);
/* A line; `width` likewise. */
void table_draw_line(kur_buffer *to, kur_buffer *line, size_t width);

/* Prints a line of its own and empties it; no wider than the terminal. */
void table_print_line(kur_buffer *line);

/* Whether standard output is a terminal that may be coloured (NO_COLOR is not set). */
bool table_has_colours(void);
/* How wide the terminal is; 0: there is none. */
size_t table_width(void);

#endif
