/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a registry answers, as JSON. Whoever answers may be a proxy, or nobody that means well: what is asked for is
 * looked for, of the kind that it must have; what else is there is passed over.
 */
#include <jansson.h>
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"

enum {
    DEPTH_MAX = 32,
    VALUES_MAX = 200000, /* jansson takes a hundred bytes for one of two */
    MESSAGES_MAX = 100,
    MESSAGES_SIZE_MAX = 16 * 1024
};

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
}

static kur_status no_answer(kur_error *error, const char *what)
{
    return kur_error_set(error, KUR_ERROR_UNREACHABLE, "the answer is no schema registry's: %s", what);
}

/* ---- Bounds, before anything is made of it ---- */

/* Behind the text that begins at `at`, or at the end. */
static const char *pass_text(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' && end - at > 1)
            at++;
    return at;
}

static bool is_bounded(kur_bytes body)
{
    const char *at = body.data, *end = at + body.size;
    int depth = 0, values = 0;
    for (; at < end; at++) {
        if (*at == '"')
            at = pass_text(at, end);
        else if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        else if (*at != ',')
            continue;
        if (depth > DEPTH_MAX || ++values > VALUES_MAX)
            return false;
    }
    return true;
}

/* The caller releases it. NULL: it is not JSON of that kind. */
static json_t *load(kur_bytes body, json_type type, kur_error *error)
{
    json_t *tree = NULL;
    if (body.size == 0)
        no_answer(error, "it is empty");
    else if (!is_bounded(body))
        no_answer(error, "it nests too deep, or has too many values");
    else if ((tree = json_loadb(body.data, body.size, 0, NULL)) == NULL)
        no_answer(error, "it is not JSON");
    else if (json_typeof(tree) != type) {
        no_answer(error, type == JSON_ARRAY ? "it is no array" : "it is no object");
        json_decref(tree);
        tree = NULL;
    }
    return tree;
}

/* ---- Members ---- */

/* A text, copied; NULL stays when it is not there. */
static kur_status take_text(const json_t *object, const char *name, kur_arena *arena, const char **text,
                            kur_error *error)
{
    const json_t *value = json_object_get(object, name);
    if (value == NULL || json_is_null(value))
        return KUR_OK;
    if (!json_is_string(value))
        return no_answer(error, name);
    *text = kur_arena_copy(arena, json_string_value(value), json_string_length(value));
    return *text != NULL ? KUR_OK : no_memory(error);
}

/* A number from 0 to what an int holds. */
static kur_status take_number(const json_t *object, const char *name, bool *is_there, int *number, kur_error *error)
{
    const json_t *value = json_object_get(object, name);
    *is_there = value != NULL && !json_is_null(value);
    if (!*is_there)
        return KUR_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > INT32_MAX)
        return no_answer(error, name);
    *number = (int)json_integer_value(value);
    return KUR_OK;
}

static kur_status take_guid(const json_t *object, kur__reply *reply, kur_error *error)
{
    const json_t *value = json_object_get(object, "guid");
    if (value == NULL || json_is_null(value))
        return KUR_OK;
    if (!json_is_string(value) ||
        kur_uuid_parse(json_string_value(value), json_string_length(value), &reply->guid, NULL) != KUR_OK)
        return no_answer(error, "guid");
    reply->has_guid = true;
    return KUR_OK;
}

static kur_status take_reference(const json_t *value, kur_arena *arena, kur_subject_reference *reference,
                                 kur_error *error)
{
    bool has_version = false;
    kur_status status = take_text(value, "name", arena, &reference->name, error);
    if (status == KUR_OK)
        status = take_text(value, "subject", arena, &reference->subject, error);
    if (status == KUR_OK)
        status = take_number(value, "version", &has_version, &reference->version, error);
    if (status == KUR_OK && (reference->name == NULL || reference->subject == NULL || reference->version < 1))
        status = no_answer(error, "references");
    return status;
}

