/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/registry.h>: a schema registry that speaks Confluent's REST API ("Schema Registry API Reference"). Library
 * kurier-registry (pkg-config kurier-registry), over libcurl: a service that does not use it does not link it.
 */
#ifndef KURIER_REGISTRY_H
#define KURIER_REGISTRY_H

#include <kurier/log.h>
#include <kurier/schemas.h>

KUR_BEGIN_DECLS

/**
 * A registry: its addresses, and what is known of it. Any thread; each call works on the caller's own, at most for the
 * time that it is given. Who asks for what another thread is fetching waits for that one.
 *
 * Kept are 1,000 schemas, those not used for the longest time making room: by their ids, GUIDs and versions for ever,
 * for those never change, a subject's latest for .latest_ms. That something is not there is not kept.
 */
typedef struct kur_registry kur_registry;

/** Under which subject the schema of a topic's values is kept. */
typedef enum kur_subject_name {
    KUR_SUBJECT_TOPIC = 0,   /**< orders-value */
    KUR_SUBJECT_RECORD,      /**< shop.order.OrderCreated */
    KUR_SUBJECT_TOPIC_RECORD /**< orders-shop.order.OrderCreated */
} kur_subject_name;

/** What kur_registry_new is told. */
typedef struct kur_registry_options {
    size_t size;
    const char *urls; /**< "http://a:8081,https://b:8081/base", at most 16, of one registry: asked in order from the one
                           that answered last; without a password, query or fragment */
    const char *user, *password;  /**< basic authentication */
    const char *token;            /**< bearer */
    const char *cluster;          /**< target-sr-cluster, beside a token; default: none */
    const char *ca_file;          /**< PEM; default: the system's */
    const char *certificate_file; /**< PEM of the client, and */
    const char *key_file;         /**< its key; default: it is in the same file */
    const char *key_password;
    int timeout_ms; /**< of one request; default 10,000 */
    int retries;    /**< rounds over the URLs after the first, on 408, 429, 5xx, what is unreachable or no answer
                         of a registry's; 1 s at most before the second, then twice that, up to 20 s; default 3;
                         KUR_NONE */
    int64_t response_bytes; /**< of an answer at most; default 2 MiB, at most 64 */
    int latest_ms;          /**< how long `latest` is believed; default 300,000; KUR_NONE: not at all */
    kur_subject_name subjects;
    bool registers;    /**< a schema that is not there is registered; default: it is an error */
    bool uses_latest;  /**< writes with the id of the subject's latest schema, which must be encoded as the type's is
                            (kur_schema_same_encoding): its documentation, defaults and aliases may differ */
    bool normalizes;   /**< asks the registry to normalise */
    bool allows_clear; /**< passwords and tokens over http to other hosts than this one */
    kur_log_callback *log;
    void *log_user;
} kur_registry_options;

#define KUR_REGISTRY_OPTIONS(...) KUR__OPTIONS(kur_registry_options, __VA_ARGS__)

/**
 * Connects to nothing yet. NULL with KUR_ERROR_INVALID_ARGUMENT or KUR_ERROR_CONFIG (naming the option), or
 * KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_registry *kur_registry_new(const kur_registry_options *options, kur_error *error);

/** Waits for requests under way. Whoever has kur_registry_schemas of it must be through. NULL does nothing. */
KUR_API void kur_registry_free(kur_registry *registry);

/**
 * What a client takes (kur_client_options.schemas); borrowed, lives as long as the registry. It finds no fingerprints.
 * `place` keeps what it has found for the schema that it was handed: hand in the same one each time.
 */
KUR_API const kur_schemas *kur_registry_schemas(kur_registry *registry);

/** A schema that another one names, where it is registered. */
typedef struct kur_subject_reference {
    const char *name; /**< as it is named there: its full name */
    const char *subject;
    int version;
} kur_subject_reference;

/** All that one schema names. */
typedef struct kur_subject_references {
    const kur_subject_reference *references;
    size_t count; /**< at most 100 */
} kur_subject_references;

/** A version of a subject. Texts live in the arena that was given. */
typedef struct kur_subject_version {
    size_t size;
    const char *subject;
    int version;
    uint32_t id;
    kur_schema *schema; /**< the caller's reference; NULL when it is none of Avro's */
    const char *kind;   /**< "AVRO", "JSON", "PROTOBUF" */
    kur_bytes text;
    kur_subject_references references;
} kur_subject_version;

#define KUR_SUBJECT_VERSION(...) KUR__OPTIONS(kur_subject_version, __VA_ARGS__)

/* What all of these return: as kur_schemas' functions; KUR_ERROR_UNKNOWN_SCHEMA for a subject or version that is not
 * there, KUR_ERROR_INVALID_ARGUMENT. All wait for `timeout_ms` at most. Any thread. */

/** The subjects' names, in `arena`, in the registry's order. Its statuses are those above. */
KUR_API kur_status kur_registry_subjects(kur_registry *registry, int timeout_ms, kur_arena *arena,
                                         const char *const **subjects, size_t *count, kur_error *error);

/** The numbers of a subject's versions, ascending. Its statuses are those above. */
KUR_API kur_status kur_registry_versions(kur_registry *registry, const char *subject, int timeout_ms, kur_arena *arena,
                                         const int **versions, size_t *count, kur_error *error);

/** A version; 0: the latest, as it is believed to be. Set .size before. Its statuses are those above. */
KUR_API kur_status kur_registry_version(kur_registry *registry, const char *subject, int version, int timeout_ms,
                                        kur_arena *arena, kur_subject_version *found, kur_error *error);

/** The version that a schema is, under a subject. `references` may be NULL. Set .size before. Its statuses are those
 * above. */
KUR_API kur_status kur_registry_look_up(kur_registry *registry, const char *subject, kur_schema *schema,
                                        const kur_subject_references *references, int timeout_ms, kur_arena *arena,
                                        kur_subject_version *found, kur_error *error);

/**
 * Registers; twice is once. `references` may be NULL. KUR_ERROR_MISMATCH: not compatible, with the registry's words;
 * KUR_ERROR_SYNTAX: the registry takes it for no schema.
 */
KUR_API kur_status kur_registry_register(kur_registry *registry, const char *subject, kur_schema *schema,
                                         const kur_subject_references *references, int timeout_ms, uint32_t *id,
                                         kur_error *error);

/**
 * Whether a schema is compatible with a version by the subject's level; 0: whether it could be registered, with which
 * versions ever that is about. `references` may be NULL; `messages`, in `arena`, says why not, a line each, or "".
 * Its statuses are those above.
 */
KUR_API kur_status kur_registry_check(kur_registry *registry, const char *subject, int version, kur_schema *schema,
                                      const kur_subject_references *references, int timeout_ms, kur_arena *arena,
                                      bool *is_compatible, const char **messages, kur_error *error);

/**
 * The compatibility level in force for a subject ("BACKWARD"), or with NULL the registry's; in `arena`. Its statuses
 * are those above.
 */
KUR_API kur_status kur_registry_level(kur_registry *registry, const char *subject, int timeout_ms, kur_arena *arena,
                                      const char **level, kur_error *error);

/** Sets it; `subject` NULL: the registry's. KUR_ERROR_INVALID_ARGUMENT: the registry knows no such level. */
KUR_API kur_status kur_registry_set_level(kur_registry *registry, const char *subject, const char *level,
                                          int timeout_ms, kur_error *error);

KUR_END_DECLS

#endif
