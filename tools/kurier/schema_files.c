/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas in files, as field lists write them and repositories keep them: one by one, or a directory's, each called by
 * the subject that it is for.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "input.h"
#include "schema.h"
#include "text.h"

#define SUFFIX ".avsc"

enum {
    FILES_MAX = 10000
};

/* ---- Options ---- */

/* NAME=SUBJECT:VERSION */
static int read_reference(struct invocation *call, const char *value)
{
    char *name = (char *)(uintptr_t)value, *equals = strchr(name, '='); /* of argv, which is the program's */
    char *colon = equals != NULL ? strrchr(equals, ':') : NULL;
    int64_t version;
    if (equals == NULL || equals == name || colon == NULL || colon == equals + 1 ||
        !text_read_number(colon + 1, 1, INT32_MAX, &version))
        return command_refuse(call->noun, "--reference needs NAME=SUBJECT:VERSION");
    if (schema_state.reference_count == SCHEMA_REFERENCES_MAX)
        return command_refuse(call->noun, "more than %d times --reference", SCHEMA_REFERENCES_MAX);
    *equals = *colon = '\0';
    schema_state.references[schema_state.reference_count++] =
        (kur_subject_reference){.name = name, .subject = equals + 1, .version = (int)version};
    return EXIT_DONE;
}

static const struct option list[] = {
    {"--dir", "DIR", "all files of DIR that are called SUBJECT.avsc, in place of SUBJECT and FILE",
     OPTION_IN(TEXT, struct schema, directory), .words = "FILE"},
    {"--reference", "NAME=SUBJECT:VERSION", "where the schema of a name that FILE uses is registered; may be repeated",
     .kind = OPTION_CALL, .read = read_reference, .needs = "NAME=SUBJECT:VERSION"},
    {"--normalize", NULL, "compare without regard to white space and the order of attributes, if the registry can",
     OPTION_IN(FLAG, struct schema, normalizes)},
    {.name = NULL}};
const struct options schema_files_options = {.list = list};

/* ---- Directories ---- */

static int is_schema(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size > sizeof SUFFIX - 1 &&
           strcmp(entry->d_name + size - (sizeof SUFFIX - 1), SUFFIX) == 0;
}

static const char *keep(const struct invocation *call, const char *text, size_t size)
{
    const char *copy = kur_arena_copy(call->arena, text, size);
    text_need(copy != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    return copy;
}

static void take_entry(const struct invocation *call, const char *directory, const char *name, struct schema_file *file)
{
    kur_buffer path = {0};
    text_need(kur_buffer_print(&path, "%s/%s", directory, name));
    file->path = keep(call, path.data, path.size);
    file->subject = keep(call, name, strlen(name) - (sizeof SUFFIX - 1));
    kur_buffer_done(&path);
}

static int list_directory(struct invocation *call, const struct schema_file **files, size_t *count)
{
    struct dirent **entries;
    const char *directory = schema_state.directory;
    int found = scandir(directory, &entries, is_schema, alphasort);
    if (found < 0)
        return command_fail(call->noun, "%.250s: %s", directory, strerror(errno));
    bool fits = found <= FILES_MAX;
    struct schema_file *all = kur_arena_alloc(call->arena, ((size_t)found + 1) * sizeof *all);
    text_need(all != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (int i = 0; i < found; i++) {
        if (fits)
            take_entry(call, directory, entries[i]->d_name, &all[i]);
        free(entries[i]);
    }
    free(entries);
    if (!fits)
        return command_fail(call->noun, "%.250s has more than %d schemas", directory, FILES_MAX);
    if (found == 0)
        return command_fail(call->noun, "%.250s has no file SUBJECT" SUFFIX, directory);
    *files = all;
    *count = (size_t)found;
    return EXIT_DONE;
}

int schema_files(struct invocation *call, const struct schema_file **files, size_t *count)
{
    if (schema_state.directory != NULL && call->argument_count > 0)
        return command_refuse(call->noun, "either --dir, or SUBJECT and FILE");
    if (schema_state.directory != NULL)
        return list_directory(call, files, count);
    if (call->argument_count != 2)
        return command_refuse(call->noun, "which subject, and which file? SUBJECT FILE, or --dir");
    struct schema_file *one = kur_arena_alloc(call->arena, sizeof *one);
    text_need(one != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    *one = (struct schema_file){call->arguments[0], call->arguments[1]};
    *files = one;
    *count = 1;
    return EXIT_DONE;
}

/* ---- One file ---- */

/* What --reference names, in the registry. */
static int find_references(struct invocation *call, kur_registry **registry, kur_schema_reference *references,
                           size_t *count)
{
    int status = EXIT_DONE;
    if (schema_state.reference_count > 0 && *registry == NULL)
        *registry = registry_open(call, schema_state.normalizes, &status);
    for (size_t i = 0; i < schema_state.reference_count && status == EXIT_DONE; i++) {
        const kur_subject_reference *reference = &schema_state.references[i];
        kur_error error = {0};
        kur_subject_version version = KUR_SUBJECT_VERSION();
        if (kur_registry_version(*registry, reference->subject, reference->version, call->connection.timeout_ms,
                                 call->arena, &version, &error) != KUR_OK)
            status = command_error(call->noun, &error);
        else if (version.schema == NULL)
            status = command_fail(call->noun, "%.200s:%d is of kind %.60s, not one of Avro's", reference->subject,
                                  reference->version, version.kind);
        else
            references[(*count)++] = (kur_schema_reference){reference->name, version.schema};
    }
    return status;
}

int schema_file_read(struct invocation *call, kur_registry **registry, const char *path, kur_schema **schema)
{
    kur_schema_reference references[SCHEMA_REFERENCES_MAX];
    size_t count = 0;
    kur_error error = {0};
    kur_buffer text = {0};
    int status = input_read(call, path, KUR_SCHEMA_SIZE_MAX, &text);
    if (status == EXIT_DONE)
        status = find_references(call, registry, references, &count);
    if (status == EXIT_DONE &&
        kur_schema_parse(kur_bytes_of(text.data, text.size), references, count, schema, &error) != KUR_OK)
        status = command_fail(call->noun, "%.200s: %s", path, error.message);
    for (size_t i = 0; i < count; i++)
        kur_schema_unref(references[i].schema);
    kur_buffer_done(&text);
    return status;
}
