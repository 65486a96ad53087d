/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors that nobody wrote. The input has three parts, the first two ended by 0xFF: bytes that make a descriptor,
 * bytes that make a record of it, and JSON. A descriptor that passes kur_type_check must serve: it has a schema, or a
 * name that Avro does not allow; its record is written and read back, JSON from outside is read or refused, and so is
 * what was written, with one byte changed.
 */
#include <kurier/schema.h>

#include "round_trip.h"

enum {
    TYPES_MAX = 40,
    FIELDS_MAX = 7,
    ITEMS_MAX = 5,
    NESTING_MAX = 5
};

typedef struct maker {
    kur_bytes bytes;
    kur_arena *arena;
    size_t made;
} maker;

static void *room(maker *m, size_t size)
{
    return kur_arena_alloc(m->arena, size);
}

static size_t below(maker *m, size_t limit)
{
    return take_byte(&m->bytes) % limit;
}

/* Most often NULL. */
static const char *pick(maker *m, const char *const *texts, size_t count)
{
    size_t index = below(m, count * 3);
    return index < count ? texts[index] : NULL;
}
#define PICK(m, ...)                                                                                                   \
    pick(m, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* ---- Descriptors ---- */

static kur_type *make_type(maker *m, const kur_type *around, size_t nesting);

static size_t align_up(size_t size, size_t align)
{
    return (size + align - 1) / align * align;
}

static void place(kur_type *record, kur_field *field)
{
    field->offset = align_up(record->size, field->type->align);
    record->size = field->offset + field->type->size;
    record->align = field->type->align > record->align ? field->type->align : record->align;
}

static void make_field(maker *m, kur_type *record, kur_field *field, size_t index, size_t nesting)
{
    static const char *const names[] = {"a", "b", "c", "d_e", "f", "g", "h"};
    field->name = names[index];
    field->type = make_type(m, record, nesting + 1);
    place(record, field);
    field->json = PICK(m, "a", "longer", "\xc3\xa9", "with \"quotes\"", "");
    field->default_text =
        PICK(m, "", "0", "1.5", "true", "[]", "{}", "red", "AAEC", "2026-01-01", "2026-01-01T00:00:00Z", "\xff");
    field->min = PICK(m, "0", "-5", "1e3", "0.5", "2026-01-01", "x");
    field->max = PICK(m, "0", "99", "1e300", "2026-12-31", "2026-12-31T23:59:59Z");
    static const uint32_t flags[] = {0, KUR_KEY, KUR_MILLIS};
    size_t flag = below(m, 16);
    field->flags = flag < 3 ? flags[flag] : 0;
    field->doc = PICK(m, "what \"it\" is\n", "\xff");
    field->aliases = PICK(m, "old older", "\xc3\xa9", " ");
    field->avro_name = field->type->kind == KUR_KIND_IS_FIXED ? PICK(m, "x.y", "made", "1") : NULL;
    field->min_length = below(m, 16) == 1 ? 2 : 0;
    field->max_length = below(m, 16) == 1 ? 4 : 0;
}

static void make_record(maker *m, kur_type *type, size_t nesting)
{
    type->name = "made";
    type->avro_name = PICK(m, "a.b.Made", "x.y", "x.");
    type->aliases = PICK(m, "Old a.b.Older", "-");
    type->align = 1;
    type->field_count = 1 + below(m, FIELDS_MAX);
    type->field_size = sizeof(kur_field);
    type->names = (uint32_t)below(m, 2);
    type->unknown_fields = (uint32_t)below(m, 2);
    type->key_format = (uint32_t)below(m, 2);
    kur_field *fields = room(m, type->field_count * sizeof *fields);
    type->fields = fields;
    for (size_t i = 0; i < type->field_count; i++)
        make_field(m, type, &fields[i], i, nesting);
    type->size = align_up(type->size, type->align);
}

static void make_enum(maker *m, kur_type *type)
{
    static const char *const symbols[] = {"red", "green", "blue", "red-ish"};
    type->name = "symbols";
    type->size = sizeof(int32_t);
    type->align = _Alignof(int32_t);
    type->field_count = 1 + below(m, 4);
    type->field_size = sizeof(kur_field);
    type->unknown = PICK(m, "red", "green", "mauve");
    kur_field *fields = room(m, type->field_count * sizeof *fields);
    for (size_t i = 0; i < type->field_count; i++) {
        fields[i].name = symbols[i];
        fields[i].json = PICK(m, "red", "other");
    }
    type->fields = fields;
}

static void make_container(maker *m, kur_type *type, const kur_type *around, size_t nesting)
{
    bool is_optional = type->kind == KUR_KIND_IS_OPTIONAL;
    /* A record may hold a list of its own kind, but not itself. */
    bool of_around = !is_optional && around != NULL && below(m, 4) == 1;
    type->element = of_around ? around : make_type(m, NULL, nesting + 1);
    type->align = is_optional ? type->element->align : _Alignof(size_t);
    type->size = is_optional ? align_up(align_up(1, type->align) + type->element->size, type->align)
                             : sizeof(void *) + sizeof(size_t);
}

static void make_plain(maker *m, kur_type *type)
{
    static const size_t sizes[][2] = {[KUR_KIND_IS_STRING] = {sizeof(char *), _Alignof(char *)},
                                      [KUR_KIND_IS_BYTES] = {sizeof(kur_bytes), _Alignof(kur_bytes)},
                                      [KUR_KIND_IS_BOOL] = {sizeof(bool), _Alignof(bool)},
                                      [KUR_KIND_IS_INT32] = {4, 4},
                                      [KUR_KIND_IS_INT64] = {8, _Alignof(int64_t)},
                                      [KUR_KIND_IS_FLOAT] = {sizeof(float), _Alignof(float)},
                                      [KUR_KIND_IS_DOUBLE] = {sizeof(double), _Alignof(double)},
                                      [KUR_KIND_IS_TIMESTAMP] = {8, _Alignof(int64_t)},
                                      [KUR_KIND_IS_DATE] = {4, 4},
                                      [KUR_KIND_IS_DECIMAL] = {8, _Alignof(int64_t)},
                                      [KUR_KIND_IS_UUID] = {sizeof(kur_uuid), _Alignof(kur_uuid)}};
    if (type->kind == KUR_KIND_IS_FIXED) {
        type->size = 1 + below(m, 20);
        type->align = 1;
        return;
    }
    type->size = sizes[type->kind][0];
    type->align = sizes[type->kind][1];
    if (type->kind == KUR_KIND_IS_DECIMAL) {
        type->precision = (int32_t)below(m, 20);
        type->scale = (int32_t)below(m, 20);
    }
}

static kur_type *make_type(maker *m, const kur_type *around, size_t nesting)
{
    kur_type *type = room(m, sizeof *type);
    bool is_small = nesting >= NESTING_MAX || m->made++ >= TYPES_MAX;
    type->abi = KUR_TYPE_ABI;
    type->kind =
        nesting == 0 ? KUR_KIND_IS_RECORD : 1 + (uint32_t)below(m, is_small ? KUR_KIND_IS_ENUM : KUR_KIND_IS_FIXED);
    if (type->kind == KUR_KIND_IS_RECORD)
        make_record(m, type, nesting);
    else if (type->kind == KUR_KIND_IS_ENUM)
        make_enum(m, type);
    else if (type->kind > KUR_KIND_IS_ENUM && type->kind < KUR_KIND_IS_FIXED)
        make_container(m, type, around, nesting);
    else
        make_plain(m, type);
    return type;
}

/* A descriptor that is broken as no macro would: refused, without a look at what is not there. */
static void break_it(kur_type *type, size_t how)
{
    kur_error error = {0};
    kur_type broken = *type;
    kur_field field = broken.fields[0];
    switch (how) {
    case 0:
        broken.abi++;
        break;
    case 1:
        broken.kind = 99;
        break;
    case 2:
        broken.size = 0;
        break;
    case 3:
        broken.fields = NULL;
        break;
    case 4:
        broken.field_size = 8;
        break;
    default:
        field.type = how == 5 ? NULL : field.type;
        field.offset = how == 6 ? type->size : SIZE_MAX - 4;
        field.name = how == 7 ? NULL : field.name;
        broken.fields = &field;
        broken.field_count = 1;
        break;
    }
    need_error(kur_type_check(&broken, &error), &error);
}

/* ---- Records ---- */

static uint64_t bits(maker *m, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | take_byte(&m->bytes);
    return number;
}

static kur_bytes some_bytes(maker *m)
{
    size_t size = below(m, 12);
    char *bytes = kur_arena_copy(m->arena, "            ", size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)take_byte(&m->bytes);
    return kur_bytes_of(bytes, size);
}

static void fill(maker *m, const kur_type *type, char *value, size_t nesting);

static void fill_items(maker *m, const kur_type *type, char *value, size_t nesting)
{
    bool is_map = type->kind == KUR_KIND_IS_MAP;
    size_t align = type->element->align > _Alignof(char *) && is_map ? type->element->align
                   : is_map                                          ? _Alignof(char *)
                                                                     : type->element->align;
    size_t at = is_map ? align_up(sizeof(char *), type->element->align) : 0;
    size_t stride = align_up(at + type->element->size, align);
    struct {
        char *items;
        size_t count;
    } list = {NULL, nesting > 8 ? 0 : below(m, ITEMS_MAX)};
    list.items = room(m, list.count * stride);
    for (size_t i = 0; i < list.count; i++) {
        const char *key = some_bytes(m).data;
        if (is_map)
            memcpy(list.items + i * stride, &key, sizeof key);
        fill(m, type->element, list.items + i * stride + at, nesting + 1);
    }
    memcpy(value, &list, sizeof list);
}

static void fill(maker *m, const kur_type *type, char *value, size_t nesting)
{
    uint64_t number;
    kur_bytes bytes;
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_RECORD:
        for (size_t i = 0; i < type->field_count; i++)
            fill(m, type->fields[i].type, value + type->fields[i].offset, nesting + 1);
        break;
    case KUR_KIND_IS_OPTIONAL:
        *value = (char)below(m, 2);
        fill(m, type->element, value + align_up(1, type->element->align), nesting + 1);
        break;
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        fill_items(m, type, value, nesting);
        break;
    case KUR_KIND_IS_STRING:
    case KUR_KIND_IS_BYTES:
        bytes = some_bytes(m);
        memcpy(value, &bytes, type->size);
        break;
    case KUR_KIND_IS_BOOL:
        *value = (char)below(m, 2);
        break;
    default:
        for (size_t i = 0; i < type->size; i += 8) {
            /* Mostly small numbers, which fit more kinds. */
            number = below(m, 4) > 0 ? bits(m, 1) : bits(m, 8);
            memcpy(value + i, &number, type->size - i < 8 ? type->size - i : 8);
        }
        break;
    }
}

