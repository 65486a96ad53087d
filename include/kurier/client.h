/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/client.h>: one service's configuration and identity, from which producers and consumers are made.
 */
#ifndef KURIER_CLIENT_H
#define KURIER_CLIENT_H

#include <kurier/error.h>
#include <kurier/log.h>

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
    kur_log_level log_level; /**< default: KUR_LOG_INFO */
} kur_client_options;

#define KUR_CLIENT_OPTIONS(...) KUR__OPTIONS(kur_client_options, __VA_ARGS__)

/**
 * Checks the configuration and makes a client. No thread, no connection: those come with the first producer or
 * consumer. NULL with KUR_ERROR_CONFIG (naming the property, and for a file its line: unknown or refused property, bad
 * value, no bootstrap servers), KUR_ERROR_SYSTEM (the file cannot be read), KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_NO_MEMORY. Properties that run code (plugin.library.paths, sasl.kerberos.kinit.cmd, ssl.engine.location)
 * and those that the library's promises stand on (enable.auto.commit, enable.idempotence, acks, …) are refused. Secrets
 * are never shown.
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

KUR_END_DECLS

#endif
