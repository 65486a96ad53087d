/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/fields.h>: one list of fields gives a struct, its descriptor, and functions of its own type.
 *
 * In a header (C or C++):
 *
 *     #define ORDER_STATUS(F, S) \
 *         F(S, placed)           \
 *         F(S, paid)
 *     KUR_ENUM(order_status, ORDER_STATUS);             // enum order_status { order_status_unset, … }
 *
 *     #define ORDER_LINE(F, S)                               \
 *         F(S, STRING, sku, .min_length = 1)                 \
 *         F(S, INT32, quantity, .default_text = "1", .min = "1")
 *     KUR_RECORD(order_line, ORDER_LINE);               // struct order_line, order_line_init(), …
 *
 * In one C file:
 *
 *     KUR_ENUM_DEFINE(order_status, ORDER_STATUS);
 *     KUR_RECORD_DEFINE(order_line, ORDER_LINE, .names = KUR_CAMEL_CASE);
 *
 * What may stand behind a field's name are members of kur_field, and behind the list in a DEFINE, of kur_type. Events
 * add to this in <kurier/typed.h>. The kinds are listed in <kurier/type.h>.
 */
#ifndef KURIER_FIELDS_H
#define KURIER_FIELDS_H

#include <kurier/json.h>
#include <kurier/schema.h>
#include <kurier/type.h>

/*
 * KUR_KIND_<kind> is a member's C type. The kind is pasted before anything expands it, so that a macro of the user's
 * which is called STRING does no harm. A macro does not expand within itself: a list of lists takes its inner list
 * from the next level. Three levels of containers are enough for all but the oddest; deeper ones name a record.
 */
#define KUR_KIND_STRING const char *
#define KUR_KIND_BYTES kur_bytes
#define KUR_KIND_BOOL bool
#define KUR_KIND_INT32 int32_t
#define KUR_KIND_INT64 int64_t
#define KUR_KIND_FLOAT float
#define KUR_KIND_DOUBLE double
#define KUR_KIND_TIMESTAMP int64_t
#define KUR_KIND_DATE int32_t
#define KUR_KIND_DECIMAL(precision, scale) int64_t
#define KUR_KIND_UUID kur_uuid
#define KUR_KIND_FIXED(size) KUR__FIXED_OF(size)
#define KUR_KIND_ENUM(name) enum name
#define KUR_KIND_RECORD(name) struct name

#define KUR_KIND_2_STRING KUR_KIND_STRING
#define KUR_KIND_2_BYTES KUR_KIND_BYTES
#define KUR_KIND_2_BOOL KUR_KIND_BOOL
#define KUR_KIND_2_INT32 KUR_KIND_INT32
#define KUR_KIND_2_INT64 KUR_KIND_INT64
#define KUR_KIND_2_FLOAT KUR_KIND_FLOAT
#define KUR_KIND_2_DOUBLE KUR_KIND_DOUBLE
#define KUR_KIND_2_TIMESTAMP KUR_KIND_TIMESTAMP
#define KUR_KIND_2_DATE KUR_KIND_DATE
#define KUR_KIND_2_DECIMAL(precision, scale) int64_t
#define KUR_KIND_2_UUID KUR_KIND_UUID
#define KUR_KIND_2_FIXED(size) KUR__FIXED_OF(size)
#define KUR_KIND_2_ENUM(name) enum name
#define KUR_KIND_2_RECORD(name) struct name

#define KUR_KIND_3_STRING KUR_KIND_STRING
#define KUR_KIND_3_BYTES KUR_KIND_BYTES
#define KUR_KIND_3_BOOL KUR_KIND_BOOL
#define KUR_KIND_3_INT32 KUR_KIND_INT32
#define KUR_KIND_3_INT64 KUR_KIND_INT64
#define KUR_KIND_3_FLOAT KUR_KIND_FLOAT
#define KUR_KIND_3_DOUBLE KUR_KIND_DOUBLE
#define KUR_KIND_3_TIMESTAMP KUR_KIND_TIMESTAMP
#define KUR_KIND_3_DATE KUR_KIND_DATE
#define KUR_KIND_3_DECIMAL(precision, scale) int64_t
#define KUR_KIND_3_UUID KUR_KIND_UUID
#define KUR_KIND_3_FIXED(size) KUR__FIXED_OF(size)
#define KUR_KIND_3_ENUM(name) enum name
#define KUR_KIND_3_RECORD(name) struct name

