/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier topics plan` and `apply`: topics as a file says that they should be.
 */
#include <inttypes.h>
#include <stdio.h>

#include "input.h"
#include "table.h"
#include "text.h"
#include "topics.h"

#define TOPIC_WISH(F, S)                                                                                               \
    F(S, STRING, name, .min_length = 1)                                                                                \
    F(S, OPTIONAL(INT32), partitions, .min = "1")                                                                      \
    F(S, OPTIONAL(INT32), replication, .min = "1")                                                                     \
    F(S, OPTIONAL(STRING), cleanup)                                                                                    \
    F(S, OPTIONAL(STRING), retention)                                                                                  \
    F(S, OPTIONAL(INT64), retention_bytes)                                                                             \
    F(S, OPTIONAL(INT64), max_message_bytes, .min = "1")                                                               \
    F(S, OPTIONAL(INT32), min_insync_replicas, .min = "1")                                                             \
    F(S, OPTIONAL(MAP(STRING)), configs)
KUR_RECORD(topic_wish, TOPIC_WISH);
KUR_RECORD_DEFINE(topic_wish, TOPIC_WISH, .unknown_fields = KUR_UNKNOWN_FIELDS_REFUSE);

#define TOPIC_WISHES(F, S) F(S, LIST(RECORD(topic_wish)), topics)
KUR_RECORD(topic_wishes, TOPIC_WISHES);
KUR_RECORD_DEFINE(topic_wishes, TOPIC_WISHES, .unknown_fields = KUR_UNKNOWN_FIELDS_REFUSE);

/* ---- The file ---- */

static int read_cleanup(const struct invocation *call, const char *text, kur_cleanup *cleanup)
{
    if (strcmp(text, "delete") == 0)
        *cleanup = KUR_CLEANUP_DELETE;
    else if (strcmp(text, "compact") == 0)
        *cleanup = KUR_CLEANUP_COMPACT;
    else if (strcmp(text, "compact,delete") == 0 || strcmp(text, "delete,compact") == 0)
        *cleanup = KUR_CLEANUP_COMPACT_AND_DELETE;
    else
        return command_refuse(call->noun, "cleanup is delete, compact or compact,delete: \"%.40s\"", text);
    return EXIT_DONE;
}

static int read_retention(const struct invocation *call, const char *text, int64_t *retention_ms)
{
    if (strcmp(text, "forever") == 0)
        *retention_ms = KUR_NONE;
    else if (!text_read_duration(text, retention_ms))
        return command_refuse(call->noun, "retention is a time such as 12h or 7d, or forever: \"%.40s\"", text);
    return EXIT_DONE;
}

static const kur_property *take_configs(const struct invocation *call, const struct topic_wish *wish)
{
    if (!wish->configs.has)
        return NULL;
    size_t count = wish->configs.value.count;
    kur_property *configs = kur_arena_alloc(call->arena, (count + 1) * sizeof *configs);
    text_need(configs != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < count; i++)
        configs[i] = (kur_property){wish->configs.value.items[i].key, wish->configs.value.items[i].value};
    configs[count] = (kur_property){NULL, NULL};
    return configs;
}

static int take_wish(const struct invocation *call, const struct topic_wish *wish, kur_topic_spec *spec)
{
    int status = EXIT_DONE;
    *spec = KUR_TOPIC_SPEC(.name = wish->name, .partitions = wish->partitions.has ? wish->partitions.value : 0,
                           .replication = wish->replication.has ? wish->replication.value : 0,
                           .min_insync_replicas = wish->min_insync_replicas.has ? wish->min_insync_replicas.value : 0,
                           .retention_bytes = wish->retention_bytes.has ? wish->retention_bytes.value : 0,
                           .max_message_bytes = wish->max_message_bytes.has ? wish->max_message_bytes.value : 0,
                           .configs = take_configs(call, wish));
    if (wish->cleanup.has)
        status = read_cleanup(call, wish->cleanup.value, &spec->cleanup);
    if (status == EXIT_DONE && wish->retention.has)
        status = read_retention(call, wish->retention.value, &spec->retention_ms);
    return status;
}

static int read_specs(const struct invocation *call, kur_topic_spec **specs, size_t *count)
{
    struct topic_wishes wishes;
    if (call->argument_count != 1)
        return command_refuse(call->noun, "which file? FILE, or - for standard input");
    int status = input_read_object(call, call->arguments[0], &topic_wishes_type, &wishes);
    if (status != EXIT_DONE)
        return status;
    *count = wishes.topics.count;
    if (*count == 0)
        return command_refuse(call->noun, "%.200s names no topics", call->arguments[0]);
    *specs = kur_arena_alloc(call->arena, *count * sizeof **specs);
    text_need(*specs != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < *count && status == EXIT_DONE; i++)
        status = take_wish(call, &wishes.topics.items[i], &(*specs)[i]);
    return status;
}

/* ---- What is different ---- */

static const char *what_of(const kur_topic_difference *one)
{
    return one->aspect == KUR_TOPIC_EXISTENCE ? "make" : one->can_apply ? "change" : "cannot be changed";
}

static void print(const struct invocation *call, const kur_topic_differences *differences)
{
    static const char *const headings[] = {"TOPIC", "WHAT", "NAME", "IS", "SHOULD BE", "WHY", NULL};
    struct table table = {.headings = headings};
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    for (size_t i = 0; i < differences->count; i++) {
        const kur_topic_difference *one = differences->items[i];
        if (call->output == OUTPUT_TABLE) {
            table_text(&table, one->topic);
            table_text(&table, what_of(one));
            table_text(&table, one->name);
            table_text(&table, one->actual);
            table_text(&table, one->wanted);
            table_text(&table, one->why);
            continue;
        }
        json_open(&json, NULL, '{');
        json_text(&json, "topic", one->topic);
        json_text(&json, "name", one->name);
        json_text(&json, "actual", one->actual);
        json_text(&json, "wanted", one->aspect != KUR_TOPIC_EXISTENCE ? one->wanted : NULL);
        json_bool(&json, "can_apply", one->can_apply);
        json_text(&json, "why", one->why);
        json_close(&json, '}');
        json_print(&objects, &json);
    }
    table_print(&table);
    json_end(&objects);
    kur_buffer_done(&json);
}

static int fail(const struct invocation *call, const kur_error *error, bool has_changed)
{
    if (error->code == KUR_ERROR_INVALID_ARGUMENT)
        return command_refuse(call->noun, "%s", error->message);
    int status = command_error(call->noun, error);
    return has_changed && error->code == KUR_ERROR_TIMEOUT ? EXIT_UNKNOWN : status;
}

static int compare(struct invocation *call, kur_admin *admin, const kur_topic_spec *specs, size_t count)
{
    kur_error error = {0};
    kur_topic_differences differences;
    if (kur_admin_compare_topics(admin, specs, count, call->connection.timeout_ms, call->arena, &differences, &error) !=
        KUR_OK)
        return fail(call, &error, false);
    print(call, &differences);
    if (differences.count == 0)
        command_note(call->noun, "all %zu topics are as they should be", count);
    else
        command_note(call->noun,
                     "%zu things are not as they should be; kurier topics apply --execute changes what can "
                     "be changed in place",
                     differences.count);
    return EXIT_DONE;
}

static int apply(struct invocation *call, kur_admin *admin, const kur_topic_spec *specs, size_t count)
{
    kur_error error = {0};
    kur_topic_differences left;
    if (kur_admin_apply_topics(admin, specs, count, call->connection.timeout_ms, call->arena, &left, &error) != KUR_OK)
        return fail(call, &error, true);
    print(call, &left);
    if (left.count == 0)
        command_note(call->noun, "all %zu topics are as they should be", count);
    else
        command_note(call->noun, "%zu things are left that are not as they should be", left.count);
    return left.count == 0 ? EXIT_DONE : EXIT_PARTIAL;
}

static int run(struct invocation *call)
{
    kur_topic_spec *specs = NULL;
    size_t count = 0;
    int status = read_specs(call, &specs, &count);
    if (status != EXIT_DONE)
        return status;
    kur_admin *admin = connect_admin(call);
    if (admin == NULL)
        return EXIT_FAILED;
    status = call->execute ? apply(call, admin, specs, count) : compare(call, admin, specs, count);
    kur_admin_free(admin);
    return status;
}

/* ---- The verbs ---- */

#define THE_FILE                                                                                                       \
    "FILE is JSON; what it does not name is the broker's default for a new topic, and left as it is in one that is "   \
    "there:\n"                                                                                                         \
    "\n"                                                                                                               \
    "  {\"topics\": [\n"                                                                                               \
    "    {\"name\": \"orders\", \"partitions\": 6, \"replication\": 3,\n"                                              \
    "     \"retention\": \"7d\", \"min_insync_replicas\": 2},\n"                                                       \
    "    {\"name\": \"customers\", \"partitions\": 6, \"cleanup\": \"compact\",\n"                                     \
    "     \"configs\": {\"compression.type\": \"zstd\"}}]}\n"                                                          \
    "\n"                                                                                                               \
    "Also retention_bytes and max_message_bytes; retention may be \"forever\", cleanup \"compact,delete\"."

const struct verb topics_plan = {.name = "plan",
                                 .arguments = "FILE",
                                 .summary = "compares topics with how they should be",
                                 .about = "Tells in what topics are not as FILE says; changes nothing.\n"
                                          "\n" THE_FILE,
                                 .options = {&output_options, &connect_options},
                                 .needs_client = true,
                                 .state = &topics_state.call,
                                 .run = run};
const struct verb topics_apply = {
    .name = "apply",
    .arguments = "FILE",
    .summary = "makes topics as they should be",
    .about =
        "Makes topics that are missing, and changes what can be changed in place: settings are set, partitions are "
        "added (records of a key may then go to another partition than before). Topics that FILE does not name are "
        "left alone; nothing is deleted. What is left is printed, with 2 as the exit status. Without --execute it "
        "is kurier topics plan.\n"
        "\n" THE_FILE,
    .options = {&execute_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &topics_state.call,
    .run = run};
