/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "text.h"

bool table_has_colours(void)
{
    const char *terminal = getenv("TERM"), *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) == 1 && (no == NULL || no[0] == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

size_t table_width(void)
{
    struct winsize size;
    if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

/* ---- Cells ---- */

static void end_cell(struct table *table)
{
    text_need(kur_buffer_append(&table->cells, "", 1));
    table->cell_count++;
}

void table_cell(struct table *table, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_put(&table->cells, text);
    end_cell(table);
}

void table_text(struct table *table, const char *text)
{
    text_safe(&table->cells, kur_bytes_text(text != NULL && text[0] != '\0' ? text : "-"), false);
    end_cell(table);
}

void table_time(struct table *table, int64_t time_us)
{
    text_time(&table->cells, time_us);
    end_cell(table);
}

/* ---- Printing ---- */

static void pad(kur_buffer *line, size_t count)
{
    while (count-- > 0)
        text_put(line, " ");
}

static void add_cell(kur_buffer *line, const char *text, size_t width, bool is_right, bool is_last)
{
    size_t own = text_width(kur_bytes_text(text));
    if (is_right)
        pad(line, width - own);
    text_put(line, text);
    if (!is_last)
        pad(line, (is_right ? 0 : width - own) + 2);
}

static void draw_line(kur_buffer *to, kur_buffer *line, size_t width, const char *before, const char *behind)
{
    if (width > 0)
        text_cut(line, width);
    text_need(kur_buffer_print(to, "%s%s%s\n", before, line->data != NULL ? line->data : "", behind));
    line->size = 0;
}

void table_draw_line(kur_buffer *to, kur_buffer *line, size_t width)
{
    draw_line(to, line, width, "", "");
}

static void print_and_release(kur_buffer *lines)
{
    fwrite(lines->data, 1, lines->size, stdout);
    kur_buffer_done(lines);
}

void table_print_line(kur_buffer *line)
{
    kur_buffer lines = {0};
    draw_line(&lines, line, table_width(), "", "");
    print_and_release(&lines);
}

static void draw_headings(const struct table *table, kur_buffer *to, const size_t *widths, size_t columns, size_t width,
                          bool is_coloured)
{
    kur_buffer line = {0};
    for (size_t i = 0; i < columns; i++) {
        bool is_right = table->headings[i][0] == '>';
        add_cell(&line, table->headings[i] + is_right, widths[i], is_right, i + 1 == columns);
    }
    draw_line(to, &line, width, is_coloured ? "\x1b[1m" : "", is_coloured ? "\x1b[0m" : "");
    kur_buffer_done(&line);
}

void table_draw(struct table *table, kur_buffer *to, size_t width, bool is_coloured)
{
    size_t columns = 0, widths[TABLE_COLUMNS_MAX] = {0};
    while (table->headings[columns] != NULL)
        columns++;
    for (size_t i = 0; i < columns; i++)
        widths[i] = text_width(kur_bytes_text(table->headings[i])) - (table->headings[i][0] == '>');
    const char *cell = table->cells.data;
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1)
        if (text_width(kur_bytes_text(cell)) > widths[i % columns])
            widths[i % columns] = text_width(kur_bytes_text(cell));
    if (table->cell_count > 0)
        draw_headings(table, to, widths, columns, width, is_coloured);
    kur_buffer line = {0};
    cell = table->cells.data;
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1) {
        size_t column = i % columns;
        add_cell(&line, cell, widths[column], table->headings[column][0] == '>', column + 1 == columns);
        if (column + 1 == columns)
            draw_line(to, &line, width, "", "");
    }
    kur_buffer_done(&line);
    kur_buffer_done(&table->cells);
    table->cell_count = 0;
}

void table_print(struct table *table)
{
    kur_buffer lines = {0};
    table_draw(table, &lines, table_width(), table_has_colours());
    print_and_release(&lines);
}
