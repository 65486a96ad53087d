/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A broker for integration tests: the embedded one, or a real one when KURIER_BOOTSTRAP names it.
 */
#ifndef KURIER_TESTS_SUPPORT_H
#define KURIER_TESTS_SUPPORT_H

#include <kurier/kurier.h>
#include <stdatomic.h>

/* What consumers of tests are to use: classic, unless KURIER_GROUP_PROTOCOL=consumer (script/test --on newest). */
kur_group_protocol support_group_protocol(void);

/* Set up once a program; the embedded broker ends with support_stop. */
const char *support_bootstrap(void);
bool support_is_real(void);
void support_stop(void);

/* A topic of this test's own with `partitions` partitions, made; the name is valid until the program ends. */
const char *support_topic(int partitions);

/* Makes a topic of that name. */
void support_create(const char *name, int partitions);

/* A name that no other run uses, for groups. */
const char *support_name(const char *prefix);

/* A client of the broker with source /tests, logging to standard error from warnings on. */
kur_client *support_client(void);
/* The same with properties of librdkafka's; ends with a name of NULL. */
kur_client *support_client_with(const kur_property *properties);

/* librdkafka's, as it runs: 0x020a00ff is 2.10.0. */
int support_rdkafka_version(void);
/* And as it was when this was built. */
int support_rdkafka_headers(void);

/* The embedded broker answers the next request with that API key with an error, as the protocol numbers both. */
void support_refuse(int api_key, int error);
/* A partition's leader there is elected anew: its epoch rises. */
void support_elect(const char *topic, int partition);

/* Where nobody listens. */
#define SUPPORT_NOBODY "127.0.0.1:1"

/* A whole second an hour ago, the same throughout: what a record's time may be where retention is looked at often. */
int64_t support_hour_ago_us(void);

/* Does to the PostgreSQL of script/postgres run what its `node` names, which must go well. Returns the last line that
 * it prints, or "", until the next call. */
const char *support_postgres_node(const char *what);

/* Waits until a counter reaches a value, at most a minute; whether it did. */
bool support_wait(const atomic_int *counter, int value);

/* Bytes that the TCP connections which this process has open have received. */
int64_t support_received_bytes(void);

#endif
