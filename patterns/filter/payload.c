/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a path into JSON is followed over its bytes, from their front to what is looked for and no further, in
 * no memory. What is no JSON up to there has nothing there, and neither has what nests deeper than json.c goes; of two
 * members with one name the first counts.
 */
#include "deadletter/deadletter.h"
#include "filter/filter.h"

static bool has_escapes(kur_bytes text)
{
    return text.size > 0 && memchr(text.data, '\\', text.size) != NULL;
}

static bool is_named(kur_bytes name, const kur__step *step)
{
    int order;
    if (!has_escapes(name))
        return name.size == step->name.size && memcmp(name.data, step->name.data, name.size) == 0;
    const kur__value value = {.kind = KUR__TEXT, .text = name, .has_escapes = true};
    const kur__value literal = {.kind = KUR__TEXT, .text = step->name};
    return kur__value_compare(&value, &literal, &order) && order == 0;
}

static bool go_to_member(kur__json *json, const kur__step *step)
{
    kur_bytes name;
    if (!kur__json_take(json, '{') || kur__json_take(json, '}'))
        return false;
    do {
        if (!kur__json_quoted(json, &name) || !kur__json_need(json, ':'))
            return false;
        if (is_named(name, step))
            return true;
    } while (kur__json_skip(json) && kur__json_take(json, ','));
    return false;
}

static bool go_to_index(kur__json *json, uint32_t index)
{
    if (!kur__json_take(json, '[') || kur__json_take(json, ']'))
        return false;
    for (; index > 0; index--)
        if (!kur__json_skip(json) || !kur__json_take(json, ','))
            return false;
    return true;
}

static bool read_number(kur__json *json, kur__value *value)
{
    const char *end = kur__decimal_read(json->at, json->end, &value->number);
    if (end == NULL)
        return false;
    json->at = end;
    value->kind = KUR__NUMBER;
    return true;
}

/* kur__json_is_over has moved to where it begins. */
static bool read_value(kur__json *json, kur__value *value)
{
    if (kur__json_is_over(json))
        return false;
    switch (*json->at) {
    case '{':
    case '[':
        value->kind = KUR__COMPOUND;
        return true;
    case '"':
        value->kind = KUR__TEXT;
        if (!kur__json_quoted(json, &value->text))
            return false;
        value->has_escapes = has_escapes(value->text);
        return true;
    case 'n':
        return kur__json_word(json, "null");
    case 't':
    case 'f':
        value->kind = KUR__BOOLEAN;
        value->boolean = *json->at == 't';
        return kur__json_word(json, value->boolean ? "true" : "false");
    default:
        return read_number(json, value);
    }
}

/* What may stand behind a value, so that `12 apples` is no 12. */
static bool is_ended(kur__json *json, const kur__step *path)
{
    return kur__json_is_over(json) ? path == NULL : path != NULL && strchr(",]}", *json->at) != NULL;
}

kur__value kur__payload_find(kur_bytes data, const kur__step *path)
{
    kur__value value = {.kind = KUR__NULL};
    if (data.data == NULL)
        return value;
    kur__json json = {.start = data.data, .at = data.data, .end = (const char *)data.data + data.size};
    for (const kur__step *step = path; step != NULL; step = step->next)
        if (!(step->name.data != NULL ? go_to_member(&json, step) : go_to_index(&json, step->index)))
            return value;
    if (!read_value(&json, &value) || (value.kind != KUR__COMPOUND && !is_ended(&json, path)))
        value.kind = KUR__NULL;
    return value;
}
