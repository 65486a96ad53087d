/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The schema of a described record, as text, which is then read as any other. docs/decisions/avro.md has the forms.
 *
 * Design notes: text is appended without a look at each step; the first failure stays and nothing is appended after it.
 * A record, enum or fixed is defined where it is met first, and named from then on.
 */
#include <stdio.h>

#include "base/error.h"
#include "event/json.h"
#include "event/schema.h"
#include "event/value.h"
#include <kurier/sys/memory.h>

/* A type that has been defined. A fixed has no descriptor of its own: its name and size say which it is. */
typedef struct defined {
    const kur_type *type;
    const char *full;
} defined;

typedef struct writer {
    kur_buffer text;
    kur_status status;
    kur_error *error;
    kur_arena *arena;
    const char *space; /* of types that have no name of their own in Avro */
    defined *types;
    size_t count, capacity;
} writer;

/* ---- Text ---- */

static void fail(writer *w, const kur__path *path, const char *reason)
{
    if (w->status == KUR_OK)
        w->status = kur__error_at(w->error, KUR_ERROR_INVALID_ARGUMENT, path, "%s", reason);
}

static void no_memory(writer *w)
{
    if (w->status == KUR_OK)
        w->status = kur__error_no_memory(w->error);
}

static void put(writer *w, const char *text)
{
    if (w->status == KUR_OK && kur_buffer_append(&w->text, text, strlen(text)) != KUR_OK)
        no_memory(w);
}

static void put_string(writer *w, const char *before, const char *text, size_t size)
{
    put(w, before);
    if (w->status == KUR_OK && kur__json_write_string(&w->text, text, size) != KUR_OK)
        no_memory(w);
}

static void put_doc(writer *w, const char *doc, const kur__path *path)
{
    if (doc == NULL)
        return;
    if (!kur_bytes_is_utf8(kur_bytes_text(doc)))
        fail(w, path, ".doc is not UTF-8");
    put_string(w, ",\"doc\":", doc, strlen(doc));
}

static void put_aliases(writer *w, const char *aliases)
{
    const char *word;
    size_t size;
    if (aliases == NULL)
        return;
    put(w, ",\"aliases\":[");
    for (bool first = true; kur__next_word(&aliases, &word, &size); first = false)
        put_string(w, first ? "" : ",", word, size);
    put(w, "]");
}

/* ---- Names ---- */

/* The namespace in a full name. */
static size_t space_size(const char *full)
{
    const char *dot = strrchr(full, '.');
    return dot != NULL ? (size_t)(dot - full) : 0;
}

static bool is_within(const char *full, const char *around)
{
    size_t size = space_size(full);
    return size == strlen(around) && memcmp(full, around, size) == 0;
}

/* `own` is a whole name; else the name stands in the root's namespace. */
static const char *full_name(writer *w, const char *own, const char *name)
{
    if (own != NULL)
        return own;
    size_t size = strlen(w->space) + 1 + strlen(name) + 1;
    char *full = kur_arena_alloc(w->arena, size);
    if (full == NULL)
        no_memory(w);
    else
        snprintf(full, size, "%s%s%s", w->space, w->space[0] != '\0' ? "." : "", name);
    return full;
}

static void define(writer *w, const kur_type *type, const char *full)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity > 0 ? 2 * w->capacity : 16;
        defined *types = kur_realloc(w->types, capacity * sizeof *types);
        if (types == NULL) {
            no_memory(w);
            return;
        }
        w->types = types;
        w->capacity = capacity;
    }
    w->types[w->count++] = (defined){type, full};
}

/* Whether a name is defined; by another type: refused. */
static bool is_defined(writer *w, const kur_type *type, const char *full, const kur__path *path)
{
    for (size_t i = 0; i < w->count; i++) {
        const kur_type *other = w->types[i].type;
        if (strcmp(w->types[i].full, full) != 0)
            continue;
        if (other != type &&
            (type->kind != KUR_KIND_IS_FIXED || other->kind != type->kind || other->size != type->size))
            fail(w, path, "two types have the same name in Avro: give one an .avro_name");
        return true;
    }
    return false;
}

/*
 * Begins a named type, `around` being the namespace around it; false: it is there already, and has been named, or is
 * refused. A name without a namespace can only be used where there is none around it.
 */
static bool begin_named(writer *w, const kur_type *type, const char *full, const char *kind, const char *around,
                        const kur__path *path)
{
    if (w->status != KUR_OK)
        return false;
    if (!kur__avro_is_full_name(full, strlen(full)))
        fail(w, path, "the name of the type is none that Avro allows: give it an .avro_name");
    if (around[0] != '\0' && space_size(full) == 0)
        fail(w, path, "the .avro_name needs a namespace, for what is around it has one");
    if (is_defined(w, type, full, path)) {
        put_string(w, "", full, strlen(full));
        return false;
    }
    define(w, type, full);
    size_t space = space_size(full);
    const char *name = space > 0 ? full + space + 1 : full;
    put_string(w, "{\"type\":", kind, strlen(kind));
    put_string(w, ",\"name\":", name, strlen(name));
    if (!is_within(full, around))
        put_string(w, ",\"namespace\":", full, space);
    return w->status == KUR_OK;
}

