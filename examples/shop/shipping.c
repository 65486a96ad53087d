/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Shipping: prints the label as soon as an order is there, and hands the parcel to the courier when the goods are
 * reserved. Three types from two topics, one listener.
 */
#include <inttypes.h>

#include "schemas.h"

static kur_outcome on_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    (void)delivery;
    const struct service *service = user;
    service_take_time(service);
    service_say(service, order->order_id, "label printed for %s", order->customer);
    return KUR_DONE;
}

static kur_outcome on_reserved(kur_delivery *delivery, const struct inventory_reserved *reserved, void *user)
{
    (void)delivery;
    service_say(user, reserved->order_id, "parcel handed to the courier, %" PRId64 " inside", reserved->articles);
    return KUR_DONE;
}

static kur_outcome on_rejected(kur_delivery *delivery, const struct inventory_rejected *rejected, void *user)
{
    (void)delivery;
    service_say(user, rejected->order_id, "stays here: not enough %s", rejected->sku);
    return KUR_DONE;
}

int main(int argc, char **argv)
{
    struct service service = {.name = "shipping",
                              .purpose =
                                  "Prints a label for each order; hands the parcel over when its goods are reserved."};
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (service.http != NULL)
        return service_answer(&service, on_order, &service);

    kur_error error = {0};
    kur_client *client = service_client(&service, &error);
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = service.group, .topics = (const char *[]){"orders", "inventory", NULL}),
        &error);
    order_created_on(listener, on_order, &service);
    inventory_reserved_on(listener, on_reserved, &service);
    inventory_rejected_on(listener, on_rejected, &service);
    kur_status status = kur_listener_run(listener, &error); /* until SIGTERM */

    kur_listener_free(listener);
    kur_client_unref(client);
    return service_end(&service, status, &error);
}
