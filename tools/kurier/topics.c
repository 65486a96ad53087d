/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier topics list` and `show`: topics as they are.
 */
#include "topics.h"

#include <inttypes.h>
#include <stdio.h>

#include "table.h"
#include "text.h"

struct topics topics_state;

/* What a topic is for, by its name. */
static const char *kind_of(const kur_topic_view *topic)
{
    kur_tier tier = kur_retry_tier_of(topic->name);
    if (topic->is_internal)
        return "internal";
    if (tier == KUR_TIER_DEAD || kur_letter_is_topic(topic->name))
        return "dead letters";
    return tier != KUR_TIER_MAIN ? "retry" : "";
}

/* ---- list ---- */

static void list_topics(const struct invocation *call, const kur_topic_list *list)
{
    static const char *const headings[] = {"TOPIC", ">PARTITIONS", ">REPLICATION", "KIND", NULL};
    struct table table = {.headings = headings};
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    for (size_t i = 0; i < list->count; i++) {
        const kur_topic_view *topic = list->items[i];
        if (!command_is_named(call, topic->name) ||
            (topic->is_internal && !topics_state.all && call->argument_count == 0))
            continue;
        if (call->output == OUTPUT_TABLE) {
            table_text(&table, topic->name);
            table_cell(&table, "%zu", topic->partition_count);
            table_cell(&table, "%" PRId32, topic->replication);
            table_cell(&table, "%s", kind_of(topic));
            continue;
        }
        json_open(&json, NULL, '{');
        json_text(&json, "topic", topic->name);
        json_number(&json, "partitions", (int64_t)topic->partition_count);
        json_number(&json, "replication", topic->replication);
        json_text(&json, "kind", kind_of(topic)[0] != '\0' ? kind_of(topic) : NULL);
        json_close(&json, '}');
        json_print(&objects, &json);
    }
    if (table.cell_count == 0 && call->output == OUTPUT_TABLE)
        command_note(call->noun, "no topics%s", call->argument_count > 0 ? " of these names" : " that this user sees");
    table_print(&table);
    json_end(&objects);
    kur_buffer_done(&json);
}

static int run_list(struct invocation *call)
{
    kur_error error = {0};
    kur_topic_list list;
    kur_admin *admin = kur_admin_new(call->client, &error);
    kur_status status = kur_admin_list_topics(admin, call->connection.timeout_ms, call->arena, &list, &error);
    kur_admin_free(admin);
    if (status != KUR_OK)
        return command_error(call->noun, &error);
    list_topics(call, &list);
    return EXIT_DONE;
}

/* ---- show ---- */

static void put_numbers(kur_buffer *json, const char *name, const int32_t *numbers, size_t count)
{
    json_open(json, name, '[');
    for (size_t i = 0; i < count; i++)
        json_number(json, NULL, numbers[i]);
    json_close(json, ']');
}

static void put_topic(kur_buffer *json, const kur_topic_view *topic)
{
    json_open(json, NULL, '{');
    json_text(json, "topic", topic->name);
    json_number(json, "replication", topic->replication);
    json_open(json, "partitions", '[');
    for (size_t i = 0; i < topic->partition_count; i++) {
        const kur_partition_view *one = topic->partitions[i];
        json_open(json, NULL, '{');
        json_number(json, "partition", one->partition);
        json_number(json, "leader", one->leader);
        put_numbers(json, "replicas", one->replicas, one->replica_count);
        put_numbers(json, "in_sync", one->in_sync, one->in_sync_count);
        json_number(json, "start", one->start_offset);
        json_number(json, "end", one->end_offset);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_open(json, "settings", '{');
    for (size_t i = 0; i < topic->config_count; i++)
        if (topic->configs[i]->is_set || topics_state.all)
            json_text(json, topic->configs[i]->name, topic->configs[i]->value);
    json_close(json, '}');
    json_close(json, '}');
}

static void cell_numbers(struct table *table, const int32_t *numbers, size_t count)
{
    kur_buffer text = {0};
    text_put(&text, "");
    for (size_t i = 0; i < count; i++)
        text_need(kur_buffer_print(&text, "%s%" PRId32, i > 0 ? "," : "", numbers[i]));
    table_text(table, text.data);
    kur_buffer_done(&text);
}

static void print_topic(const kur_topic_view *topic)
{
    static const char *const headings[] = {">PARTITION", ">LEADER", "REPLICAS", "IN SYNC",
                                           ">START",     ">END",    ">OFFSETS", NULL};
    struct table table = {.headings = headings};
    printf("%s: %zu partitions, replication %" PRId32 "\n", topic->name, topic->partition_count, topic->replication);
    for (size_t i = 0; i < topic->config_count; i++)
        if (topic->configs[i]->is_set || topics_state.all) {
            const char *value = topic->configs[i]->value;
            printf("  %s = %s\n", topic->configs[i]->name, value != NULL ? value : "[hidden]");
        }
    for (size_t i = 0; i < topic->partition_count; i++) {
        const kur_partition_view *one = topic->partitions[i];
        table_cell(&table, "%" PRId32, one->partition);
        if (one->leader >= 0)
            table_cell(&table, "%" PRId32, one->leader);
        else
            table_text(&table, "none");
        cell_numbers(&table, one->replicas, one->replica_count);
        cell_numbers(&table, one->in_sync, one->in_sync_count);
        table_cell(&table, "%" PRId64, one->start_offset);
        table_cell(&table, "%" PRId64, one->end_offset);
        table_cell(&table, "%" PRId64, one->end_offset - one->start_offset);
    }
    table_print(&table);
}

static int run_show(struct invocation *call)
{
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    int status = EXIT_DONE;
    size_t shown = 0;
    if (call->argument_count == 0)
        return command_refuse(call->noun, "which topics?");
    kur_admin *admin = connect_admin(call);
    if (admin == NULL)
        return EXIT_FAILED;
    for (size_t i = 0; i < call->argument_count; i++) {
        const kur_topic_view *topic;
        kur_error error = {0};
        if (kur_admin_describe_topic(admin, call->arguments[i], call->connection.timeout_ms, call->arena, &topic,
                                     &error) != KUR_OK) {
            status = command_error(call->noun, &error);
            continue;
        }
        shown++;
        if (call->output == OUTPUT_TABLE) {
            print_topic(topic);
            continue;
        }
        put_topic(&json, topic);
        json_print(&objects, &json);
    }
    json_end(&objects);
    kur_buffer_done(&json);
    kur_admin_free(admin);
    return status != EXIT_DONE && shown > 0 ? EXIT_PARTIAL : status;
}

/* ---- The noun ---- */

static const struct option list_list[] = {
    {"--all", NULL, "Kafka's own topics, too", OPTION_IN(FLAG, struct topics, all)}, {.name = NULL}};
static const struct options list_options = {.list = list_list};
static const struct option show_list[] = {
    {"--all", NULL, "all settings, not only those that are set for the topic", OPTION_IN(FLAG, struct topics, all)},
    {.name = NULL}};
static const struct options show_options = {.list = show_list};

static const struct verb list_verb = {.name = "list",
                                      .arguments = "[TOPIC…]",
                                      .summary = "topics that this user sees",
                                      .about = "Topics that this user sees, or those named; a name that ends with * is "
                                               "all that begin so.",
                                      .options = {&list_options, &output_options, &connect_options},
                                      .needs_client = true,
                                      .state = &topics_state.call,
                                      .run = run_list};
static const struct verb show_verb = {.name = "show",
                                      .arguments = "TOPIC…",
                                      .summary = "partitions, offsets and settings",
                                      .about = "Partitions with their leaders, replicas and offsets, and the settings "
                                               "that are set for the topic.",
                                      .options = {&show_options, &output_options, &connect_options},
                                      .needs_client = true,
                                      .state = &topics_state.call,
                                      .run = run_show};
static const struct verb *const verbs[] = {&list_verb, &show_verb, &topics_plan, &topics_apply, NULL};

const struct noun topics_noun = {.name = "topics",
                                 .summary = "topics: as they are, and as they should be",
                                 .about = "Topics as they are; and as a file says that they should be, compared and "
                                          "brought about.",
                                 .verbs = verbs};