/* ---- Defaults ---- */

/* Bytes are characters of the same numbers in a default. */
static void put_unscaled(writer *w, int64_t unscaled)
{
    uint8_t bytes[8];
    size_t first = 0;
    char escaped[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)unscaled >> (56 - 8 * i));
    /* A byte that only repeats the sign of the next says nothing. */
    while (first < 7 &&
           ((bytes[first] == 0 && bytes[first + 1] < 0x80) || (bytes[first] == 0xff && bytes[first + 1] >= 0x80)))
        first++;
    put(w, "\"");
    for (; first < 8; first++) {
        snprintf(escaped, sizeof escaped, "\\u%04x", bytes[first]);
        put(w, escaped);
    }
    put(w, "\"");
}

static void put_number(writer *w, int64_t number)
{
    if (w->status == KUR_OK && kur__int64_format(number, &w->text) != KUR_OK)
        no_memory(w);
}

static void put_default(writer *w, const kur_field *field, const kur__path *path)
{
    union {
        int64_t integer;
        const char *text;
        kur_uuid uuid;
        kur__items items;
    } value;
    bool has;
    if (field->type->kind == KUR_KIND_IS_OPTIONAL)
        put(w, ",\"default\":null");
    if (w->status == KUR_OK && field->default_text != NULL)
        w->status = kur__field_default(field, &value, &has, path, w->error);
    if (w->status != KUR_OK || field->default_text == NULL)
        return;
    put(w, ",\"default\":");
    switch ((kur_kind)field->type->kind) {
    case KUR_KIND_IS_STRING:
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        if (field->type->kind == KUR_KIND_IS_STRING)
            put_string(w, "", value.text, strlen(value.text));
        else
            put(w, field->default_text); /* an empty one */
        break;
    case KUR_KIND_IS_TIMESTAMP:
        put_number(w, (field->flags & KUR_MILLIS) != 0 ? kur__millis_below(value.integer) : value.integer);
        break;
    case KUR_KIND_IS_DATE:
        put_number(w, KUR__LOAD(int32_t, &value));
        break;
    case KUR_KIND_IS_DECIMAL:
        put_unscaled(w, value.integer);
        break;
    case KUR_KIND_IS_UUID:
    case KUR_KIND_IS_ENUM:
        put(w, "\"");
        if (w->status == KUR_OK && kur__value_format(field->type, &value, &w->text) != KUR_OK)
            no_memory(w);
        put(w, "\"");
        break;
    default: /* numbers, true and false */
        if (w->status == KUR_OK && kur__value_format(field->type, &value, &w->text) != KUR_OK)
            no_memory(w);
        break;
    }
}

/* ---- Types ---- */

static void put_type(writer *w, const kur_type *type, const kur_field *field, const char *around,
                     const kur__path *path);

static void put_record(writer *w, const kur_type *type, const char *full, const char *around, const kur__path *path)
{
    if (full == NULL || !begin_named(w, type, full, "record", around, path))
        return;
    const char *space = kur_arena_copy(w->arena, full, space_size(full));
    if (space == NULL)
        no_memory(w);
    put_doc(w, type->doc, path);
    put_aliases(w, type->aliases);
    put(w, ",\"fields\":[");
    for (size_t i = 0; i < type->field_count && w->status == KUR_OK; i++) {
        const kur_field *field = kur__type_field(type, i);
        char storage[KUR__NAME_MAX];
        const char *name = kur__field_name(type, field, storage);
        kur__path at = {.up = path, .name = field->name};
        if (!kur__avro_is_name(name, strlen(name)))
            fail(w, &at, "the name on the wire is none that Avro allows");
        put_string(w, i > 0 ? ",{\"name\":" : "{\"name\":", name, strlen(name));
        put(w, ",\"type\":");
        put_type(w, field->type, field, space, &at);
        put_doc(w, field->doc, &at);
        put_default(w, field, &at);
        put_aliases(w, field->aliases);
        put(w, "}");
    }
    put(w, "]}");
}

