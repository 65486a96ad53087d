/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/type.h>: descriptors of C structs, and what can be done with any struct that has one.
 *
 * Descriptors are made by the macros of <kurier/fields.h>, from the same list as the struct itself; nobody writes one
 * by hand. What a descriptor says of a field holds for every codec: JSON and Avro.
 *
 * | kind in the list   | member in the struct                              | JSON                                  |
 * | ------------------ | ------------------------------------------------- | ------------------------------------- |
 * | STRING             | const char *, UTF-8                               | string, no NUL inside                 |
 * | BYTES              | kur_bytes                                         | string, base64 with padding           |
 * | BOOL               | bool                                              | true, false                           |
 * | INT32, INT64       | int32_t, int64_t                                  | number, exact                         |
 * | FLOAT, DOUBLE      | float, double                                     | number, shortest that reads back      |
 * | TIMESTAMP          | int64_t, microseconds since 1970                  | string, RFC 3339 with Z               |
 * | DATE               | int32_t, days since 1970                          | string, YYYY-MM-DD                    |
 * | DECIMAL(p, s)      | int64_t, unscaled, at most p digits (p <= 18)     | string with s digits behind the point |
 * | UUID               | kur_uuid                                          | string of 36 characters               |
 * | FIXED(n)           | struct { uint8_t data[n]; }                       | string, base64 with padding           |
 * | ENUM(name)         | enum name; 0 is unset and is never written        | string, the symbol                    |
 * | RECORD(name)       | struct name                                       | object                                |
 * | OPTIONAL(kind)     | struct { bool has; T value; }                     | left out when absent; null is absent  |
 * | LIST(kind)         | struct { T *items; size_t count; }                | array                                 |
 * | MAP(kind)          | struct { struct { const char *key; T value; } *items; size_t count; } | object            |
 *
 * docs/decisions/wire.md fixes the JSON forms, docs/decisions/avro.md those of Avro.
 */
#ifndef KURIER_TYPE_H
#define KURIER_TYPE_H

#include <kurier/arena.h>
#include <kurier/bytes.h>
#include <kurier/error.h>
#include <kurier/uuid.h>

KUR_BEGIN_DECLS

/** Written into every descriptor; a library refuses descriptors of an ABI that it does not know. */
#define KUR_TYPE_ABI 1

/** How deep values may nest, in structs and on the wire. */
#define KUR_DEPTH_MAX 64

/** A kind, as it stands in descriptors; lists write it without KUR_KIND_IS_. */
typedef enum kur_kind {
    KUR_KIND_IS_STRING = 1,
    KUR_KIND_IS_BYTES,
    KUR_KIND_IS_BOOL,
    KUR_KIND_IS_INT32,
    KUR_KIND_IS_INT64,
    KUR_KIND_IS_FLOAT,
    KUR_KIND_IS_DOUBLE,
    KUR_KIND_IS_TIMESTAMP,
    KUR_KIND_IS_DATE,
    KUR_KIND_IS_DECIMAL,
    KUR_KIND_IS_UUID,
    KUR_KIND_IS_ENUM,
    KUR_KIND_IS_OPTIONAL,
    KUR_KIND_IS_LIST,
    KUR_KIND_IS_MAP,
    KUR_KIND_IS_RECORD,
    KUR_KIND_IS_FIXED
} kur_kind;

/** A field's .flags. */
enum {
    KUR_KEY = 1,   /**< the record's key on Kafka is made of this field; one at most, not within a container */
    KUR_MILLIS = 2 /**< a TIMESTAMP, or an optional one, is timestamp-millis in Avro: what is below is cut off */
};

/** How an event is encoded: a type's .format, a publish option, and a client's. What is not said is as the next says.
 */
typedef enum kur_format {
    KUR_FORMAT_DEFAULT = 0, /**< not said; of a client: JSON */
    KUR_FORMAT_JSON = 1,
    KUR_FORMAT_AVRO = 2 /**< the binary encoding; the client's .wire says how the schema is told */
} kur_format;

/** A type's .names: how C names become JSON names, unless a field has its own (.json). */
enum {
    KUR_SAME_CASE = 0, /**< order_id */
    KUR_CAMEL_CASE = 1 /**< orderId */
};

/** A type's .unknown_fields: what reading does with names that are not in the list. */
enum {
    KUR_UNKNOWN_FIELDS_IGNORE = 0,
    KUR_UNKNOWN_FIELDS_REFUSE = 1
};

/** A type's .key_format: how an integer key is written. */
enum {
    KUR_KEY_TEXT = 0, /**< decimal digits */
    KUR_KEY_BE = 1    /**< 4 or 8 bytes, big-endian, as Java's IntegerSerializer and LongSerializer */
};

typedef struct kur_type kur_type;

