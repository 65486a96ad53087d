/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What tests of administration share: one client, one admin and one arena of a program.
 */
#ifndef KURIER_TESTS_ADMINISTERING_H
#define KURIER_TESTS_ADMINISTERING_H

#include <kurier/kurier.h>

#include "check_main.h"
#include "support.h"

enum {
    PATIENCE_MS = 60000
};

/* Made by the first test that asks: Check's assertions work inside of tests only. */
static kur_client *client;
static kur_admin *admin;
static kur_arena *arena;
static kur_error error;

static void begin(void)
{
    error = (kur_error){0};
    if (client == NULL)
        client = support_client();
    if (admin == NULL)
        admin = kur_admin_new(client, &error);
    if (arena == NULL)
        arena = kur_arena_new();
    kur_arena_reset(arena);
    ck_assert_msg(admin != NULL && arena != NULL, "%s", error.message);
}

KUR__UNUSED static void produce(const char *topic, int partition, int count)
{
    kur_producer *producer = kur_client_producer(client, &error);
    for (int i = 0; i < count; i++)
        ck_ok(kur_producer_send(
                  producer,
                  &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition), .value = kur_bytes_text("value")),
                  &error),
              error);
    ck_ok(kur_producer_flush(producer, PATIENCE_MS, &error), error);
}

/* A program of such tests; returns what main returns. */
static int administer(const char *name, const TTest *const *tests)
{
    int status = check_main(name, tests);
    kur_arena_free(arena);
    kur_admin_free(admin);
    kur_client_unref(client);
    support_stop();
    return status;
}

#endif
