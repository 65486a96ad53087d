/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events in Avro. KURIER_REGISTRY names a schema registry; without one each event names its schema by its fingerprint,
 * which this program reads since it is its own. Started without a number it reads whatever comes, in any form.
 */
#include <inttypes.h>
#include <kurier/kurier.h>
#include <kurier/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READING(F, S)                                                                                                  \
    F(S, STRING, sensor, .flags = KUR_KEY, .doc = "where it hangs")                                                    \
    F(S, TIMESTAMP, read_at)                                                                                           \
    F(S, DECIMAL(6, 2), celsius, .min = "-273.15")                                                                     \
    F(S, OPTIONAL(STRING), remark)
KUR_EVENT(reading, "weather.reading", 1, READING);
KUR_EVENT_DEFINE(reading, READING, .topic = "readings", .avro_name = "weather.Reading", .format = KUR_FORMAT_AVRO);

static kur_outcome on_reading(kur_delivery *delivery, const struct reading *reading, void *user)
{
    (void)user;
    const kur_event_view *event = kur_delivery_event(delivery);
    printf("%s: %.2f °C, %s\n", reading->sensor, (double)reading->celsius / 100,
           event->data_schema != NULL ? event->data_schema : event->content_type);
    return KUR_DONE;
}

static kur_status publish(kur_client *client, int count, kur_error *error)
{
    kur_producer *producer = kur_client_producer(client, error);
    for (int i = 0; i < count; i++) {
        char sensor[16];
        snprintf(sensor, sizeof sensor, "roof %d", i % 5);
        struct reading reading = {.sensor = sensor, .read_at = 1780000000000000 + i, .celsius = 1950 + i};
        if (reading_publish(producer, &reading, NULL, error) != KUR_OK) /* the first asks where the schema is kept */
            return error->code;
    }
    return kur_producer_flush(producer, 30000, error);
}

static void read_them(kur_client *client, kur_error *error)
{
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = "weather", .topics = (const char *[]){"readings", NULL}), error);
    setvbuf(stdout, NULL, _IOLBF, 0);
    reading_on(listener, on_reading, NULL);
    kur_listener_run(listener, error); /* until SIGTERM or SIGINT */
    kur_listener_free(listener);
}

int main(int argc, char **argv)
{
    int count = argc == 2 ? atoi(argv[1]) : 0;
    const char *url = getenv("KURIER_REGISTRY");
    kur_error error = {0};
    if (argc > 1 && count < 1) {
        printf("usage: %s [N]\n\nPublishes N readings, or reads them until Ctrl-C.\n", argv[0]);
        return strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_registry_options how = KUR_REGISTRY_OPTIONS(.urls = url, .registers = true); /* elsewhere a deployment does */
    kur_registry *registry = url != NULL ? kur_registry_new(&how, &error) : NULL;
    kur_client_options options = KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr);
    options.schemas = kur_registry_schemas(registry); /* NULL for NULL */
    options.wire = registry != NULL ? KUR_WIRE_CONFLUENT : KUR_WIRE_SINGLE_OBJECT;
    options.names_schema = registry != NULL;
    kur_client *client = error.code == KUR_OK ? kur_client_new(&options, &error) : NULL;
    if (count > 0)
        publish(client, count, &error);
    else
        read_them(client, &error);
    if (error.code != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_client_unref(client);
    kur_registry_free(registry); /* after the client */
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
