/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/client.h>: one service's configuration and identity, from which producers and consumers are made.
 */
#ifndef KURIER_CLIENT_H
#define KURIER_CLIENT_H

#include <kurier/arena.h>
#include <kurier/error.h>
#include <kurier/log.h>
#include <kurier/schemas.h>
#include <kurier/security.h>

KUR_BEGIN_DECLS

/** One service: its configuration, its name, its log. Reference-counted; any thread. */
typedef struct kur_client kur_client;

/** Sends records (<kurier/producer.h>); any thread. */
typedef struct kur_producer kur_producer;

/** A librdkafka property. */
typedef struct kur_property {
    const char *name;
    const char *value;
} kur_property;

/**
 * Where settings come from, the later ones first: `properties`, `bootstrap_servers` and `client_id`, the
 * properties file, the environment (KAFKA_BOOTSTRAP_SERVERS), the library's own defaults.
 */
typedef struct kur_client_options {
    size_t size;
    const char *bootstrap_servers;  /**< "host:port,host:port" */
    const char *properties_file;    /**< path of a file with a `name = value` a line, # for comments */
    const kur_property *properties; /**< of librdkafka; ends with a name of NULL */
    const char *client_id;          /**< default: the program's name */
    const char *source;             /**< CloudEvents source of what this service publishes, "/services/email" */
    kur_log_callback *log;          /**< kur_log_stderr, or one of your own; default: messages are dropped */
    void *log_user;
    kur_log_level log_level;              /**< default: KUR_LOG_INFO */
    const kur_security_options *security; /**< tokens, and what is refused by default; NULL: neither */
    const kur_schemas *schemas; /**< where the schemas of Avro are: a registry's (kur_registry_schemas), or your own;
                                     must outlive the client. NULL: only what needs none is written and read */
    kur_format format;          /**< of what is published, unless type or publish option says; default: JSON */
    kur_wire_format wire;       /**< how what is published as Avro names its schema; what is read is told apart */
    bool names_schema;          /**< ce_dataschema of what is published as Avro is its place's URL, if that has one */
    int schema_wait_ms;         /**< who needs a schema that is not known yet waits so long at most; default 5,000 */
} kur_client_options;

#define KUR_CLIENT_OPTIONS(...) KUR__OPTIONS(kur_client_options, __VA_ARGS__)

/**
 * Checks the configuration and makes a client. No thread, no connection: those come with the first producer or
 * consumer. NULL with KUR_ERROR_CONFIG (naming the property, and for a file its line: unknown or refused property, bad
 * value, no bootstrap servers; a password or token over a connection in clear; .format that needs .schemas),
 * KUR_ERROR_UNSUPPORTED (what this librdkafka was built without), KUR_ERROR_SYSTEM (the file cannot be read),
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Properties that load code or run commands are refused unless
 * .security allows them, and always those that the library's promises stand on (enable.auto.commit, enable.idempotence,
 * acks, …). Secrets are never shown.
 */
KUR_API kur_client *kur_client_new(const kur_client_options *options, kur_error *error);

/** One more reference; returns `client`. Any thread. */
KUR_API kur_client *kur_client_ref(kur_client *client);

/**
 * Gives a reference back; with the last one the client's own producer is freed as kur_producer_free does it, which can
 * wait for it to send what it holds, 5 s at most. NULL does nothing. Not from callbacks. Producers and consumers hold
 * references of their own.
 */
KUR_API void kur_client_unref(kur_client *client);

/**
 * The client's one producer, made at the first call, shared by all threads; borrowed, freed with the client.
 * NULL as kur_producer_new.
 */
KUR_API kur_producer *kur_client_producer(kur_client *client, kur_error *error);

/**
 * Waits up to `timeout_ms` until a broker answers the client's own producer, which is made if there is none yet: for
 * services that would rather not start than start without Kafka. KUR_ERROR_AUTHENTICATION, within five seconds, when
 * the log-in is refused, with the reason: password, authority, expired certificate, …; KUR_ERROR_TIMEOUT with the last
 * reason; and as kur_producer_new. Any thread, but no callback.
 */
KUR_API kur_status kur_client_check(kur_client *client, int timeout_ms, kur_error *error);

/** What a setting is in force for. */
typedef enum kur_role {
    KUR_ROLE_PRODUCER = 1,
    KUR_ROLE_CONSUMER = 2
} kur_role;

/** A property that is in force. All texts are borrowed from the arena. */
typedef struct kur_setting {
    size_t size;        /**< of each element of the array, by which it is walked */
    const char *name;   /**< as librdkafka lists it: "queue.buffering.max.ms" for "linger.ms" */
    const char *value;  /**< "[hidden]" in place of a secret */
    const char *origin; /**< "librdkafka" or "kurier" for a default, else where it was set: "kafka.conf:7",
                             "KAFKA_BOOTSTRAP_SERVERS", ".client_id", ".properties", "program" (its name) */
} kur_setting;

/**
 * All properties that producers or consumers of this client have, sorted by name, with where they come from, as data
 * for a tool; what options of a single producer or consumer change is not seen. Secrets are masked. The array and its
 * texts live in `arena`. KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_client_settings(const kur_client *client, kur_role role, kur_arena *arena,
                                       const kur_setting **settings, size_t *count, kur_error *error);

KUR_END_DECLS

#endif
