/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "payload.h"
#include "schema.h"
#include "syntax.h"
#include "table.h"
#include "text.h"

struct showing {
    struct invocation *call;
    kur_registry *registry;
    struct schema_found found;
    const char *level; /* NULL: not known */
    const int *versions;
    size_t version_count;
};

/* ---- What else is known of its subject ---- */

static int ask(struct showing *showing)
{
    struct invocation *call = showing->call;
    const char *subject = showing->found.subject;
    kur_error error = {0};
    if (subject == NULL)
        return EXIT_DONE;
    if (kur_registry_versions(showing->registry, subject, call->connection.timeout_ms, call->arena, &showing->versions,
                              &showing->version_count, &error) != KUR_OK ||
        kur_registry_level(showing->registry, subject, call->connection.timeout_ms, call->arena, &showing->level,
                           &error) != KUR_OK)
        return command_error(call->noun, &error);
    return EXIT_DONE;
}

static void put_fingerprint(kur_buffer *to, const kur_schema *schema)
{
    text_need(kur_buffer_print(to, "%016" PRIx64, kur_schema_fingerprint(schema)));
}

/* ---- For people ---- */

static void print_number(const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    payload_print(name, number > 0 ? text : NULL);
}

static void print_versions(const struct showing *showing)
{
    kur_buffer text = {0};
    for (size_t i = 0; i < showing->version_count; i++)
        text_need(kur_buffer_print(&text, "%s%d", i > 0 ? " " : "", showing->versions[i]));
    payload_print("versions", text.data);
    kur_buffer_done(&text);
}

static void print_references(const struct schema_found *found)
{
    for (size_t i = 0; i < found->reference_count; i++) {
        const kur_subject_reference *reference = &found->references[i];
        kur_buffer text = {0};
        text_need(kur_buffer_print(&text, "%s = %s:%d", reference->name, reference->subject, reference->version));
        payload_print(i == 0 ? "references" : "", text.data);
        kur_buffer_done(&text);
    }
}

static void print_schema(const struct schema_found *found)
{
    kur_buffer text = {0}, safe = {0};
    text_put(&text, "");
    syntax_put_pretty(&text, found->text);
    text_safe(&safe, kur_bytes_of(text.data, text.size), true);
    printf("%s\n", safe.data != NULL ? safe.data : "");
    kur_buffer_done(&text);
    kur_buffer_done(&safe);
}

static void print(const struct showing *showing)
{
    const struct schema_found *found = &showing->found;
    bool is_coloured = table_has_colours();
    kur_buffer name = {0}, fingerprint = {0};
    text_safe(&name, kur_bytes_text(found->name), false);
    printf("%s%s%s\n", is_coloured ? "\x1b[1m" : "", name.data, is_coloured ? "\x1b[0m" : "");
    print_number("id", found->id);
    payload_print("kind", found->kind);
    if (found->schema != NULL) {
        put_fingerprint(&fingerprint, found->schema);
        payload_print("name", kur_schema_name(found->schema));
        payload_print("fingerprint", fingerprint.data);
    }
    print_versions(showing);
    payload_print("level", showing->level);
    print_references(found);
    print_schema(found);
    kur_buffer_done(&name);
    kur_buffer_done(&fingerprint);
}

/* ---- For programs ---- */

static void put_references(kur_buffer *json, const struct schema_found *found)
{
    json_open(json, "references", '[');
    for (size_t i = 0; i < found->reference_count; i++) {
        json_open(json, NULL, '{');
        json_text(json, "name", found->references[i].name);
        json_text(json, "subject", found->references[i].subject);
        json_number(json, "version", found->references[i].version);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_json(const struct showing *showing, kur_buffer *json)
{
    const struct schema_found *found = &showing->found;
    kur_buffer fingerprint = {0};
    json_open(json, NULL, '{');
    json_text(json, "subject", found->subject);
    found->version > 0 ? json_number(json, "version", found->version) : json_null(json, "version");
    found->id > 0 ? json_number(json, "id", found->id) : json_null(json, "id");
    json_text(json, "kind", found->kind);
    json_text(json, "name", found->schema != NULL ? kur_schema_name(found->schema) : NULL);
    if (found->schema != NULL)
        put_fingerprint(&fingerprint, found->schema);
    json_text(json, "fingerprint", fingerprint.data);
    json_text(json, "level", showing->level);
    put_references(json, found);
    json_bytes(json, "schema", found->text);
    json_close(json, '}');
    kur_buffer_done(&fingerprint);
}

/* The schema alone, for a file. */
static int print_alone(const struct showing *showing)
{
    const struct schema_found *found = &showing->found;
    kur_error error = {0};
    kur_buffer text = {0};
    if (schema_state.shows_text)
        text_need(kur_buffer_append(&text, found->text.data, found->text.size));
    else if (found->schema == NULL)
        return command_fail(showing->call->noun, "%.250s is of kind %.60s, which has no canonical form", found->name,
                            found->kind);
    else if (kur_schema_canonical(found->schema, &text, &error) != KUR_OK)
        return command_error(showing->call->noun, &error);
    fwrite(text.data, 1, text.size, stdout);
    putchar('\n');
    kur_buffer_done(&text);
    return EXIT_DONE;
}

/* ---- The verb ---- */

static int show(struct showing *showing)
{
    struct invocation *call = showing->call;
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    if (schema_state.shows_text || schema_state.shows_canonical)
        return print_alone(showing);
    int status = ask(showing);
    if (status != EXIT_DONE)
        return status;
    if (call->output == OUTPUT_TABLE) {
        print(showing);
        return status;
    }
    put_json(showing, &json);
    json_print(&objects, &json);
    json_end(&objects);
    kur_buffer_done(&json);
    return status;
}

static int run(struct invocation *call)
{
    struct showing showing = {.call = call};
    if (call->argument_count != 1)
        return command_refuse(call->noun, "which schema?");
    if (schema_state.shows_text && schema_state.shows_canonical)
        return command_refuse(call->noun, "either --text or --canonical");
    int status = schema_find(call, &showing.registry, call->arguments[0], &showing.found);
    if (status == EXIT_DONE)
        status = show(&showing);
    schema_found_done(&showing.found);
    kur_registry_free(showing.registry);
    return status;
}

static const struct option list[] = {
    {"--text", NULL, "the schema alone, as it is registered", OPTION_IN(FLAG, struct schema, shows_text)},
    {"--canonical", NULL, "its parsing canonical form alone, of which the fingerprint is made",
     OPTION_IN(FLAG, struct schema, shows_canonical)},
    {.name = NULL}};
static const struct options options = {.list = list};

const struct verb schema_show = {
    .name = "show",
    .arguments = "SUBJECT[:VERSION]|ID|GUID|FILE",
    .summary = "one schema",
    .about = "One schema, with its id, its CRC-64-AVRO fingerprint, what it refers to, and the subject's versions and "
             "compatibility level.\n\n" SCHEMA_ARGUMENT,
    .options = {&options, &output_options, &registry_options, &registry_call_options},
    .state = &schema_state.call,
    .run = run};