static void one_byte_changed(const kur_type *type, const kur_buffer *text, uint64_t where, uint8_t byte,
                             kur_arena *arena)
{
    if (text->size == 0)
        return;
    char *changed = kur_arena_copy(arena, text->data, text->size);
    changed[where % text->size] = (char)byte;
    round_trip(type, kur_bytes_of(changed, text->size), arena);
}

static void try_schema(const kur_type *type)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    kur_status status = kur_schema_of(type, &schema, &error);
    if (status != KUR_OK) {
        need(status == KUR_ERROR_INVALID_ARGUMENT || status == KUR_ERROR_TOO_LARGE);
        need_error(status, &error);
        need(strstr(error.message, "JSON") == NULL || status == KUR_ERROR_TOO_LARGE);
    }
    kur_schema_unref(schema);
}

static void try_type(maker *m, const kur_type *type, kur_bytes json)
{
    kur_error error = {0};
    kur_buffer text = {0}, key = {0};
    bool has_key;
    void *record = room(m, type->size);
    kur_type_init(type, record);
    fill(m, type, record, 0);
    uint64_t where = bits(m, 2);
    uint8_t byte = take_byte(&m->bytes);
    kur_status status = kur_type_validate(type, record, &error);
    if (status == KUR_OK) {
        write_and_read(type, record, &text, m->arena);
        need(kur_type_key(type, record, &key, &has_key, &error) == KUR_OK);
        one_byte_changed(type, &text, where, byte, m->arena);
    } else {
        need_error(status, &error);
        need(kur_json_write(type, record, &text, &error) == status && text.size == 0);
        kur_type_print(type, record, &key, &error);
    }
    round_trip(type, json, m->arena);
    kur_buffer_done(&text);
    kur_buffer_done(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size), descriptor = {0}, record = {0};
    kur_arena *arena = kur_arena_new();
    kur_error error = {0};
    if (take_text(&input, arena, &descriptor) && take_text(&input, arena, &record)) {
        maker m = {.bytes = descriptor, .arena = arena};
        kur_type *type = make_type(&m, NULL, 0);
        size_t how = below(&m, 64);
        m.bytes = record;
        kur_status status = kur_type_check(type, &error);
        if (status == KUR_OK) {
            try_schema(type);
            try_type(&m, type, take_rest(&input, arena));
        } else
            need_error(status, &error);
        if (how < 9)
            break_it(type, how);
    }
    kur_arena_free(arena);
    return 0;
}
