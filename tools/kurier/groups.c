/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier groups`: groups, their members, and what these have.
 */
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "table.h"
#include "text.h"

static struct groups {
    struct invocation call;
} state;

/* ---- list ---- */

static void list_one(const struct invocation *call, struct table *table, struct objects *objects,
                     const kur_group_view *group, bool is_described)
{
    kur_buffer json = {0};
    if (call->output == OUTPUT_TABLE) {
        table_text(table, group->name);
        table_text(table, kur_group_state_name(group->state));
        if (is_described)
            table_cell(table, "%zu", group->member_count);
        else
            table_text(table, "?");
        return;
    }
    json_open(&json, NULL, '{');
    json_text(&json, "group", group->name);
    json_text(&json, "state", kur_group_state_name(group->state));
    if (is_described)
        json_number(&json, "members", (int64_t)group->member_count);
    else
        json_null(&json, "members");
    json_close(&json, '}');
    json_print(objects, &json);
    kur_buffer_done(&json);
}

static int list_all(struct invocation *call, kur_admin *admin)
{
    static const char *const headings[] = {"GROUP", "STATE", ">MEMBERS", NULL};
    struct table table = {.headings = headings};
    struct objects objects = {.output = call->output};
    kur_error error = {0};
    kur_group_list list;
    if (kur_admin_list_groups(admin, call->connection.timeout_ms, call->arena, &list, &error) != KUR_OK)
        return command_error(call->noun, &error);
    for (size_t i = 0; i < list.count; i++) {
        const kur_group_view *group = list.items[i];
        bool is_described = kur_admin_describe_group(admin, group->name, call->connection.timeout_ms, call->arena,
                                                     &group, NULL) == KUR_OK;
        list_one(call, &table, &objects, group, is_described);
    }
    if (list.count == 0 && call->output == OUTPUT_TABLE)
        command_note(call->noun, "no groups that this user sees");
    table_print(&table);
    json_end(&objects);
    return EXIT_DONE;
}

static int run_list(struct invocation *call)
{
    kur_admin *admin = connect_admin(call);
    int status = admin != NULL ? list_all(call, admin) : EXIT_FAILED;
    kur_admin_free(admin);
    return status;
}

/* ---- show ---- */

/* "orders/0-3,5": neighbours in one. */
static void put_partitions(kur_buffer *text, const kur_member_view *member)
{
    const kur_position *const *at = member->partitions;
    text_put(text, "");
    for (size_t i = 0; i < member->partition_count;) {
        size_t end = i + 1;
        bool is_first = i == 0 || strcmp(at[i]->topic, at[i - 1]->topic) != 0;
        while (end < member->partition_count && strcmp(at[end]->topic, at[i]->topic) == 0 &&
               at[end]->partition == at[end - 1]->partition + 1)
            end++;
        if (is_first)
            text_need(kur_buffer_print(text, "%s%s/", i > 0 ? " " : "", at[i]->topic));
        text_need(kur_buffer_print(text, "%s%" PRId32, is_first ? "" : ",", at[i]->partition));
        if (end > i + 1)
            text_need(kur_buffer_print(text, "-%" PRId32, at[end - 1]->partition));
        i = end;
    }
}

static void print_group(const kur_group_view *group, const kur_position_list *offsets)
{
    static const char *const member_headings[] = {"CLIENT", "HOST", "INSTANCE", "MEMBER", "HAS", NULL};
    static const char *const offset_headings[] = {"PARTITION", ">COMMITTED", "BESIDE IT", NULL};
    struct table members = {.headings = member_headings}, committed = {.headings = offset_headings};
    printf("%s: %s, %zu members, %s%scoordinator %" PRId32 "\n", group->name, kur_group_state_name(group->state),
           group->member_count, group->assignment, group->assignment[0] != '\0' ? ", " : "", group->coordinator);
    for (size_t i = 0; i < group->member_count; i++) {
        kur_buffer has = {0};
        put_partitions(&has, group->members[i]);
        table_text(&members, group->members[i]->client_id);
        table_text(&members, group->members[i]->host);
        table_text(&members, group->members[i]->instance_id);
        table_text(&members, group->members[i]->id);
        table_text(&members, has.data);
        kur_buffer_done(&has);
    }
    table_print(&members);
    for (size_t i = 0; i < offsets->count; i++) {
        const kur_position *one = offsets->items[i];
        kur_buffer beside = {0};
        if (one->metadata != NULL && strncmp(one->metadata, "kur1:", 5) == 0)
            text_need(kur_buffer_print(&beside, "(a ledger, %zu characters)", strlen(one->metadata)));
        table_cell(&committed, "%s/%" PRId32, one->topic, one->partition);
        table_cell(&committed, "%" PRId64, one->offset);
        table_text(&committed, beside.data != NULL ? beside.data : one->metadata);
        kur_buffer_done(&beside);
    }
    if (offsets->count > 0)
        putchar('\n');
    table_print(&committed);
}

static void put_position(kur_buffer *json, const kur_position *one, bool is_committed)
{
    json_open(json, NULL, '{');
    json_text(json, "topic", one->topic);
    json_number(json, "partition", one->partition);
    if (is_committed) {
        json_number(json, "offset", one->offset);
        json_text(json, "metadata", one->metadata);
    }
    json_close(json, '}');
}

static void put_group(kur_buffer *json, const kur_group_view *group, const kur_position_list *offsets)
{
    json_open(json, NULL, '{');
    json_text(json, "group", group->name);
    json_text(json, "state", kur_group_state_name(group->state));
    json_text(json, "assignment", group->assignment[0] != '\0' ? group->assignment : NULL);
    json_number(json, "coordinator", group->coordinator);
    json_open(json, "members", '[');
    for (size_t i = 0; i < group->member_count; i++) {
        const kur_member_view *member = group->members[i];
        json_open(json, NULL, '{');
        json_text(json, "id", member->id);
        json_text(json, "client", member->client_id);
        json_text(json, "instance", member->instance_id);
        json_text(json, "host", member->host);
        json_open(json, "partitions", '[');
        for (size_t k = 0; k < member->partition_count; k++)
            put_position(json, member->partitions[k], false);
        json_close(json, ']');
        json_close(json, '}');
    }
    json_close(json, ']');
    json_open(json, "offsets", '[');
    for (size_t i = 0; i < offsets->count; i++)
        put_position(json, offsets->items[i], true);
    json_close(json, ']');
    json_close(json, '}');
}

static int show_one(struct invocation *call, kur_admin *admin, const char *name, struct objects *objects)
{
    kur_error error = {0};
    const kur_group_view *group;
    kur_position_list offsets;
    if (kur_admin_describe_group(admin, name, call->connection.timeout_ms, call->arena, &group, &error) != KUR_OK ||
        kur_admin_group_offsets(admin, name, call->connection.timeout_ms, call->arena, &offsets, &error) != KUR_OK)
        return command_error(call->noun, &error);
    if (group->state == KUR_GROUP_DEAD && offsets.count == 0)
        return command_fail(call->noun, "there is no group \"%.200s\"", name);
    kur_buffer json = {0};
    if (call->output == OUTPUT_TABLE) {
        print_group(group, &offsets);
    } else {
        put_group(&json, group, &offsets);
        json_print(objects, &json);
    }
    kur_buffer_done(&json);
    return EXIT_DONE;
}

static int run_show(struct invocation *call)
{
    struct objects objects = {.output = call->output};
    int status = EXIT_DONE;
    size_t failed = 0;
    if (call->argument_count == 0)
        return command_refuse(call->noun, "which groups?");
    kur_admin *admin = connect_admin(call);
    if (admin == NULL)
        return EXIT_FAILED;
    for (size_t i = 0; i < call->argument_count; i++) {
        int one = show_one(call, admin, call->arguments[i], &objects);
        failed += one != EXIT_DONE;
        status = one != EXIT_DONE ? one : status;
    }
    json_end(&objects);
    kur_admin_free(admin);
    return failed > 0 && failed < call->argument_count ? EXIT_PARTIAL : status;
}

/* ---- The noun ---- */

static const struct verb list_verb = {.name = "list",
                                      .summary = "groups that this user sees",
                                      .about = "Groups of consumers that this user sees, with their states.",
                                      .options = {&output_options, &connect_options},
                                      .needs_client = true,
                                      .state = &state.call,
                                      .run = run_list};
static const struct verb show_verb = {.name = "show",
                                      .arguments = "GROUP…",
                                      .summary = "members, what they have, and what is committed",
                                      .about =
                                          "A group's state, its members and which partitions each has, and what is "
                                          "committed. kurier lag show tells how far it is behind.",
                                      .options = {&output_options, &connect_options},
                                      .needs_client = true,
                                      .state = &state.call,
                                      .run = run_show};
static const struct verb *const verbs[] = {&list_verb, &show_verb, NULL};

const struct noun groups_noun = {.name = "groups",
                                 .summary = "groups of consumers: states, members, offsets",
                                 .about = "Groups of consumers.",
                                 .verbs = verbs};