#define KUR_KIND_4_STRING KUR_KIND_STRING
#define KUR_KIND_4_BYTES KUR_KIND_BYTES
#define KUR_KIND_4_BOOL KUR_KIND_BOOL
#define KUR_KIND_4_INT32 KUR_KIND_INT32
#define KUR_KIND_4_INT64 KUR_KIND_INT64
#define KUR_KIND_4_FLOAT KUR_KIND_FLOAT
#define KUR_KIND_4_DOUBLE KUR_KIND_DOUBLE
#define KUR_KIND_4_TIMESTAMP KUR_KIND_TIMESTAMP
#define KUR_KIND_4_DATE KUR_KIND_DATE
#define KUR_KIND_4_DECIMAL(precision, scale) int64_t
#define KUR_KIND_4_UUID KUR_KIND_UUID
#define KUR_KIND_4_FIXED(size) KUR__FIXED_OF(size)
#define KUR_KIND_4_ENUM(name) enum name
#define KUR_KIND_4_RECORD(name) struct name

#define KUR__FIXED_OF(size)                                                                                            \
    struct {                                                                                                           \
        uint8_t data[size];                                                                                            \
    }
#define KUR__OPTIONAL_OF(T)                                                                                            \
    struct {                                                                                                           \
        bool has;                                                                                                      \
        T value;                                                                                                       \
    }
#define KUR__LIST_OF(T)                                                                                                \
    struct {                                                                                                           \
        T *items;                                                                                                      \
        size_t count;                                                                                                  \
    }
#define KUR__MAP_OF(T)                                                                                                 \
    struct {                                                                                                           \
        struct {                                                                                                       \
            const char *key;                                                                                           \
            T value;                                                                                                   \
        } * items;                                                                                                     \
        size_t count;                                                                                                  \
    }

/* clang-format off */
#define KUR_KIND_OPTIONAL(kind) KUR__OPTIONAL_OF(KUR_KIND_2_##kind)
#define KUR_KIND_LIST(kind) KUR__LIST_OF(KUR_KIND_2_##kind)
#define KUR_KIND_MAP(kind) KUR__MAP_OF(KUR_KIND_2_##kind)
#define KUR_KIND_2_OPTIONAL(kind) KUR__OPTIONAL_OF(KUR_KIND_3_##kind)
#define KUR_KIND_2_LIST(kind) KUR__LIST_OF(KUR_KIND_3_##kind)
#define KUR_KIND_2_MAP(kind) KUR__MAP_OF(KUR_KIND_3_##kind)
#define KUR_KIND_3_OPTIONAL(kind) KUR__OPTIONAL_OF(KUR_KIND_4_##kind)
#define KUR_KIND_3_LIST(kind) KUR__LIST_OF(KUR_KIND_4_##kind)
#define KUR_KIND_3_MAP(kind) KUR__MAP_OF(KUR_KIND_4_##kind)
/* What the compiler then says is the hint. */
#define KUR_KIND_4_OPTIONAL(kind) containers_nest_at_most_three_deep__name_a_KUR_RECORD
#define KUR_KIND_4_LIST(kind) containers_nest_at_most_three_deep__name_a_KUR_RECORD
#define KUR_KIND_4_MAP(kind) containers_nest_at_most_three_deep__name_a_KUR_RECORD

/*
 * KUR__TYPE_<kind> is the address of a member's descriptor. Those of plain kinds stand in the program itself: the
 * library exports no data, so that kur_type can grow.
 */
#define KUR__PLAIN(kind_, T) (&(const kur_type){.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_##kind_, .size = sizeof(T), .align = _Alignof(T)})
#define KUR__DECIMAL(p, s) \
    (&(const kur_type){.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_DECIMAL, .size = sizeof(int64_t), .align = _Alignof(int64_t), .precision = p, .scale = s})
