/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "schema.h"
#include "table.h"
#include "text.h"

/* Two schemas, and what is to be said of them. */
struct diff {
    struct invocation *call;
    kur_registry *registry;
    struct schema_found before, after;
    struct table table;
    kur_buffer json; /* the list of changes */
    size_t count;
    kur_error backward, forward; /* why not; code KUR_OK: readable */
    bool is_same_encoding;
};

/* ---- Changes ---- */

static const char *word_of(const kur_schema_change *change)
{
    static const char *const words[][3] = {
        [KUR_SCHEMA_FIELD] = {"field added", "field removed", "field"},
        [KUR_SCHEMA_SYMBOL] = {"symbol added", "symbol removed", "symbol"},
        [KUR_SCHEMA_BRANCH] = {"branch added", "branch removed", "branch"},
        [KUR_SCHEMA_NAME] = {"named", "name removed", "renamed"},
        [KUR_SCHEMA_TYPE] = {"type", "type", "type changed"},
        [KUR_SCHEMA_DEFAULT] = {"default added", "default removed", "default changed"}};
    return words[change->kind][change->before == NULL ? 0 : change->after == NULL ? 1 : 2];
}

static kur_status take(const kur_schema_change *change, void *user, kur_error *error)
{
    struct diff *diff = user;
    (void)error;
    diff->count++;
    if (diff->call->output == OUTPUT_TABLE) {
        table_text(&diff->table, word_of(change));
        table_text(&diff->table, change->path[0] != '\0' ? change->path : "(all)");
        table_text(&diff->table, change->before != NULL ? change->before : "-");
        table_text(&diff->table, change->after != NULL ? change->after : "-");
        return KUR_OK;
    }
    json_open(&diff->json, NULL, '{');
    json_text(&diff->json, "change", word_of(change));
    json_text(&diff->json, "path", change->path);
    json_text(&diff->json, "before", change->before);
    json_text(&diff->json, "after", change->after);
    json_close(&diff->json, '}');
    return KUR_OK;
}

/* ---- Directions ---- */

/* Whether one reads what the other wrote; false: it cannot be worked out, which was said. */
static bool judge(const struct diff *diff, const kur_schema *reader, const kur_schema *writer, kur_error *why)
{
    kur_status status = kur_schema_reads(reader, writer, why);
    if (status == KUR_OK || status == KUR_ERROR_MISMATCH)
        return true;
    command_error(diff->call->noun, why);
    return false;
}

/* What --level asks for. */
static bool is_kept(const struct diff *diff)
{
    const char *level = schema_state.level;
    bool wants_backward = level != NULL && (strcmp(level, "backward") == 0 || strcmp(level, "full") == 0);
    bool wants_forward = level != NULL && (strcmp(level, "forward") == 0 || strcmp(level, "full") == 0);
    return !(wants_backward && diff->backward.code != KUR_OK) && !(wants_forward && diff->forward.code != KUR_OK);
}

static void print_direction(const char *name, const struct schema_found *reader, const struct schema_found *writer,
                            const kur_error *why)
{
    kur_buffer text = {0};
    text_need(kur_buffer_print(&text, "%-9s %-4s ", name, why->code == KUR_OK ? "yes" : "NO"));
    text_safe(&text, kur_bytes_text(reader->name), false);
    text_put(&text, why->code == KUR_OK ? " reads what " : " does not read what ");
    text_safe(&text, kur_bytes_text(writer->name), false);
    text_put(&text, " wrote");
    if (why->code != KUR_OK) {
        text_put(&text, ": ");
        text_safe(&text, kur_bytes_text(why->message), false);
    }
    printf("%s\n", text.data);
    kur_buffer_done(&text);
}

/* ---- Telling ---- */

static void print(struct diff *diff)
{
    if (diff->count > 0)
        table_print(&diff->table);
    else
        puts("Nothing that counts has changed.");
    bool is_full = diff->backward.code == KUR_OK && diff->forward.code == KUR_OK;
    putchar('\n');
    print_direction("backward", &diff->after, &diff->before, &diff->backward);
    print_direction("forward", &diff->before, &diff->after, &diff->forward);
    printf("%-9s %s\n", "full", is_full ? "yes" : "NO");
    printf("%-9s %s\n", "bytes", diff->is_same_encoding ? "the same" : "different");
}

