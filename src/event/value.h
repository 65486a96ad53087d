/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Walking described values: where things lie, where we are (for messages), and the checks and texts of single values,
 * which every codec shares.
 */
#ifndef KURIER_EVENT_VALUE_H
#define KURIER_EVENT_VALUE_H

#include <kurier/type.h>
#include <string.h>

/* Whether this is the descriptor of a record, of a layout that this library knows. */
kur_status kur__type_is_record(const kur_type *type, kur_error *error);

/* ---- Layout ---- */

static inline const kur_field *kur__type_field(const kur_type *type, size_t index)
{
    return (const kur_field *)((const char *)type->fields + index * type->field_size);
}

static inline size_t kur__align_up(size_t size, size_t align)
{
    return (size + align - 1) / align * align;
}

/* Where `value` lies in struct { bool has; T value; }. */
static inline size_t kur__optional_offset(const kur_type *optional)
{
    return kur__align_up(sizeof(bool), optional->element->align);
}

/* Read as a byte: a struct that was never set must not be undefined behaviour. */
static inline bool kur__optional_has(const void *value)
{
    return *(const unsigned char *)value != 0;
}

/* Where `value` lies in struct { const char *key; T value; }, an item of a map. */
static inline size_t kur__map_value_offset(const kur_type *map)
{
    return kur__align_up(sizeof(const char *), map->element->align);
}

/* The size of an item of a list or a map. */
static inline size_t kur__item_size(const kur_type *container)
{
    if (container->kind == KUR_KIND_IS_LIST)
        return container->element->size;
    size_t align =
        container->element->align > _Alignof(const char *) ? container->element->align : _Alignof(const char *);
    return kur__align_up(kur__map_value_offset(container) + container->element->size, align);
}

/* struct { T *items; size_t count; } for any T; copied, for it has another type each time. */
typedef struct kur__items {
    char *items;
    size_t count;
} kur__items;

static inline kur__items kur__items_of(const void *value)
{
    kur__items items;
    memcpy(&items, value, sizeof items);
    return items;
}

/* A member or item of a plain type, whose own type is known by its kind only. */
#define KUR__LOAD(T, value)                                                                                            \
    __extension__({                                                                                                    \
        T loaded_;                                                                                                     \
        memcpy(&loaded_, value, sizeof loaded_);                                                                       \
        loaded_;                                                                                                       \
    })

/*
 * Whether a value, at `depth` steps below the record that is walked, is a container too deep down. Records, lists and
 * maps count as the brackets that they are in JSON, so that what can be written can be read.
 */
static inline bool kur__is_too_deep(const kur_type *type, size_t depth)
{
    bool nests = type->kind == KUR_KIND_IS_RECORD || type->kind == KUR_KIND_IS_LIST || type->kind == KUR_KIND_IS_MAP;
    return nests && depth >= KUR_DEPTH_MAX;
}

/* ---- Where we are ---- */

/* A step on the way down, on the stack of who goes it: a field or map key by its name, or an item by its index. */
typedef struct kur__path {
    const struct kur__path *up;
    const char *name; /* NULL: an index */
    size_t index;
    bool is_key;
} kur__path;

/* An index that stands for all: "lines[].price". */
#define KUR__ANY_ITEM SIZE_MAX

static inline size_t kur__path_depth(const kur__path *path)
{
    size_t depth = 0;
    for (; path != NULL; path = path->up)
        depth++;
    return depth;
}

/* Sets an error whose message begins with the path: "lines[2].quantity: …". */
kur_status kur__error_at(kur_error *error, kur_status status, const kur__path *path, const char *format, ...)
    KUR_PRINTF(4, 5);

/* ---- Single values ---- */

/* "integer", "string", "list": how messages call a kind. */
const char *kur__kind_text(kur_kind kind);

/* A field's name on the wire: its own, its C name, or that in camel case, written to `storage`. */
enum {
    KUR__NAME_MAX = 256
};
const char *kur__field_name(const kur_type *record, const kur_field *field, char storage[KUR__NAME_MAX]);
const char *kur__symbol_name(const kur_type *type, int32_t value);

/*
 * Checks one value, without what is in it, against its kind and the field's constraints (NULL: none).
 */
kur_status kur__value_check(const kur_type *type, const kur_field *field, const void *value, const kur__path *path,
                            kur_error *error);

/* Whether the kind's JSON form is a string whose text kur__value_format gives. */
bool kur__kind_is_text(kur_kind kind);

/* Appends the text of a plain value, unquoted; the value has been checked. */
kur_status kur__value_format(const kur_type *type, const void *value, kur_buffer *text);

/*
 * Reads a plain value from its text. STRING points to `text` itself, BYTES take memory from `arena` (NULL: they are
 * refused, and FIXED).
 * The error has the path in front, and nothing of the text, which may be anybody's data.
 */
kur_status kur__value_parse(const kur_type *type, const char *text, size_t size, kur_arena *arena, void *value,
                            const kur__path *path, kur_error *error);

/* Sets a field's value to its default; false when it has none. */
kur_status kur__field_default(const kur_field *field, void *value, bool *has, const kur__path *path, kur_error *error);

/* Whole milliseconds, towards the past. */
static inline int64_t kur__millis_below(int64_t time_us)
{
    return time_us / 1000 - (time_us % 1000 < 0);
}

/* 10 to the power of 0 to 18. */
extern const int64_t kur__powers_of_ten[19];

/* Numbers without regard to the locale: the shortest text that reads back as the same number. */
kur_status kur__double_format(double number, bool is_float, kur_buffer *text);
bool kur__double_parse(const char *text, size_t size, double *number);
kur_status kur__int64_format(int64_t number, kur_buffer *text);
bool kur__int64_parse(const char *text, size_t size, int64_t *number);

#endif
