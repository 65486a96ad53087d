/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "text.h"
#include "top.h"

enum {
    WIDE = 100,  /* from here on there is room for everything */
    MIDDLE = 60, /* from here on for most of it */
    TIERS = 4
};

/* ---- Cells ---- */

static void cell_amount(struct table *table, const struct lag_amount *amount, int64_t now_us)
{
    kur_buffer text = {0};
    text_need(kur_buffer_print(&text, "%" PRId64, amount->count));
    if (amount->count > 0 && amount->is_known) {
        text_put(&text, " (");
        text_duration(&text, now_us > amount->oldest_us ? now_us - amount->oldest_us : 0);
        text_put(&text, ")");
    } else if (amount->count > 0) {
        text_put(&text, " (?)");
    }
    table_text(table, text.data);
    kur_buffer_done(&text);
}

static void cell_catch_up(struct table *table, const struct lag_group *group)
{
    int64_t seconds = lag_catch_up_s(group);
    kur_buffer text = {0};
    if (seconds >= 0)
        text_duration(&text, seconds * 1000000);
    else
        text_put(&text, seconds == -1 ? "never" : "?");
    table_text(table, text.data);
    kur_buffer_done(&text);
}

/* A third of the line, at most: what is worth looking at stands beside it. */
static void cell_name(struct table *table, const struct top_screen *screen, const char *name)
{
    kur_buffer text = {0};
    text_put(&text, name);
    if (screen->width > 0)
        text_cut(&text, screen->width / 3 > 8 ? screen->width / 3 : 8);
    table_text(table, text.data);
    kur_buffer_done(&text);
}

/* The last times as bars, by the highest of them. */
static void cell_history(struct table *table, const struct top_screen *screen, const char *group)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    kur_buffer text = {0};
    text_put(&text, "");
    for (size_t i = 0; i < screen->history_count; i++) {
        const struct top_history *history = &screen->histories[i];
        if (strcmp(history->group, group) != 0)
            continue;
        size_t from = history->count > TOP_HISTORY ? history->count - TOP_HISTORY : 0;
        int64_t most = 1;
        for (size_t k = from; k < history->count; k++)
            if (history->left[k % TOP_HISTORY] > most)
                most = history->left[k % TOP_HISTORY];
        for (size_t k = from; k < history->count; k++)
            text_put(&text, bars[(size_t)((double)history->left[k % TOP_HISTORY] / (double)most * 7)]);
    }
    table_text(table, text.data);
    kur_buffer_done(&text);
}

/* ---- Parts ---- */

/* The oldest of what is to be done now. */
static struct lag_amount behind(const struct lag_group *group)
{
    struct lag_amount sum = group->waiting;
    sum.count += group->unread.count;
    sum.is_known &= group->unread.is_known;
    if (group->unread.oldest_us >= 0 && (sum.oldest_us < 0 || group->unread.oldest_us < sum.oldest_us))
        sum.oldest_us = group->unread.oldest_us;
    return sum;
}

/* Who has the oldest to do comes first, then who has the most. */
static int compare(const void *left, const void *right)
{
    const struct lag_group *a = left, *b = right;
    int64_t a_us = behind(a).oldest_us, b_us = behind(b).oldest_us, a_left = lag_backlog(a), b_left = lag_backlog(b);
    if (a_us != b_us)
        return b_us < 0 || (a_us >= 0 && a_us < b_us) ? -1 : 1;
    return a_left != b_left ? (a_left > b_left ? -1 : 1) : strcmp(a->name, b->name);
}

void top_sort(struct lag_list *groups)
{
    if (groups->count > 0)
        qsort(groups->groups, groups->count, sizeof *groups->groups, compare);
}

static void add_duration(kur_buffer *line, const char *what, int64_t since_us, int64_t now_us)
{
    text_need(kur_buffer_print(line, "  %s ", what));
    text_duration(line, now_us > since_us ? now_us - since_us : 0);
}

static void draw_head(const struct top_screen *screen, kur_buffer *to)
{
    const struct top_view *view = screen->view;
    kur_buffer line = {0};
    const struct lag_group *worst = view->groups.count > 0 ? &view->groups.groups[0] : NULL;
    int64_t oldest_us = -1;
    for (size_t i = 0; view->has_letters && i < view->letters.count; i++) {
        int64_t one_us = view->letters.items[i]->oldest_us;
        if (one_us >= 0 && (oldest_us < 0 || one_us < oldest_us))
            oldest_us = one_us;
    }
    text_put(&line, "kurier top  ");
    text_time(&line, view->at_us);
    if (worst != NULL && behind(worst).oldest_us >= 0) {
        text_need(kur_buffer_print(&line, "  worst %s", worst->name));
        add_duration(&line, "by", behind(worst).oldest_us, screen->now_us);
    }
    if (oldest_us >= 0)
        add_duration(&line, "oldest letter", oldest_us, screen->now_us);
    text_put(&line, "  q quits");
    table_draw_line(to, &line, screen->width);
    if (screen->message[0] != '\0') {
        text_put(&line, "! ");
        text_safe(&line, kur_bytes_text(screen->message), false);
    } else {
        text_put(&line, "");
    }
    table_draw_line(to, &line, screen->width);
    kur_buffer_done(&line);
}

