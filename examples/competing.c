/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Competing consumers: start it as often as you like, and each instance gets a share of the partitions. Within one,
 * several pictures are worked on at once, those of an album one after the other.
 */
#include <inttypes.h>
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICTURE_ADDED(F, S)                                                                                            \
    F(S, STRING, album, .flags = KUR_KEY)                                                                              \
    F(S, INT32, number, .min = "1")
KUR_EVENT(picture_added, "album.picture.added", 1, PICTURE_ADDED);
KUR_EVENT_DEFINE(picture_added, PICTURE_ADDED, .topic = "pictures");

static kur_outcome on_picture(kur_delivery *delivery, const struct picture_added *picture, void *user)
{
    (void)user;
    if (picture->number % 10 == 0 && kur_delivery_attempt(delivery) == 1)
        return kur_retry(delivery, "pictures.not_yet", "picture %d is not there yet", picture->number);
    if (picture->number == 13)
        return kur_reject(delivery, "pictures.unlucky", "nobody wants to see it");
    printf("%s: picture %d, attempt %d\n", picture->album, picture->number, kur_delivery_attempt(delivery));
    return KUR_DONE;
}

/* Says that the record is safe somewhere, by KUR_OK; here it is on paper. */
static kur_status on_rejected(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    (void)user;
    printf("rejected: offset %" PRId64 ": %s: %s\n", kur_record_offset(kur_delivery_record(delivery)), cause, reason);
    return fflush(stdout) == 0 ? KUR_OK : KUR_ERROR_SYSTEM;
}

static kur_status add_pictures(kur_client *client, int count, kur_error *error)
{
    kur_producer *producer = kur_client_producer(client, error);
    for (int i = 1; i <= count; i++) {
        char album[16];
        snprintf(album, sizeof album, "album %d", i % 21);
        struct picture_added picture = {.album = album, .number = i};
        if (picture_added_publish(producer, &picture, NULL, error) != KUR_OK)
            return error->code;
    }
    return kur_producer_flush(producer, 30000, error);
}

int main(int argc, char **argv)
{
    int count = argc == 2 ? atoi(argv[1]) : 0;
    if (argc > 1 && count < 1) {
        printf("usage: %s [N]\n\nAdds N pictures, or works on them until Ctrl-C. KAFKA_BOOTSTRAP_SERVERS names the "
               "broker.\n",
               argv[0]);
        return strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    if (count > 0) {
        add_pictures(client, count, &error);
    } else {
        setvbuf(stdout, NULL, _IOLBF, 0);
        kur_listener *listener =
            kur_listener_new(client,
                             &KUR_LISTENER_OPTIONS(.group = "album", .topics = (const char *[]){"pictures", NULL},
                                                   .concurrency = 8, .on_rejected = on_rejected),
                             &error);
        picture_added_on(listener, on_picture, NULL);
        kur_listener_run(listener, &error); /* until SIGTERM or SIGINT */
        kur_listener_free(listener);
    }
    if (error.code != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
