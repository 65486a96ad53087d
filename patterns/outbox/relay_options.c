/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a relay is told, checked before anything is made of it: an error names the option.
 */
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/topic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "outbox/relay.h"

enum {
    NAME_BYTES = 255,
    HOST_BYTES = 64 /* of a default name */
};

static kur_status wrong(kur_error *error, const char *what)
{
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s", what);
}

/* 0 becomes the default. */
static kur_status number(int *value, const char *name, int usual, int least, int most, kur_error *error)
{
    if (*value == 0)
        *value = usual;
    if (*value < least || *value > most)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is %d, not %d to %d", name, *value, least, most);
    return KUR_OK;
}

static kur_status check_numbers(kur_relay_options *options, kur_error *error)
{
    const struct {
        int *value;
        const char *name;
        int usual, least, most;
    } numbers[] = {
        {&options->batch_rows, ".batch_rows", 4000, 1, 100000},
        {&options->batch_kbytes, ".batch_kbytes", 8192, 1, 65536},
        {&options->poll_ms, ".poll_ms", 50, 2, 60000},
        {&options->lease_ms, ".lease_ms", 10000, 1000, 3600000},
        {&options->replicas, ".replicas", 0, 0, 32767},
        {&options->transaction_ms, ".transaction_ms", 15000, 1000, 900000},
    };
    kur_status status = KUR_OK;
    for (size_t i = 0; status == KUR_OK && i < sizeof numbers / sizeof *numbers; i++)
        status = number(numbers[i].value, numbers[i].name, numbers[i].usual, numbers[i].least, numbers[i].most, error);
    return status;
}

static kur_status check(const kur_relay_options *options, kur_error *error)
{
    if (options->guarantee != KUR_AT_LEAST_ONCE && options->guarantee != KUR_EXACTLY_ONCE)
        return wrong(error, ".guarantee is not a kur_guarantee");
    bool is_exactly = options->guarantee == KUR_EXACTLY_ONCE;
    if (!is_exactly && (options->control != NULL || options->replicas != 0 || options->transaction_ms != 0))
        return wrong(error, ".control, .replicas and .transaction_ms need .guarantee = KUR_EXACTLY_ONCE");
    if (options->control != NULL && !kur_topic_is_valid(options->control))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".control is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"", options->control);
    if (options->name != NULL && (options->name[0] == '\0' || strlen(options->name) > NAME_BYTES ||
                                  !kur_bytes_is_utf8(kur_bytes_text(options->name))))
        return wrong(error, ".name is not 1 to 255 bytes of UTF-8");
    return KUR_OK;
}

static char *default_name(void)
{
    static atomic_uint count;
    char host[HOST_BYTES + 1] = "", name[HOST_BYTES + 40];
    /* A name that is too long is cut, and may then have no end. */
    if (gethostname(host, HOST_BYTES) != 0 || host[0] == '\0' || !kur_bytes_is_utf8(kur_bytes_text(host)))
        snprintf(host, sizeof host, "host");
    snprintf(name, sizeof name, "%s-%ld-%u", host, (long)getpid(), atomic_fetch_add(&count, 1) + 1);
    return kur_strdup(name);
}

/* "kurier.outbox.ID" */
static char *default_control(const kur_outbox *outbox)
{
    char id[KUR_UUID_TEXT_SIZE], name[sizeof "kurier.outbox." + KUR_UUID_TEXT_SIZE];
    kur_uuid_format(&outbox->id, id);
    snprintf(name, sizeof name, "kurier.outbox.%s", id);
    return kur_strdup(name);
}

kur_status kur__relay_options_take(kur_relay_options *to, const kur_relay_options *given, const kur_outbox *outbox,
                                   kur_error *error)
{
    kur_relay_options options;
    memset(to, 0, sizeof *to);
    kur_status status = kur_options_take(&options, sizeof options, given, "kur_relay_options", error);
    if (status == KUR_OK)
        status = check(&options, error);
    if (status == KUR_OK)
        status = check_numbers(&options, error);
    if (status != KUR_OK)
        return status;
    options.name = options.name != NULL ? kur_strdup(options.name) : default_name();
    if (options.guarantee == KUR_EXACTLY_ONCE)
        options.control = options.control != NULL ? kur_strdup(options.control) : default_control(outbox);
    *to = options;
    if (to->name == NULL || (to->control == NULL && to->guarantee == KUR_EXACTLY_ONCE))
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a relay");
    return KUR_OK;
}

void kur__relay_options_free(kur_relay_options *options)
{
    kur_free((void *)(uintptr_t)options->name);
    kur_free((void *)(uintptr_t)options->control);
}
