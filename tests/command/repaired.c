/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A service for tests of the command line: repaired TOPIC GROUP FILE rejects every record until the file is there, and
 * prints a line for each that it handles.
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <unistd.h>

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    if (access(user, F_OK) != 0)
        return kur_reject(delivery, "mail.down", "the mail server is away");
    const kur_record *record = kur_delivery_record(delivery);
    printf("handled %d/%lld\n", (int)kur_record_partition(record), (long long)kur_record_offset(record));
    return KUR_DONE;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    kur_error error = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/tests"), &error);
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = argv[2], .topics = (const char *[]){argv[1], NULL},
                                               .session_timeout_ms = 10000, .commit_interval_ms = 100),
                         &error);
    kur_listener_on_record(listener, handle, argv[3]);
    kur_status status = kur_listener_run(listener, &error);
    if (status != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_listener_free(listener);
    kur_client_unref(client);
    return status != KUR_OK;
}
