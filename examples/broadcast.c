/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Broadcast: every instance keeps the whole price list, is told when it has it, and hears of changes from then on.
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRICE_SET(F, S)                                                                                                \
    F(S, STRING, article, .flags = KUR_KEY)                                                                            \
    F(S, INT64, cents, .min = "0")
KUR_EVENT(price_set, "prices.price.set", 1, PRICE_SET);
KUR_EVENT_DEFINE(price_set, PRICE_SET, .topic = "prices");

/* Here a cache would take it in; one at a time, as nothing else is asked for. */
static kur_outcome on_price(kur_delivery *delivery, const struct price_set *price, void *user)
{
    (void)delivery, (void)user;
    printf("%s costs %lld\n", price->article, (long long)price->cents);
    return KUR_DONE;
}

/* In a compacted topic a null value deletes its key. */
static kur_outcome on_deletion(kur_delivery *delivery, void *user)
{
    (void)user;
    kur_bytes key = kur_record_key(kur_delivery_record(delivery));
    printf("%.*s is not sold any more\n", (int)key.size, (const char *)key.data);
    return KUR_DONE;
}

/* Here a service would begin to answer. */
static void on_caught_up(kur_listener *listener, void *user)
{
    (void)listener, (void)user;
    puts("all prices are known");
}

static kur_status set_price(kur_client *client, const char *article, const char *cents, kur_error *error)
{
    kur_producer *producer = kur_client_producer(client, error);
    struct price_set price = {.article = article, .cents = cents != NULL ? atoll(cents) : 0};
    if (cents != NULL)
        return price_set_publish_wait(producer, &price, NULL, 30000, NULL, error);
    kur_message deletion = KUR_MESSAGE(.topic = "prices", .key = kur_bytes_text(article), .tombstone = true);
    kur_status status = kur_producer_send(producer, &deletion, error);
    return status == KUR_OK ? kur_producer_flush(producer, 30000, error) : status;
}

int main(int argc, char **argv)
{
    if (argc > 3 || (argc > 1 && argv[1][0] == '-')) {
        printf("usage: %s [ARTICLE [CENTS]]\n\nSets or deletes a price, or keeps all until Ctrl-C. "
               "KAFKA_BOOTSTRAP_SERVERS names the broker.\n",
               argv[0]);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    if (argc > 1) {
        set_price(client, argv[1], argv[2], &error);
    } else {
        setvbuf(stdout, NULL, _IOLBF, 0);
        kur_listener_options options =
            KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = (const char *[]){"prices", NULL},
                                 .on_caught_up = on_caught_up);
        kur_listener *listener = kur_listener_new(client, &options, &error);
        price_set_on(listener, on_price, NULL);
        kur_listener_on_tombstone(listener, on_deletion, NULL);
        kur_listener_run(listener, &error); /* until SIGTERM or SIGINT */
        kur_listener_free(listener);
    }
    if (error.code != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
