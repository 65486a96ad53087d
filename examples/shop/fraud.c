/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Fraud: looks at each order and says when a person should. It needs nothing but the event, keeps nothing, and nobody
 * waits for it.
 */
#include <inttypes.h>

#include "schemas.h"

static kur_outcome on_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    (void)delivery;
    const struct service *service = user;
    service_take_time(service);

    int64_t most = 0;
    for (size_t i = 0; i < order->lines.count; i++)
        if (order->lines.items[i].quantity > most)
            most = order->lines.items[i].quantity;

    if (order->total >= 100000)
        service_say(service, order->order_id, "a person should look: %" PRId64 ".%02" PRId64 " is much money",
                    order->total / 100, order->total % 100);
    else if (most >= 100)
        service_say(service, order->order_id, "a person should look: %" PRId64 " of one article", most);
    else
        service_say(service, order->order_id, "nothing odd");
    return KUR_DONE;
}

int main(int argc, char **argv)
{
    int concurrency;
    const char *text = "1";
    const struct service_flag flags[] = {{"concurrency", "N", "orders looked at at once (default: 1)", &text}, {0}};
    struct service service = {
        .name = "fraud", .purpose = "Looks at each order and says when a person should.", .flags = flags};
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (!service_number(&service, "concurrency", text, 1, CONCURRENCY_MAX, &concurrency))
        return 2;
    if (service.http != NULL)
        return service_answer(&service, on_order, &service);

    kur_error error = {0};
    kur_client *client = service_client(&service, &error);
    kur_listener *listener = kur_listener_new(client,
                                              &KUR_LISTENER_OPTIONS(.group = service.group, .concurrency = concurrency,
                                                                    .topics = (const char *[]){"orders", NULL}),
                                              &error);
    order_created_on(listener, on_order, &service);
    kur_status status = kur_listener_run(listener, &error); /* until SIGTERM */

    kur_listener_free(listener);
    kur_client_unref(client);
    return service_end(&service, status, &error);
}