static kur_status take_references(const json_t *object, kur_arena *arena, kur__reply *reply, kur_error *error)
{
    const json_t *values = json_object_get(object, "references");
    if (values == NULL || json_is_null(values))
        return KUR_OK;
    size_t count = json_array_size(values); /* 0 of what is no array */
    if (!json_is_array(values))
        return no_answer(error, "references");
    if (count > KUR__REGISTRY_REFERENCES)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "it names %zu schemas, more than %d", count,
                             KUR__REGISTRY_REFERENCES);
    kur_subject_reference *references = kur_arena_alloc(arena, count * sizeof *references);
    if (references == NULL)
        return no_memory(error);
    kur_status status = KUR_OK;
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        status = take_reference(json_array_get(values, i), arena, &references[i], error);
    reply->references = (kur_subject_references){references, count};
    return status;
}

/* ---- A schema ---- */

static kur_status take_schema(const json_t *object, kur_arena *arena, kur__reply *reply, kur_error *error)
{
    int id = 0;
    bool has_version = false;
    const char *text = NULL;
    kur_status status = take_text(object, "subject", arena, &reply->subject, error);
    if (status == KUR_OK)
        status = take_number(object, "version", &has_version, &reply->version, error);
    if (status == KUR_OK)
        status = take_number(object, "id", &reply->has_id, &id, error);
    if (status == KUR_OK)
        status = take_guid(object, reply, error);
    if (status == KUR_OK)
        status = take_text(object, "schemaType", arena, &reply->kind, error);
    if (status == KUR_OK)
        status = take_text(object, "schema", arena, &text, error);
    if (status == KUR_OK)
        status = take_references(object, arena, reply, error);
    reply->id = (uint32_t)id;
    reply->kind = reply->kind != NULL ? reply->kind : "AVRO";
    reply->text = kur_bytes_text(text);
    return status;
}

kur_status kur__reply_schema(kur_bytes body, kur_arena *arena, kur__reply *reply, kur_error *error)
{
    json_t *tree = load(body, JSON_OBJECT, error);
    if (tree == NULL)
        return KUR_ERROR_UNREACHABLE;
    kur__reply read = {0};
    kur_status status = take_schema(tree, arena, &read, error);
    json_decref(tree);
    if (status == KUR_OK)
        *reply = read;
    return status;
}

/* ---- Lists ---- */

kur_status kur__reply_names(kur_bytes body, kur_arena *arena, const char *const **names, size_t *count,
                            kur_error *error)
{
    json_t *tree = load(body, JSON_ARRAY, error);
    if (tree == NULL)
        return KUR_ERROR_UNREACHABLE;
    size_t size = json_array_size(tree);
    const char **read = kur_arena_alloc(arena, size * sizeof *read);
    kur_status status = read != NULL ? KUR_OK : no_memory(error);
    for (size_t i = 0; i < size && status == KUR_OK; i++) {
        const json_t *value = json_array_get(tree, i);
        if (!json_is_string(value))
            status = no_answer(error, "something in it is no text");
        else if ((read[i] = kur_arena_copy(arena, json_string_value(value), json_string_length(value))) == NULL)
            status = no_memory(error);
    }
    json_decref(tree);
    if (status == KUR_OK) {
        *names = read;
        *count = size;
    }
    return status;
}

kur_status kur__reply_numbers(kur_bytes body, kur_arena *arena, const int **numbers, size_t *count, kur_error *error)
{
    json_t *tree = load(body, JSON_ARRAY, error);
    if (tree == NULL)
        return KUR_ERROR_UNREACHABLE;
    size_t size = json_array_size(tree);
    int *read = kur_arena_alloc(arena, size * sizeof *read);
    kur_status status = read != NULL ? KUR_OK : no_memory(error);
    for (size_t i = 0; i < size && status == KUR_OK; i++) {
        const json_t *value = json_array_get(tree, i);
        if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > INT32_MAX ||
            (i > 0 && json_integer_value(value) <= read[i - 1]))
            status = no_answer(error, "something in it is no version, or they do not ascend");
        else
            read[i] = (int)json_integer_value(value);
    }
    json_decref(tree);
    if (status == KUR_OK) {
        *numbers = read;
        *count = size;
    }
    return status;
}