#define KUR__CONTAINER(kind_, T, element_) \
    (&(const kur_type){.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_##kind_, .size = sizeof(T), .align = _Alignof(T), .element = element_})

#define KUR__TYPE_STRING KUR__PLAIN(STRING, const char *)
#define KUR__TYPE_BYTES KUR__PLAIN(BYTES, kur_bytes)
#define KUR__TYPE_BOOL KUR__PLAIN(BOOL, bool)
#define KUR__TYPE_INT32 KUR__PLAIN(INT32, int32_t)
#define KUR__TYPE_INT64 KUR__PLAIN(INT64, int64_t)
#define KUR__TYPE_FLOAT KUR__PLAIN(FLOAT, float)
#define KUR__TYPE_DOUBLE KUR__PLAIN(DOUBLE, double)
#define KUR__TYPE_TIMESTAMP KUR__PLAIN(TIMESTAMP, int64_t)
#define KUR__TYPE_DATE KUR__PLAIN(DATE, int32_t)
#define KUR__TYPE_UUID KUR__PLAIN(UUID, kur_uuid)
#define KUR__TYPE_FIXED(size) KUR__PLAIN(FIXED, KUR__FIXED_OF(size))
#define KUR__TYPE_DECIMAL(p, s) KUR__DECIMAL(p, s)
#define KUR__TYPE_ENUM(name) (&name##_type)
#define KUR__TYPE_RECORD(name) (&name##_type)
#define KUR__TYPE_OPTIONAL(kind) KUR__CONTAINER(OPTIONAL, KUR__OPTIONAL_OF(KUR_KIND_2_##kind), KUR__TYPE_2_##kind)
#define KUR__TYPE_LIST(kind) KUR__CONTAINER(LIST, KUR__LIST_OF(KUR_KIND_2_##kind), KUR__TYPE_2_##kind)
#define KUR__TYPE_MAP(kind) KUR__CONTAINER(MAP, KUR__MAP_OF(KUR_KIND_2_##kind), KUR__TYPE_2_##kind)

#define KUR__TYPE_2_STRING KUR__TYPE_STRING
#define KUR__TYPE_2_BYTES KUR__TYPE_BYTES
#define KUR__TYPE_2_BOOL KUR__TYPE_BOOL
#define KUR__TYPE_2_INT32 KUR__TYPE_INT32
#define KUR__TYPE_2_INT64 KUR__TYPE_INT64
#define KUR__TYPE_2_FLOAT KUR__TYPE_FLOAT
#define KUR__TYPE_2_DOUBLE KUR__TYPE_DOUBLE
#define KUR__TYPE_2_TIMESTAMP KUR__TYPE_TIMESTAMP
#define KUR__TYPE_2_DATE KUR__TYPE_DATE
#define KUR__TYPE_2_UUID KUR__TYPE_UUID
#define KUR__TYPE_2_FIXED(size) KUR__PLAIN(FIXED, KUR__FIXED_OF(size))
#define KUR__TYPE_2_DECIMAL(p, s) KUR__DECIMAL(p, s)
#define KUR__TYPE_2_ENUM(name) (&name##_type)
#define KUR__TYPE_2_RECORD(name) (&name##_type)
#define KUR__TYPE_2_OPTIONAL(kind) KUR__CONTAINER(OPTIONAL, KUR__OPTIONAL_OF(KUR_KIND_3_##kind), KUR__TYPE_3_##kind)
#define KUR__TYPE_2_LIST(kind) KUR__CONTAINER(LIST, KUR__LIST_OF(KUR_KIND_3_##kind), KUR__TYPE_3_##kind)
#define KUR__TYPE_2_MAP(kind) KUR__CONTAINER(MAP, KUR__MAP_OF(KUR_KIND_3_##kind), KUR__TYPE_3_##kind)

#define KUR__TYPE_3_STRING KUR__TYPE_STRING
#define KUR__TYPE_3_BYTES KUR__TYPE_BYTES
#define KUR__TYPE_3_BOOL KUR__TYPE_BOOL
#define KUR__TYPE_3_INT32 KUR__TYPE_INT32
#define KUR__TYPE_3_INT64 KUR__TYPE_INT64
#define KUR__TYPE_3_FLOAT KUR__TYPE_FLOAT
#define KUR__TYPE_3_DOUBLE KUR__TYPE_DOUBLE
#define KUR__TYPE_3_TIMESTAMP KUR__TYPE_TIMESTAMP
#define KUR__TYPE_3_DATE KUR__TYPE_DATE
#define KUR__TYPE_3_UUID KUR__TYPE_UUID
#define KUR__TYPE_3_FIXED(size) KUR__PLAIN(FIXED, KUR__FIXED_OF(size))
#define KUR__TYPE_3_DECIMAL(p, s) KUR__DECIMAL(p, s)
#define KUR__TYPE_3_ENUM(name) (&name##_type)
#define KUR__TYPE_3_RECORD(name) (&name##_type)
#define KUR__TYPE_3_OPTIONAL(kind) KUR__CONTAINER(OPTIONAL, KUR__OPTIONAL_OF(KUR_KIND_4_##kind), KUR__TYPE_4_##kind)
#define KUR__TYPE_3_LIST(kind) KUR__CONTAINER(LIST, KUR__LIST_OF(KUR_KIND_4_##kind), KUR__TYPE_4_##kind)
#define KUR__TYPE_3_MAP(kind) KUR__CONTAINER(MAP, KUR__MAP_OF(KUR_KIND_4_##kind), KUR__TYPE_4_##kind)

#define KUR__TYPE_4_STRING KUR__TYPE_STRING
#define KUR__TYPE_4_BYTES KUR__TYPE_BYTES
#define KUR__TYPE_4_BOOL KUR__TYPE_BOOL
#define KUR__TYPE_4_INT32 KUR__TYPE_INT32
#define KUR__TYPE_4_INT64 KUR__TYPE_INT64
#define KUR__TYPE_4_FLOAT KUR__TYPE_FLOAT
#define KUR__TYPE_4_DOUBLE KUR__TYPE_DOUBLE
#define KUR__TYPE_4_TIMESTAMP KUR__TYPE_TIMESTAMP
#define KUR__TYPE_4_DATE KUR__TYPE_DATE
#define KUR__TYPE_4_UUID KUR__TYPE_UUID
#define KUR__TYPE_4_FIXED(size) KUR__PLAIN(FIXED, KUR__FIXED_OF(size))
#define KUR__TYPE_4_DECIMAL(p, s) KUR__DECIMAL(p, s)
#define KUR__TYPE_4_ENUM(name) (&name##_type)
#define KUR__TYPE_4_RECORD(name) (&name##_type)
/* clang-format on */

/* The comma at the end keeps "..." from being empty, which C11 does not allow. */
#define KUR__MEMBER(S, kind, ...) KUR__MEMBER_(KUR_KIND_##kind, __VA_ARGS__, )
#define KUR__MEMBER_(T, name, ...) T name;
#define KUR__FIELD(S, kind, ...) KUR__FIELD_(S, KUR__TYPE_##kind, __VA_ARGS__, )
#define KUR__FIELD_(S, type_, name_, ...)                                                                              \
    {.name = #name_, .type = type_, .offset = offsetof(struct S, name_), __VA_ARGS__},
#define KUR__ENUMERATOR(S, ...) KUR__ENUMERATOR_(S, __VA_ARGS__, )
#define KUR__ENUMERATOR_(S, name, ...) S##_##name,
#define KUR__SYMBOL(S, ...) KUR__SYMBOL_(__VA_ARGS__, )
#define KUR__SYMBOL_(name_, ...) {.name = #name_, __VA_ARGS__},

/** Declares `enum name` with name_unset = 0 and the list's symbols behind it. */
#define KUR_ENUM(name, list)                                                                                           \
    enum name {                                                                                                        \
        name##_unset = 0,                                                                                              \
        list(KUR__ENUMERATOR, name) name##__end                                                                        \
    };                                                                                                                 \
    KUR__EXTERN const kur_type name##_type

/** Gives an enum its descriptor; once in a program, in C. `.unknown = "symbol"` takes unknown symbols for that one. */
#define KUR_ENUM_DEFINE(...) KUR__ENUM_DEFINE(__VA_ARGS__, )
#define KUR__ENUM_DEFINE(name_, list, ...)                                                                             \
    static const kur_field name_##__symbols[] = {list(KUR__SYMBOL, name_)};                                            \
    _Static_assert(sizeof(enum name_) == sizeof(int32_t), "compile without -fshort-enums");                            \
    const kur_type name_##_type = {.abi = KUR_TYPE_ABI,                                                                \
                                   .kind = KUR_KIND_IS_ENUM,                                                           \
                                   .name = #name_,                                                                     \
                                   .size = sizeof(enum name_),                                                         \
                                   .align = _Alignof(enum name_),                                                      \
                                   .fields = name_##__symbols,                                                         \
                                   .field_size = sizeof(kur_field),                                                    \
                                   .field_count = sizeof name_##__symbols / sizeof *name_##__symbols,                  \
                                   __VA_ARGS__}

/**
 * Declares `struct name`, its descriptor `name_type`, and:
 *
 *     void       name_init(struct name *)                                            kur_type_init
 *     kur_status name_validate(const struct name *, kur_error *)                     kur_type_validate
 *     int        name_compare(const struct name *, const struct name *)              kur_type_compare
 *     kur_status name_print(const struct name *, kur_buffer *, kur_error *)          kur_type_print
 *     kur_status name_to_json(const struct name *, kur_buffer *, kur_error *)        kur_json_write
 *     kur_status name_from_json(kur_bytes, kur_arena *, struct name *, kur_error *)  kur_json_read
 *     kur_status name_schema(kur_schema **, kur_error *)                             kur_schema_of
 */
#define KUR_RECORD(name, list)                                                                                         \
    struct name {                                                                                                      \
        list(KUR__MEMBER, name)                                                                                        \
    };                                                                                                                 \
    KUR__EXTERN const kur_type name##_type;                                                                            \
    KUR__UNUSED static inline void name##_init(struct name *record)                                                    \
    {                                                                                                                  \
        kur_type_init(&name##_type, record);                                                                           \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_validate(const struct name *record, kur_error *error)                  \
    {                                                                                                                  \
        return kur_type_validate(&name##_type, record, error);                                                         \
    }                                                                                                                  \
    KUR__UNUSED static inline int name##_compare(const struct name *a, const struct name *b)                           \
    {                                                                                                                  \
        return kur_type_compare(&name##_type, a, b);                                                                   \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_print(const struct name *record, kur_buffer *text, kur_error *error)   \
    {                                                                                                                  \
        return kur_type_print(&name##_type, record, text, error);                                                      \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_to_json(const struct name *record, kur_buffer *json, kur_error *error) \
    {                                                                                                                  \
        return kur_json_write(&name##_type, record, json, error);                                                      \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_from_json(kur_bytes json, kur_arena *arena, struct name *record,       \
                                                          kur_error *error)                                            \
    {                                                                                                                  \
        return kur_json_read(&name##_type, json, arena, record, error);                                                \
    }                                                                                                                  \
    KUR__UNUSED static inline kur_status name##_schema(kur_schema **schema, kur_error *error)                          \
    {                                                                                                                  \
        return kur_schema_of(&name##_type, schema, error);                                                             \
    }                                                                                                                  \
    struct name

/** Gives a record its descriptor; once in a program, in C. */
#define KUR_RECORD_DEFINE(...) KUR__RECORD_DEFINE(__VA_ARGS__, )
#define KUR__RECORD_DEFINE(name_, list, ...)                                                                           \
    static const kur_field name_##__fields[] = {list(KUR__FIELD, name_)};                                              \
    const kur_type name_##_type = {.abi = KUR_TYPE_ABI,                                                                \
                                   .kind = KUR_KIND_IS_RECORD,                                                         \
                                   .name = #name_,                                                                     \
                                   .size = sizeof(struct name_),                                                       \
                                   .align = _Alignof(struct name_),                                                    \
                                   .fields = name_##__fields,                                                          \
                                   .field_size = sizeof(kur_field),                                                    \
                                   .field_count = sizeof name_##__fields / sizeof *name_##__fields,                    \
                                   __VA_ARGS__}

/** The type of one item of a list or map field: `KUR_ITEM(order_created, lines) lines[3];` */
#define KUR_ITEM(name, field) __typeof__(*((struct name *)0)->field.items)

#endif
