/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/schema.h>: Avro schemas (Apache Avro 1.12, "Schema Declaration"): read from their JSON text or made from a
 * field list, their parsing canonical form and fingerprint, and whether one can read what another has written.
 */
#ifndef KURIER_SCHEMA_H
#define KURIER_SCHEMA_H

#include <kurier/type.h>

KUR_BEGIN_DECLS

/** The longest text of a schema that is read. */
#define KUR_SCHEMA_SIZE_MAX (1024 * 1024)

/** A schema that was read. Never changes; reference-counted; any thread. */
typedef struct kur_schema kur_schema;

/** A schema that another one names: its text, parsed before it. */
typedef struct kur_schema_reference {
    const char *name;   /**< the full name by which it is used; for messages */
    kur_schema *schema; /**< borrowed; all named types in it can be used */
} kur_schema_reference;

/**
 * Reads a schema's text. `references`, `count` of them, hold the named types that it uses and does not define. Bounded
 * before anything is believed: KUR_SCHEMA_SIZE_MAX, its JSON and its types nested KUR_DEPTH_MAX deep, 10,000 types,
 * fields, symbols and aliases, names of 1,023 bytes. A default is not held against its type. KUR_ERROR_SYNTAX (not
 * JSON, with line and column; or no schema, with the path of what is wrong, "fields[2].type: …"), KUR_ERROR_TOO_LARGE,
 * KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_schema_parse(kur_bytes text, const kur_schema_reference *references, size_t count,
                                    kur_schema **schema, kur_error *error);

/** One more reference; returns `schema`. Any thread. */
KUR_API kur_schema *kur_schema_ref(kur_schema *schema);

/** Gives a reference back. NULL does nothing. Any thread. */
KUR_API void kur_schema_unref(kur_schema *schema);

/** The text that it was read from, or the one that was made. Lives as long as the schema. Any thread. */
KUR_API kur_bytes kur_schema_text(const kur_schema *schema);

/** The full name of a record, enum or fixed, else the name of its type ("string"). Lives as long. Any thread. */
KUR_API const char *kur_schema_name(const kur_schema *schema);

/**
 * Appends the parsing canonical form ("Parsing Canonical Form for Schemas"). KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_schema_canonical(const kur_schema *schema, kur_buffer *text, kur_error *error);

/** The CRC-64-AVRO fingerprint of the canonical form ("Schema Fingerprints"). Any thread. */
KUR_API uint64_t kur_schema_fingerprint(const kur_schema *schema);

/**
 * The schema of a described record, with documentation, defaults, aliases and logical types. docs/decisions/avro.md has
 * the form of each kind. KUR_ERROR_INVALID_ARGUMENT: a name that Avro does not allow, or a descriptor that
 * kur_type_check refuses; KUR_ERROR_TOO_LARGE: nests deeper than kur_schema_parse reads; KUR_ERROR_NO_MEMORY. Any
 * thread; what order_created_schema() calls.
 */
KUR_API kur_status kur_schema_of(const kur_type *type, kur_schema **schema, kur_error *error);

/**
 * Whether a reader with one schema reads whatever was written with the other, by Avro's rules of schema resolution.
 * KUR_ERROR_MISMATCH with the path of the field and the rule that is broken, "lines[].price: …"; KUR_ERROR_NO_MEMORY.
 * Any thread.
 */
KUR_API kur_status kur_schema_reads(const kur_schema *reader, const kur_schema *writer, kur_error *error);

/**
 * Whether values of both are the same bytes, and mean the same: types, names, order, symbols and logical types;
 * documentation, defaults and aliases may differ. KUR_ERROR_MISMATCH: they are not; KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_schema_same_encoding(const kur_schema *a, const kur_schema *b, kur_error *error);

/** What a difference is about. */
typedef enum kur_schema_change_kind {
    KUR_SCHEMA_FIELD = 1, /**< a field that came or went: "long = 0" */
    KUR_SCHEMA_SYMBOL,    /**< likewise of an enum */
    KUR_SCHEMA_BRANCH,    /**< likewise of a union */
    KUR_SCHEMA_NAME,      /**< of a field, by its alias; or of a record, enum or fixed */
    KUR_SCHEMA_TYPE,      /**< "int", then "union of null, int" */
    KUR_SCHEMA_DEFAULT    /**< of a field, as JSON, or of an enum */
} kur_schema_change_kind;

/** One difference between two schemas. All texts are the library's until the callback returns. */
typedef struct kur_schema_change {
    size_t size;
    kur_schema_change_kind kind;
    const char *path;   /**< "lines[].price", as the later schema calls it; "" is the schema itself */
    const char *before; /**< NULL: it was not there */
    const char *after;  /**< NULL: it is there no more */
} kur_schema_change;

/** Takes a difference; what it returns but KUR_OK ends the comparison. On the caller's thread. */
typedef kur_status kur_schema_change_taker(const kur_schema_change *change, void *user, kur_error *error);

/**
 * Tells what is different between two schemas, for people: in the order of the later one's fields, what went at the
 * end of its record. Not told are documentation, aliases by which no field is found, and the order of fields. A record
 * that is used twice is told of once. What `take` returned; KUR_ERROR_TOO_LARGE: they nest 256 types deep, or have too
 * many names to compare; KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_schema_changes(const kur_schema *before, const kur_schema *after, kur_schema_change_taker *take,
                                      void *user, kur_error *error);

KUR_END_DECLS

#endif