/** A member of a struct, or a symbol of an enum (name and json only). Static and constant. */
typedef struct kur_field {
    const char *name;     /**< the C name */
    const char *json;     /**< its own name on the wire; NULL: by the type's .names */
    const kur_type *type; /**< never NULL for a member */
    size_t offset;
    uint32_t flags;           /**< KUR_KEY, KUR_MILLIS */
    uint32_t min_length;      /**< STRING: characters; BYTES: bytes; LIST and MAP: items */
    uint32_t max_length;      /**< likewise; 0 is no limit */
    const char *default_text; /**< the value where the wire has none: STRING as it is, others as JSON's text unquoted */
    const char *min;          /**< lowest value, as text: INT32, INT64, FLOAT, DOUBLE, DECIMAL, TIMESTAMP, DATE */
    const char *max;          /**< highest value, likewise */
    const char *doc;          /**< what it is, for people: stands in the schema */
    const char *aliases;      /**< in Avro: names that it had, "old older": what was written with them is read */
    const char *avro_name; /**< of a FIXED, also in a container: the full name in Avro of what it is, else fixed_16 */
} kur_field;

/** A type. Static and constant; grows only at its end, with `abi` counted up. */
struct kur_type {
    uint32_t abi;            /**< KUR_TYPE_ABI */
    uint32_t kind;           /**< a kur_kind */
    const char *name;        /**< the C name of a record or enum */
    size_t size;             /**< sizeof */
    size_t align;            /**< _Alignof */
    const kur_type *element; /**< of an optional, a list or a map */
    const kur_field *fields; /**< of a record: its members; of an enum: its symbols, from the value 1 on */
    size_t field_size;       /**< stride of `fields` */
    size_t field_count;      /**< how many */
    int32_t precision;       /**< of a decimal: digits */
    int32_t scale;           /**< of a decimal: digits behind the point */
    const char *event_type;  /**< of an event: its type without version, "shop.order.created" */
    uint32_t version;        /**< of an event: the major version */
    uint32_t names;          /**< KUR_CAMEL_CASE */
    uint32_t unknown_fields; /**< KUR_UNKNOWN_FIELDS_REFUSE */
    uint32_t key_format;     /**< KUR_KEY_BE */
    const char *topic;       /**< of an event: where it is published unless told otherwise */
    const char *unknown;     /**< of an enum: the symbol that stands for symbols which are not in the list */
    const char *doc;         /**< of a record or enum: what it is, for people: stands in the schema */
    const char *aliases;     /**< likewise, in Avro: names that it had, "Old shop.older.Name" */
    const char *avro_name;   /**< likewise: its full name in Avro, "shop.order.OrderCreated" (docs/decisions/avro.md) */
    uint32_t format;         /**< of an event: a kur_format, in which it is published; 0: the client's */
};

/**
 * Checks a descriptor through and through: ABI, one key field, constraints and defaults that can be read and fit
 * their kinds, .aliases and .avro_name that Avro allows. KUR_ERROR_INVALID_ARGUMENT with the path of the wrong field;
 * cheap enough for every start. Any thread.
 */
KUR_API kur_status kur_type_check(const kur_type *type, kur_error *error);

/** Sets a record to zero and its fields to their defaults. Strings point to static text. Any thread. */
KUR_API void kur_type_init(const kur_type *type, void *record);

/**
 * Checks a record against its constraints: ranges, lengths, UTF-8, no NULL strings, enum values of the list.
 * KUR_ERROR_CONSTRAINT or KUR_ERROR_MISMATCH with the path of the first wrong field, "lines[2].quantity: …".
 * Any thread.
 */
KUR_API kur_status kur_type_validate(const kur_type *type, const void *record, kur_error *error);

/**
 * Orders two records, field by field: below, equal to or above 0. Maps compare in the order of their items; a NaN
 * equals itself and is above all other numbers. Any thread.
 */
KUR_API int kur_type_compare(const kur_type *type, const void *a, const void *b);

/**
 * Appends a record as text for a person, `order_created{order_id="o-1", lines=[order_line{…}], coupon=none}`; strings
 * with control characters escaped. Takes records that do not validate. KUR_ERROR_NO_MEMORY, or KUR_ERROR_TOO_LARGE
 * when it nests deeper than KUR_DEPTH_MAX. Any thread.
 */
KUR_API kur_status kur_type_print(const kur_type *type, const void *record, kur_buffer *text, kur_error *error);

/**
 * Appends the bytes of the record's key, and says in `has_key` whether the type has one.
 * KUR_ERROR_MISMATCH, KUR_ERROR_CONSTRAINT or KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_type_key(const kur_type *type, const void *record, kur_buffer *key, bool *has_key,
                                kur_error *error);

/**
 * Appends an event type's name on the wire, "shop.order.created.v1". KUR_ERROR_INVALID_ARGUMENT when the type is not an
 * event's, KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_type_event_name(const kur_type *type, kur_buffer *name, kur_error *error);

KUR_END_DECLS

#endif