static void draw_groups(const struct top_screen *screen, kur_buffer *to)
{
    static const char *const wide[] = {"GROUP",  "STATE",     ">UNREAD", ">WAITING", ">PARKED",
                                       ">TREND", ">CATCH-UP", "LEFT",    NULL};
    static const char *const middle[] = {"GROUP", ">UNREAD", ">WAITING", ">PARKED", ">CATCH-UP", NULL};
    static const char *const narrow[] = {"GROUP", ">BEHIND", ">PARKED", NULL};
    bool is_wide = screen->width >= WIDE, is_narrow = screen->width < MIDDLE;
    struct table table = {.headings = is_wide ? wide : is_narrow ? narrow : middle};
    for (size_t i = 0; i < screen->view->groups.count; i++) {
        const struct lag_group *group = &screen->view->groups.groups[i];
        struct lag_amount sum = behind(group);
        cell_name(&table, screen, group->name);
        if (is_wide)
            table_text(&table, kur_group_state_name(group->state));
        if (is_narrow) {
            cell_amount(&table, &sum, screen->now_us);
            cell_amount(&table, &group->parked, screen->now_us);
            continue;
        }
        cell_amount(&table, &group->unread, screen->now_us);
        cell_amount(&table, &group->waiting, screen->now_us);
        cell_amount(&table, &group->parked, screen->now_us);
        if (is_wide && group->has_trend)
            table_cell(&table, "%+" PRId64 "/s", (int64_t)group->trend);
        else if (is_wide)
            table_text(&table, "?");
        cell_catch_up(&table, group);
        if (is_wide)
            cell_history(&table, screen, group->name);
    }
    table_draw(&table, to, screen->width, screen->is_coloured);
}

/* What is parked, tier by tier, of groups that have something there. */
static void draw_tiers(const struct top_screen *screen, kur_buffer *to)
{
    static const char *const headings[] = {"RETRIES OF", ">SHORT", ">MEDIUM", ">LONG", ">ORDERED", NULL};
    struct table table = {.headings = headings};
    for (size_t i = 0; i < screen->view->groups.count; i++) {
        const struct lag_group *group = &screen->view->groups.groups[i];
        struct lag_amount tiers[TIERS];
        if (group->parked.count == 0)
            continue;
        for (int k = 0; k < TIERS; k++)
            tiers[k] = (struct lag_amount){0, -1, true};
        for (size_t k = 0; k < group->partition_count; k++) {
            const struct lag_partition *one = &group->partitions[k];
            if (one->tier < KUR_TIER_SHORT || one->tier > KUR_TIER_ORDERED)
                continue;
            struct lag_amount *tier = &tiers[one->tier - KUR_TIER_SHORT];
            lag_add(tier, one->waiting, one->first_us);
            lag_add(tier, one->unread, one->behind_us);
        }
        cell_name(&table, screen, group->name);
        for (int k = 0; k < TIERS; k++)
            cell_amount(&table, &tiers[k], screen->now_us);
    }
    if (table.cell_count > 0)
        text_put(to, "\n");
    table_draw(&table, to, screen->width, screen->is_coloured);
}

static void draw_letters(const struct top_screen *screen, kur_buffer *to)
{
    static const char *const headings[] = {"DEAD LETTERS", ">LETTERS", ">OLDEST", ">NEWEST", NULL};
    struct table table = {.headings = headings};
    for (size_t i = 0; screen->view->has_letters && i < screen->view->letters.count; i++) {
        const kur_letter_topic *topic = screen->view->letters.items[i];
        const int64_t times[] = {topic->oldest_us, topic->newest_us};
        table_text(&table, topic->name);
        table_cell(&table, "%" PRId64, topic->count - (topic->discarded > 0 ? topic->discarded : 0));
        for (int k = 0; k < 2; k++) {
            kur_buffer age = {0};
            text_duration(&age, times[k] < 0 ? -1 : screen->now_us > times[k] ? screen->now_us - times[k] : 0);
            table_text(&table, age.data);
            kur_buffer_done(&age);
        }
    }
    if (table.cell_count > 0)
        text_put(to, "\n");
    table_draw(&table, to, screen->width, screen->is_coloured);
}

void top_draw(const struct top_screen *screen, kur_buffer *to)
{
    kur_buffer lines = {0};
    size_t left = screen->height > 0 ? screen->height - 1 : 0;
    draw_head(screen, &lines);
    draw_groups(screen, &lines);
    draw_tiers(screen, &lines);
    draw_letters(screen, &lines);
    for (const char *line = lines.data, *end; left > 0 && (end = strchr(line, '\n')) != NULL; line = end + 1, left--) {
        text_need(kur_buffer_append(to, line, (size_t)(end - line)));
        text_put(to, "\x1b[K\r\n");
    }
    text_put(to, "\x1b[J");
    kur_buffer_done(&lines);
}
