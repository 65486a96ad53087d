/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>

#include "dlq.h"
#include "interrupt.h"
#include "payload.h"
#include "table.h"
#include "text.h"

static void put_json(kur_buffer *json, const struct dlq *dlq, const kur_letter_group *group)
{
    const char *const names[] = {"cause", "type", "code", "group", "topic"};
    const char *const values[] = {group->cause, group->type, group->code, group->group, group->topic};
    json_open(json, NULL, '{');
    json_number(json, "count", group->count);
    for (unsigned i = 0; i < 5; i++)
        if ((dlq->by & 1U << i) != 0)
            json_text(json, names[i], values[i]);
    json_time(json, "first", group->first_us);
    json_time(json, "last", group->last_us);
    json_open(json, "sample", '{');
    json_text(json, "topic", group->sample_topic);
    json_number(json, "partition", group->sample_partition);
    json_number(json, "offset", group->sample_offset);
    json_close(json, '}');
    json_bool(json, "rest", group->is_rest);
    json_close(json, '}');
}

static void put_row(struct table *table, const struct dlq *dlq, const kur_letter_group *group)
{
    const char *const values[] = {group->cause, group->type, group->code, group->group, group->topic};
    bool is_first = true;
    table_cell(table, "%" PRId64, group->count);
    for (unsigned i = 0; i < 5; i++) {
        if ((dlq->by & 1U << i) == 0)
            continue;
        table_text(table, group->is_rest && is_first ? "(all others)" : values[i]);
        is_first = false;
    }
    table_time(table, group->first_us);
    table_time(table, group->last_us);
    kur_buffer place = {0};
    payload_place(&place, group->sample_topic, group->sample_partition, group->sample_offset);
    table_text(table, place.data);
    kur_buffer_done(&place);
}

static int print(struct dlq *dlq, const kur_letter_groups *groups)
{
    static const char *const names[] = {"CAUSE", "TYPE", "CODE", "GROUP", "TOPIC"};
    const char *headings[TABLE_COLUMNS_MAX] = {">COUNT"};
    size_t columns = 1;
    kur_error error = {0};
    kur_letter_group_list list;
    for (unsigned i = 0; i < 5; i++)
        if ((dlq->by & 1U << i) != 0)
            headings[columns++] = names[i];
    headings[columns++] = "FIRST";
    headings[columns++] = "LAST";
    headings[columns] = "SAMPLE";
    if (kur_letter_groups_list(groups, dlq->call.arena, &list, &error) != KUR_OK)
        return command_error(dlq->call.noun, &error);
    struct table table = {.headings = headings};
    struct objects objects = {.output = dlq->call.output};
    kur_buffer json = {0};
    for (size_t i = 0; i < list.count; i++) {
        if (dlq->call.output == OUTPUT_TABLE) {
            put_row(&table, dlq, list.items[i]);
        } else {
            put_json(&json, dlq, list.items[i]);
            json_print(&objects, &json);
        }
    }
    json_end(&objects);
    table_print(&table);
    kur_buffer_done(&json);
    if (list.count == 0 && dlq->call.output == OUTPUT_TABLE)
        command_note(dlq->call.noun, "no letters");
    return EXIT_DONE;
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    const char *const *topics;
    kur_error error = {0};
    int status = dlq_topics(dlq, &topics);
    if (status != EXIT_DONE)
        return status;
    if (dlq->by == 0)
        dlq->by = KUR_LETTERS_BY_CAUSE | KUR_LETTERS_BY_TYPE | KUR_LETTERS_BY_CODE;
    if (dlq->max > INT_MAX || dlq->max == 0)
        return command_refuse(dlq->call.noun, "--max needs a number from 1 on");
    kur_letter_groups *groups = kur_letter_groups_new(
        &KUR_LETTER_GROUPS_OPTIONS(.by = dlq->by, .max = dlq->max > 0 ? (int)dlq->max : 0), &error);
    if (groups == NULL)
        return command_refuse(dlq->call.noun, "%s", error.message);
    interrupt_begin();
    kur_letter_reader *reader = topics[0] != NULL ? dlq_read(dlq, topics, &status) : NULL;
    if (reader != NULL) {
        for (const kur_letter *letter; (letter = dlq_next(dlq, reader, &status)) != NULL;)
            text_need(kur_letter_groups_add(groups, letter, &error));
        status = dlq_close(dlq, reader, status);
    }
    if (status == EXIT_DONE || status == EXIT_PARTIAL) {
        int printed = print(dlq, groups);
        status = printed != EXIT_DONE ? printed : status;
    }
    kur_letter_groups_free(groups);
    return status;
}

static int read_by(struct invocation *call, const char *value)
{
    static const char *const names[] = {"cause", "type", "code", "group", "topic"};
    for (const char *at = value; *at != '\0';) {
        size_t size = strcspn(at, ","), i = 0;
        while (i < 5 && (strlen(names[i]) != size || strncmp(names[i], at, size) != 0))
            i++;
        if (i == 5)
            return command_refuse(call->noun, "--by takes cause, type, code, group and topic, with commas: \"%.60s\"",
                                  value);
        dlq_state.by |= 1U << i;
        at += size + (at[size] == ',');
    }
    return EXIT_DONE;
}

static const struct option own[] = {
    {"--by", "LIST", "cause,type,code,group,topic in place of cause,type,code", .kind = OPTION_CALL, .read = read_by,
     .words = "cause type code group topic"},
    {"--max", "N", "so many groups, the rest counted together; default 10000", OPTION_IN(NUMBER, struct dlq, max)},
    {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb dlq_groups = {
    .name = "groups",
    .arguments = "[TOPIC…]",
    .summary = "letters by what they died of",
    .about = "Letters counted by cause, type and the place in the program where it was said; with the first and the "
             "last time, and where one of them stands, for kurier dlq show. All topics of dead letters, or those "
             "named; one that ends with * is all that begin so.",
    .options = {&own_options, &dlq_filter_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
