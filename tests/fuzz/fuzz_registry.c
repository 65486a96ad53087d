/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A schema registry's answers as whoever sits in its place would have them: the first byte says what was asked, the
 * rest is the body. What is read is text and numbers within their bounds, and a schema that was told is parsed.
 */
#include <kurier/arena.h>

#include "fuzz.h"
#include "registry/registry.h"

static void need_text_of(const char *text)
{
    need(text != NULL && kur_bytes_is_utf8(kur_bytes_text(text)));
}

static kur_status read_schema(kur_bytes body, kur_arena *arena, kur_error *error)
{
    kur__reply reply = {0};
    kur_error why = {0};
    kur_schema *schema = NULL;
    kur_status status = kur__reply_schema(body, arena, &reply, error);
    if (status != KUR_OK)
        return status;
    need_text_of(reply.kind);
    need(reply.id <= INT32_MAX && reply.version >= 0 && (reply.id == 0 || reply.has_id));
    need(reply.references.count <= KUR__REGISTRY_REFERENCES);
    for (size_t i = 0; i < reply.references.count; i++) {
        need_text_of(reply.references.references[i].name);
        need_text_of(reply.references.references[i].subject);
        need(reply.references.references[i].version > 0);
    }
    if (reply.text.data == NULL)
        return KUR_OK;
    need(kur_bytes_is_utf8(reply.text));
    if (kur_schema_parse(reply.text, NULL, 0, &schema, &why) != KUR_OK)
        need_error(why.code, &why);
    else
        need(kur_schema_same_encoding(schema, schema, &why) == KUR_OK);
    kur_schema_unref(schema);
    return KUR_OK;
}

static kur_status read_names(kur_bytes body, kur_arena *arena, kur_error *error)
{
    const char *const *names = NULL;
    size_t count = 0;
    kur_status status = kur__reply_names(body, arena, &names, &count, error);
    for (size_t i = 0; i < count; i++)
        need_text_of(names[i]);
    return status;
}

static kur_status read_numbers(kur_bytes body, kur_arena *arena, kur_error *error)
{
    const int *numbers = NULL;
    size_t count = 0;
    kur_status status = kur__reply_numbers(body, arena, &numbers, &count, error);
    for (size_t i = 0; i < count; i++)
        need(numbers[i] > (i > 0 ? numbers[i - 1] : 0));
    return status;
}

static kur_status read_check(kur_bytes body, kur_arena *arena, kur_error *error)
{
    bool is_compatible = false;
    const char *messages = "";
    kur_status status = kur__reply_check(body, arena, &is_compatible, &messages, error);
    need_text_of(messages);
    need(strlen(messages) < 32 * 1024);
    return status;
}

static kur_status read_level(kur_bytes body, kur_arena *arena, kur_error *error)
{
    const char *level = "";
    kur_status status = kur__reply_level(body, arena, &level, error);
    need_text_of(level);
    return status;
}

static kur_status read_refusal(kur_bytes body, kur_arena *arena, kur_error *error)
{
    int code = 0;
    char message[64];
    (void)arena;
    (void)error;
    kur__reply_refusal(body, &code, message, sizeof message);
    need(code >= 0 && code <= 99999 && memchr(message, '\0', sizeof message) != NULL);
    return KUR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kur_status (*const all[])(kur_bytes, kur_arena *, kur_error *) = {read_schema, read_names, read_numbers,
                                                                             read_check,  read_level, read_refusal};
    kur_bytes input = kur_bytes_of(data, size);
    kur_arena *arena = kur_arena_new();
    kur_error error = {0};
    uint8_t which = take_byte(&input) % (sizeof all / sizeof *all);
    kur_status status = all[which](take_rest(&input, arena), arena, &error);
    if (status != KUR_OK)
        need_error(status, &error);
    need(status == KUR_OK || status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_TOO_LARGE);
    kur_arena_free(arena);
    return 0;
}