/* ---- Compatibility ---- */

/* One line: what stands in it are names and types of somebody's schema. */
static kur_status add_message(const json_t *value, kur_buffer *text)
{
    if (!json_is_string(value) || json_string_length(value) == 0 || text->size > MESSAGES_SIZE_MAX)
        return KUR_OK;
    size_t begin = text->size, size = json_string_length(value);
    kur_status status = kur_buffer_print(text, "%s%.*s", begin > 0 ? "\n" : "", size < 4096 ? (int)size : 4096,
                                         json_string_value(value));
    for (size_t i = begin + (begin > 0); i < text->size; i++)
        if ((unsigned char)text->data[i] < 0x20 || text->data[i] == 0x7f)
            text->data[i] = ' ';
    /* Cut within a character: what is left of it goes. */
    while (text->size > begin && !kur_bytes_is_utf8(kur_bytes_of(text->data + begin, text->size - begin)))
        text->data[--text->size] = '\0';
    return status;
}

kur_status kur__reply_check(kur_bytes body, kur_arena *arena, bool *is_compatible, const char **messages,
                            kur_error *error)
{
    json_t *tree = load(body, JSON_OBJECT, error);
    if (tree == NULL)
        return KUR_ERROR_UNREACHABLE;
    kur_buffer text = {0};
    kur_status status = KUR_OK;
    const json_t *verdict = json_object_get(tree, "is_compatible"), *list = json_object_get(tree, "messages");
    if (!json_is_boolean(verdict))
        status = no_answer(error, "is_compatible");
    for (size_t i = 0; i < json_array_size(list) && i < MESSAGES_MAX && status == KUR_OK; i++)
        status = add_message(json_array_get(list, i), &text);
    if (status == KUR_OK && text.size == 0) /* as one says it that is not Confluent's */
        status = add_message(json_object_get(tree, "reason"), &text);
    const char *copy = NULL;
    if (status == KUR_OK && (copy = kur_arena_copy(arena, text.size > 0 ? text.data : "", text.size)) == NULL)
        status = KUR_ERROR_NO_MEMORY;
    if (status == KUR_ERROR_NO_MEMORY)
        no_memory(error);
    if (status == KUR_OK) {
        *is_compatible = json_is_true(verdict);
        *messages = copy;
    }
    kur_buffer_done(&text);
    json_decref(tree);
    return status;
}

kur_status kur__reply_level(kur_bytes body, kur_arena *arena, const char **level, kur_error *error)
{
    json_t *tree = load(body, JSON_OBJECT, error);
    if (tree == NULL)
        return KUR_ERROR_UNREACHABLE;
    const char *read = NULL; /* what answers for it has one name when it is read, and another when it is set */
    kur_status status = take_text(tree, "compatibilityLevel", arena, &read, error);
    if (status == KUR_OK && read == NULL)
        status = take_text(tree, "compatibility", arena, &read, error);
    if (status == KUR_OK && read == NULL)
        status = no_answer(error, "compatibilityLevel");
    if (status == KUR_OK)
        *level = read;
    json_decref(tree);
    return status;
}

/* ---- Refusals ---- */

void kur__reply_refusal(kur_bytes body, int *code, char *message, size_t size)
{
    *code = 0;
    message[0] = '\0';
    json_t *tree = load(body, JSON_OBJECT, NULL);
    const json_t *number = json_object_get(tree, "error_code"), *text = json_object_get(tree, "message");
    if (json_is_integer(number) && json_integer_value(number) > 0 && json_integer_value(number) <= 99999)
        *code = (int)json_integer_value(number);
    if (json_is_string(text))
        snprintf(message, size, "%s", json_string_value(text));
    json_decref(tree);
}