static void put_enum(writer *w, const kur_type *type, const char *full, const char *around, const kur__path *path)
{
    if (full == NULL || !begin_named(w, type, full, "enum", around, path))
        return;
    put_doc(w, type->doc, path);
    put_aliases(w, type->aliases);
    put(w, ",\"symbols\":[");
    const char *unknown = NULL;
    for (size_t i = 0; i < type->field_count && w->status == KUR_OK; i++) {
        const char *symbol = kur__symbol_name(type, (int32_t)i + 1);
        if (!kur__avro_is_name(symbol, strlen(symbol)))
            fail(w, path, "a symbol of the enum is no name that Avro allows: give it a .json");
        put_string(w, i > 0 ? "," : "", symbol, strlen(symbol));
        if (type->unknown != NULL && strcmp(kur__type_field(type, i)->name, type->unknown) == 0)
            unknown = symbol;
    }
    put(w, "]");
    if (unknown != NULL)
        put_string(w, ",\"default\":", unknown, strlen(unknown));
    put(w, "}");
}

static void put_fixed(writer *w, const kur_type *type, const kur_field *field, const char *around,
                      const kur__path *path)
{
    char name[32];
    snprintf(name, sizeof name, "fixed_%zu", type->size);
    const char *full = full_name(w, field->avro_name, name);
    if (full == NULL || !begin_named(w, type, full, "fixed", around, path))
        return;
    put(w, ",\"size\":");
    put_number(w, (int64_t)type->size);
    put(w, "}");
}

static void put_decimal(writer *w, const kur_type *type)
{
    char text[128];
    snprintf(text, sizeof text, "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":%d,\"scale\":%d}",
             (int)type->precision, (int)type->scale);
    put(w, text);
}

/* `field` is the one in which the type stands, directly or as part of a container. */
static void put_type(writer *w, const kur_type *type, const kur_field *field, const char *around, const kur__path *path)
{
    static const char *const plain[] = {[KUR_KIND_IS_STRING] = "\"string\"",
                                        [KUR_KIND_IS_BYTES] = "\"bytes\"",
                                        [KUR_KIND_IS_BOOL] = "\"boolean\"",
                                        [KUR_KIND_IS_INT32] = "\"int\"",
                                        [KUR_KIND_IS_INT64] = "\"long\"",
                                        [KUR_KIND_IS_FLOAT] = "\"float\"",
                                        [KUR_KIND_IS_DOUBLE] = "\"double\"",
                                        [KUR_KIND_IS_TIMESTAMP] =
                                            "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}",
                                        [KUR_KIND_IS_DATE] = "{\"type\":\"int\",\"logicalType\":\"date\"}",
                                        [KUR_KIND_IS_UUID] = "{\"type\":\"string\",\"logicalType\":\"uuid\"}",
                                        [KUR_KIND_IS_OPTIONAL] = "[\"null\",",
                                        [KUR_KIND_IS_LIST] = "{\"type\":\"array\",\"items\":",
                                        [KUR_KIND_IS_MAP] = "{\"type\":\"map\",\"values\":"};
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_RECORD:
        put_record(w, type, full_name(w, type->avro_name, type->name), around, path);
        break;
    case KUR_KIND_IS_ENUM:
        put_enum(w, type, full_name(w, type->avro_name, type->name), around, path);
        break;
    case KUR_KIND_IS_FIXED:
        put_fixed(w, type, field, around, path);
        break;
    case KUR_KIND_IS_DECIMAL:
        put_decimal(w, type);
        break;
    case KUR_KIND_IS_OPTIONAL:
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        put(w, plain[type->kind]);
        put_type(w, type->element, field, around, path);
        put(w, type->kind == KUR_KIND_IS_OPTIONAL ? "]" : "}");
        break;
    case KUR_KIND_IS_TIMESTAMP:
        put(w, (field->flags & KUR_MILLIS) != 0 ? "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"
                                                : plain[type->kind]);
        break;
    default:
        put(w, plain[type->kind]);
        break;
    }
}

/* The namespace of all types that have no name of their own: that of the root. */
static void choose_space(writer *w, const kur_type *type)
{
    const char *from = type->avro_name != NULL ? type->avro_name : type->event_type;
    w->space = from != NULL ? kur_arena_copy(w->arena, from, space_size(from)) : "";
    if (w->space == NULL)
        no_memory(w);
    else if (w->space[0] != '\0' && !kur__avro_is_space(w->space, strlen(w->space)))
        fail(w, NULL, "the event's type gives no namespace that Avro allows: give it an .avro_name");
}

kur_status kur_schema_of(const kur_type *type, kur_schema **schema, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status == KUR_OK && schema == NULL)
        status = kur_error_null(error, "schema");
    if (status == KUR_OK)
        status = kur_type_check(type, error);
    if (status != KUR_OK)
        return status;
    writer w = {.error = error, .arena = kur_arena_new()};
    choose_space(&w, type);
    if (w.status == KUR_OK)
        put_type(&w, type, NULL, "", NULL);
    if (w.status == KUR_OK)
        w.status = kur_schema_parse(kur_bytes_of(w.text.data, w.text.size), NULL, 0, schema, error);
    kur_free(w.types);
    kur_buffer_done(&w.text);
    kur_arena_free(w.arena);
    return w.status;
}
