/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a subject would make of a schema. The registry has the last word on whether it lets it in; our own resolution
 * has the path and the rule, and knows what the registry may not look at: the scale of a decimal, the unit of a time.
 * What either refuses is not compatible.
 *
 * A subject's level of NONE may mean that there is none, or, in Apicurio, that the registry's own counts: there the
 * registry alone decides, and ours only says why.
 */
#include <stdio.h>

#include "schema.h"
#include "text.h"

/* What a level asks for. */
struct level {
    const char *name;
    bool is_backward, is_forward, of_all;
};

static const struct level *level_of(const char *name)
{
    static const struct level levels[] = {{"BACKWARD", true, false, false}, {"BACKWARD_TRANSITIVE", true, false, true},
                                          {"FORWARD", false, true, false},  {"FORWARD_TRANSITIVE", false, true, true},
                                          {"FULL", true, true, false},      {"FULL_TRANSITIVE", true, true, true},
                                          {"NONE", false, false, false}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].name, name) == 0)
            return &levels[i];
    return &levels[sizeof levels / sizeof *levels - 1];
}

/* One question to the subject. */
struct judging {
    struct invocation *call;
    kur_registry *registry;
    const char *subject;
    kur_schema *schema;
    struct schema_verdict *verdict;
    bool decides; /* our own resolution */
    kur_buffer reasons;
};

static int fail(const struct judging *judging, const kur_error *error)
{
    return command_fail(judging->call->noun, "%.200s: %s", judging->subject, error->message);
}

/* ---- By our own resolution ---- */

static int judge_pair(struct judging *judging, kur_schema *reader, kur_schema *writer, const char *format, int version)
{
    kur_error error = {0};
    kur_status status = kur_schema_reads(reader, writer, &error);
    if (status != KUR_OK && status != KUR_ERROR_MISMATCH)
        return fail(judging, &error);
    if (status == KUR_OK)
        return EXIT_DONE;
    judging->verdict->is_compatible = judging->verdict->is_compatible && !judging->decides;
    char words[120];
    snprintf(words, sizeof words, format, version);
    text_need(kur_buffer_print(&judging->reasons, "%s: %s\n", words, error.message));
    return EXIT_DONE;
}

static int judge_version(struct judging *judging, const struct level *level, int number)
{
    const struct invocation *call = judging->call;
    kur_error error = {0};
    kur_subject_version version = KUR_SUBJECT_VERSION();
    if (kur_registry_version(judging->registry, judging->subject, number, call->connection.timeout_ms, call->arena,
                             &version, &error) != KUR_OK)
        return fail(judging, &error);
    int status = EXIT_DONE;
    if (version.schema != NULL && level->is_backward)
        status = judge_pair(judging, judging->schema, version.schema, "it does not read what version %d wrote",
                            version.version);
    if (version.schema != NULL && level->is_forward && status == EXIT_DONE)
        status = judge_pair(judging, version.schema, judging->schema, "version %d does not read what it writes",
                            version.version);
    kur_schema_unref(version.schema);
    return status;
}

static int judge_ourselves(struct judging *judging, const int *versions, size_t count)
{
    const struct invocation *call = judging->call;
    const struct level *level = level_of(judging->verdict->level);
    const char *global;
    int status = EXIT_DONE;
    judging->decides = level->is_backward || level->is_forward;
    if (!judging->decides &&
        kur_registry_level(judging->registry, NULL, call->connection.timeout_ms, call->arena, &global, NULL) == KUR_OK)
        level = level_of(global);
    if (!level->is_backward && !level->is_forward)
        return status;
    for (size_t i = level->of_all ? 0 : count - 1; i < count && status == EXIT_DONE; i++)
        status = judge_version(judging, level, versions[i]);
    return status;
}

/* ---- By the registry ---- */

static int ask_registry(struct judging *judging)
{
    struct invocation *call = judging->call;
    struct schema_verdict *verdict = judging->verdict;
    kur_subject_references references = schema_references();
    kur_error error = {0};
    bool is_compatible = false;
    const char *messages = "";
    if (kur_registry_check(judging->registry, judging->subject, 0, judging->schema, &references,
                           call->connection.timeout_ms, call->arena, &is_compatible, &messages, &error) != KUR_OK)
        return fail(judging, &error);
    if (is_compatible && !verdict->is_compatible)
        text_put(&judging->reasons, "the registry would take it\n");
    for (const char *line = messages; !is_compatible && *line != '\0'; line += *line == '\n') {
        size_t size = strcspn(line, "\n");
        if (size > 0)
            text_need(
                kur_buffer_print(&judging->reasons, "the registry: %.*s\n", (int)(size < 2000 ? size : 2000), line));
        line += size;
    }
    verdict->is_compatible = verdict->is_compatible && is_compatible;
    if (verdict->is_compatible)
        judging->reasons.size = 0;
    if (!is_compatible && judging->reasons.size == 0)
        text_put(&judging->reasons, "the registry refuses it, without a word\n");
    return EXIT_DONE;
}

/* ---- All of it ---- */

/* Whether it is a version already. */
static int look_up(struct judging *judging)
{
    struct invocation *call = judging->call;
    struct schema_verdict *verdict = judging->verdict;
    kur_subject_references references = schema_references();
    kur_error error = {0};
    kur_status status = kur_registry_look_up(judging->registry, judging->subject, judging->schema, &references,
                                             call->connection.timeout_ms, call->arena, &verdict->known, &error);
    verdict->is_there = status == KUR_OK;
    return status == KUR_OK || status == KUR_ERROR_UNKNOWN_SCHEMA ? EXIT_DONE : fail(judging, &error);
}

static int judge(struct judging *judging)
{
    struct invocation *call = judging->call;
    struct schema_verdict *verdict = judging->verdict;
    kur_error error = {0};
    const int *versions;
    size_t count = 0;
    if (kur_registry_level(judging->registry, judging->subject, call->connection.timeout_ms, call->arena,
                           &verdict->level, &error) != KUR_OK)
        return fail(judging, &error);
    int status = look_up(judging);
    if (status != EXIT_DONE || verdict->is_there)
        return status;
    kur_status got = kur_registry_versions(judging->registry, judging->subject, call->connection.timeout_ms,
                                           call->arena, &versions, &count, &error);
    if (got != KUR_OK && got != KUR_ERROR_UNKNOWN_SCHEMA)
        return fail(judging, &error);
    verdict->is_new = count == 0;
    if (verdict->is_new)
        return EXIT_DONE;
    status = judge_ourselves(judging, versions, count);
    return status == EXIT_DONE ? ask_registry(judging) : status;
}

int schema_judge(struct invocation *call, kur_registry *registry, const char *subject, kur_schema *schema,
                 struct schema_verdict *verdict)
{
    struct judging judging = {.call = call, .registry = registry, .subject = subject, .schema = schema};
    *verdict = (struct schema_verdict){.is_compatible = true, .known = KUR_SUBJECT_VERSION(), .reasons = ""};
    judging.verdict = verdict;
    int status = judge(&judging);
    if (judging.reasons.size > 0) {
        verdict->reasons = kur_arena_copy(call->arena, judging.reasons.data, judging.reasons.size);
        text_need(verdict->reasons != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    }
    kur_buffer_done(&judging.reasons);
    return status;
}

void schema_verdict_done(struct schema_verdict *verdict)
{
    kur_schema_unref(verdict->known.schema);
}