static void put_direction(kur_buffer *json, const char *name, const kur_error *why)
{
    json_open(json, name, '{');
    json_bool(json, "readable", why->code == KUR_OK);
    json_text(json, "reason", why->code == KUR_OK ? NULL : why->message);
    json_close(json, '}');
}

static void print_json(struct diff *diff)
{
    struct objects objects = {.output = diff->call->output};
    kur_buffer json = {0};
    json_close(&diff->json, ']');
    json_open(&json, NULL, '{');
    json_text(&json, "before", diff->before.name);
    json_text(&json, "after", diff->after.name);
    text_need(kur_buffer_print(&json, ",\"changes\":%s", diff->json.data));
    put_direction(&json, "backward", &diff->backward);
    put_direction(&json, "forward", &diff->forward);
    json_bool(&json, "same_bytes", diff->is_same_encoding);
    json_close(&json, '}');
    json_print(&objects, &json);
    json_end(&objects);
    kur_buffer_done(&json);
}

static int compare(struct diff *diff)
{
    struct invocation *call = diff->call;
    const kur_schema *before = diff->before.schema, *after = diff->after.schema;
    kur_error error = {0};
    json_open(&diff->json, NULL, '[');
    if (kur_schema_changes(before, after, take, diff, &error) != KUR_OK)
        return command_error(call->noun, &error);
    if (!judge(diff, after, before, &diff->backward) || !judge(diff, before, after, &diff->forward))
        return EXIT_FAILED;
    diff->is_same_encoding = kur_schema_same_encoding(before, after, NULL) == KUR_OK;
    if (call->output == OUTPUT_TABLE)
        print(diff);
    else
        print_json(diff);
    return is_kept(diff) ? EXIT_DONE : EXIT_FAILED;
}

/* ---- The verb ---- */

static int run(struct invocation *call)
{
    static const char *const headings[] = {"CHANGE", "PATH", "BEFORE", "AFTER", NULL};
    struct diff diff = {.call = call, .table = {.headings = headings}};
    if (call->argument_count != 2)
        return command_refuse(call->noun, "which two schemas?");
    int status = schema_find_avro(call, &diff.registry, call->arguments[0], &diff.before);
    if (status == EXIT_DONE)
        status = schema_find_avro(call, &diff.registry, call->arguments[1], &diff.after);
    if (status == EXIT_DONE)
        status = compare(&diff);
    kur_buffer_done(&diff.table.cells);
    kur_buffer_done(&diff.json);
    schema_found_done(&diff.before);
    schema_found_done(&diff.after);
    kur_registry_free(diff.registry);
    return status;
}

static int read_level(struct invocation *call, const char *value)
{
    static const char *const levels[] = {"backward", "forward", "full"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcasecmp(value, levels[i]) == 0) {
            schema_state.level = levels[i];
            return EXIT_DONE;
        }
    return command_refuse(call->noun, "--level takes backward, forward or full");
}

static const struct option list[] = {
    {"--level", "LEVEL", "backward, forward or full: end with 1 where AFTER is not compatible so", .kind = OPTION_CALL,
     .read = read_level, .needs = "backward, forward or full", .words = "backward forward full"},
    {.name = NULL}};
static const struct options options = {.list = list};

const struct verb schema_diff = {
    .name = "diff",
    .arguments = "BEFORE AFTER",
    .summary = "what has changed between two schemas, and who still reads whom",
    .about = "Fields that were added, removed and renamed, types and defaults that changed; and which directions stay "
             "readable. backward: who has AFTER reads what was written with BEFORE; forward: the other way round. Two "
             "files need no registry.\n\n" SCHEMA_ARGUMENT,
    .options = {&options, &output_options, &registry_options, &registry_call_options},
    .state = &schema_state.call,
    .run = run};
