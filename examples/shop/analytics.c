/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Analytics: counts what comes by. Nobody told the order service of it: it subscribed.
 *
 * The sums begin at zero with each start; --group with a new name counts everything in the log from its beginning.
 */
#include <inttypes.h>

#include "schemas.h"

struct sums {
    const struct service *service;
    int64_t orders;
    int64_t turnover; /* in hundredths */
    int64_t rejected;
};

static kur_outcome on_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    (void)delivery;
    struct sums *sums = user;
    service_take_time(sums->service);
    sums->orders++;
    sums->turnover += order->total;
    service_say(sums->service, order->order_id, "%" PRId64 " order%s so far, %" PRId64 ".%02" PRId64 " together",
                sums->orders, sums->orders == 1 ? "" : "s", sums->turnover / 100, sums->turnover % 100);
    return KUR_DONE;
}

static kur_outcome on_rejected(kur_delivery *delivery, const struct inventory_rejected *rejected, void *user)
{
    (void)delivery;
    struct sums *sums = user;
    sums->rejected++;
    service_say(sums->service, rejected->order_id, "%" PRId64 " so far for want of goods", sums->rejected);
    return KUR_DONE;
}

int main(int argc, char **argv)
{
    struct service service = {.name = "analytics",
                              .purpose = "Counts orders, what they bring, and those for want of goods."};
    if (!service_begin(&service, argc, argv))
        return service.status;
    struct sums sums = {.service = &service};
    if (service.http != NULL)
        return service_answer(&service, on_order, &sums);

    kur_error error = {0};
    kur_client *client = service_client(&service, &error);
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = service.group, .topics = (const char *[]){"orders", "inventory", NULL}),
        &error);
    order_created_on(listener, on_order, &sums);
    inventory_rejected_on(listener, on_rejected, &sums);
    kur_status status = kur_listener_run(listener, &error); /* until SIGTERM */

    kur_listener_free(listener);
    kur_client_unref(client);
    return service_end(&service, status, &error);
}
