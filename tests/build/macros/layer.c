/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * In place of a listener: what the typed functions of an event call, and how an event reaches its typed handler.
 */
#include "shop.h"

static kur_handler_invoke *invoke_handler;
static kur_function *registered;
static void *registered_user;
static int emitted;

kur_status kur_listener_on(kur_listener *listener, const kur_type *type, kur_handler_invoke *invoke,
                           kur_function *handler, void *user)
{
    (void)listener;
    (void)type;
    invoke_handler = invoke;
    registered = handler;
    registered_user = user;
    return KUR_OK;
}

kur_status kur_delivery_emit(kur_delivery *delivery, const kur_type *type, const void *event, kur_error *error)
{
    (void)delivery;
    emitted++;
    return kur_type_validate(type, event, error);
}

int layer_called(void)
{
    return emitted;
}

kur_outcome layer_deliver(const void *event)
{
    return invoke_handler(registered, NULL, event, registered_user);
}
